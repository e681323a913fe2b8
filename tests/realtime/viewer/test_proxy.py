"""What goes on to the records API and what comes back, byte for byte, and what does not."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import socket
import threading
from pathlib import Path

import httpx
import pytest

from realtime.viewer.app import create_app
from tests.realtime.viewer.conftest import SECRET, FakeRecords, settings
from tests.support.app_server import serving


def origin(viewer: httpx.Client) -> dict[str, str]:
    return {"Origin": str(viewer.base_url).rstrip("/")}


def test_the_token_is_added_and_nothing_of_the_browser_goes_on(
    viewer: httpx.Client, records: FakeRecords
) -> None:
    answer = viewer.get(
        "/api/recordings",
        headers={
            "Cookie": "a=b",
            "Authorization": "Bearer of-the-browser",
            "If-None-Match": '"tag"',
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
        },
    )
    assert answer.status_code == 200
    (asked,) = records.asked
    assert asked.headers["authorization"] == f"Bearer {SECRET}"
    assert asked.headers["if-none-match"] == '"tag"'
    assert asked.headers["accept-encoding"] == "identity"
    assert not {"cookie", "origin", "referer"} & set(asked.headers)
    assert SECRET not in answer.text + str(answer.headers)


@pytest.mark.parametrize(
    "path",
    [
        "/recordings/a%20b%3F%23%25.edf?patient_id=caf%C3%A9&x=%2B",
        "/recordings/%E2%98%83",
        "/eeg?derive=C3-A1%2BA2&derive=L%3DF7-T7",
    ],
)
def test_addresses_go_on_as_they_are(viewer: httpx.Client, records: FakeRecords, path: str) -> None:
    # By hand, since a client has its own mind on how an address is written.
    url = viewer.base_url
    with socket.create_connection((url.host, url.port or 80)) as plain:
        host = url.netloc.decode()
        head = f"GET /api{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        plain.sendall(head.encode())
        assert plain.recv(100).startswith(b"HTTP/1.1 200")
    assert records.asked[-1].target == path.encode()


def test_a_service_below_a_path_is_asked_there(records: FakeRecords, tmp_path: Path) -> None:
    app = create_app(settings(tmp_path, f"{records.url}/of/the%20ward/"))
    with serving(app) as url:
        assert httpx.get(f"{url}/api/eeg?start=1").status_code == 200
    assert records.asked[-1].target == b"/of/the%20ward/eeg?start=1"


def test_only_some_headers_come_back(viewer: httpx.Client, records: FakeRecords) -> None:
    records.headers = {
        "content-type": "text/csv",
        "ETag": '"t"',
        "Cache-Control": "private, no-cache",
        "Content-Disposition": 'attachment; filename="x.csv"',
        "X-Rate-Hz": "256",
        "Set-Cookie": "stolen=1",
        "Server": "inside",
        "Location": "http://elsewhere/",
        "Access-Control-Allow-Origin": "*",
        "Vary": "Accept",
    }
    answer = viewer.get("/api/recordings")
    for name in ("etag", "cache-control", "content-disposition", "x-rate-hz"):
        assert answer.headers[name]
    for name in ("set-cookie", "server", "location", "access-control-allow-origin"):
        assert name not in answer.headers
    assert answer.headers["vary"] == "Accept, Cookie"
    assert answer.headers["content-type"].startswith("text/csv")


@pytest.mark.parametrize("status", [204, 206, 302, 304, 404, 409, 422, 500])
def test_statuses_come_back_and_no_redirect_is_followed(
    viewer: httpx.Client, records: FakeRecords, status: int
) -> None:
    records.status, records.headers = status, {"Location": "http://127.0.0.1:9/"}
    records.body = b"" if status in {204, 304} else b"{}"
    assert viewer.get("/api/health").status_code == status
    assert len(records.asked) == 1


@pytest.mark.parametrize("size", [0, 1, 235_520, 5_000_000])
def test_bodies_of_any_size_come_back_whole(
    viewer: httpx.Client, records: FakeRecords, size: int
) -> None:
    records.body = bytes(number % 251 for number in range(size))
    answer = viewer.get("/api/eeg")
    assert answer.content == records.body
    records.headers = {"content-length": str(size)}
    answer = viewer.get("/api/eeg")
    assert answer.content == records.body
    assert int(answer.headers["content-length"]) == size


def test_marks_are_written(viewer: httpx.Client, records: FakeRecords) -> None:
    note = {"onset": 1.0, "text": "seizure"}
    records.status = 201
    for method, path in [("POST", ""), ("PATCH", "/1"), ("DELETE", "/1")]:
        answer = viewer.request(
            method, f"/api/recordings/r/annotations{path}", json=note, headers=origin(viewer)
        )
        assert answer.status_code == 201
        asked = records.asked[-1]
        assert (asked.method, json.loads(asked.body)) == (method, note)
        assert asked.headers["content-type"] == "application/json"


def test_what_is_too_long_is_refused(viewer: httpx.Client, records: FakeRecords) -> None:
    path = "/api/recordings/r/annotations"
    answer = viewer.post(path, content=b"x" * 64_001, headers=origin(viewer))
    assert answer.status_code == 413
    pieces = (b"x" * 1000 for _ in range(65))
    assert viewer.post(path, content=pieces, headers=origin(viewer)).status_code == 413
    assert not records.asked


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/api/recordings/r/annotations"),
        ("GET", "/api/recordings/r/audit"),
        ("GET", "/api/recordings/r%2Faudit"),
        ("GET", "/api/metrics"),
        ("POST", "/api/ingest"),
        ("POST", "/api/recordings/r/seal"),
    ],
)
def test_other_routes_do_not_exist(
    viewer: httpx.Client, records: FakeRecords, method: str, path: str
) -> None:
    answer = viewer.request(method, path, headers=origin(viewer))
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert not records.asked


def test_a_service_that_is_not_there_is_named(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with serving(create_app(settings(tmp_path, f"http://127.0.0.1:{port}"))) as url:
        answer = httpx.get(f"{url}/api/recordings")
    assert answer.status_code == 502
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["retry-after"] == "1"
    detail = answer.json()["detail"]
    assert f"127.0.0.1:{port}" in detail
    assert "ranvier serve records" in detail
    assert "RANVIER_RECORDS_URL" in detail


def test_an_answer_that_breaks_off_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        with serving(create_app(settings(tmp_path, f"http://127.0.0.1:{port}"))) as url:

            def half() -> None:
                connection, _ = listening.accept()
                with connection:
                    connection.recv(10_000)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")

            answering = threading.Thread(target=half)
            answering.start()
            answer = httpx.get(f"{url}/api/recordings")
            answering.join(10)
    assert answer.status_code == 502
    assert answer.json()["status"] == 502


def test_an_answer_that_does_not_come_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from realtime.viewer import proxy

    monkeypatch.setattr(proxy, "ANSWER_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with serving(create_app(settings(tmp_path, f"http://127.0.0.1:{port}"))) as url:
            answer = httpx.get(f"{url}/api/recordings", timeout=20)
    assert answer.status_code == 504


def test_what_is_no_text_of_a_header_does_not_go_on(
    viewer: httpx.Client, records: FakeRecords
) -> None:
    headers = {b"If-None-Match": b'"\xfc"', b"Accept": b"application/json"}
    assert viewer.get("/api/recordings", headers=headers).status_code == 200
    assert "if-none-match" not in records.asked[-1].headers
    assert records.asked[-1].headers["accept"] == "application/json"


@pytest.mark.parametrize("size", [1000, 3_000_000])
def test_what_was_packed_on_its_way_comes_back_unpacked(
    viewer: httpx.Client, records: FakeRecords, size: int
) -> None:
    plain = os.urandom(size)
    records.body = gzip.compress(plain, 1)
    records.headers = {"content-encoding": "gzip", "content-length": str(len(records.body))}
    answer = viewer.get("/api/eeg")
    assert "content-encoding" not in answer.headers
    assert answer.content == plain


@pytest.mark.parametrize(("method", "status"), [("GET", 200), ("POST", 502)])
def test_a_kept_connection_that_is_dropped_costs_no_answer(
    tmp_path: Path, method: str, status: int
) -> None:
    answered = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        asked = []

        def once_each() -> None:
            with contextlib.suppress(TimeoutError):
                for _ in range(2):
                    connection, _ = listening.accept()
                    with connection:
                        asked.append(connection.recv(10_000))
                        connection.sendall(answered)
                        # The next one is read, and the connection dropped instead of an answer.
                        asked.append(connection.recv(10_000))

        with serving(create_app(settings(tmp_path, url))) as viewer:
            listening.settimeout(20)
            answering = threading.Thread(target=once_each)
            answering.start()
            with httpx.Client(base_url=viewer, headers={"Origin": viewer}) as page:
                assert page.get("/api/recordings").status_code == 200
                path = "/api/recordings" + ("" if method == "GET" else "/r/annotations")
                answer = page.request(method, path)
                assert answer.status_code == status
                if method == "POST":  # asked once: nothing is written twice
                    assert [each.split()[0] for each in asked] == [b"GET", b"POST"]
                    assert page.get("/api/recordings").status_code == 200
        answering.join(30)
        assert not answering.is_alive()
