"""What a browser, or everybody, has given up holds no connection of the records service."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from realtime.viewer.records_api import MAX_CONNECTIONS, MAX_EXPORTS
from tests.support.app_server import serving
from tests.support.records_server import wait_for
from tests.support.viewer_server import ViewerServer


@dataclass
class Slow:
    """A records service that answers nothing, or without end."""

    held: int = 0
    answers: bool = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            for done in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{done}.complete"})
            return
        self.held += 1
        try:
            if self.answers:
                await send({"type": "http.response.start", "status": 200, "headers": []})
                await send({"type": "http.response.body", "body": b"[]"})
                return
            sending = asyncio.create_task(self._send(scope["path"], send))
            while (await receive())["type"] != "http.disconnect":
                pass
            sending.cancel()
        finally:
            self.held -= 1

    async def _send(self, path: str, send: Send) -> None:
        if path == "/recordings/r/dsa":  # a night, and it has no end
            await send({"type": "http.response.start", "status": 200, "headers": []})
            while True:
                await send({"type": "http.response.body", "body": b"x" * 1000, "more_body": True})
                await asyncio.sleep(0.01)


@pytest.fixture
def slow() -> Iterator[tuple[Slow, str]]:
    service = Slow()
    with serving(service) as url:
        yield service, url


def opened(viewer: str, path: str) -> socket.socket:
    url = httpx.URL(viewer)
    plain = socket.create_connection((url.host, url.port or 80))
    plain.sendall(f"GET {path} HTTP/1.1\r\nHost: {url.netloc.decode()}\r\n\r\n".encode())
    return plain


def test_browsers_that_leave_keep_nobody_out_and_a_stop_is_quick(
    slow: tuple[Slow, str], tmp_path: Path
) -> None:
    service, url = slow
    with ViewerServer(tmp_path, url) as viewer:
        pages = [opened(viewer.url, f"/api/eeg?page={n}") for n in range(MAX_CONNECTIONS + 12)]
        wait_for(lambda: service.held == MAX_CONNECTIONS)
        for plain in pages:
            plain.close()
        wait_for(lambda: service.held == 0)
        # Exports have connections of their own, and leave pages theirs.
        exports = [opened(viewer.url, "/api/recordings/r/export") for _ in range(MAX_EXPORTS)]
        wait_for(lambda: service.held == MAX_EXPORTS)
        service.answers = True
        assert httpx.get(f"{viewer.url}/api/recordings").json() == []
        service.answers = False
        for plain in exports:
            plain.close()
        wait_for(lambda: service.held == 0)

        waiting: list[int] = []

        def wait() -> None:
            waiting.append(httpx.get(f"{viewer.url}/api/recordings", timeout=60).status_code)

        asking = threading.Thread(target=wait)
        asking.start()
        endless = opened(viewer.url, "/api/recordings/r/dsa")
        assert endless.recv(100).startswith(b"HTTP/1.1 200")
        wait_for(lambda: service.held == 2)
        # What is sent is read, and breaks off without its end.
        reading = threading.Thread(target=_read_all, args=(endless, pieces := bytearray()))
        reading.start()
        assert viewer.stop() == 0
        asking.join(30)
        reading.join(30)
        endless.close()
        assert waiting == [503]
        assert not pieces.endswith(b"0\r\n\r\n")
        wait_for(lambda: service.held == 0)
    log = viewer.log.read_text()
    assert "Traceback" not in log
    assert "timeout graceful shutdown exceeded" not in log  # containers are killed by then


def _read_all(plain: socket.socket, into: bytearray) -> None:
    plain.settimeout(30)
    while piece := plain.recv(65536):
        into += piece
