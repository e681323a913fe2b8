"""Bounds on what a request may bring: the size of its body, and that it is not packed."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from realtime.runtime.problems import Problem, answer_error


class BodyLimit:
    """Refuses bodies that are longer than allowed, announced or not, and packed ones.

    A packed body could unpack to any size; the binary forms are small enough without.

    Parameters
    ----------
    app
        What is behind it.
    limit_bytes
        The longest body that is let through.
    """

    def __init__(self, app: ASGIApp, limit_bytes: int) -> None:
        self._app = app
        self._limit = limit_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refused = self._refusal(headers)
        if refused is not None:
            await answer_error(refused)(scope, receive, send)
            return
        received = 0
        started = False

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            if message["type"] == "http.request":
                received += len(message.get("body", b""))
                if received > self._limit:
                    raise self._too_long(f"more than {self._limit}")
            return message

        async def noted(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, counted, noted)
        except Problem as problem:
            if started:
                raise
            await answer_error(problem)(scope, receive, send)

    def _refusal(self, headers: Headers) -> Problem | None:
        packed = headers.get("content-encoding", "identity").strip().lower()
        if packed not in {"", "identity"}:
            return Problem(
                415,
                f"Content-Encoding {packed[:40]}: bodies are taken as they are; send it unpacked, "
                f"or in a binary form",
                {"Accept-Encoding": "identity", "Connection": "close"},
            )
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length) > self._limit:
            return self._too_long(length)
        return None

    def _too_long(self, found: str) -> Problem:
        return Problem(
            413,
            f"the body has {found} bytes; at most {self._limit} are taken in one request: send "
            f"shorter chunks or smaller batches",
            {"Connection": "close"},
        )
