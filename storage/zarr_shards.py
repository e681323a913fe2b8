"""Reading windows out of shards: one ranged read for the chunks that a window touches.

Only the indexes of shards are kept, 16 bytes for each chunk, as many of them as ``INDEXES_KEPT``;
samples are fetched and decoded anew each time.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from storage.durable import DurableFolder
from storage.errors import CorruptRecording, NotFound
from storage.kept import Kept
from storage.spans import Span
from storage.zarr_layout import MISSING, ShardLayout

INDEXES_KEPT = 4096

Index = NDArray[np.uint64]


class ShardReader:
    """Reads parts of shards.

    Parameters
    ----------
    folder
        Where they rest.
    kept
        How many indexes are kept.
    """

    def __init__(self, folder: DurableFolder, kept: int = INDEXES_KEPT) -> None:
        self._folder = folder
        self._indexes: Kept[str, Index] = Kept(kept)

    def read(
        self,
        name: str,
        size: int,
        layout: ShardLayout,
        span: Span,
        out: NDArray[np.generic],
    ) -> None:
        """Read a part of a shard.

        Parameters
        ----------
        name
            The shard's file.
        size
            Its length in bytes.
        layout
            How it rests.
        span
            Which elements along the last axis, counted from the start of the shard.
        out
            Filled with them; its last axis has the length of the span.

        Raises
        ------
        CorruptRecording
            If the file is gone, or is not what was written.
        """
        if not span:
            return
        numbers = layout.chunk_numbers(span)
        entries = self.index(name, size, layout)[numbers.start : numbers.stop]
        there = entries[:, 0] != MISSING
        if there.any():
            first = int(entries[there, 0].min())
            fetched = self._fetch(name, first, int(entries[there].sum(axis=1).max()))
        spare: NDArray[np.generic] | None = None
        for (offset, length), present, number in zip(entries.tolist(), there, numbers, strict=True):
            start = number * layout.chunk
            inside = Span(start, start + layout.chunk).intersect(span)
            target = out[..., inside.start - span.start : inside.stop - span.start]
            if not present:
                target[...] = 0
                continue
            if spare is None:
                spare = np.empty((*layout.leading, layout.chunk), layout.dtype)
            whole = target.shape == spare.shape and target.flags.c_contiguous
            chunk = target if whole else spare
            where = f"{self._folder.url}/{name}, chunk {number}"
            layout.decode(fetched[offset - first : offset - first + length], chunk, where)
            if not whole:
                target[...] = spare[..., inside.start - start : inside.stop - start]

    def index(self, name: str, size: int, layout: ShardLayout) -> Index:
        """Return where the chunks of a shard lie, from memory if it was read before.

        Raises
        ------
        CorruptRecording
            If the file is gone, or its index is not what was written.
        """
        kept = self._indexes.get(name)
        if kept is not None:
            return kept
        tail = self._fetch(name, max(0, size - layout.index_bytes), size)
        index = layout.read_index(tail, size, f"{self._folder.url}/{name}")
        self._indexes.put(name, index)
        return index

    def _fetch(self, name: str, start: int, stop: int) -> memoryview:
        try:
            fetched = memoryview(self._folder.read_range(name, start, stop))
        except NotFound as error:
            raise CorruptRecording(f"{error}; restore it from a copy") from error
        if len(fetched) != stop - start:
            raise CorruptRecording(
                f"{self._folder.url}/{name}: ends {stop - start - len(fetched)} bytes early; "
                "restore it from a copy"
            )
        return fetched
