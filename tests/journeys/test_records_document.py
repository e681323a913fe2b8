"""The document of the EEG data pipeline, from top to bottom: a test for each statement of it."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import mne
import numpy as np
import pytest
from numpy.typing import NDArray
from sqlalchemy import Engine, create_engine, inspect, text
from sqlalchemy.exc import DBAPIError

from tests.support.command_line import Ran, ranvier
from tests.support.postgres import PostgresServer
from tests.support.records_server import RecordsServer

ROOT = Path(__file__).parents[2]
CHANNELS = 23
RATE_HZ = 256
CLIP = "chb01_03_clip.edf"


@dataclass(frozen=True)
class Served:
    """The service and its database."""

    url: str
    database_url: str


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """The service on an empty database, named by the document's own variable."""
    home = tmp_path_factory.mktemp("records")
    url = f"sqlite:///{home}/catalog.db"
    if request.param == "postgresql":
        postgres: PostgresServer = request.getfixturevalue("postgres")
        url = postgres.new_database()
    with RecordsServer(home, {"DATABASE_URL": url}) as running:
        yield Served(running.url, url)


@pytest.fixture(scope="module")
def clip(data: Path) -> Path:
    return data / "chbmit" / CLIP


@pytest.fixture(scope="module")
def simulated(server: Served, clip: Path) -> Ran:
    """The simulator's run: one file to the service, without pauses."""
    ran = ranvier(
        "simulate",
        "wearable",
        str(clip),
        "--url",
        server.url,
        "--speed",
        "max",
        "--patient",
        "chb01",
        "--recording-id",
        CLIP,
        "--json",
    )
    assert ran.code == 0, ran.err
    return ran


@pytest.fixture(scope="module")
def truth(clip: Path) -> NDArray[np.float64]:
    """The file's microvolts as MNE reads them, channels x samples."""
    raw = mne.io.read_raw_edf(clip, preload=True, verbose="error")
    return np.asarray(raw.get_data() * 1e6)


def chunk(start: int = 0, **changes: Any) -> dict[str, Any]:
    rng = np.random.default_rng(start)
    return {
        "patient_id": "P7",
        "recording_id": "live-1",
        "channels": [f"C{number}" for number in range(CHANNELS)],
        "start": start,
        "end": start + 1,
        "samples": rng.normal(0, 50, (CHANNELS, RATE_HZ)).tolist(),
        "unit": "uV",
        **changes,
    }


# --- Step 2: models and schema -------------------------------------------------------------------


def test_the_tables_are_there_once_the_service_runs(server: Served) -> None:
    assert httpx.get(f"{server.url}/recordings").status_code == 200


def test_every_ingestion_event_is_logged_with_a_sha256(server: Served, simulated: Ran) -> None:
    rows = audit(server, CLIP, "chb01")
    chunks = [row for row in rows if row["chunk_start_sec"] is not None]
    assert len(chunks) == 50
    assert [(row["chunk_start_sec"], row["chunk_end_sec"]) for row in chunks] == [
        (second, second + 1) for second in range(50)
    ]
    for row in chunks:
        assert row["patient_id"] == "chb01"
        assert row["recording_id"] == CLIP
        assert row["num_samples"] == RATE_HZ
        assert re.fullmatch("[0-9a-f]{64}", row["checksum"])
        taken = datetime.fromisoformat(row["ingested_at"])
        assert taken.utcoffset() is not None
        assert abs((datetime.now(UTC) - taken).total_seconds()) < 3600


def audit(server: Served, recording: str, patient: str) -> list[dict[str, Any]]:
    answer = httpx.get(
        f"{server.url}/recordings/{recording}/audit", params={"patient_id": patient, "limit": 10000}
    )
    assert answer.status_code == 200, answer.text
    found = answer.json()
    return list(found["rows"] if isinstance(found, dict) else found)


def test_nothing_in_the_database_can_be_changed_or_deleted(server: Served, simulated: Ran) -> None:
    engine = connect(server.database_url)
    tables = inspect(engine).get_table_names()
    guarded = sorted(set(tables) - {"lease", "chunk_body", "alembic_version"})
    assert {"chunk", "audit", "recording", "annotation", "patient", "channel"} <= set(guarded)
    for table in ("chunk", "audit", "recording", "patient", "channel"):
        for statement in (
            f"DELETE FROM {table}",
            f"UPDATE {table} SET {SOME[table]} = {SOME[table]}",
        ):
            with pytest.raises(DBAPIError), engine.begin() as connection:
                connection.execute(text(statement))
    engine.dispose()


SOME = {
    "chunk": "sha256",
    "audit": "hash",
    "recording": "name",
    "patient": "name",
    "channel": "label",
}


