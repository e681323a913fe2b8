"""What lists of recordings say, in a few statements for all of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, and_, func, select

from storage.catalog_rows import RecordingEntry, RecordingSummary
from storage.catalog_tables import blob, block, channel, chunk, chunk_body, rate_group


def summaries(connection: Connection, found: Sequence[RecordingEntry]) -> list[RecordingSummary]:
    """Return what a list says of recordings, in the same order, in a few statements."""
    ids = [entry.id for entry in found]
    last = (
        select(chunk.c.start + chunk.c.n_samples)
        .where(chunk.c.group_id == rate_group.c.id)
        .order_by(chunk.c.start.desc())
        .limit(1)
        .scalar_subquery()
    )
    of_blocks = (
        select(func.coalesce(func.sum(block.c.bytes), 0))
        .where(block.c.group_id == rate_group.c.id)
        .scalar_subquery()
    )
    of_bodies = (
        select(func.coalesce(func.sum(func.length(chunk_body.c.body)), 0))
        .where(chunk_body.c.group_id == rate_group.c.id)
        .scalar_subquery()
    )
    ends: dict[int, float] = defaultdict(float)
    sizes: dict[int, int] = defaultdict(int)
    rates: dict[int, list[float]] = defaultdict(list)
    keys: dict[int, list[str]] = defaultdict(list)
    for part in _parts(ids):
        for row in connection.execute(
            select(
                rate_group.c.recording_id,
                rate_group.c.rate_numerator,
                rate_group.c.rate_denominator,
                last.label("stop"),
                (of_blocks + of_bodies).label("bytes"),
            )
            .where(rate_group.c.recording_id.in_(part))
            .order_by(rate_group.c.recording_id, rate_group.c.number)
        ):
            number, rate = row.recording_id, row.rate_numerator / row.rate_denominator
            end = (row.stop or 0) * row.rate_denominator / row.rate_numerator
            ends[number] = max(ends[number], end)
            sizes[number] += int(row.bytes)
            rates[number].append(rate)
        for row in connection.execute(
            select(rate_group.c.recording_id, channel.c.key)
            .join(channel, and_(channel.c.group_id == rate_group.c.id, channel.c.dummy.is_(False)))
            .where(rate_group.c.recording_id.in_(part))
            .order_by(rate_group.c.recording_id, rate_group.c.number, channel.c.number)
        ):
            keys[row.recording_id].append(row.key)
        for row in connection.execute(
            select(blob.c.recording_id, func.sum(blob.c.bytes).label("bytes"))
            .where(blob.c.recording_id.in_(part))
            .group_by(blob.c.recording_id)
        ):
            sizes[row.recording_id] += int(row.bytes)
    return [
        RecordingSummary(
            entry=entry,
            duration_sec=ends[entry.id],
            channels=tuple(keys[entry.id]),
            rates_hz=tuple(rates[entry.id]),
            size_bytes=sizes[entry.id],
        )
        for entry in found
    ]


def _parts(ids: Sequence[int], size: int = 500) -> Iterable[Sequence[int]]:
    return (ids[at : at + size] for at in range(0, len(ids), size))
