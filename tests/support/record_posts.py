"""What clients of the records service post, and what they read from its answers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

PATIENT = "p1"
LABELS = ("FP1-F7", "F7-T7", "T8-P8", "T8-P8")
RATE = 256
GAIN = float(Fraction(1600, 4095))
OFFSET = float(-800 + 2048 * Fraction(1600, 4095))
ARROW = "application/vnd.apache.arrow.stream"
RAW = "application/octet-stream"
BOUNDS = {"physical_min": -800, "physical_max": 800, "digital_min": -2048, "digital_max": 2047}


def digital(n_samples: int, seed: int = 0, n_channels: int = len(LABELS)) -> NDArray[np.int16]:
    """Return numbers of a 12-bit converter, shape ``(n_channels, n_samples)``."""
    rng = np.random.default_rng(seed)
    return rng.integers(-2048, 2048, (n_channels, n_samples)).astype(np.int16)


def physical(stored: NDArray[Any]) -> NDArray[np.float64]:
    """Return what such numbers are in microvolts, to the last bit."""
    return stored * GAIN + OFFSET


def chunk(
    recording: str,
    samples: NDArray[Any] | list[Any],
    start: float = 0.0,
    end: float | None = None,
    **fields: Any,
) -> dict[str, Any]:
    """Return a JSON chunk."""
    rows = samples.tolist() if isinstance(samples, np.ndarray) else samples
    return {
        "patient_id": PATIENT,
        "recording_id": recording,
        "channels": list(LABELS),
        "start": start,
        "end": start + len(rows[0]) / RATE if end is None else end,
        "samples": rows,
        "unit": "uV",
    } | fields


def declare(
    client: httpx.Client,
    recording: str,
    patient: str = PATIENT,
    labels: Sequence[str] = LABELS,
    rate: float | str = RATE,
    dtype: str = "int16",
) -> None:
    """Declare a recording with the calibration of ``physical``."""
    answer = client.post(
        "/recordings",
        json={
            "patient_id": patient,
            "recording_id": recording,
            "groups": [
                {
                    "rate_hz": rate,
                    "dtype": dtype,
                    "channels": [{"label": label, **BOUNDS} for label in labels],
                }
            ],
        },
    )
    assert answer.status_code == 201, answer.text


def post_raw(
    client: httpx.Client, recording: str, stored: NDArray[Any], start: int, **query: Any
) -> httpx.Response:
    """Post a chunk as raw numbers."""
    little = np.ascontiguousarray(stored, stored.dtype.newbyteorder("<"))
    return client.post(
        f"/recordings/{recording}/chunks",
        params={"start_sample": start, **query},
        content=little.tobytes(),
        headers={"content-type": RAW},
    )


def batch(starts: Sequence[int], bodies: Sequence[bytes], **columns: Sequence[int]) -> bytes:
    """Return a batch of chunks as an Arrow stream."""
    made = pa.record_batch(
        {
            "start_sample": pa.array(starts, pa.int64()),
            "samples": pa.array(bodies, pa.binary()),
            **{name: pa.array(values, pa.int64()) for name, values in columns.items()},
        }
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, made.schema) as writer:
        writer.write_batch(made)
    return bytes(sink.getvalue())


def window(
    client: httpx.Client, recording: str, start: float, end: float, **query: Any
) -> httpx.Response:
    """Ask for a window."""
    return client.get(
        "/eeg",
        params={
            "patient_id": PATIENT,
            "recording_id": recording,
            "start": start,
            "end": end,
            **query,
        },
    )


def values_of(answer: httpx.Response) -> NDArray[np.float64]:
    """Return the values of the seed's JSON, shape ``(n_channels, n_samples)``; NaN for null."""
    assert answer.status_code == 200, answer.text
    return np.array(
        [[np.nan if p["value"] is None else p["value"] for p in c] for c in answer.json().values()]
    )


def raw_of(answer: httpx.Response) -> tuple[dict[str, Any], NDArray[Any]]:
    """Return the header and the numbers of a raw answer."""
    assert answer.status_code == 200, answer.text
    line, _, body = answer.content.partition(b"\n")
    header = json.loads(line)
    assert (len(line) + 1) % 8 == 0
    return header, np.frombuffer(body, header["dtype"]).reshape(header["shape"])


def table_of(answer: httpx.Response) -> pa.Table:
    """Return an Arrow answer."""
    assert answer.status_code == 200, answer.text
    with pa.ipc.open_stream(answer.content) as stream:
        return stream.read_all()


def problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    """Return the problem body of a refusal."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    assert "\n" not in body["detail"]
    return body
