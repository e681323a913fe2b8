"""Which files of a recording nothing speaks of yet: being written, or left by a worker that died.

A worker writes files before the transaction that enters them, and the next one writes the same
files again: chunks never leave the catalogue, so the blocks that have yet to be stored are known.
"""

from __future__ import annotations

from sqlalchemy import Connection

from storage import catalog_chunks, catalog_groups
from storage.catalog_rows import LIVE, BlockEntry, RecordingEntry, StoredGroup
from storage.compaction import unstored_blocks
from storage.durable import ASIDE
from storage.heads import HEAD
from storage.overview import WHOLE_LEVELS
from storage.zarr_recordings import (
    array_metadata,
    block_key,
    block_layouts,
    whole_key,
    whole_layout,
)

BLOBS = "blobs/"


class Awaited:
    """The files that are entered, and those that may be next.

    Parameters
    ----------
    connection
        Of a transaction that began after the files were listed.
    closed
        Whether the recording is sealed, so that nothing is to come.
    """

    def __init__(self, connection: Connection, entry: RecordingEntry, closed: bool) -> None:
        self.entered = {HEAD, *(each.key for each in catalog_chunks.blobs(connection, entry))}
        self._closed = closed
        self._from_file = entry.kind != LIVE
        self._next: set[str] = set()
        self._blocks: dict[str, tuple[StoredGroup, dict[int, BlockEntry]]] = {}
        for group in catalog_groups.groups(connection, entry):
            self._add_group(connection, group)

    def _add_group(self, connection: Connection, group: StoredGroup) -> None:
        blocks = {}
        for block in catalog_chunks.all_blocks(connection, group):
            self.entered |= {block.key, *block.files}
            blocks[block.number] = block
        if self._closed:
            return
        self._blocks[str(group.number)] = (group, blocks)
        waiting = unstored_blocks(group, catalog_chunks.inbox_places(connection, group), blocks)
        arrays = block_layouts(group)
        for number in waiting:
            generation = blocks[number].generation + 1 if number in blocks else 0
            self._next |= {block_key(generation, array, group, number) for array in arrays}
        newest = max((block.generation for block in blocks.values()), default=0)
        for generation in range(newest + 2):
            for array in arrays:
                self._next |= array_metadata(f"g{generation}", array, group, 0).keys()
        stop = (max([-1, *blocks, *waiting]) + 1) * group.block_samples
        for level in WHOLE_LEVELS:
            self._next |= array_metadata("overview", f"mm{level}", group, 0).keys()
            shards = -(-stop // (level * whole_layout(group, level).shard))
            self._next |= {whole_key(group, level, number) for number in range(shards)}

    def may_be(self, key: str) -> bool:
        """Return whether a file that is not entered may be a worker's."""
        if key.endswith(ASIDE):
            base = key.removesuffix(ASIDE).rpartition(".")[0]
            return base == HEAD or (not self._closed and base in self.entered) or self.may_be(base)
        return not self._closed and (key in self._next or self._of_file(key))

    def _of_file(self, key: str) -> bool:
        """Return whether an ingest of a file may write it: only the file tells all its blocks."""
        if not self._from_file:
            return False
        if key.startswith(BLOBS):
            return key.count("/") == 1
        folder, _, rest = key.partition("/")
        array, _, rest = rest.partition("/")
        group, blocks = self._blocks.get(rest.partition("/")[0], (None, {}))
        number = key.rpartition("/")[2]
        if group is None or array not in block_layouts(group) or not number.isdecimal():
            return False
        fits = folder == "g0" and key == block_key(0, array, group, int(number))
        return fits and int(number) not in blocks
