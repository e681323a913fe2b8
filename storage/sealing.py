"""Sealing: a recording is closed for good.

All that still waits goes into blocks, late arrivals into a further generation of theirs; then the
metadata gets its final length and the upper levels of the overview are written; then one
transaction enters the segments, the digests of those files, and the seal. A crash at any point
leaves a recording that the next run seals to the same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

from numpy.typing import NDArray

from storage.catalog_audit import head
from storage.catalog_rows import BlockEntry, RecordingEntry, StoredGroup
from storage.compaction import move_block, unstored_blocks
from storage.errors import Busy, CorruptRecording
from storage.heads import record_head
from storage.leases import Held
from storage.overview import WHOLE_LEVELS, empty_bins, merge_bins
from storage.parts import Parts, sweep
from storage.spans import Span
from storage.store_commits import commit_seal
from storage.zarr_recordings import (
    RecordingFiles,
    array_metadata,
    whole_key,
    whole_layout,
)

TRIES = 50


def seal(parts: Parts, entry: RecordingEntry, actor: str = "seal") -> None:
    """Close a recording; nothing happens if it is closed already.

    Raises
    ------
    Busy
        If somebody else works on the recording, or chunks do not cease to come.
    """
    with parts.working(entry, "seal") as held:
        if parts.catalog.refresh(entry).sealed:
            return
        sweep(parts, entry)
        files = parts.files(entry, held)
        record_head(parts.catalog, files, entry)
        for _ in range(TRIES):
            for group in parts.catalog.groups(entry):
                waiting = parts.catalog.inbox_places(group)
                written = {block.number: block for block in parts.catalog.blocks(group)}
                for number in unstored_blocks(group, waiting, written):
                    held.keep()
                    move_block(parts, held, entry, files, group, number, written, actor)
            if finish(parts, held, entry, files, actor):
                return
    raise Busy(f"recording {entry.name!r}: chunks keep coming; stop the device, then seal it again")


def finish(
    parts: Parts, held: Held, entry: RecordingEntry, files: RecordingFiles, actor: str
) -> bool:
    """Write what belongs to a whole recording, and the seal.

    Returns
    -------
    bool
        False if chunks came meanwhile: they are to be stored first.
    """
    with parts.catalog.reading() as connection:
        through, _ = head(connection, entry.id)
    segments = {}
    contents: dict[str, bytes] = {}
    digests: dict[str, str] = {}
    for group in parts.catalog.groups(entry):
        held.keep()
        blocks = parts.catalog.blocks(group)
        segments[group.number] = (group, parts.catalog.segments(group))
        contents |= final_metadata(group, blocks, parts.catalog.extent(group))
        for key, shard in whole_overview(files, group, blocks):
            held.keep()
            files.put({key: shard})
            digests[key] = hashlib.sha256(shard).hexdigest()
    files.put_metadata(contents)
    for key, content in contents.items():
        digests[key] = hashlib.sha256(content).hexdigest()
    with parts.catalog.writing() as connection:
        done = commit_seal(connection, held, entry, segments, digests, through, actor)
    if done:
        record_head(parts.catalog, files, entry)
    return done


def final_metadata(
    group: StoredGroup, blocks: Sequence[BlockEntry], length: int
) -> dict[str, bytes]:
    """Return the metadata of all arrays of a group at a length, by their keys."""
    contents: dict[str, bytes] = {}
    arrays = {key.split("/")[1] for block in blocks for key in (block.key, *block.files)}
    for generation in range(max((block.generation for block in blocks), default=-1) + 1):
        for array in sorted(arrays):
            contents |= array_metadata(f"g{generation}", array, group, length)
    if blocks:
        for level in WHOLE_LEVELS:
            contents |= array_metadata("overview", f"mm{level}", group, length)
    return contents


def whole_overview(
    files: RecordingFiles, group: StoredGroup, blocks: Sequence[BlockEntry]
) -> Iterator[tuple[str, bytes]]:
    """Yield key and content of the shards of the overview's upper levels that hold anything."""
    low, high = WHOLE_LEVELS
    bins = whole_layout(group, low).shard
    each = group.block_samples // low
    touched: dict[int, list[BlockEntry]] = {}
    for block in blocks:
        for number in range(block.number * each // bins, -(-(block.number + 1) * each // bins)):
            touched.setdefault(number, []).append(block)
    for number, members in sorted(touched.items()):
        lower = empty_bins(group.dtype, len(group.channels), bins)
        for block in members:
            piece = overview_piece(files, group, block, low)
            merge_bins(lower, piece, block.number * each - number * bins, 1)
        upper = empty_bins(group.dtype, len(group.channels), whole_layout(group, high).shard)
        merge_bins(upper, lower, 0, high // low)
        for level, shard in ((low, lower), (high, upper)):
            yield whole_key(group, level, number), whole_layout(group, level).encode(shard)


def overview_piece(
    files: RecordingFiles, group: StoredGroup, block: BlockEntry, level: int
) -> NDArray[Any]:
    """Return a block's piece of the overview.

    Raises
    ------
    CorruptRecording
        If it has none.
    """
    piece = files.read_piece(group, block, f"mm{level}")
    if piece is None:
        raise CorruptRecording(
            f"{files.where(block.key)}: the catalogue names no overview of it; verify the recording"
        )
    return piece


def bins_of(span: Span, level: int) -> Span:
    """Return which bins of a level a span of samples touches."""
    return Span(span.start // level, -(-span.stop // level))