def test_no_row_holds_a_single_sample(server: Served) -> None:
    engine = connect(server.database_url)
    assert "eeg_samples" not in inspect(engine).get_table_names()
    engine.dispose()


# --- Step 3: the simulator -----------------------------------------------------------------------


def test_the_simulator_sends_the_file_as_it_is(
    server: Served, simulated: Ran, truth: NDArray[np.float64]
) -> None:
    found = eeg(server, "chb01", CLIP, 0, 50)
    assert len(found) == CHANNELS
    got = np.array([[point["value"] for point in points] for points in found.values()])
    np.testing.assert_allclose(got, truth, atol=1e-6)


def test_the_simulator_splits_into_windows_of_a_second(
    server: Served, simulated: Ran, clip: Path
) -> None:
    rows = [row for row in audit(server, CLIP, "chb01") if row["event"] == "chunk"]
    assert {row["num_samples"] for row in rows} == {RATE_HZ}
    assert len(rows) == 50


def test_a_payload_has_patient_recording_channels_range_and_samples(clip: Path) -> None:
    with Catcher() as caught:
        ran = ranvier(
            "simulate",
            "wearable",
            str(clip),
            "--url",
            caught.url,
            "--speed",
            "max",
            "--patient",
            "chb01",
            "--recording-id",
            CLIP,
        )
    assert ran.code == 0, ran.err
    chunks = caught.chunks
    assert len(chunks) == 50
    for second, body in enumerate(chunks):
        assert body["patient_id"] == "chb01"
        assert body["recording_id"] == CLIP
        assert len(body["channels"]) == CHANNELS
        assert (body["start"], body["end"]) == (second, second + 1)
        assert np.shape(body["samples"]) == (CHANNELS, RATE_HZ)
    assert caught.paths >= {"/ingest"}


def test_the_simulator_pauses_for_fifty_milliseconds_and_posts_to_port_8000() -> None:
    told = " ".join(ranvier("simulate", "wearable", "--help").out.split())
    assert "0.05" in told
    assert "http://localhost:8000" in told


# --- Step 4: the endpoints -----------------------------------------------------------------------


def test_ingest_answers_201_with_the_checksum_that_is_logged(server: Served) -> None:
    sent = chunk(0)
    answer = httpx.post(f"{server.url}/ingest", json=sent)
    assert answer.status_code == 201, answer.text
    receipt = answer.json()
    assert receipt["status"] == "stored"
    assert (receipt["start"], receipt["end"], receipt["num_samples"]) == (0, 1, RATE_HZ)
    logged = {row["sequence"]: row for row in audit(server, "live-1", "P7")}
    assert logged[receipt["sequence"]]["checksum"] == receipt["checksum"]
    uuid = httpx.get(f"{server.url}/recordings/live-1", params={"patient_id": "P7"}).json()["uuid"]
    head = json.dumps(
        {
            "channels": sent["channels"],
            "dtype": "float64",
            "group": 0,
            "n": RATE_HZ,
            "recording": uuid,
            "start": 0,
            "v": 1,
        },
        sort_keys=True,
        separators=(",", ":"),
    )
    body = np.array(sent["samples"], "<f8").tobytes()
    assert receipt["checksum"] == hashlib.sha256(head.encode() + b"\n" + body).hexdigest()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"patient_id": None}, "patient_id"),
        ({"recording_id": ""}, "recording_id"),
        ({"channels": ["C0"]}, "samples"),
        ({"samples": [[1.0]] * 22 + [[1.0, 2.0]]}, "samples"),
        ({"samples": []}, "samples"),
        ({"samples": [["x"] * RATE_HZ] * CHANNELS}, "samples"),
        ({"end": 0}, "end"),
        ({"unit": "furlong"}, "unit"),
    ],
)
def test_what_is_not_valid_is_refused_by_name(
    server: Served, changes: dict[str, Any], named: str
) -> None:
    answer = httpx.post(f"{server.url}/ingest", json=chunk(100, **changes))
    assert answer.status_code == 422
    assert named in answer.text


def test_a_window_is_channels_with_pairs_of_time_and_value(
    server: Served, simulated: Ran, truth: NDArray[np.float64]
) -> None:
    answer = httpx.get(f"{server.url}/eeg?patient_id=chb01&recording_id={CLIP}&start=10&end=20")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/json")
    found = answer.json()
    assert list(found)[:2] == ["FP1-F7", "F7-T7"]
    for number, points in enumerate(found.values()):
        assert set(points[0]) == {"timestamp", "value"}
        times = np.array([point["timestamp"] for point in points])
        np.testing.assert_array_equal(times, 10 + np.arange(10 * RATE_HZ) / RATE_HZ)
        values = [point["value"] for point in points]
        np.testing.assert_allclose(values, truth[number, 2560:5120], atol=1e-6)


