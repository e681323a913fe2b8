"""WebSockets whose endpoints may write prepared frames straight to the connection.

Sending through ASGI costs a coroutine for each message and client. A stream that gives the same
bytes to hundreds of clients at each tick makes its frame once (``websocket_frames``) and hands it
to each client's ``DirectConnection``. Handshake, pings, the closing handshake and what the client
says stay with uvicorn, and so does ``send`` for messages to one client, before and between.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Any, cast

from starlette.types import Scope
from uvicorn._types import ASGISendEvent
from uvicorn.config import Config
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.exceptions import InvalidState

EXTENSION = "ranvier.direct"
HELD_BYTES = 16 * 1024  # in this process, before a connection counts as not writable
UNSENT_BYTES = 16 * 1024  # in the kernel, not sent yet
LINGER_S = 5.0  # for a client to take what is left, and the reason, after it was let go
LONGEST_REASON = 123  # bytes, of RFC 6455

log = logging.getLogger(__name__)


class DirectConnection:
    """An open WebSocket as the place where prepared frames go.

    It can be used once the endpoint has accepted the connection, on the event loop only. The
    endpoint must go on receiving all the while, or pings and the client's leaving go unnoticed.
    """

    def __init__(self, protocol: DirectWebSocketProtocol) -> None:
        self._protocol = protocol
        self._transport = protocol.transport
        self.writable = True
        self.on_writable: Callable[[], None] | None = None

    @property
    def closing(self) -> bool:
        """Whether nothing can be written any more."""
        return self._protocol.close_sent or self._transport.is_closing()

    def buffered(self) -> int:
        """Return the bytes that wait in this process; those in the kernel are not counted."""
        return self._transport.get_write_buffer_size()

    def write(self, frame: bytes) -> None:
        """Send one or more whole frames; to a connection that closes nothing is sent.

        Never waits: who writes on while ``writable`` is false fills memory.

        Raises
        ------
        RuntimeError
            If the connection has not been accepted yet.
        """
        if self.closing:
            return
        if not self._protocol.handshake_complete:
            raise RuntimeError("the connection must be accepted before frames are written to it")
        self._transport.write(frame)

    def close(self, code: int, reason: str = "") -> None:
        """Say goodbye after all that was written, and let go a little later in any case."""
        self._protocol.say_goodbye(code, reason)


class DirectWebSocketProtocol(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket that also lets endpoints write to its transport.

    Little is held for a client that does not read, in this process and in the kernel, so that it
    is known early to be slow; and one that never reads cannot keep its connection open.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._direct: DirectConnection | None = None

    async def run_asgi(self) -> None:
        """Run the endpoint, with its connection in the scope."""
        self._direct = DirectConnection(self)
        extensions = cast(dict[str, Any], self.scope["extensions"])
        extensions[EXTENSION] = self._direct
        self.transport.set_write_buffer_limits(high=HELD_BYTES)
        _hold_little(self.transport.get_extra_info("socket"))
        await super().run_asgi()
        self._abort_later()

    async def send(self, message: ASGISendEvent) -> None:
        """Send a message of the endpoint; goodbye is said without waiting for room."""
        if message["type"] == "websocket.close" and self._open:
            self.say_goodbye(message.get("code", 1000), message.get("reason") or "")
        else:
            await super().send(message)

    def pause_writing(self) -> None:
        """Note that the client lags behind."""
        super().pause_writing()
        if self._direct is not None:
            self._direct.writable = False

    def resume_writing(self) -> None:
        """Note that the client has caught up, and tell who waits for it."""
        super().resume_writing()
        if self._direct is not None:
            self._direct.writable = True
            if self._direct.on_writable is not None and not self._direct.closing:
                self._direct.on_writable()

    def say_goodbye(self, code: int, reason: str) -> None:
        """Begin the closing handshake without waiting for room, and bound its length."""
        if not self._open:
            return
        short = reason.encode()[:LONGEST_REASON].decode(errors="ignore")
        try:
            self.conn.send_close(code, short)
        except InvalidState:
            return
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": short})
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        self._abort_later()

    @property
    def _open(self) -> bool:
        accepted = self.handshake_complete and self.initial_response is None
        return accepted and not self.close_sent and not self.transport.is_closing()

    def keepalive_timeout(self) -> None:
        """Let a client go that does not answer pings, whatever it has not read."""
        super().keepalive_timeout()
        self._abort_later()

    def shutdown(self) -> None:
        """Close with the server, whatever the client has not read."""
        super().shutdown()
        self._abort_later()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        super().connection_lost(exc)
        if self._direct is not None:
            self._direct.on_writable = None

    def _abort_later(self) -> None:
        # Closing a transport waits for what is buffered, for ever if nobody reads it.
        if self.disconnected:
            return
        if self.close_timer is not None:
            self.close_timer.cancel()
        self.close_timer = self.loop.call_later(LINGER_S, self.transport.abort)


def direct_connection(scope: Scope) -> DirectConnection:
    """Return where the frames of a WebSocket endpoint go.

    Raises
    ------
    RuntimeError
        If the server was not started for that (``serving.server(direct=True)``).
    """
    found = (scope.get("extensions") or {}).get(EXTENSION)
    if not isinstance(found, DirectConnection):
        raise RuntimeError("this server does not lend its connections; start it with direct=True")
    return found


def _hold_little(connection: socket.socket | None) -> None:
    """Let the kernel take only what it can send soon.

    Of packets of 1.1 kB, 81 are then held for a client that does not read, most of them by its own
    kernel; 3,496 are without it: at 40 Hz two seconds rather than 87.
    """
    if connection is None or connection.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    try:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
    except (AttributeError, OSError) as error:
        log.debug("slow clients are noticed later: %s", error)
