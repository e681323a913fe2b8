"""One row per sample in PostgreSQL: tables, indexes and endpoints of the design that came first.

The tables and both indexes are the usual ones for such a service, and so is each of the three ways
to write: ``orm`` adds one object per sample to a session, ``core`` inserts the rows in bulk,
``copy`` sends them by binary COPY. Queries read objects (``orm``) or plain rows (``core``).

``app`` serves it in one process; ``python -m tests.baselines.peer_service DATABASE_URL`` runs it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from typing import Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlalchemy import (
    BigInteger,
    DateTime,
    Double,
    Engine,
    Index,
    Integer,
    String,
    Text,
    func,
    insert,
    select,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

now_utc = partial(datetime.now, UTC)


class Base(DeclarativeBase):
    """Root of the tables."""


class EegSample(Base):
    """One channel at one time."""

    __tablename__ = "eeg_samples"
    __table_args__ = (
        Index("ix_eeg_patient_recording_time", "patient_id", "recording_id", "timestamp_sec"),
        Index(
            "ix_eeg_patient_recording_channel_time",
            *("patient_id", "recording_id", "channel", "timestamp_sec"),
        ),
    )
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    patient_id: Mapped[str] = mapped_column(Text)
    recording_id: Mapped[str] = mapped_column(Text)
    channel: Mapped[str] = mapped_column(Text)
    timestamp_sec: Mapped[float] = mapped_column(Double)
    value_uv: Mapped[float] = mapped_column(Double)
    ingested_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=now_utc)


class IngestionLog(Base):
    """Who sent what."""

    __tablename__ = "ingestion_log"
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    patient_id: Mapped[str] = mapped_column(Text)
    recording_id: Mapped[str] = mapped_column(Text)
    chunk_start_sec: Mapped[float | None] = mapped_column(Double)
    chunk_end_sec: Mapped[float | None] = mapped_column(Double)
    num_samples: Mapped[int | None] = mapped_column(Integer)
    checksum: Mapped[str | None] = mapped_column(String(64))
    ingested_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=now_utc)


class Chunk(BaseModel):
    """What a device posts for one second."""

    patient_id: str
    recording_id: str
    channels: list[str]
    start: float
    end: float
    samples: list[list[float]]
    unit: str = "uV"


class Way(StrEnum):
    """How rows are written or read."""

    ORM = "orm"
    CORE = "core"
    COPY = "copy"


def init_db(engine: Engine) -> None:
    """Create the tables unless they are there."""
    Base.metadata.create_all(engine)


def write_chunk(session: Session, chunk: Chunk, checksum: str, way: Way) -> None:
    """Store a chunk and its log entry, durably."""
    if way is Way.ORM:
        names = ("patient_id", "recording_id", "channel", "timestamp_sec", "value_uv")
        session.add_all(EegSample(**dict(zip(names, row, strict=True))) for row in _rows(chunk))
    elif way is Way.CORE:
        table: Any = EegSample.__table__
        rows = [
            {
                "patient_id": patient,
                "recording_id": recording,
                "channel": channel,
                "timestamp_sec": time_s,
                "value_uv": value,
            }
            for patient, recording, channel, time_s, value in _rows(chunk)
        ]
        session.execute(insert(table), rows)
    else:
        _copy(session, _rows(chunk))
    session.add(
        IngestionLog(
            patient_id=chunk.patient_id,
            recording_id=chunk.recording_id,
            chunk_start_sec=chunk.start,
            chunk_end_sec=chunk.end,
            num_samples=sum(map(len, chunk.samples)),
            checksum=checksum,
        )
    )
    session.commit()


def _rows(chunk: Chunk) -> Iterator[tuple[str, str, str, float, float]]:
    step = (chunk.end - chunk.start) / len(chunk.samples[0])
    for channel, values in zip(chunk.channels, chunk.samples, strict=True):
        for number, value in enumerate(values):
            time_s = chunk.start + number * step
            yield chunk.patient_id, chunk.recording_id, channel, time_s, value


def _copy(session: Session, rows: Iterable[Sequence[object]]) -> None:
    columns = "patient_id, recording_id, channel, timestamp_sec, value_uv, ingested_at"
    connection: Any = session.connection().connection.driver_connection
    with (
        connection.cursor() as cursor,
        cursor.copy(f"COPY eeg_samples ({columns}) FROM STDIN (FORMAT binary)") as copy,
    ):
        copy.set_types(["text", "text", "text", "float8", "float8", "timestamptz"])
        instant = now_utc()
        for row in rows:
            copy.write_row((*row, instant))


def window(
    session: Session,
    patient_id: str,
    recording_id: str,
    start: float,
    end: float,
    way: Way = Way.ORM,
    channel: str | None = None,
) -> dict[str, list[dict[str, float]]]:
    """Return the samples of ``[start, end)``: channel -> list of time stamp and value."""
    held = [
        EegSample.patient_id == patient_id,
        EegSample.recording_id == recording_id,
        EegSample.timestamp_sec >= start,
        EegSample.timestamp_sec < end,
    ]
    if channel is not None:
        held.append(EegSample.channel == channel)
    found: dict[str, list[dict[str, float]]] = {}
    if way is Way.ORM:
        chosen = select(EegSample).where(*held).order_by(EegSample.timestamp_sec)
        for sample in session.scalars(chosen):
            point = {"timestamp": sample.timestamp_sec, "value": sample.value_uv}
            found.setdefault(sample.channel, []).append(point)
        return found
    columns = (EegSample.channel, EegSample.timestamp_sec, EegSample.value_uv)
    plain = select(*columns).where(*held).order_by(EegSample.timestamp_sec)
    for name, time_s, value in session.execute(plain):
        found.setdefault(name, []).append({"timestamp": time_s, "value": value})
    return found


router = APIRouter()


def get_db(request: Request) -> Iterator[Session]:
    """Yield a session for one request."""
    with Session(request.app.state.engine) as session:
        yield session


@router.post("/ingest", status_code=201)
def ingest(chunk: Chunk, way: Way = Way.ORM, session: Session = Depends(get_db)) -> dict[str, Any]:
    """Store one chunk."""
    checksum = hashlib.sha256(chunk.model_dump_json().encode()).hexdigest()
    write_chunk(session, chunk, checksum, way)
    return {"status": "stored", "recording_id": chunk.recording_id, "checksum": checksum}


@router.get("/eeg")
def eeg(
    patient_id: str,
    recording_id: str,
    start: float,
    end: float,
    way: Way = Way.ORM,
    channels: str | None = None,
    session: Session = Depends(get_db),
) -> JSONResponse:
    """Return a window; straight to JSON, which is the quickest that FastAPI offers for it."""
    return JSONResponse(window(session, patient_id, recording_id, start, end, way, channels))


@router.get("/recordings")
def recordings(patient_id: str, session: Session = Depends(get_db)) -> list[dict[str, Any]]:
    """List what a patient has."""
    last = func.max(IngestionLog.chunk_end_sec)
    logged = (
        select(IngestionLog.recording_id, last)
        .where(IngestionLog.patient_id == patient_id)
        .group_by(IngestionLog.recording_id)
    )
    listed = []
    for recording_id, end in session.execute(logged):
        of_it = (EegSample.patient_id == patient_id, EegSample.recording_id == recording_id)
        channels = select(EegSample.channel).where(*of_it).distinct()
        count = select(func.count()).select_from(channels.subquery())
        listed.append(
            {
                "recording_id": recording_id,
                "duration_sec": end,
                "channel_count": session.scalar(count),
            }
        )
    return listed


def bytes_held(session: Session) -> dict[str, int]:
    """Return the bytes of the table and of each index."""
    parts = {
        "heap": "eeg_samples",
        "primary key": "eeg_samples_pkey",
        "index 1": "ix_eeg_patient_recording_time",
        "index 2": "ix_eeg_patient_recording_channel_time",
    }
    size = func.pg_relation_size
    sizes = {part: session.scalar(select(size(name))) for part, name in parts.items()}
    return {part: int(found or 0) for part, found in sizes.items()}
