"""How the record store is spoken to by the measurements: in process, and in each of its forms."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from fractions import Fraction
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import NDArray

from tests.baselines.calls import Client
from tests.baselines.records_plan import chunk_of
from tests.support.night import CHANNELS, DIGITAL, FACTOR, LABELS, OFFSET, PHYSICAL, RATE

if TYPE_CHECKING:
    from storage.recording_store import RecordingStore

CLIENTS = 8
PER_BATCH = 16
MOST_BATCHES = 40
ARROW = "application/vnd.apache.arrow.stream"
RAW = "application/octet-stream"
QUERY: dict[str, dict[str, str]] = {
    "json": {},
    "columns": {"format": "columns"},
    "arrow": {"format": "arrow", "units": "digital"},
    "raw": {"format": "i16"},
}
Second = NDArray[np.int16]
Call = Callable[[int], int]


def declare(client: Client, patient: str, recording: str) -> None:
    """Declare a recording with the channels and the calibration of a night."""
    bounds = {
        "physical_min": PHYSICAL[0],
        "physical_max": PHYSICAL[1],
        "digital_min": DIGITAL[0],
        "digital_max": DIGITAL[1],
    }
    channels = [{"label": label, "unit": "uV", **bounds} for label in LABELS]
    message = {
        "patient_id": patient,
        "recording_id": recording,
        "groups": [{"rate_hz": RATE, "dtype": "int16", "channels": channels}],
    }
    client.post("/recordings", json.dumps(message).encode())


def _undeclared(client: Client, patient: str, recording: str, seconds: Sequence[Second]) -> Call:
    bodies = [
        json.dumps(chunk_of(patient, recording, *each)).encode() for each in enumerate(seconds)
    ]

    def call(turn: int) -> int:
        client.post("/ingest", bodies[turn])
        return len(bodies[turn])

    return call


def _declared(client: Client, patient: str, recording: str, seconds: Sequence[Second]) -> Call:
    declare(client, patient, recording)
    return _undeclared(client, patient, recording, seconds)


def _raw(client: Client, patient: str, recording: str, seconds: Sequence[Second]) -> Call:
    declare(client, patient, recording)
    bodies = [second.astype("<i2").tobytes() for second in seconds]
    path = f"/recordings/{recording}/chunks?patient_id={patient}&start_sample="

    def call(turn: int) -> int:
        body = bodies[turn]
        digest = hashlib.sha256(body).hexdigest()
        client.post(f"{path}{turn * RATE}", body, RAW, X_Content_SHA256=digest)
        return len(body)

    return call


INGEST: dict[str, Callable[[Client, str, str, Sequence[Second]], Call]] = {
    "json": _undeclared,
    "json declared": _declared,
    "raw": _raw,
}


def batches(
    service: dict[str, Any], patient: str, seconds: Sequence[Second], calls: int
) -> dict[str, Any]:
    """Post batches from several clients at once, each for a recording of its own."""
    each = min(MOST_BATCHES, calls)
    prepared = []
    for number in range(CLIENTS):
        recording = f"batch-{number}"
        with closing(Client(service["url"])) as client:
            declare(client, patient, recording)
        bodies = [_batch(seconds, first) for first in range(0, each * PER_BATCH, PER_BATCH)]
        prepared.append((f"/recordings/{recording}/chunks?patient_id={patient}", bodies))
    ready = threading.Barrier(CLIENTS + 1)
    failed: list[BaseException] = []

    def run(path: str, bodies: list[bytes]) -> None:
        with closing(Client(service["url"])) as client:
            ready.wait()
            try:
                for body in bodies:
                    answer = json.loads(client.post(path, body, ARROW))
                    if any(one["status"] != "stored" for one in answer["receipts"]):
                        raise AssertionError(answer)
            except BaseException as error:  # noqa: BLE001  # raised again below
                failed.append(error)

    threads = [threading.Thread(target=run, args=each) for each in prepared]
    for thread in threads:
        thread.start()
    ready.wait()
    began = time.perf_counter()
    for thread in threads:
        thread.join()
    wall_s = time.perf_counter() - began
    if failed:
        raise failed[0]
    return {
        "clients": CLIENTS,
        "per_batch": PER_BATCH,
        "chunks_per_s": CLIENTS * each * PER_BATCH / wall_s,
        "bytes": len(prepared[0][1][0]),
    }


def _batch(seconds: Sequence[Second], first: int) -> bytes:
    """Return chunks as Arrow: one row each, its place and its samples."""
    numbers = range(first, first + PER_BATCH)
    bodies = [seconds[number % len(seconds)].astype("<i2").tobytes() for number in numbers]
    table = pa.record_batch(
        {
            "start_sample": pa.array([number * RATE for number in numbers], pa.int64()),
            "samples": pa.array(bodies, pa.binary()),
        }
    )
    sink = BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_batch(table)
    return sink.getvalue()


# -- reading


def window_reader(
    store: RecordingStore, patient: str, recording: str
) -> Callable[[int, int], NDArray[np.float32]]:
    """Return what reads a stretch of the grid as microvolts, (channels, samples)."""
    from storage.spans import Span

    entry = store.catalog.find(recording, patient)
    (group,) = store.groups(entry)
    factor = np.array([channel.scaling.factor for channel in group.channels], np.float32)[:, None]
    offset = np.array([channel.scaling.offset for channel in group.channels], np.float32)[:, None]
    if group.rate != Fraction(RATE) or len(group.channels) != CHANNELS:
        raise AssertionError(group)

    def read(start: int, stop: int) -> NDArray[np.float32]:
        found = store.window(entry, 0, Span(start, stop))
        if sum(segment.n_samples for segment in found.segments) != stop - start:
            raise AssertionError(found.segments)
        scaled = np.ascontiguousarray(found.data.T).astype(np.float32)
        scaled *= factor
        scaled += offset
        return scaled

    return read


def overview_reader(store: RecordingStore, patient: str, recording: str, pixels: int) -> Call:
    """Return what reads the overview of a whole recording in process."""
    from storage.spans import Span

    entry = store.catalog.find(recording, patient)
    whole = Span(0, store.source(entry).recording.groups[0].n_samples)

    def call(turn: int) -> int:
        found = store.overview(entry, 0, whole, pixels)
        return int(found.low.nbytes + found.high.nbytes)

    return call


def overview_asker(client: Client, patient: str, recording: str, pixels: int) -> Call:
    """Return what asks for the overview of a whole recording over HTTP."""

    def call(turn: int) -> int:
        path = f"/recordings/{recording}/overview"
        return len(client.get(path, patient_id=patient, px=pixels))

    return call


def decoded(client: Client, asked: dict[str, Any]) -> dict[str, NDArray[np.float64]]:
    """Return the same window in every form but the seed's, as microvolts (channels, samples)."""
    found: dict[str, NDArray[np.float64]] = {}
    answer = orjson.loads(client.get("/eeg", **asked, **QUERY["columns"]))
    found["columns"] = np.array(answer["groups"][0]["values"])
    body = client.get("/eeg", **asked, **QUERY["arrow"])
    table = pa.ipc.open_stream(body).read_all()
    digital = np.stack([column.to_numpy() for column in table.columns])
    found["arrow"] = digital * FACTOR + OFFSET
    body = client.get("/eeg", **asked, **QUERY["raw"])
    line = body.index(b"\n") + 1
    about = json.loads(body[:line])
    digital = np.frombuffer(body[line:], about["dtype"]).reshape(about["shape"])
    found["raw"] = digital * FACTOR + OFFSET
    return found
