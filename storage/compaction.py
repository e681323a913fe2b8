"""Compaction: samples that wait in the catalogue go into the Zarr store, block by block.

The order of each block, so that a crash or a loss of power at any point loses nothing:

1. shard, overview and density are written aside, flushed, renamed, and their folders flushed;
2. they are read back, and every chunk's SHA-256 is computed anew from what was read;
3. one transaction enters the block and its row of the chain, and empties the inbox of its chunks.

Until 3 is committed the inbox counts; whatever 1 left behind is written again by the next run.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from storage.audit import chunk_digest
from storage.catalog import Catalog
from storage.catalog_rows import (
    BlockEntry,
    ChunkEntry,
    InboxChunk,
    RecordingEntry,
    StoredGroup,
    StoredSegment,
)
from storage.errors import DigestMismatch
from storage.geometry import block_span, blocks_of
from storage.heads import record_head
from storage.leases import Held
from storage.parts import Parts, sweep
from storage.spans import Span
from storage.store_commits import commit_block
from storage.zarr_recordings import RecordingFiles

# A block with gaps is taken as whole when the recording grew by so much since anything came to it.
GRACE_S = 600
# Of a block that is stored, such a share must have come late before it is stored anew.
LATE_SHARE = Fraction(1, 8)


def compact(parts: Parts, entry: RecordingEntry, actor: str = "compaction") -> int:
    """Move whole blocks of a recording from the inbox to the store; return how many.

    A block is whole when chunks cover it completely, or when ten minutes of newer samples have come
    since anything came to it; no clock is asked, so a recording may come in at any speed. A block
    that is stored already is stored anew when an eighth of it came late; what is less stays in the
    inbox until the recording is sealed.

    Raises
    ------
    Busy
        If somebody else works on the recording.
    DigestMismatch
        If what rests in the catalogue or in the store is not what came in.
    """
    with parts.working(entry, "compact") as held:
        sweep(parts, entry)
        files = parts.files(entry, held)
        count = 0
        for group in parts.catalog.groups(entry):
            written = {block.number: block for block in parts.catalog.blocks(group)}
            for number in whole_blocks(parts.catalog, group, written):
                held.keep()
                if not count:
                    record_head(parts.catalog, files, entry)
                move_block(parts, held, entry, files, group, number, written, actor)
                count += 1
        if count:
            record_head(parts.catalog, files, entry)
        return count


def whole_blocks(
    catalog: Catalog, group: StoredGroup, written: Mapping[int, BlockEntry]
) -> list[int]:
    """Return the numbers of the blocks that are to be stored now.

    Parameters
    ----------
    written
        Blocks that are stored.
    """
    samples: dict[int, int] = {}
    newest: dict[int, int] = {}
    for chunk in catalog.inbox_places(group):
        span = Span(chunk.start, chunk.stop)
        for number in blocks_of(span, group.block_samples):
            if number in written and chunk.sequence <= written[number].through:
                continue
            inside = span.intersect(block_span(number, group.block_samples))
            samples[number] = samples.get(number, 0) + len(inside)
            newest[number] = max(newest.get(number, 0), chunk.sequence)
    stop = catalog.extent(group)
    old = max(0, stop - math.ceil(GRACE_S * group.rate))
    grown_since = min((one.sequence for one in catalog.chunks(group, Span(old, stop))), default=0)
    least = LATE_SHARE * group.block_samples
    whole = []
    for number, fresh in sorted(samples.items()):
        if number in written and fresh < least:
            continue
        span = block_span(number, group.block_samples)
        rests = span.stop <= old and newest[number] < grown_since
        held = fresh
        if number in written and not rests:
            held = sum(one.n_samples for one in catalog.segments(group, span))
        if rests or held == len(span):
            whole.append(number)
    return whole


def unstored_blocks(
    group: StoredGroup, waiting: Iterable[ChunkEntry], written: Mapping[int, BlockEntry]
) -> list[int]:
    """Return the numbers of all blocks that lack a chunk of the inbox."""
    return sorted(
        {
            number
            for chunk in waiting
            for number in blocks_of(Span(chunk.start, chunk.stop), group.block_samples)
            if number not in written or written[number].through < chunk.sequence
        }
    )


def move_block(
    parts: Parts,
    held: Held,
    entry: RecordingEntry,
    files: RecordingFiles,
    group: StoredGroup,
    number: int,
    written: dict[int, BlockEntry],
    actor: str,
) -> None:
    """Write one block from the inbox and from its earlier generation, if there is one.

    ``written`` is brought up to date.
    """
    span = block_span(number, group.block_samples)
    holdings = parts.catalog.holdings(group, span)
    samples = np.zeros((len(group.channels), group.block_samples), group.dtype)
    earlier = written.get(number)
    if earlier is not None:
        files.read_samples(group, earlier, Span(0, group.block_samples), samples)
    overlay(group, holdings.inbox, span, samples)
    chunks = [_lightened(chunk, span) for chunk in holdings.inbox]
    segments, through = within(holdings.segments, span), holdings.through
    del holdings
    length = (max([number, *written]) + 1) * group.block_samples
    block, back = files.write_block(
        group,
        number,
        0 if earlier is None else earlier.generation + 1,
        samples,
        segments,
        length,
    )
    for chunk in chunks:
        check_chunk(entry, group, chunk, span, back)
    now = {**written, number: block.entry(through)}
    emptied = [chunk.start for chunk in chunks if _is_stored(group, chunk, now)]
    with parts.catalog.writing() as connection:
        commit_block(
            connection,
            held,
            entry,
            group,
            block,
            actor,
            through=through,
            emptied=emptied,
        )
    written[number] = now[number]


def _lightened(chunk: InboxChunk, span: Span) -> InboxChunk:
    """Return a chunk without its samples, which lie in the block, unless it reaches beyond it.

    The samples of a whole block would otherwise be held twice until it is written.
    """
    if span.start <= chunk.start and chunk.start + chunk.n_samples <= span.stop:
        return replace(chunk, body=b"")
    return chunk


def _is_stored(group: StoredGroup, chunk: InboxChunk, written: Mapping[int, BlockEntry]) -> bool:
    span = Span(chunk.start, chunk.start + chunk.n_samples)
    return all(
        number in written and written[number].through >= chunk.sequence
        for number in blocks_of(span, group.block_samples)
    )


def overlay(
    group: StoredGroup,
    inbox: Iterable[InboxChunk],
    span: Span,
    samples: NDArray[np.generic],
) -> None:
    """Lay chunks of the inbox over the samples ``(n_channels, n_samples)`` of a span."""
    for chunk in inbox:
        whole = Span(chunk.start, chunk.start + chunk.n_samples)
        inside = whole.intersect(span)
        if inside:
            body = chunk_samples(group, chunk)
            samples[:, inside.start - span.start : inside.stop - span.start] = body[
                :, inside.start - whole.start : inside.stop - whole.start
            ]


def chunk_samples(group: StoredGroup, chunk: InboxChunk) -> NDArray[np.generic]:
    """Return a chunk's samples, shape ``(n_channels, n_samples)``."""
    little = group.dtype.newbyteorder("<")
    return np.frombuffer(chunk.body, little).reshape(len(group.channels), chunk.n_samples)


