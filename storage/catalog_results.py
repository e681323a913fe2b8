"""Results computed from recordings, and chunks in quarantine, in the database."""

from __future__ import annotations

from sqlalchemy import Connection, insert, select

from storage.audit import AuditEvent, digest_of, utc_text
from storage.catalog_audit import append_events
from storage.catalog_rows import ComputedResult, QuarantinedChunk, RecordingEntry
from storage.catalog_tables import computed, quarantine, rate_group


def add_result(connection: Connection, entry: RecordingEntry, new: ComputedResult) -> None:
    """Enter a result, with its row in the recording's chain."""
    event = AuditEvent(
        event="computed",
        source=new.processing_version,
        checksum=result_digest(new),
        detail={"name": new.name, "created_at": utc_text(new.created_at)},
    )
    append_events(connection, entry, [event])
    connection.execute(
        insert(computed).values(
            recording_id=entry.id,
            name=new.name,
            source_digest=new.source_digest,
            parameters=dict(new.parameters),
            processing_version=new.processing_version,
            result=new.result,
            created_at=new.created_at,
        )
    )


def result_digest(one: ComputedResult) -> str:
    """Return the SHA-256 that the chain holds of a result."""
    return digest_of(
        {
            "name": one.name,
            "source_digest": one.source_digest,
            "parameters": dict(one.parameters),
            "processing_version": one.processing_version,
            "result": one.result,
            "created_at": utc_text(one.created_at),
        }
    )


def results(
    connection: Connection, entry: RecordingEntry, name: str | None = None
) -> list[ComputedResult]:
    """Return a recording's results, the oldest first."""
    query = select(computed).where(computed.c.recording_id == entry.id).order_by(computed.c.id)
    if name is not None:
        query = query.where(computed.c.name == name)
    return [
        ComputedResult(
            name=row.name,
            source_digest=row.source_digest,
            parameters=row.parameters,
            processing_version=row.processing_version,
            result=row.result,
            created_at=row.created_at,
        )
        for row in connection.execute(query)
    ]


def quarantined(connection: Connection, entry: RecordingEntry) -> list[QuarantinedChunk]:
    """Return the chunks that were refused because others are stored for their span."""
    query = (
        select(quarantine, rate_group.c.number)
        .join(rate_group, rate_group.c.id == quarantine.c.group_id)
        .where(rate_group.c.recording_id == entry.id)
        .order_by(quarantine.c.id)
    )
    return [
        QuarantinedChunk(
            group=row.number,
            start=row.start,
            n_samples=row.n_samples,
            sha256=row.sha256,
            source=row.source,
            received_at=row.received_at,
            body=row.body,
        )
        for row in connection.execute(query)
    ]
