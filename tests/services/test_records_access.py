"""Tokens: who may do what, to whose recordings, on every route."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import connect

from realtime.records.access import Caller, find
from realtime.records.app import create_app
from realtime.runtime.problems import Problem
from storage.catalog import AmbiguousRecording, Catalog
from storage.errors import NotFound, UsageError
from storage.recording_store import RecordingStore
from storage.settings import records_settings
from storage.tokens import SCOPES, issue, revoke
from tests.support.record_posts import RATE, RAW, chunk, digital, physical, problem, window
from tests.support.records_server import RecordsServer, wait_for

SECOND = physical(digital(RATE))
MINE, OTHERS = "mine.edf", "others.edf"
NOTE = {"onset": 0.0, "text": "note"}
# Method, path below a recording, scope, and what else is sent.
BELOW: list[tuple[str, str, str, dict[str, Any]]] = [
    ("GET", "", "eeg:read", {}),
    ("GET", "/annotations", "eeg:read", {}),
    ("POST", "/annotations", "annotate", {"json": NOTE}),
    ("PATCH", "/annotations/{note}", "annotate", {"json": {"text": "b", "reason": "r"}}),
    ("DELETE", "/annotations/{note}", "annotate", {"params": {"reason": "r"}}),
    ("GET", "/audit", "audit", {}),
    ("GET", "/verify", "audit", {}),
    ("GET", "/overview", "eeg:read", {}),
    ("GET", "/dsa", "eeg:read", {}),
    ("GET", "/montages", "eeg:read", {}),
    ("GET", "/spectrogram", "eeg:read", {"params": {"channel": "0", "start": 0, "end": 1}}),
    ("GET", "/export", "export", {"params": {"format": "csv"}}),
    (
        "POST",
        "/chunks",
        "ingest:write",
        {
            "params": {"start_sample": RATE},
            "content": SECOND.astype("<f8").tobytes(),
            "headers": {"content-type": RAW},
        },
    ),
    ("POST", "/seal", "ingest:write", {}),
]


class Tokens:
    """Issues tokens, in the catalogue of a service."""

    def __init__(self, server: RecordsServer) -> None:
        self._url = f"sqlite:///{server.home / 'catalog.db'}"
        self._count = 0

    def new(self, *scopes: str, patients: list[str] | None = None) -> str:
        self._count += 1
        with Catalog.open(self._url) as catalog:
            return issue(catalog, f"{id(self)}-{self._count}", scopes or SCOPES, patients)

    def revoke_last(self) -> None:
        with Catalog.open(self._url) as catalog:
            revoke(catalog, f"{id(self)}-{self._count}")


@pytest.fixture(scope="module")
def tokens(guarded: RecordsServer) -> Tokens:
    made = Tokens(guarded)
    with guarded.client(made.new()) as client:
        for name, patient in ((MINE, "me"), (OTHERS, "other")):
            body = chunk(name, SECOND, patient_id=patient)
            assert client.post("/ingest", json=body).status_code == 201
    return made


@pytest.fixture(scope="module")
def notes(guarded: RecordsServer, tokens: Tokens) -> dict[str, str]:
    with guarded.client(tokens.new()) as client:
        return {
            name: client.post(f"/recordings/{name}/annotations", json=NOTE).json()["annotation_id"]
            for name in (MINE, OTHERS)
        }


@pytest.fixture
def bare(guarded: RecordsServer) -> Iterator[httpx.Client]:
    with guarded.client() as client:
        yield client


def test_without_a_token(bare: httpx.Client, tokens: Tokens) -> None:
    del tokens
    for path in ("/recordings", f"/recordings/{MINE}", "/metrics", "/eeg"):
        answer = bare.get(path, params={"patient_id": "me"})
        if path == "/eeg":
            answer = window(bare, MINE, 0, 1)
        problem(answer, 401)
        assert answer.headers["www-authenticate"] == "Bearer"
    problem(bare.post("/ingest", json=chunk(MINE, SECOND, patient_id="me")), 401)
    assert bare.get("/health").status_code == 200


@pytest.mark.parametrize(
    "header", ["Bearer wrong", "Bearer", "Basic dTpw", "Bearer rvt_" + "x" * 43]
)
def test_a_wrong_token(bare: httpx.Client, header: str) -> None:
    problem(bare.get("/recordings", headers={"Authorization": header}), 401)
    # Never in an address.
    problem(bare.get("/recordings", params={"token": header, "access_token": header}), 401)


def test_a_revoked_token(guarded: RecordsServer, tokens: Tokens) -> None:
    secret = tokens.new()
    with guarded.client(secret) as client:
        assert client.get("/recordings").status_code == 200
        tokens.revoke_last()
        wait_for(lambda: client.get("/recordings").status_code == 401, 10)


def test_a_revoked_token_follows_no_more(guarded: RecordsServer, tokens: Tokens) -> None:
    headers = {"Authorization": f"Bearer {tokens.new()}"}
    url = f"ws{guarded.url.removeprefix('http')}/recordings/{MINE}/follow"
    with connect(url, additional_headers=headers) as socket:
        socket.recv(timeout=10)
        tokens.revoke_last()
        with pytest.raises(ConnectionClosedError) as caught:
            socket.recv(timeout=10)
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1008


def test_what_is_not_finished_makes_no_name_ambiguous() -> None:
    entries = [
        SimpleNamespace(patient=patient, name="twice", finished=patient != "c")
        for patient in ("a", "b", "c")
    ]

    class Shelf:
        def find(self, name: str, patient: str | None = None) -> Any:
            del name, patient
            raise AmbiguousRecording("several")

        def recordings(self, patient: str | None = None) -> list[Any]:
            return [one for one in entries if one.finished and patient in {None, one.patient}]

    def found(*patients: str) -> str:
        caller = Caller("n", frozenset(SCOPES), frozenset(patients) if patients else None)
        return find(cast(Catalog, Shelf()), caller, "twice", None).patient

    assert found("b", "c") == "b"
    with pytest.raises(NotFound):
        found("c")
    for patients in (("a", "b", "c"), ()):
        with pytest.raises(Problem, match="several patients"):
            found(*patients)


@pytest.mark.parametrize(("method", "path", "scope", "sent"), BELOW)
def test_the_scope_is_needed(
    guarded: RecordsServer,
    tokens: Tokens,
    notes: dict[str, str],
    method: str,
    path: str,
    scope: str,
    sent: dict[str, Any],
) -> None:
    others = [each for each in SCOPES if each not in {scope, "admin"}]
    url = f"/recordings/{MINE}{path.format(note=notes[MINE])}"
    with guarded.client(tokens.new(*others)) as client:
        assert scope in problem(client.request(method, url, **sent), 403)["detail"]


@pytest.mark.parametrize(("method", "path", "scope", "sent"), BELOW)
def test_another_patient_does_not_exist(
    guarded: RecordsServer,
    tokens: Tokens,
    notes: dict[str, str],
    method: str,
    path: str,
    scope: str,
    sent: dict[str, Any],
) -> None:
    with guarded.client(tokens.new()) as client:
        uuid = client.get(f"/recordings/{OTHERS}").json()["uuid"]
    with guarded.client(tokens.new(patients=["me"])) as client:
        rest = path.format(note=notes[OTHERS])
        for of in ({}, {"patient_id": "other"}, {"patient_id": "me"}):
            options = sent | {"params": sent.get("params", {}) | of}
            for known in (OTHERS, uuid):
                refused = client.request(method, f"/recordings/{known}{rest}", **options)
                nobody = client.request(method, f"/recordings/nobody{rest}", **options)
                said = problem(refused, 404)["detail"]
                # Not to be told from one that is not there.
                assert said.replace(known, "nobody") == problem(nobody, 404)["detail"]
    assert scope in SCOPES


def test_another_patient_does_not_exist_elsewhere(guarded: RecordsServer, tokens: Tokens) -> None:
    with guarded.client(tokens.new(patients=["me"])) as client:
        assert {each["patient_id"] for each in client.get("/recordings").json()} == {"me"}
        assert client.get("/recordings", params={"patient_id": "other"}).json() == []
        for patient in ("other", "me"):
            problem(window(client, OTHERS, 0, 1, patient_id=patient), 404)
        problem(client.post("/ingest", json=chunk("new", SECOND, patient_id="other")), 404)
        declared = {
            "patient_id": "other",
            "recording_id": "new",
            "groups": [{"rate_hz": 1, "channels": [{"label": "A"}]}],
        }
        problem(client.post("/recordings", json=declared), 404)
        assert window(client, MINE, 0, 1, patient_id="me").status_code == 200


def test_an_equal_name_of_another_patient_hides_nothing(
    guarded: RecordsServer, tokens: Tokens
) -> None:
    with guarded.client(tokens.new()) as client:
        for patient in ("me", "other"):
            client.post("/ingest", json=chunk("same.edf", SECOND, patient_id=patient))
        problem(client.get("/recordings/same.edf"), 409)
    with guarded.client(tokens.new(patients=["me"])) as client:
        assert client.get("/recordings/same.edf").json()["patient_id"] == "me"
    with guarded.client(tokens.new(patients=["third"])) as client:
        problem(client.get("/recordings/same.edf"), 404)


def test_following_needs_the_same(guarded: RecordsServer, tokens: Tokens) -> None:
    url = f"ws{guarded.url.removeprefix('http')}/recordings/{OTHERS}/follow"

    def status(secret: str | None) -> int:
        headers = {} if secret is None else {"Authorization": f"Bearer {secret}"}
        try:
            with connect(url, additional_headers=headers) as socket:
                socket.recv(timeout=10)
        except InvalidStatus as error:
            return error.response.status_code
        return 101

    assert status(None) == 401
    assert status("rvt_wrong") == 401
    assert status(tokens.new("ingest:write")) == 403
    assert status(tokens.new("eeg:read", patients=["me"])) == 404
    assert status(tokens.new("eeg:read", patients=["other"])) == 101


def test_the_author_is_the_token(guarded: RecordsServer, tokens: Tokens) -> None:
    with guarded.client(tokens.new()) as client:
        client.post("/ingest", json=chunk("authors.edf", SECOND, patient_id="me"))
        rows = client.get("/recordings/authors.edf/audit").json()
    assert {row["source"].partition(":")[0] for row in rows} == {"token"}


def test_secrets_stay_out_of_logs(guarded: RecordsServer, tokens: Tokens) -> None:
    secret = tokens.new()
    with guarded.client(secret) as client:
        client.get("/recordings")
        client.get("/recordings", headers={"Authorization": "Bearer rvt_not-a-token"})
        client.get("/eeg")
    said = guarded.log.read_text()
    assert secret not in said
    assert "rvt_" not in said


def test_pages_of_elsewhere_cannot_use_a_browser_here(server: RecordsServer) -> None:
    with server.client() as client:
        assert client.get("/recordings").status_code == 200
        for headers in (
            {"Host": "rebound.example.com"},
            {"Host": "rebound.example.com:8000"},
            {"Origin": "https://example.com"},
            {"Origin": "null"},
        ):
            problem(client.get("/recordings", headers=headers), 403)
        local = {"Origin": "http://localhost:8050", "Host": "localhost:8000"}
        assert client.get("/recordings", headers=local).status_code == 200
    url = f"ws{server.url.removeprefix('http')}/recordings/any/follow"
    with pytest.raises(InvalidStatus) as caught, connect(url, origin="https://example.com"):  # type: ignore[arg-type]
        pass
    assert caught.value.response.status_code == 403


def test_other_machines_need_tokens(folder: Path) -> None:
    settings = records_settings(home=folder, host="0.0.0.0", token_required=False)
    with (
        RecordingStore.open(str(folder / "store"), f"sqlite:///{folder / 'catalog.db'}") as store,
        pytest.raises(UsageError, match=r"0\.0\.0\.0.*tokens are required"),
    ):
        create_app(store, settings)


def test_listening_beyond_this_machine_requires_tokens(folder: Path) -> None:
    with RecordsServer(folder, host="0.0.0.0") as server:
        url = server.url.replace("0.0.0.0", "127.0.0.1")
        assert httpx.get(f"{url}/health").status_code == 200
        problem(httpx.get(f"{url}/recordings"), 401)


def test_imports_of_the_service_are_few() -> None:
    code = (
        "import sys, realtime.records.service; "
        "print([m for m in ('prefect', 'mne', 'pandas', 'dask', 'zarr', 'pyarrow', 'scipy') "
        "if m in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


def test_the_original_names_nobody_without_the_scope(
    guarded: RecordsServer, tokens: Tokens, data: Path
) -> None:
    from storage.edf import EdfSource

    path = next(iter(sorted((data / "edf").glob("*.edf"))))
    home = guarded.home
    with (
        RecordingStore.open(
            str(home / "store"), f"sqlite:///{home / 'catalog.db'}", home / "identity.key"
        ) as store,
        EdfSource(str(path)) as source,
    ):
        store.sink(patient="me", name="file.edf", kind="edf").write(source)
    whole = path.read_bytes()
    url = "/recordings/file.edf/export"
    with guarded.client(tokens.new("export", "phi")) as client:
        assert client.get(url, params={"format": "original"}).content == whole
        query: dict[str, Any] = {"format": "original", "start": 1}
        assert problem(client.get(url, params=query), 422)["errors"][0]["field"] == "start"
    with guarded.client(tokens.new("export")) as client:
        nameless = client.get(url, params={"format": "original"}).content
    assert nameless[8:168].split() == [b"X", b"X", b"X", b"X", b"Startdate", *[b"X"] * 4]
    # Elsewhere only the clipped date differs.
    assert nameless[:8] + nameless[184:] == whole[:8] + whole[184:]
    with guarded.client(tokens.new("audit", "export", "eeg:read", "ingest:write")) as client:
        rows = client.get("/recordings/file.edf/audit").json()
        named = [row["detail"]["names"] for row in rows if row["event"] == "exported"]
        assert named == [True, False]
        body = chunk("file.edf", SECOND, patient_id="me")
        assert "came from a file" in problem(client.post("/ingest", json=body), 409)["detail"]
