"""What every request must pass first, and what every answer carries: the page's safety."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from realtime.runtime.problems import Problem, answer_error
from realtime.runtime.serving import is_loopback

SAFE = {"GET", "HEAD", "OPTIONS"}
FORWARDED = ("forwarded", "via", "x-real-ip")
OWN = {"same-origin", "none"}  # none: a person typed the address, or followed a bookmark


class Guard:
    """Refuses what other web pages make a browser send, and names that lead here by a trick.

    Parameters
    ----------
    app
        What is behind it.
    local
        Whether only this machine is served; its names are then the only ones taken.
    scripts
        Hashes of the scripts that stand in the document.
    origin
        Where people find the viewer behind a proxy, which may pass on another host's name.
    """

    def __init__(
        self, app: ASGIApp, local: bool, scripts: Sequence[str], origin: str | None = None
    ) -> None:
        self._app = app
        self._local = local
        self._origin = origin
        self._policy = "; ".join(
            (
                "default-src 'self'",
                f"script-src 'self' {' '.join(scripts)}",
                "style-src 'self' 'unsafe-inline'",
                "img-src 'self' data: blob:",
                "connect-src 'self'",
                "object-src 'none'",
                "base-uri 'none'",
                "form-action 'self'",
                "frame-ancestors 'none'",
            )
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        refused = self._refusal(scope)

        async def covered(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._cover(MutableHeaders(scope=message))
            await send(message)

        if refused is None:
            await self._app(scope, receive, covered)
        elif scope["type"] == "http":
            await answer_error(refused)(scope, receive, covered)
        else:
            await receive()
            await send({"type": "websocket.close", "code": 1008})  # before it is accepted: 403

    def _refusal(self, scope: Scope) -> Problem | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if self._local and not is_loopback(_name(host)):
            return Problem(
                403,
                "this viewer answers only to localhost and 127.0.0.1; start it with --host to be "
                "reached by another name",
            )
        if self._local and _forwarded(headers):
            return Problem(
                403,
                "a proxy passed this request on, and this viewer lends its rights to people at "
                "this machine alone; set RANVIER_VIEWER_SIGN_IN=true, and people sign in",
            )
        writes = scope["type"] == "websocket" or scope["method"] not in SAFE
        if writes and not self._own(headers.get("origin"), host):
            return Problem(
                403,
                "only the viewer's own page may write; behind a proxy, let it keep the Host "
                "header, or set RANVIER_VIEWER_ORIGIN to the address that people open",
            )
        if (writes or scope["path"].startswith("/api/")) and headers.get(
            "sec-fetch-site", "none"
        ) not in OWN:
            return Problem(403, "web pages of other origins may not use the viewer")
        return None

    def _own(self, origin: str | None, host: str) -> bool:
        if origin is None:
            return False
        return origin == self._origin or origin.partition("://")[2] == host

    def _cover(self, headers: MutableHeaders) -> None:
        headers["Content-Security-Policy"] = self._policy
        headers["X-Content-Type-Options"] = "nosniff"
        headers["Referrer-Policy"] = "same-origin"
        headers["Cross-Origin-Resource-Policy"] = "same-origin"
        headers["Cross-Origin-Opener-Policy"] = "same-origin"


def _forwarded(headers: Headers) -> bool:
    return any(name in FORWARDED or name.startswith("x-forwarded-") for name in headers)


def _name(host: str) -> str:
    return host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
