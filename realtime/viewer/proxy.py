"""What the page asks of the records API, passed on with a token that the page never sees."""

from __future__ import annotations

import asyncio
import logging

import httpx
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from realtime.runtime.problems import Problem, answer, problem_of
from realtime.viewer.callers import Callers
from realtime.viewer.departures import Departures, Left
from realtime.viewer.passable import passable, target_of
from realtime.viewer.records_api import ANSWER_S, LONG_ANSWER_S, RecordsApi, Unanswered

ASKED = ("accept", "content-type", "if-none-match")
ANSWERED = ("cache-control", "content-disposition", "content-type", "etag", "retry-after", "vary")
SMALL = 2_000_000  # bytes that are read whole: one message instead of many

log = logging.getLogger(__name__)
router = APIRouter()


@router.api_route("/api/{path:path}", methods=["GET", "POST", "PATCH", "DELETE"])
async def pass_on(request: Request) -> Response:
    """Ask the records API, and answer what it answers."""
    path, target = target_of(request.scope["raw_path"], request.scope["query_string"])
    if not passable(request.method, path):
        raise Problem(404, f"{request.method} {request.url.path}: there is nothing of that name")
    callers: Callers = request.app.state.callers
    headers = _asked(request)
    headers.update(callers.authorization(request))
    records: RecordsApi = request.app.state.records
    departures: Departures = request.app.state.departures
    try:
        if request.method == "GET":
            work = _get(records, departures, target, headers, path.endswith(b"/export"))
            response = await departures.unless_left(request.receive, work)
        else:
            # Done to its end: a mark is not lost because its page was closed.
            body = await request.body()
            found = await records.send(request.method, target, headers, body, ANSWER_S)
            response = await _response(found, departures)
    except Left:
        return Response()  # that nobody reads
    except httpx.TransportError as error:
        return _unanswered(records.unanswered(error))
    except Unanswered as error:
        return _unanswered(error)
    if response.status_code == 401:
        callers.end(request)
    # Else a browser would show one person what it kept for another.
    response.headers["Vary"] = ", ".join(filter(None, (response.headers.get("vary"), "Cookie")))
    if callers.required:
        _keep_little(response, callers.secure(request))
    return response


def _asked(request: Request) -> dict[str, str]:
    given = {name: request.headers[name] for name in ASKED if name in request.headers}
    return {name: text for name, text in given.items() if text.isascii() and text.isprintable()}


async def _get(
    records: RecordsApi,
    departures: Departures,
    target: bytes,
    headers: dict[str, str],
    export: bool,
) -> Response:
    answer_s = LONG_ANSWER_S if export else ANSWER_S
    found = await records.send("GET", target, headers, None, answer_s, export=export)
    return await _response(found, departures)


def _unanswered(error: Unanswered) -> Response:
    return answer(problem_of(error), {"Retry-After": "1"})


def _keep_little(response: Response, secure: bool) -> None:
    """Leave nothing that a browser would show, or hold, after its person has signed out.

    Without TLS a browser heeds no word to clear what it kept.
    """
    if not secure or "no-store" in response.headers.get("cache-control", ""):
        response.headers["Cache-Control"] = "no-store"
    else:
        response.headers["Cache-Control"] = "private, no-cache"


async def _response(found: httpx.Response, departures: Departures) -> Response:
    headers = {
        name: value
        for name, value in found.headers.items()
        if name in ANSWERED or name.startswith("x-")
    }
    length = found.headers.get("content-length", "")
    if not length.isdecimal() or int(length) > SMALL:
        if length.isdecimal() and not _packed(found):
            headers["content-length"] = length
        return _Passed(found, headers, departures)
    try:
        return Response(await found.aread(), found.status_code, headers)
    finally:
        await found.aclose()


def _packed(found: httpx.Response) -> bool:
    # By something in between, since it is asked for as it is.
    return "content-encoding" in found.headers


class _Passed(StreamingResponse):
    """An answer that is sent on while it is read."""

    def __init__(
        self, found: httpx.Response, headers: dict[str, str], departures: Departures
    ) -> None:
        pieces = found.aiter_bytes() if _packed(found) else found.aiter_raw()
        super().__init__(pieces, found.status_code, headers)
        self._found = found
        self._departures = departures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, and let the records service go however it ends."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._found.aclose()

    async def stream_response(self, send: Send) -> None:
        """Send the pieces; one that breaks off has no end, so that nobody takes it for whole."""
        with self._departures.sending():
            try:
                await super().stream_response(send)
            except httpx.TransportError as error:
                log.warning("an answer of the records service broke off: %s", type(error).__name__)
            except asyncio.CancelledError:
                if not self._departures.cut:
                    raise
                log.warning("an answer broke off, since the viewer is being stopped")
