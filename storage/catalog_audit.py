"""The chain of a recording in the database: adding rows, reading rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from fractions import Fraction
from typing import Any

from sqlalchemy import Connection, Row, insert, select, text

from storage.audit import FIRST_PREVIOUS, AuditEvent, AuditRow, link, seconds, utc_text
from storage.catalog_rows import RecordingEntry
from storage.catalog_tables import audit, rate_group
from storage.database import utc_now

# Distinguishes our advisory locks from those of others in the same PostgreSQL.
LOCKS = 0x52414E56
_LOCK = text(
    "SELECT pg_advisory_xact_lock(:space, id) FROM unnest(CAST(:ids AS integer[])) AS held(id)"
)


def lock_recordings(connection: Connection, ids: Iterable[int]) -> None:
    """Keep others from adding to these recordings' chains until the transaction ends.

    On SQLite a writing transaction has the whole database to itself already. Locks are taken in
    the order of the numbers, so that two transactions cannot wait for each other.
    """
    if connection.dialect.name == "sqlite":
        return
    connection.execute(_LOCK, {"space": LOCKS, "ids": [one % 2**31 for one in sorted(set(ids))]})


def lock_recording(connection: Connection, recording_id: int) -> None:
    """Keep others from adding to a recording's chain until the transaction ends."""
    lock_recordings(connection, (recording_id,))


def head(connection: Connection, recording_id: int) -> tuple[int, str]:
    """Return sequence and hash of the last row of a recording's chain."""
    row = connection.execute(
        select(audit.c.sequence, audit.c.hash)
        .where(audit.c.recording_id == recording_id)
        .order_by(audit.c.sequence.desc())
        .limit(1)
    ).first()
    return (0, FIRST_PREVIOUS) if row is None else (row.sequence, row.hash)


def append_events(
    connection: Connection,
    entry: RecordingEntry,
    events: Sequence[AuditEvent],
    at: datetime | None = None,
) -> list[AuditRow]:
    """Add events to a recording's chain, in a writing transaction.

    Parameters
    ----------
    at
        When they happened; now, if not given.
    """
    if not events:
        return []
    lock_recording(connection, entry.id)
    rates = _rates(connection, entry) if any(e.start is not None for e in events) else {}
    sequence, previous = head(connection, entry.id)
    when = utc_text(at or utc_now())
    rows = []
    for event in events:
        rate = None if event.group_number is None else rates.get(event.group_number)
        sequence += 1
        row = link(entry.uuid, entry.patient, entry.name, event, rate, sequence, previous, when)
        previous = row.hash
        rows.append(row)
    connection.execute(insert(audit), [as_columns(entry.id, row) for row in rows])
    return rows


def as_columns(recording_id: int, row: AuditRow) -> dict[str, Any]:
    """Return a row of a chain as the table has it."""
    return {
        "recording_id": recording_id,
        "sequence": row.sequence,
        "event": row.event,
        "group_number": row.group,
        "start": row.start,
        "num_samples": row.num_samples,
        "checksum": row.checksum,
        "source": row.source,
        "detail": row.detail,
        "ingested_at": row.ingested_at,
        "previous": row.previous,
        "hash": row.hash,
    }


def rows(
    connection: Connection,
    entry: RecordingEntry,
    after: int = 0,
    limit: int | None = None,
) -> Iterator[AuditRow]:
    """Yield the rows of a recording's chain, in order, after a sequence."""
    rates = _rates(connection, entry)
    found = connection.execution_options(yield_per=2000).execute(
        select(audit)
        .where(audit.c.recording_id == entry.id, audit.c.sequence > after)
        .order_by(audit.c.sequence)
        .limit(limit)
    )
    for row in found:
        yield _published(entry, rates, row)


def hash_at(connection: Connection, recording_id: int, sequence: int) -> str | None:
    """Return the hash of a row of a recording's chain; None where there is no such row."""
    found: str | None = connection.execute(
        select(audit.c.hash).where(
            audit.c.recording_id == recording_id, audit.c.sequence == sequence
        )
    ).scalar()
    return found


def _published(entry: RecordingEntry, rates: dict[int, Fraction], row: Row[Any]) -> AuditRow:
    rate = None if row.group_number is None else rates.get(row.group_number)
    begin = end = None
    # Whoever changes a row may put anything into it; its hash will tell.
    if isinstance(row.start, int) and rate is not None:
        begin = seconds(row.start, rate)
        if isinstance(row.num_samples, int | None):
            end = seconds(row.start + (row.num_samples or 0), rate)
    return AuditRow(
        patient_id=entry.patient,
        recording_id=entry.name,
        recording=entry.uuid,
        sequence=row.sequence,
        event=row.event,
        group=row.group_number,
        start=row.start,
        chunk_start_sec=begin,
        chunk_end_sec=end,
        num_samples=row.num_samples,
        checksum=row.checksum,
        source=row.source,
        detail=row.detail,
        ingested_at=row.ingested_at,
        previous=row.previous,
        hash=row.hash,
    )


def _rates(connection: Connection, entry: RecordingEntry) -> dict[int, Fraction]:
    found = connection.execute(
        select(
            rate_group.c.number, rate_group.c.rate_numerator, rate_group.c.rate_denominator
        ).where(rate_group.c.recording_id == entry.id)
    )
    return {
        row.number: Fraction(row.rate_numerator, row.rate_denominator)
        for row in found
        if row.rate_denominator > 0
    }
