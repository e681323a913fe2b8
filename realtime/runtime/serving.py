"""A web application on a port: bound before it starts, stopped without losing a request."""

from __future__ import annotations

import errno
import ipaddress
import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from realtime.runtime.direct_websocket import DirectWebSocketProtocol
from storage.errors import UsageError

DRAIN_S = 8  # container engines kill after 10
MAX_CONNECTIONS = 1024
LONGEST_MESSAGE = 64 * 1024  # of a WebSocket's client, which has little to say

log = logging.getLogger(__name__)


def is_loopback(host: str) -> bool:
    """Return whether a name or address can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def bind(host: str, port: int) -> socket.socket:
    """Return a listening place.

    The protocol is named, since asyncio switches Nagle's delay off only on sockets that say TCP;
    left on, each answer on a kept connection waits 40 ms for the client's acknowledgement.

    Raises
    ------
    UsageError
        If the port is taken or the host has no such address.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host.strip("[]"), port))
    except OSError as error:
        bound.close()
        if error.errno == errno.EADDRINUSE:
            raise UsageError(
                f"port {port} of {host} is in use; stop what runs there or choose another with "
                f"--port"
            ) from error
        raise UsageError(f"cannot listen on {host}:{port} ({error.strerror or error})") from error
    return bound


def url_of(bound: socket.socket, secure: bool = False) -> str:
    """Return the address of a listening place."""
    host, port = bound.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if secure else 'http'}://{shown}:{port}"


class GracefulServer(uvicorn.Server):
    """A server that comes back to its caller after a signal, so that others can end in order.

    Parameters
    ----------
    config
        Of the server.
    announce
        Called once requests are answered and signals are listened to.
    """

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then tell."""
        await super().startup(sockets)
        if not self.should_exit:
            self._announce()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Let SIGINT and SIGTERM stop the server, and nothing else."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {
            each: signal.signal(each, self.handle_exit) for each in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)


def server(
    app: ASGIApp,
    certificate: Path | None = None,
    private_key: Path | None = None,
    announce: Callable[[], None] = lambda: None,
    *,
    direct: bool = False,
) -> GracefulServer:
    """Return a server for an application, not yet running.

    With ``direct`` its WebSocket endpoints may write prepared frames straight to their
    connections, see ``direct_websocket``; nothing is compressed there.
    """
    return GracefulServer(
        uvicorn.Config(
            app,
            loop="uvloop",
            http="httptools",
            ws=DirectWebSocketProtocol if direct else "websockets-sansio",
            ws_per_message_deflate=not direct,
            ws_max_size=LONGEST_MESSAGE,
            log_config=None,
            access_log=False,  # addresses carry pseudonyms; requests are counted instead
            server_header=False,
            proxy_headers=False,
            limit_concurrency=MAX_CONNECTIONS,
            timeout_graceful_shutdown=DRAIN_S,
            ssl_certfile=certificate,
            ssl_keyfile=private_key,
        ),
        announce,
    )


def serve(
    app: ASGIApp,
    bound: socket.socket,
    certificate: Path | None = None,
    private_key: Path | None = None,
    ready: Callable[[str], None] | None = None,
    *,
    direct: bool = False,
) -> None:
    """Answer requests until the process is told to stop, then finish those under way.

    Parameters
    ----------
    app
        The application.
    bound
        Where it listens; closed at the end.
    certificate, private_key
        PEM files for TLS.
    ready
        Called with the address when requests are answered.
    direct
        Whether WebSocket endpoints may write straight to their connections.
    """
    url = url_of(bound, certificate is not None)

    def announce() -> None:
        log.info("listening on %s", url)
        if ready is not None:
            ready(url)

    running = server(app, certificate, private_key, announce, direct=direct)
    bound.listen(running.config.backlog)
    try:
        running.run(sockets=[bound])
    finally:
        bound.close()
