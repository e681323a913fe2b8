"""Signing in and out: a person's own token is checked once, and then kept on the server."""

from __future__ import annotations

import html
import math
import re
from urllib.parse import parse_qs, urlencode

from fastapi import APIRouter
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from realtime.runtime.problems import Problem
from realtime.viewer.callers import Callers
from realtime.viewer.records_api import RecordsApi
from realtime.viewer.throttle import PATIENCE_S, Throttle, TooMany
from realtime.wire.viewer import SessionAnswer
from storage.settings import TOKEN

LOCAL = re.compile(r"/(\?[\x21-\x7e]*)?")  # the page itself, with what a link asks for
# A patient that nobody has: who may read gets an empty list, and no list has to be made.
READS = b"/recordings?patient_id=-"
NO_CACHE = {"Cache-Control": "no-store"}

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="UTF-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sign in - Ranvier</title>
<link rel="icon" href="/_favicon.ico">
<script src="/page/first_paint.js"></script>
<script type="module" src="/page/signed_in.js"></script>
<link rel="stylesheet" href="/assets/1_base.css">
<link rel="stylesheet" href="/assets/5_sign_in.css">
</head>
<body>
<main class="sign-in">
<form method="post" action="/sign-in">
<h1>Ranvier</h1>
<p>Sign in with your token. <code>ranvier tokens add</code> gives one.</p>
<p class="sign-in-error" role="alert">{said}</p>
<label for="token">Token</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
<input type="hidden" name="next" value="{next}">
<button class="primary" type="submit">Sign in</button>
</form>
</main>
</body>
</html>"""

router = APIRouter()


def sign_in_url(target: str) -> str:
    """Return where to sign in, and go on from there to a page of ours."""
    return "/sign-in" if target == "/" else f"/sign-in?{urlencode({'next': target})}"


class Door:
    """Sends people who have to sign in there first, before they wait for a page without data.

    Parameters
    ----------
    app
        The document, which holds nothing of any recording.
    callers
        Who know who is signed in.
    """

    def __init__(self, app: ASGIApp, callers: Callers) -> None:
        self._app = app
        self._callers = callers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the document, or the way to sign in."""
        if scope["type"] == "http" and scope["path"] == "/" and self._callers.required:
            request = Request(scope)
            # After a link on another site the cookie is not sent, but with what the page asks.
            elsewhere = request.headers.get("sec-fetch-site", "none") == "cross-site"
            if not elsewhere and not self._callers.signed_in(request):
                query = scope["query_string"].decode("latin-1")
                target = _local(f"/?{query}" if query else "/")
                await RedirectResponse(sign_in_url(target), 303, NO_CACHE)(scope, receive, send)
                return
            await self._app(scope, receive, _unkept(send))
            return
        await self._app(scope, receive, send)


def _unkept(send: Send) -> Send:
    # Else the whole page would be there again for whoever goes back after signing out.
    async def unkept(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message)["Cache-Control"] = "no-store"
        await send(message)

    return unkept


def _local(target: str) -> str:
    return target if LOCAL.fullmatch(target) else "/"


@router.get("/sign-in")
async def ask(request: Request, next: str = "/") -> Response:  # noqa: A002
    """Show the form; whoever has signed in already goes on."""
    callers: Callers = request.app.state.callers
    if callers.signed_in(request):
        return RedirectResponse(_local(next), 303, NO_CACHE)
    return _form("", _local(next))


@router.post("/sign-in")
async def sign_in(request: Request) -> Response:
    """Check a token, and open a session with it."""
    fields = parse_qs((await request.body()).decode("utf-8", "replace"))
    target = _local(fields.get("next", ["/"])[0])
    token = fields.get("token", [""])[0].strip()
    throttle: Throttle = request.app.state.throttle
    address = request.client.host if request.client else ""
    try:
        status = await _checked(throttle, address, request.app.state.records, token)
    except TooMany:
        wait_s = math.ceil(PATIENCE_S)
        said = f"Too many tries at once. Wait {wait_s} s, then try again."
        return _form(said, target, 429, {"Retry-After": f"{wait_s}"})
    except Problem as problem:
        return _form(str(problem), target, problem.status)
    if status == 401:
        return _form("This token is unknown, revoked or out of date.", target, 401)
    if status == 403:
        said = "This token does not allow reading recordings: it needs the scope eeg:read."
        return _form(said, target, 403)
    if status != 200:
        return _form(f"The records service answered {status}. Try again.", target, 502)
    return _opened(request, token, target)


async def _checked(throttle: Throttle, address: str, records: RecordsApi, token: str) -> int:
    if TOKEN.fullmatch(token) is None:
        return 401
    async with throttle.turn(address) as this:
        status = await _status(records, token)
        this.failed = status == 401
        return status


async def _status(records: RecordsApi, token: str) -> int:
    answer = await records.send("GET", READS, {"Authorization": f"Bearer {token}"})
    await answer.aclose()
    return answer.status_code


def _opened(request: Request, token: str, target: str) -> Response:
    callers: Callers = request.app.state.callers
    callers.end(request)
    response = RedirectResponse(target, 303, NO_CACHE)
    # Where something else ends TLS in front of us, the page still knows that there is some.
    secure = callers.secure(request)
    # Until the browser is closed: how long it may be idle is for the session to say.
    response.set_cookie(
        callers.cookie(request, secure),
        callers.sessions.open(token),
        secure=secure,
        httponly=True,
        samesite="strict",
    )
    return response


@router.post("/sign-out")
async def sign_out(request: Request) -> Response:
    """Forget the session, and what the browser kept of what was read in it."""
    callers: Callers = request.app.state.callers
    callers.end(request)
    response = RedirectResponse("/sign-in", 303, {**NO_CACHE, "Clear-Site-Data": '"cache"'})
    secure = callers.secure(request)
    name = callers.cookie(request, secure)
    response.delete_cookie(name, secure=secure, httponly=True, samesite="strict")
    return response


@router.get("/session")
async def session(request: Request, response: Response) -> SessionAnswer:
    """Say whether a person is signed in."""
    response.headers["Cache-Control"] = "no-store"
    callers: Callers = request.app.state.callers
    return SessionAnswer(signed_in=callers.signed_in(request), required=callers.required)


def _form(
    said: str, target: str, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    page = PAGE.replace("{said}", html.escape(said)).replace("{next}", html.escape(target))
    return HTMLResponse(page, status, {**NO_CACHE, **(headers or {})})
