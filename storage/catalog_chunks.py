"""Chunks, blocks, segments and blobs in the database: what is held, and where it lies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import BigInteger, Connection, Select, bindparam, func, select

from storage.catalog_rows import (
    BlobEntry,
    BlockEntry,
    ChunkEntry,
    Holdings,
    InboxChunk,
    RecordingEntry,
    StoredGroup,
    StoredSegment,
)
from storage.catalog_tables import audit, blob, block, chunk, chunk_body, seal, segment
from storage.spans import Span

# Beyond any grid.
EVER = Span(0, 2**62)


def _from(column: Any, group: Any, first: Any) -> Any:
    """Return where to begin so that nothing that reaches into a span is missed.

    Rows of a group do not overlap, so that only the last one before the span may reach into it.
    """
    inner = column.table.alias()
    return func.coalesce(
        select(func.max(inner.c.start))
        .where(inner.c.group_id == group, inner.c.start <= first)
        .scalar_subquery(),
        first,
    )


def _meeting(table: Any, *columns: Any) -> Select[Any]:
    group = bindparam("group", type_=BigInteger)
    first, stop = bindparam("first", type_=BigInteger), bindparam("stop", type_=BigInteger)
    return (
        select(*columns)
        .where(
            table.c.group_id == group,
            table.c.start >= _from(table.c.start, group, first),
            table.c.start < stop,
            table.c.start + table.c.n_samples > first,
            first < stop,
        )
        .order_by(table.c.start)
    )


_CHUNKS = _meeting(
    chunk, chunk.c.start, chunk.c.n_samples, chunk.c.shift_us, chunk.c.sha256, chunk.c.sequence
)
_STRETCHES = _meeting(chunk, chunk.c.start, chunk.c.n_samples, chunk.c.shift_us)
_SEGMENTS = _meeting(segment, segment.c.start, segment.c.n_samples, segment.c.shift_us)
_INBOX = (
    select(chunk.c.start, chunk.c.n_samples, chunk_body.c.body, chunk.c.sha256, chunk.c.sequence)
    .join(
        chunk,
        (chunk.c.group_id == chunk_body.c.group_id) & (chunk.c.start == chunk_body.c.start),
    )
    .where(
        chunk_body.c.group_id == bindparam("group", type_=BigInteger),
        # A body may lie far behind the last chunk before the span: only its own length tells.
        chunk_body.c.start
        > bindparam("first", type_=BigInteger) - bindparam("longest", type_=BigInteger),
        chunk_body.c.start < bindparam("stop", type_=BigInteger),
        chunk.c.start + chunk.c.n_samples > bindparam("first", type_=BigInteger),
        bindparam("first", type_=BigInteger) < bindparam("stop", type_=BigInteger),
    )
    .order_by(chunk_body.c.start)
)
_BLOCKS = (
    select(
        block.c.number,
        block.c.generation,
        block.c.through,
        block.c.key,
        block.c.bytes,
        block.c.sha256,
        block.c.files,
    )
    .where(
        block.c.group_id == bindparam("group", type_=BigInteger),
        block.c.number >= bindparam("first", type_=BigInteger),
        block.c.number < bindparam("stop", type_=BigInteger),
    )
    .order_by(block.c.number, block.c.generation)
)
_IS_SEALED = select(seal.c.sequence).where(seal.c.recording_id == bindparam("recording"))
_THROUGH = select(func.max(audit.c.sequence)).where(audit.c.recording_id == bindparam("recording"))


def _values(group: StoredGroup, span: Span | None) -> dict[str, int]:
    span = EVER if span is None else span
    return {"group": group.id, "first": span.start, "stop": span.stop}


def chunks(
    connection: Connection, group: StoredGroup, span: Span | None = None
) -> list[ChunkEntry]:
    """Return the accepted chunks that meet a span, in order."""
    rows = connection.execute(_CHUNKS, _values(group, span))
    return [ChunkEntry(*row) for row in rows]


def inbox(connection: Connection, group: StoredGroup, span: Span | None = None) -> list[InboxChunk]:
    """Return the chunks that meet a span and whose samples lie in the catalogue, in order."""
    values = _values(group, span) | {"longest": group.block_samples}
    rows = connection.execute(_INBOX, values)
    return [InboxChunk(*row) for row in rows]


def inbox_places(connection: Connection, group: StoredGroup) -> list[ChunkEntry]:
    """Return the chunks whose samples lie in the catalogue, without their samples."""
    rows = connection.execute(
        select(chunk.c.start, chunk.c.n_samples, chunk.c.shift_us, chunk.c.sha256, chunk.c.sequence)
        .join(
            chunk_body,
            (chunk.c.group_id == chunk_body.c.group_id) & (chunk.c.start == chunk_body.c.start),
        )
        .where(chunk_body.c.group_id == group.id)
        .order_by(chunk_body.c.start)
    )
    return [ChunkEntry(*row) for row in rows]


def blocks(
    connection: Connection, group: StoredGroup, span: Span | None = None
) -> list[BlockEntry]:
    """Return the counting generation of each block that meets a span of samples, in order."""
    return list({one.number: one for one in all_blocks(connection, group, span)}.values())


def all_blocks(
    connection: Connection, group: StoredGroup, span: Span | None = None
) -> Iterator[BlockEntry]:
    """Yield every generation of each block that meets a span, the counting one last."""
    span = EVER if span is None else span
    values = {
        "group": group.id,
        "first": span.start // group.block_samples,
        "stop": -(-span.stop // group.block_samples) if span else 0,
    }
    for row in connection.execute(_BLOCKS, values):
        yield BlockEntry(
            number=row.number,
            generation=row.generation,
            through=row.through,
            key=row.key,
            bytes=row.bytes,
            sha256=row.sha256,
            files=row.files,
        )


def segments(
    connection: Connection, group: StoredGroup, span: Span | None = None
) -> list[StoredSegment]:
    """Return the gap-free stretches of a group, as they lie within a span."""
    sealed = connection.execute(_IS_SEALED, {"recording": group.recording_id}).first()
    rows = connection.execute(_STRETCHES if sealed is None else _SEGMENTS, _values(group, span))
    return list(merged(rows.tuples(), EVER if span is None else span))


def merged(rows: Iterable[Any], span: Span = EVER) -> Iterator[StoredSegment]:
    """Yield the stretches that ``(start, n_samples, shift_us)`` in order make up together."""
    begin = end = shift = 0
    for start, n_samples, shift_us in rows:
        if start != end or shift_us != shift or begin == end:
            if begin < end:
                yield _clipped(begin, end, shift, span)
            begin, shift = start, shift_us
        end = start + n_samples
    if begin < end:
        yield _clipped(begin, end, shift, span)


def _clipped(begin: int, end: int, shift_us: int, span: Span) -> StoredSegment:
    begin, end = max(begin, span.start), min(end, span.stop)
    return StoredSegment(begin, end - begin, shift_us)


def extent(connection: Connection, group: StoredGroup) -> int:
    """Return the index after the last sample of a group; 0 where there is none."""
    last = connection.execute(
        select(chunk.c.start + chunk.c.n_samples)
        .where(chunk.c.group_id == group.id)
        .order_by(chunk.c.start.desc())
        .limit(1)
    ).scalar()
    return int(last or 0)


def holdings(connection: Connection, group: StoredGroup, span: Span) -> Holdings:
    """Return what is held of a span; in one transaction, so as of one moment."""
    return Holdings(
        segments=tuple(segments(connection, group, span)),
        blocks=tuple(blocks(connection, group, span)),
        inbox=tuple(inbox(connection, group, span)),
        through=connection.execute(_THROUGH, {"recording": group.recording_id}).scalar() or 0,
    )


def blobs(connection: Connection, entry: RecordingEntry) -> list[BlobEntry]:
    """Return a recording's files that hold no samples, in the order of their names."""
    rows = connection.execute(
        select(blob).where(blob.c.recording_id == entry.id).order_by(blob.c.name)
    )
    return [
        BlobEntry(
            name=row.name,
            key=row.key,
            bytes=row.bytes,
            sha256=row.sha256,
            encrypted=row.encrypted,
        )
        for row in rows
    ]
