"""Requests that are made to hurt: each is refused with a word on what to do, at once."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import httpx
import numpy as np
import orjson
import pyarrow as pa
import pytest

from realtime.records.batches import batch_rows
from realtime.records.listing import start_time
from realtime.wire.fields import BadField
from storage.catalog_rows import RecordingEntry
from tests.support.record_posts import (
    ARROW,
    BOUNDS,
    LABELS,
    PATIENT,
    RATE,
    batch,
    chunk,
    declare,
    digital,
    physical,
    post_raw,
    problem,
    window,
)

SECOND = digital(RATE)


def declaration(name: str, **fields: Any) -> dict[str, Any]:
    group = {"rate_hz": 256, "channels": [{"label": "A"}]}
    group |= {key: fields.pop(key) for key in ("rate_hz", "channels", "dtype") if key in fields}
    return {"patient_id": PATIENT, "recording_id": name, "groups": [group], **fields}


@pytest.mark.parametrize("rate", ["1e999999999", "1e-999999999", "9" * 100_000, "1/" + "9" * 99])
def test_a_rate_that_takes_for_ever(client: httpx.Client, name: str, rate: str) -> None:
    began = time.monotonic()
    refused = problem(client.post("/recordings", json=declaration(name, rate_hz=rate)), 422)
    assert refused["errors"][0]["field"] == "groups[0].rate_hz"
    assert len(refused["detail"]) < 200
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    "start", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-12:00", "2200-01-01T00:00:00Z"]
)
def test_a_start_that_no_calendar_has(client: httpx.Client, name: str, start: str) -> None:
    refused = problem(client.post("/recordings", json=declaration(name, start_time=start)), 422)
    assert refused["errors"][0]["field"] == "start_time"
    assert client.get("/recordings").status_code == 200
    problem(client.get(f"/recordings/{name}"), 404)


def test_a_stored_start_that_no_calendar_has_is_shown_as_none() -> None:
    from tasks.describe import _start_time

    entry = RecordingEntry.__new__(RecordingEntry)
    object.__setattr__(entry, "start_us", -(2**62))
    assert start_time(entry) is None
    assert _start_time(-(2**62)) is None
    assert _start_time(0) == datetime.fromtimestamp(0, UTC).isoformat()


def packed(kind: str) -> bytes:
    made = pa.record_batch(
        {"start_sample": pa.array([0]), "samples": pa.array([b"\0" * 4_000_000], pa.binary())}
    )
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression=kind)
    with pa.ipc.new_stream(sink, made.schema, options=options) as writer:
        writer.write_batch(made)
    return bytes(sink.getvalue())


@pytest.mark.parametrize("kind", ["zstd", "lz4"])
def test_a_packed_batch(client: httpx.Client, name: str, kind: str) -> None:
    declare(client, name)
    answer = client.post(
        f"/recordings/{name}/chunks", content=packed(kind), headers={"content-type": ARROW}
    )
    assert "without compression" in problem(answer, 422)["detail"]


def test_a_batch_with_wrong_bytes_is_refused_or_read() -> None:
    good = batch([0, 1, 2], [b"abcd"] * 3, group=[0] * 3)
    rng = np.random.default_rng(0)
    for _ in range(2000):
        bad = bytearray(good)
        for at in rng.integers(0, len(bad), rng.integers(1, 5)):
            bad[at] = rng.integers(0, 256)
        try:
            batch_rows(bytes(bad))
        except BadField:
            continue


@pytest.mark.parametrize(
    ("start", "shift_us", "field"),
    [(2**53 - 1, 0, "start_sample"), (10**9 * RATE + 1, 0, "start_sample"), (0, 2**53, "shift_us")],
)
def test_a_place_that_nobody_reaches(
    client: httpx.Client, name: str, start: int, shift_us: int, field: str
) -> None:
    declare(client, name)
    answer = post_raw(client, name, SECOND, start, gap=True, shift_us=shift_us)
    assert problem(answer, 422)["errors"][0]["field"] == field
    rows = batch([start], [SECOND.tobytes()], shift_us=[shift_us])
    answer = client.post(
        f"/recordings/{name}/chunks",
        params={"gap": True},
        content=rows,
        headers={"content-type": ARROW},
    )
    assert field in answer.json()["receipts"][0]["problem"]["detail"]


@pytest.mark.parametrize("shift_us", [0, 10**15, -(10**15)])
def test_the_farthest_place_is_read_at_once(client: httpx.Client, name: str, shift_us: int) -> None:
    declare(client, name)
    assert post_raw(client, name, SECOND, 0).status_code == 201
    answer = post_raw(client, name, SECOND, 10**9 * RATE, gap=True, shift_us=shift_us)
    assert answer.status_code == 201, answer.text
    began = time.monotonic()
    assert client.get(f"/recordings/{name}").status_code == 200
    assert window(client, name, 0, 1e10, max_points=100).status_code in {200, 413}
    assert window(client, name, 1e9, 1e9 + 1).status_code == 200
    assert client.get(f"/recordings/{name}/overview").status_code in {200, 413, 422}
    export = client.get(f"/recordings/{name}/export", params={"format": "edf"})
    print(export.status_code, export.text[:300] if export.status_code != 200 else "")
    assert export.status_code in {200, 422}
    assert time.monotonic() - began < 15


@pytest.mark.parametrize("wrong", [".", ".."])
def test_a_name_of_a_folder(client: httpx.Client, name: str, wrong: str) -> None:
    refused = problem(client.post("/recordings", json=declaration(wrong)), 422)
    assert refused["errors"][0]["field"] == "recording_id"
    posted = chunk(name, physical(SECOND), patient_id=wrong)
    assert problem(client.post("/ingest", json=posted), 422)["errors"][0]["field"] == "patient_id"


@pytest.mark.parametrize(
    ("bounds", "field"),
    [
        ({"digital_max": 32768}, "digital_max"),
        ({"digital_min": -32769}, "digital_min"),
        (
            {"physical_min": -1.7e308, "physical_max": 1.7e308, "digital_min": 0, "digital_max": 1},
            "physical_max",
        ),
    ],
)
def test_bounds_that_nothing_holds(
    client: httpx.Client, name: str, bounds: dict[str, float], field: str
) -> None:
    channel = {"label": "A", **BOUNDS, **bounds}
    answer = client.post("/recordings", json=declaration(name, channels=[channel]))
    assert fields_of(answer) == [f"groups[0].channels[0].{field}"]


def fields_of(answer: httpx.Response) -> list[str]:
    return [each["field"] for each in problem(answer, 422)["errors"]]


def test_each_refusal_names_its_field(client: httpx.Client, name: str) -> None:
    declare(client, name)
    assert post_raw(client, name, SECOND, 0).status_code == 201
    assert fields_of(window(client, name, 0, 1, hp=200)) == ["hp"]
    assert fields_of(window(client, name, 0, 1, hp=20, lp=10)) == ["hp"]
    assert fields_of(window(client, name, 0, 1, montage="none of it")) == ["montage"]
    assert fields_of(window(client, name, 0, 1, montage="cz")) == ["montage"]
    far = 25 * 3600
    assert fields_of(post_raw(client, name, SECOND, far * RATE)) == ["start_sample"]
    late = chunk(name, physical(SECOND), float(far))
    assert fields_of(client.post("/ingest", json=late)) == ["start"]
    long = np.zeros((len(LABELS), 480_000), np.int16)
    assert fields_of(post_raw(client, name, long, RATE)) == ["body"]


@pytest.mark.parametrize("body", [b"{", b"\xff\xfe", b"[" * 100_000, b'{"a": \xff}'])
def test_what_is_no_json(client: httpx.Client, name: str, body: bytes) -> None:
    declare(client, name)
    headers = {"content-type": "application/json"}
    for path in ("/ingest", "/recordings", f"/recordings/{name}/annotations"):
        assert fields_of(client.post(path, content=body, headers=headers)) == ["body"], path


def test_ingest_takes_json_only(client: httpx.Client, name: str) -> None:
    body = orjson.dumps(chunk(name, physical(SECOND)))
    for kind in ("text/plain", ARROW, "application/x-www-form-urlencoded"):
        problem(client.post("/ingest", content=body, headers={"content-type": kind}), 415)
    charset = {"content-type": "Application/JSON; charset=utf-8"}
    assert client.post("/ingest", content=body, headers=charset).status_code == 201
    assert client.post("/ingest", content=body).status_code == 200
