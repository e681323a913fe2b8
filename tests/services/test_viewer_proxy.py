"""The viewer in front of a real records service: starts first, outlives it, tells no token."""

from __future__ import annotations

import ipaddress
import json
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.sync.connection import Connection

from storage.catalog import Catalog
from storage.tokens import issue, revoke
from tests.support.record_posts import RATE, chunk, digital, physical
from tests.support.records_server import RecordsServer, wait_for
from tests.support.serving import served
from tests.support.viewer_server import ViewerServer

SECOND = physical(digital(RATE))


@pytest.fixture(scope="module")
def viewer(
    server: RecordsServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ViewerServer]:
    with ViewerServer(tmp_path_factory.mktemp("viewer"), server.url) as running:
        yield running


@pytest.fixture(scope="module")
def asking(
    guarded: RecordsServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ViewerServer]:
    """Run a viewer where people sign in, in front of a service that wants tokens."""
    home = tmp_path_factory.mktemp("asking")
    with ViewerServer(home, guarded.url, sign_in=True) as running:
        yield running


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def page(viewer: ViewerServer) -> httpx.Client:
    """Return a client that asks as the viewer's own page does."""
    client = viewer.client()
    client.headers["Origin"] = viewer.url
    return client


def follow(viewer: ViewerServer, name: str, cookie: str = "") -> Connection:
    headers = {"Cookie": cookie} if cookie else {}
    url = f"ws{viewer.url.removeprefix('http')}/api/recordings/{name}/follow"
    return connect(url, origin=viewer.url, additional_headers=headers)  # type: ignore[arg-type]


def told(socket: Connection) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(socket.recv(timeout=30))
    return message


def token(server: RecordsServer, name: str, scopes: tuple[str, ...] = ("eeg:read",)) -> str:
    with Catalog.open(f"sqlite:///{server.home / 'catalog.db'}") as catalog:
        return issue(catalog, name, scopes)


def test_answers_are_those_of_the_records_service(
    server: RecordsServer, client: httpx.Client, viewer: ViewerServer, name: str
) -> None:
    for second in range(10):
        client.post("/ingest", json=chunk(name, SECOND, float(second)))
    patient = chunk(name, SECOND)["patient_id"]
    asked: dict[str, Any] = {
        "patient_id": patient,
        "recording_id": name,
        "start": 0,
        "end": 10,
        "format": "f32",
    }
    with page(viewer) as through:
        asks: list[tuple[str, dict[str, Any]]] = [
            ("/recordings", {}),
            (f"/recordings/{name}", {}),
            (f"/recordings/{name}/annotations", {}),
            (f"/recordings/{name}/overview", {"px": 100}),
            (f"/recordings/{name}/dsa", {}),
            (f"/recordings/{name}/montages", {"derive": "C3-A1+A2"}),
            (f"/recordings/{name}/export", {"format": "csv"}),
            ("/eeg", asked),
            ("/eeg", {**asked, "start": -1}),
            ("/health", {}),
            ("/recordings/none", {}),
        ]
        for path, query in asks:
            direct = client.get(path, params=query)
            passed = through.get(f"/api{path}", params=query)
            assert (passed.status_code, passed.content) == (direct.status_code, direct.content)
            for header in ("content-type", "cache-control", "x-extents"):
                assert passed.headers.get(header) == direct.headers.get(header), path
        again = through.get("/api/eeg", params=asked)
        assert again.status_code == 200, again.text
        tag = {"If-None-Match": again.headers["etag"]}
        assert through.get("/api/eeg", params=asked, headers=tag).status_code == 304
    line, _, samples = again.content.partition(b"\n")
    shape = json.loads(line)["shape"]
    assert np.frombuffer(samples, "<f4").size == shape[0] * shape[1]


def test_marks_are_written_and_revised(
    server: RecordsServer, client: httpx.Client, viewer: ViewerServer, name: str
) -> None:
    client.post("/ingest", json=chunk(name, SECOND))
    place = f"/api/recordings/{name}/annotations"
    with page(viewer) as through:
        made = through.post(place, json={"onset": 0.5, "duration": 0.1, "text": "spike"})
        assert made.status_code == 201
        number = made.json()["annotation_id"]
        change = {"text": "sharp wave", "reason": "looked again", "version": 1}
        assert through.patch(f"{place}/{number}", json=change).status_code == 200
        # Somebody else was first.
        assert through.patch(f"{place}/{number}", json=change).status_code == 409
        gone = through.delete(f"{place}/{number}", params={"reason": "artefact", "version": 2})
        assert gone.status_code == 200
        assert through.get(place).json() == []
        assert len(through.get(place, params={"history": True}).json()) == 3