def check_chunk(
    entry: RecordingEntry,
    group: StoredGroup,
    chunk: InboxChunk,
    span: Span,
    rests: NDArray[np.generic],
) -> None:
    """Compare a chunk's digest with that of its samples as they rest in the block of a span.

    Raises
    ------
    DigestMismatch
        If they differ.
    """
    whole = Span(chunk.start, chunk.start + chunk.n_samples)
    inside = whole.intersect(span)
    part = rests[:, inside.start - span.start : inside.stop - span.start]
    if inside != whole:
        joined = np.array(chunk_samples(group, chunk))
        joined[:, inside.start - whole.start : inside.stop - whole.start] = part
        part = joined
    little = group.dtype.newbyteorder("<")
    digest = chunk_digest(
        entry.uuid,
        group.number,
        group.keys,
        group.dtype.name,
        chunk.start,
        chunk.n_samples,
        np.ascontiguousarray(part, little).tobytes(),
    )
    if digest != chunk.sha256:
        raise DigestMismatch(
            f"recording {entry.uuid}, group {group.number}, samples from {chunk.start} on: their "
            f"SHA-256 is {digest}, {chunk.sha256} came in (audit row {chunk.sequence}); restore "
            "the catalogue from a copy"
        )


def within(segments: Iterable[StoredSegment], span: Span) -> list[Span]:
    """Return what segments hold of a span, counted from its start, joined where they meet."""
    spans: list[Span] = []
    for segment in segments:
        inside = Span(segment.start, segment.stop).intersect(span)
        if not inside:
            continue
        start, stop = inside.start - span.start, inside.stop - span.start
        if spans and spans[-1].stop == start:
            start = spans.pop().start
        spans.append(Span(start, stop))
    return spans