@pytest.mark.parametrize("seconds", [1, 5, 10, 30])
def test_windows_are_half_open_and_join(server: Served, simulated: Ran, seconds: int) -> None:
    first = eeg(server, "chb01", CLIP, 0, seconds)
    second = eeg(server, "chb01", CLIP, seconds, 2 * seconds)
    both = eeg(server, "chb01", CLIP, 0, 2 * seconds)
    assert {key: first[key] + second[key] for key in first} == both


@pytest.mark.parametrize("missing", ["patient_id", "recording_id", "start", "end"])
def test_a_missing_parameter_is_named(server: Served, simulated: Ran, missing: str) -> None:
    asked = {"patient_id": "chb01", "recording_id": CLIP, "start": "0", "end": "1"}
    del asked[missing]
    answer = httpx.get(f"{server.url}/eeg", params=asked)
    assert answer.status_code == 422
    assert missing in answer.text


def test_a_recording_that_is_not_there_is_404(server: Served) -> None:
    asked = {"patient_id": "nobody", "recording_id": "nothing", "start": "0", "end": "1"}
    assert httpx.get(f"{server.url}/eeg", params=asked).status_code == 404


def test_recordings_are_listed_with_durations_and_channel_counts(
    server: Served, simulated: Ran
) -> None:
    (found,) = httpx.get(f"{server.url}/recordings", params={"patient_id": "chb01"}).json()
    assert found["recording_id"] == CLIP
    assert found["duration_sec"] == 50
    assert found["channel_count"] == CHANNELS
    assert found["state"] in ("live", "sealed")


# --- Step 5: what the viewer asks ----------------------------------------------------------------


def test_the_viewers_own_line_works(server: Served, simulated: Ran) -> None:
    filename, t_start, t_end = CLIP, 10, 20
    response = httpx.get(
        f"{server.url}/eeg?patient_id=chb01&recording_id={filename}&start={t_start}&end={t_end}"
    )
    data = response.json()
    assert len(data) == CHANNELS


# --- Step 6: the benchmark -----------------------------------------------------------------------


def test_the_benchmark_is_a_command_of_its_own() -> None:
    told = ranvier("benchmark", "records", "--help")
    assert told.code == 0
    assert "--json" in told.out


def test_the_readme_has_the_table_of_the_document() -> None:
    readme = (ROOT / "README.md").read_text()
    assert re.search(r"\| Operation \| Window \|", readme)
    for row in (
        "Query | 1 s",
        "Query | 10 s",
        "Query | 60 s",
        "Ingest | 1 chunk",
        "Ingest | Full file",
    ):
        assert f"| {row}" in readme, row
    assert "ranvier benchmark records" in readme


# --- Step 7: the discussion ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "heading",
    [
        "Rows, blobs or arrays",
        "Write-heavy or read-heavy",
        "Immutability and audit",
        "What breaks at which scale",
    ],
)
def test_the_readme_discusses(heading: str) -> None:
    assert f"### {heading}" in (ROOT / "README.md").read_text()


def test_results_of_processing_have_a_table_with_a_version(server: Served) -> None:
    engine = connect(server.database_url)
    columns = {column["name"] for column in inspect(engine).get_columns("computed")}
    assert {"source_digest", "parameters", "processing_version"} <= columns
    engine.dispose()


# --- helpers -------------------------------------------------------------------------------------


def connect(url: str) -> Engine:
    return create_engine(url.replace("postgresql://", "postgresql+psycopg://"))


def eeg(
    server: Served, patient: str, recording: str, start: float, end: float
) -> dict[str, list[dict[str, float]]]:
    answer = httpx.get(
        f"{server.url}/eeg",
        params={"patient_id": patient, "recording_id": recording, "start": start, "end": end},
    )
    assert answer.status_code == 200, answer.text
    found: dict[str, list[dict[str, float]]] = answer.json()
    return found


class Catcher:
    """A service that takes every chunk and keeps it, to look at what a client sends."""

    def __enter__(self) -> Catcher:
        self.chunks: list[dict[str, Any]] = []
        self.paths: set[str] = set()
        catcher = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                catcher.paths.add(self.path)
                if self.path == "/ingest":
                    catcher.chunks.append(body)
                    answer = {
                        "status": "stored",
                        "recording_id": body["recording_id"],
                        "start": body["start"],
                        "end": body["end"],
                        "num_samples": RATE_HZ,
                        "checksum": "0" * 64,
                        "sequence": len(catcher.chunks),
                    }
                else:
                    answer = {"recording_id": body.get("recording_id")}
                content = json.dumps(answer).encode()
                self.send_response(201)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
