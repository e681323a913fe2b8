"""One binary row per second in PostgreSQL: what rows per sample are usually replaced by."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np
import orjson
from fastapi import APIRouter, Request, Response
from numpy.typing import NDArray
from sqlalchemy import Engine

from tests.support.night import CHANNELS, FACTOR, KEYS, OFFSET, RATE

TABLE = """
CREATE TABLE IF NOT EXISTS eeg_blobs (
    patient_id text NOT NULL,
    recording_id text NOT NULL,
    start_sec integer NOT NULL,
    checksum text NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (patient_id, recording_id, start_sec)
)
"""
FOUND = """
SELECT body FROM eeg_blobs
WHERE patient_id = %s AND recording_id = %s AND start_sec >= %s AND start_sec < %s
ORDER BY start_sec
"""


def create(engine: Engine) -> None:
    """Create the table unless it is there."""
    with engine.begin() as connection:
        connection.exec_driver_sql(TABLE)


def load(engine: Engine, patient: str, recording: str, seconds: Iterable[NDArray[Any]]) -> None:
    """Store seconds, each (channels, samples), by binary COPY."""
    columns = "patient_id, recording_id, start_sec, checksum, body"
    with engine.begin() as connection:
        driver: Any = connection.connection.driver_connection
        with (
            driver.cursor() as cursor,
            cursor.copy(f"COPY eeg_blobs ({columns}) FROM STDIN (FORMAT binary)") as copy,
        ):
            copy.set_types(["text", "text", "int4", "text", "bytea"])
            for number, second in enumerate(seconds):
                body = second.astype("<i2").tobytes()
                checksum = hashlib.sha256(body).hexdigest()
                copy.write_row((patient, recording, number, checksum, body))


def window(engine: Engine, patient: str, recording: str, start: int, end: int) -> NDArray[np.int16]:
    """Return the digital samples of ``[start, end)`` seconds, shape (channels, samples)."""
    with engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        with driver.cursor(binary=True) as cursor:
            cursor.execute(FOUND, (patient, recording, start, end))
            bodies = [row[0] for row in cursor]
    seconds = np.frombuffer(b"".join(bodies), "<i2").reshape(-1, CHANNELS, RATE)
    found: NDArray[np.int16] = seconds.swapaxes(0, 1).reshape(CHANNELS, -1)
    return found


router = APIRouter(prefix="/blobs")


@router.get("/eeg")
def eeg(
    request: Request, patient_id: str, recording_id: str, start: int, end: int, form: str = "json"
) -> Response:
    """Return a window as ``{timestamp, value}``, by a fast JSON writer, or as raw integers."""
    found = window(request.app.state.engine, patient_id, recording_id, start, end)
    if form == "raw":
        return Response(found.tobytes(), media_type="application/octet-stream")
    times = (start + np.arange(found.shape[1]) / RATE).tolist()
    values = (found * FACTOR + OFFSET).tolist()
    points = {
        label: [{"timestamp": at, "value": value} for at, value in zip(times, row, strict=True)]
        for label, row in zip(KEYS, values, strict=True)
    }
    return Response(orjson.dumps(points), media_type="application/json")


def bytes_held(engine: Engine) -> int:
    """Return the bytes of the table with its index and its TOAST."""
    with engine.connect() as connection:
        asked = connection.exec_driver_sql("SELECT pg_total_relation_size('eeg_blobs')")
        return int(asked.scalar_one())