def test_an_export_comes_whole(
    server: RecordsServer, client: httpx.Client, viewer: ViewerServer, name: str
) -> None:
    minute = physical(digital(60 * RATE))
    for number in range(10):
        client.post("/ingest", json=chunk(name, minute, 60.0 * number))
    with page(viewer) as through:
        query = {"format": "csv"}
        with through.stream("GET", f"/api/recordings/{name}/export", params=query) as answer:
            assert answer.headers["content-disposition"].startswith("attachment")
            size = sum(len(piece) for piece in answer.iter_raw())
    assert size == int(answer.headers["content-length"])


def test_a_follower_is_told_through_the_viewer(
    server: RecordsServer, client: httpx.Client, viewer: ViewerServer, name: str
) -> None:
    client.post("/ingest", json=chunk(name, SECOND))
    with follow(viewer, name) as socket:
        assert told(socket) == {"type": "appended", "end": 1.0}
        client.post("/ingest", json=chunk(name, SECOND, 1.0))
        assert told(socket) == {"type": "appended", "end": 2.0}
        client.post(f"/recordings/{name}/seal")
        assert told(socket) == {"type": "sealed", "end": 2.0}
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=30)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1000


def test_what_cannot_be_followed_is_closed_with_a_reason(viewer: ViewerServer) -> None:
    with follow(viewer, "nobodys.edf") as socket, pytest.raises(ConnectionClosed) as closed:
        socket.recv(timeout=30)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1008


def test_the_viewer_starts_first_and_outlives_the_records_service(
    tmp_path: Path, name: str
) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with ViewerServer(tmp_path / "viewer", url) as viewer, page(viewer) as through:
        assert through.get("/").status_code == 200
        for _ in range(3):
            answer = through.get("/api/recordings")
            assert answer.status_code == 502
            assert url in answer.json()["detail"]
        with follow(viewer, name) as socket, pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=30)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1013
        with RecordsServer(tmp_path / "records", port=port) as records:
            assert through.get("/api/recordings").json() == []
            with records.client() as client:
                client.post("/ingest", json=chunk(name, SECOND))
            assert len(through.get("/api/recordings").json()) == 1
            following = follow(viewer, name)
            assert told(following)["end"] == 1.0
            records.kill()
            with pytest.raises(ConnectionClosed):
                following.recv(timeout=30)
            following.close()
            wait_for(lambda: through.get("/api/recordings").status_code == 502)
            records.start()
            assert len(through.get("/api/recordings").json()) == 1
    log = viewer.log.read_text()
    assert "Traceback" not in log
    # Gone twice and back twice, however often it was asked for.
    assert log.count("cannot be reached") == 2
    assert log.count("answers again") == 2


