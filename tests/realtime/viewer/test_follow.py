"""What a follower is told when the records service cannot, or will not, be followed."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from realtime.viewer.app import create_app
from realtime.viewer.follow import LONGEST_REASON, _reason
from tests.realtime.viewer.conftest import FakeRecords, settings
from tests.support.app_server import serving


@contextmanager
def answering(said: bytes) -> Iterator[str]:
    """Answer the first request with some bytes, and end the connection."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(30)

        def once() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(10_000)
                connection.sendall(said)

        thread = threading.Thread(target=once)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        thread.join(30)


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", 1008),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", 1008),
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n", 1013),
        (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", 1013),
        (b"no HTTP", 1013),
        (b"", 1013),
    ],
)
def test_the_reason_says_whether_to_try_again(tmp_path: Path, said: bytes, code: int) -> None:
    with answering(said) as records, serving(create_app(settings(tmp_path, records))) as url:
        place = f"ws{url.removeprefix('http')}/api/recordings/r/follow"
        with connect(place, origin=url) as follower, pytest.raises(ConnectionClosed) as closed:  # type: ignore[arg-type]
            follower.recv(timeout=30)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == code


def test_a_revoked_token_ends_the_session_here_too(
    tmp_path: Path, records: FakeRecords, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = create_app(settings(tmp_path, records.url, sign_in=True))
    with serving(app) as url, httpx.Client(base_url=url, headers={"Origin": url}) as page:
        assert page.post("/sign-in", data={"token": "rvt_x"}).status_code == 303
        cookie = "; ".join(f"{name}={value}" for name, value in page.cookies.items())
        refused = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"
        with answering(refused) as revoked:
            monkeypatch.setattr(
                "realtime.viewer.records_api.RecordsApi.socket_url",
                lambda *_: f"ws{revoked.removeprefix('http')}/",
            )
            place = f"ws{url.removeprefix('http')}/api/recordings/r/follow"
            headers = {"Cookie": cookie}
            with (
                connect(place, origin=url, additional_headers=headers) as follower,  # type: ignore[arg-type]
                pytest.raises(ConnectionClosed) as closed,
            ):
                follower.recv(timeout=30)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1008
        assert page.get("/session").json()["signed_in"] is False


def test_a_reason_fits_into_the_frame_that_closes() -> None:
    assert _reason("ü" * 100) == "ü" * (LONGEST_REASON // 2)
    assert _reason("a" + "ü" * 100) == "a" + "ü" * ((LONGEST_REASON - 1) // 2)
