"""Reading rows of a samples x channels array into channel-major buffers, each piece once.

Measured on 64 channels of int16: one big transpose runs at 570 MB/s, the same in tiles of 256 rows
at 2,280 MB/s, since a tile stays in the processor's cache.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from storage.nwb_tree import NwbArray
from storage.spans import Span, cut

TILE_ROWS = 256
PIECE_BYTES = 1 << 20
DECODERS = 2


class RowReader:
    """Reads blocks of one array; stored chunks that reach past a block are kept for the next.

    Parameters
    ----------
    array
        ``(samples,)``, ``(samples, channels)`` or, if ``transposed``, ``(channels, samples)``.
    transposed
        Whether channels come first.
    """

    def __init__(self, array: NwbArray, transposed: bool) -> None:
        self._array = array
        self._transposed = transposed
        self._decoders: ThreadPoolExecutor | None = None
        self._band: dict[tuple[int, int], NDArray[np.generic]] = {}

    def read(self, rows: Span, columns: Span, out: NDArray[np.generic]) -> None:
        """Fill ``out``, shape ``(len(rows), len(columns))`` and any memory order."""
        if self._array.chunk_shape is None:
            self._read_contiguous(rows, columns, out)
        else:
            self._read_chunked(rows, columns, out)

    def close(self) -> None:
        """Stop the decoding threads."""
        if self._decoders is not None:
            self._decoders.shutdown(cancel_futures=True)
        self._band.clear()

    def _read_contiguous(self, rows: Span, columns: Span, out: NDArray[np.generic]) -> None:
        row_bytes = max(1, len(columns) * self._array.dtype.itemsize)
        size = max(TILE_ROWS, PIECE_BYTES // row_bytes)
        for piece in cut(rows, size):
            block = self._oriented(self._array.read(*self._axes(piece, columns)))
            _copy_tiled(block, out[piece.start - rows.start : piece.stop - rows.start])

    def _read_chunked(self, rows: Span, columns: Span, out: NDArray[np.generic]) -> None:
        height, width = self._chunk_size()
        for corner, chunk in self._chunks(rows, columns, height, width):
            held_rows = Span(corner[0], corner[0] + len(chunk)).intersect(rows)
            held_columns = Span(corner[1], corner[1] + chunk.shape[1]).intersect(columns)
            block = chunk[
                held_rows.start - corner[0] : held_rows.stop - corner[0],
                held_columns.start - corner[1] : held_columns.stop - corner[1],
            ]
            _copy_tiled(
                block,
                out[
                    held_rows.start - rows.start : held_rows.stop - rows.start,
                    held_columns.start - columns.start : held_columns.stop - columns.start,
                ],
            )

    def _chunks(
        self, rows: Span, columns: Span, height: int, width: int
    ) -> Iterator[tuple[tuple[int, int], NDArray[np.generic]]]:
        corners = [
            (row, column)
            for row in range(rows.start // height * height, rows.stop, height)
            for column in range(columns.start // width * width, columns.stop, width)
        ]
        last_band = rows.stop // height * height
        keep = {corner for corner in corners if corner[0] == last_band != rows.stop}
        kept = {corner: self._band[corner] for corner in corners if corner in self._band}
        self._band = {corner: chunk for corner, chunk in kept.items() if corner in keep}
        for corner, chunk in self._decoded(corners, kept):
            if corner in keep:
                self._band[corner] = chunk
            yield corner, chunk

    def _decoded(
        self,
        corners: list[tuple[int, int]],
        kept: dict[tuple[int, int], NDArray[np.generic]],
    ) -> Iterator[tuple[tuple[int, int], NDArray[np.generic]]]:
        waiting: deque[tuple[tuple[int, int], Future[NDArray[np.generic]]]] = deque()
        for corner in corners:
            if corner in kept:
                yield corner, kept.pop(corner)
                continue
            if self._decoders is None:
                self._decoders = ThreadPoolExecutor(DECODERS, "decode")
            waiting.append((corner, self._decoders.submit(self._chunk, corner)))
            if len(waiting) > DECODERS:
                first, decoded = waiting.popleft()
                yield first, decoded.result()
        while waiting:
            first, decoded = waiting.popleft()
            yield first, decoded.result()

    def _chunk(self, corner: tuple[int, int]) -> NDArray[np.generic]:
        if len(self._array.shape) == 1:
            return self._array.read_chunk(corner[0])[:, None]
        place = (corner[1], corner[0]) if self._transposed else corner
        return self._oriented(self._array.read_chunk(*place))

    def _chunk_size(self) -> tuple[int, int]:
        shape = self._array.chunk_shape or self._array.shape
        if len(shape) == 1:
            return shape[0], 1
        return (shape[1], shape[0]) if self._transposed else (shape[0], shape[1])

    def _axes(self, rows: Span, columns: Span) -> tuple[Span, ...]:
        if len(self._array.shape) == 1:
            return (rows,)
        return (columns, rows) if self._transposed else (rows, columns)

    def _oriented(self, block: NDArray[np.generic]) -> NDArray[np.generic]:
        if block.ndim == 1:
            return block[:, None]
        return block.T if self._transposed else block


def _copy_tiled(block: NDArray[np.generic], out: NDArray[np.generic]) -> None:
    if block.flags.f_contiguous:
        out[...] = block
        return
    for start in range(0, len(block), TILE_ROWS):
        out[start : start + TILE_ROWS] = block[start : start + TILE_ROWS]