def test_people_sign_in_and_are_named_in_the_audit(
    guarded: RecordsServer, asking: ViewerServer, name: str
) -> None:
    ingest = token(guarded, f"watch-{name}", ("ingest:write",))
    own = token(guarded, f"reader-{name}", ("eeg:read", "annotate", "export"))
    auditor = token(guarded, f"auditor-{name}", ("eeg:read", "audit"))
    with guarded.client(ingest) as client:
        assert client.post("/ingest", json=chunk(name, SECOND)).is_success
    seen = []
    with page(asking) as through:
        assert through.get("/api/recordings").status_code == 401
        assert through.post("/sign-in", data={"token": ingest}).status_code == 403
        seen.append(through.post("/sign-in", data={"token": "rvt_wrong"}))
        seen.append(through.post("/sign-in", data={"token": own}))
        assert seen[-1].status_code == 303
        for path in ("/", "/session", "/_dash-layout", "/api/recordings"):
            seen.append(through.get(path))
            assert seen[-1].status_code == 200
        note = {"onset": 0.5, "text": "spike"}
        seen.append(through.post(f"/api/recordings/{name}/annotations", json=note))
        seen.append(through.get(f"/api/recordings/{name}/export?format=csv"))
        cookie = "; ".join(f"{key}={value}" for key, value in through.cookies.items())
        with follow(asking, name, cookie) as socket:
            assert told(socket)["end"] == 1.0
        with follow(asking, name) as socket, pytest.raises(ConnectionClosed):
            socket.recv(timeout=30)
        with Catalog.open(f"sqlite:///{guarded.home / 'catalog.db'}") as catalog:
            revoke(catalog, f"reader-{name}")
        wait_for(lambda: through.get("/api/recordings").status_code == 401)
        assert not through.get("/session").json()["signed_in"]
    with guarded.client(auditor) as client:
        audit = client.get(f"/recordings/{name}/audit").json()
    rows = {row["event"]: row["source"] for row in audit}
    assert rows["annotation"] == f"token:reader-{name}"
    assert rows["exported"] == f"token:reader-{name}"
    written = "".join(answer.text + str(answer.headers) for answer in seen)
    for secret in (own, ingest, "rvt_wrong"):
        assert secret not in written
        assert secret not in asking.log.read_text()


def test_the_servers_token_is_lent_but_never_shown(
    guarded: RecordsServer, tmp_path: Path, name: str
) -> None:
    lent = token(guarded, f"lent-{name}")
    with ViewerServer(tmp_path, guarded.url, token=lent) as viewer, page(viewer) as through:
        answers = [
            through.get(path)
            for path in (
                "/",
                "/session",
                "/_dash-layout",
                "/api/recordings",
                "/api/none",
                "/sign-in",
            )
        ]
        assert answers[3].status_code == 200
        mark = {"onset": 0.5, "text": "spike"}
        assert through.post("/api/recordings/r/annotations", json=mark).status_code == 403
    written = "".join(answer.text + str(answer.headers) for answer in answers)
    assert lent not in written + viewer.log.read_text()


def test_all_is_the_same_over_tls(
    server: RecordsServer, client: httpx.Client, tmp_path: Path, name: str
) -> None:
    client.post("/ingest", json=chunk(name, SECOND))
    certificate, private_key = made_certificate(tmp_path)
    files: dict[str, Any] = {"certificate": certificate, "private_key": private_key}
    trusted = ssl.create_default_context(cafile=certificate)
    with ViewerServer(tmp_path / "home", server.url, sign_in=True, **files) as viewer:
        assert viewer.url.startswith("https://")
        with httpx.Client(base_url=viewer.url, verify=trusted) as through:
            through.headers["Origin"] = viewer.url
            # The service wants no token, but judges one that is sent.
            own = token(server, f"tls-{name}")
            answer = through.post("/sign-in", data={"token": own})
            assert "; Secure" in answer.headers["set-cookie"]
            assert len(through.get(f"/api/recordings/{name}").json()["groups"]) == 1
            cookie = "; ".join(f"{key}={value}" for key, value in through.cookies.items())
        url = f"wss{viewer.url.removeprefix('https')}/api/recordings/{name}/follow"
        headers = {"Cookie": cookie}
        with connect(
            url,
            origin=viewer.url,  # type: ignore[arg-type]
            additional_headers=headers,
            ssl=trusted,
        ) as socket:
            assert told(socket)["end"] == 1.0


def made_certificate(folder: Path) -> tuple[Path, Path]:
    """Return files of a certificate for this machine that is signed by itself, and of its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .sign(key, hashes.SHA256())
    )
    certificate, private_key = folder / "certificate.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(Encoding.PEM))
    private_key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return certificate, private_key


def test_the_command_serves_and_stops(tmp_path: Path) -> None:
    env = {"RANVIER_HOME": str(tmp_path), "RANVIER_VIEWER_PORT": None, "RANVIER_RECORDS_URL": None}
    words = ("--records-url", "http://127.0.0.1:9")
    with served("viewer", *words, log=tmp_path / "log", env=env) as running:
        assert httpx.get(running.url).status_code == 200
        assert "127.0.0.1:9" in httpx.get(f"{running.url}/api/recordings").json()["detail"]
        assert running.stop() == 0
    assert "Traceback" not in (tmp_path / "log").read_text()
