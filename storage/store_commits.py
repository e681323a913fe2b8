"""The transactions by which blocks, blobs and seals enter the catalogue.

Each is made after the files that it speaks of rest on the medium, and checks that the lease under
which they were written is still held.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select

from storage.audit import AuditEvent, digest_of
from storage.catalog_audit import append_events, lock_recording
from storage.catalog_rows import BlobEntry, RecordingEntry, StoredGroup, StoredSegment
from storage.catalog_tables import (
    audit,
    blob,
    block,
    chunk,
    chunk_body,
    rate_group,
    seal,
    segment,
)
from storage.database import utc_now
from storage.errors import CorruptRecording
from storage.leases import Held
from storage.spans import Span
from storage.zarr_recordings import WrittenBlock

PIECE = 500


@dataclass(frozen=True, slots=True)
class HashedChunk:
    """A chunk whose samples rest in a block: its place on the grid, and its digest."""

    span: Span
    shift_us: int
    sha256: str


def commit_block(
    connection: Connection,
    held: Held,
    entry: RecordingEntry,
    group: StoredGroup,
    written: WrittenBlock,
    actor: str,
    through: int | None = None,
    chunks: Sequence[HashedChunk] = (),
    emptied: Collection[int] = (),
) -> None:
    """Enter a block.

    Parameters
    ----------
    through
        It holds each chunk of its span whose sequence is not above this one; None: those that are
        entered with it.
    chunks
        Chunks that came with it rather than through the inbox.
    emptied
        Starts of the chunks whose samples need not be kept in the inbox any longer.
    """
    lock_recording(connection, entry.id)
    held.check(connection)
    now = utc_now()
    if chunks:
        rows = append_events(
            connection, entry, [_chunk_event(group, each, actor) for each in chunks], at=now
        )
        through = rows[-1].sequence
        connection.execute(
            insert(chunk),
            [
                {
                    "group_id": group.id,
                    "start": each.span.start,
                    "n_samples": len(each.span),
                    "shift_us": each.shift_us,
                    "sha256": each.sha256,
                    "sequence": row.sequence,
                }
                for each, row in zip(chunks, rows, strict=True)
            ],
        )
    assert through is not None
    # Just before the block: the database takes none that the chain does not tell of.
    append_events(connection, entry, [_block_event(group, written, through, actor)], at=now)
    connection.execute(
        insert(block).values(
            group_id=group.id,
            number=written.number,
            generation=written.generation,
            through=through,
            key=written.key,
            bytes=written.bytes,
            sha256=written.sha256,
            files=dict(written.files),
            created_at=now,
        )
    )
    starts = sorted(emptied)
    for at in range(0, len(starts), PIECE):
        connection.execute(
            delete(chunk_body).where(
                chunk_body.c.group_id == group.id,
                chunk_body.c.start.in_(starts[at : at + PIECE]),
            )
        )


def check_unnamed(connection: Connection, entry: RecordingEntry, keys: Collection[str]) -> None:
    """Make sure that files may be replaced, since nothing in the catalogue names them yet.

    Raises
    ------
    CorruptRecording
        If something does: what rests there, or what was to be written, is not what it should be.
    """
    mine = select(rate_group.c.id).where(rate_group.c.recording_id == entry.id)
    named: set[str] = set(
        connection.execute(select(blob.c.key).where(blob.c.recording_id == entry.id)).scalars()
    )
    for key, files in connection.execute(
        select(block.c.key, block.c.files).where(block.c.group_id.in_(mine))
    ):
        named |= {key, *files}
    # The seal names the row before its own.
    for detail in connection.execute(
        select(audit.c.detail)
        .join(seal, seal.c.recording_id == audit.c.recording_id)
        .where(audit.c.recording_id == entry.id, audit.c.sequence == seal.c.sequence + 1)
    ).scalars():
        named |= set(detail["files"])
    for key in keys:
        if key in named:
            raise CorruptRecording(
                f"recording {entry.name!r}: {key} is stored for good, and rests with other bytes "
                "than were to be written; verify the recording"
            )


def _chunk_event(group: StoredGroup, each: HashedChunk, actor: str) -> AuditEvent:
    return AuditEvent(
        event="chunk",
        source=actor,
        group_number=group.number,
        start=each.span.start,
        num_samples=len(each.span),
        checksum=each.sha256,
        detail={"shift_us": each.shift_us} if each.shift_us else {},
    )


def _block_event(group: StoredGroup, written: WrittenBlock, through: int, actor: str) -> AuditEvent:
    return AuditEvent(
        event="block",
        source=actor,
        group_number=group.number,
        start=written.number * group.block_samples,
        num_samples=group.block_samples,
        checksum=written.sha256,
        detail={
            "number": written.number,
            "generation": written.generation,
            "through": through,
            "key": written.key,
            "bytes": written.bytes,
            "files": dict(written.files),
        },
    )


def commit_blob(
    connection: Connection, held: Held, entry: RecordingEntry, new: BlobEntry, actor: str
) -> None:
    """Enter a file that holds no samples."""
    lock_recording(connection, entry.id)
    held.check(connection)
    connection.execute(
        insert(blob).values(
            recording_id=entry.id,
            name=new.name,
            key=new.key,
            bytes=new.bytes,
            sha256=new.sha256,
            encrypted=new.encrypted,
        )
    )
    append_events(
        connection,
        entry,
        [
            AuditEvent(
                event="blob",
                source=actor,
                checksum=new.sha256,
                detail={
                    "name": new.name,
                    "key": new.key,
                    "bytes": new.bytes,
                    "encrypted": new.encrypted,
                },
            )
        ],
    )


def commit_seal(
    connection: Connection,
    held: Held,
    entry: RecordingEntry,
    segments: Mapping[int, tuple[StoredGroup, Sequence[StoredSegment]]],
    files: Mapping[str, str],
    through: int,
    actor: str,
) -> bool:
    """Close a recording for good.

    Parameters
    ----------
    segments
        Group and gap-free stretches by the group's number.
    files
        Key and SHA-256 of each file that was written for the sealing.
    through
        Sequence of the last row of the chain that the segments and files are made from.

    Returns
    -------
    bool
        False if chunks came meanwhile, and nothing was done.
    """
    lock_recording(connection, entry.id)
    held.check(connection)
    mine = select(rate_group.c.id).where(rate_group.c.recording_id == entry.id)
    if connection.execute(mine.where(rate_group.c.number >= len(segments))).first() is not None:
        return False
    for table in (chunk, chunk_body):
        late = select(table.c.start).where(table.c.group_id.in_(mine))
        if table is chunk:
            late = late.where(chunk.c.sequence > through)
        if connection.execute(late.limit(1)).first() is not None:
            return False
    listed = [
        [number, each.start, each.n_samples, each.shift_us]
        for number, (_, stretches) in sorted(segments.items())
        for each in stretches
    ]
    for group, stretches in segments.values():
        rows = [
            {
                "group_id": group.id,
                "start": each.start,
                "n_samples": each.n_samples,
                "shift_us": each.shift_us,
            }
            for each in stretches
        ]
        if rows:
            connection.execute(insert(segment), rows)
    now = utc_now()
    event = AuditEvent(
        event="sealed", source=actor, checksum=digest_of(listed), detail={"files": dict(files)}
    )
    (head,) = append_events(connection, entry, [event], at=now)
    connection.execute(
        insert(seal).values(
            recording_id=entry.id,
            sequence=head.sequence - 1,
            head=head.previous,
            sealed_at=now,
        )
    )
    return True
