"""The samples of EDF and BDF records, read in blocks and turned so that channels lie together.

A block of whole records is read into memory that is used again and again, and copied from there by
strides, a run of neighbouring signals at once. A 24-bit sample is the upper part of the 32 bits
that end with it, so one shift gives all of them.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from storage.edf_bytes import PIECE_BYTES, FileBytes, read_bytes
from storage.edf_layout import RecordLayout, SignalGroup
from storage.spans import Span, cut

BLOCK_BYTES = 1 << 20
# Each request to a bucket costs much more than its bytes.
FAR_BLOCK_BYTES = 1 << 23
# Of longer records only the part that is asked for is read, where that is cheap.
FAR_APART = 1 << 14
# The 32 bits that end with a block's first 24-bit sample begin before the block.
LEAD = 64


class RecordReader:
    """Reads blocks of records.

    Parameters
    ----------
    file
        Where they lie.
    start
        Where the first begins, in bytes.
    layout
        What is where within each.
    """

    def __init__(self, file: FileBytes, start: int, layout: RecordLayout) -> None:
        self._file = file
        self._start = start
        self._layout = layout
        # Each thread that reads takes one and puts it back.
        self._buffers: list[bytearray] = []

    def read(
        self, group: SignalGroup, span: Span, channels: Span, out: NDArray[np.generic]
    ) -> None:
        """Fill ``out``, shape ``(len(span), len(channels))`` and any memory order."""
        if not len(span) or not len(channels):
            return
        starts = group.starts[channels.start : channels.stop]
        length = group.samples * self._layout.sample_bytes
        window = Span(starts[0], starts[-1] + length)
        if len(window) > BLOCK_BYTES:
            self._read_long(group.samples, span, starts, out)
            return
        runs = list(_runs(starts, length))
        samples = group.samples
        records = Span(span.start // samples, -(-span.stop // samples))
        for block, lead, stride, held in self._blocks(records, window):
            for first, count in runs:
                lead_bytes = lead + starts[first] - window.start
                numbers = self._numbers(
                    block, lead_bytes, (len(held), count, samples), (stride, length)
                )
                _place(numbers, held.start * samples, span, out[:, first : first + count])

    def annotations(self, records: Span) -> Iterator[NDArray[np.uint8]]:
        """Yield the annotation bytes of records, shape ``(records, annotation_bytes)``."""
        places = self._layout.annotations
        window = Span(places[0][0], places[-1][0] + places[-1][1])
        if len(window) > BLOCK_BYTES:
            for record in range(records.start, records.stop):
                at = self._start + record * self._layout.record_bytes
                parts = [read_bytes(self._file, at + a, at + a + n) for a, n in places]
                yield np.frombuffer(b"".join(parts), np.uint8)[None]
            return
        for block, lead, stride, held in self._blocks(records, window):
            raw: NDArray[np.uint8] = np.ndarray(
                (len(held), len(window)), np.uint8, block, lead, (stride, 1)
            )
            yield np.concatenate(
                [raw[:, at - window.start : at - window.start + n] for at, n in places], axis=1
            )

    def _blocks(self, records: Span, window: Span) -> Iterator[tuple[bytearray, int, int, Span]]:
        """Yield memory, where in it the window of the first record begins, its stride, records."""
        record_bytes = self._layout.record_bytes
        apart = (
            self._file.near and record_bytes > FAR_APART and len(window) * 4 < record_bytes
        ) or record_bytes > BLOCK_BYTES
        stride = len(window) if apart else record_bytes
        at_once = BLOCK_BYTES if self._file.near else FAR_BLOCK_BYTES
        for held in cut(records, max(1, at_once // max(1, stride))):
            needed = LEAD + len(held) * stride
            buffer = self._take(needed)
            try:
                view = memoryview(buffer)[LEAD:needed]
                if apart:
                    for number, record in enumerate(range(held.start, held.stop)):
                        at = self._start + record * record_bytes + window.start
                        self._file.fill(view[number * stride : (number + 1) * stride], at)
                    yield buffer, LEAD, stride, held
                else:
                    self._file.fill(view, self._start + held.start * record_bytes)
                    yield buffer, LEAD + window.start, stride, held
                view.release()
            finally:
                self._buffers.append(buffer)

    def _take(self, needed: int) -> bytearray:
        while self._buffers:
            try:
                buffer = self._buffers.pop()
            except IndexError:
                break
            if len(buffer) >= needed:
                return buffer
        return bytearray(max(needed, LEAD + BLOCK_BYTES))

    def _numbers(
        self, block: bytearray, at: int, shape: tuple[int, int, int], strides: tuple[int, int]
    ) -> NDArray[np.generic]:
        """Return the samples of a block, shape (records, signals, samples)."""
        if self._layout.sample_bytes == 2:
            return np.ndarray(shape, "<i2", block, at, (*strides, 2))
        wide: NDArray[np.int32] = np.ndarray(shape, "<i4", block, at - 1, (*strides, 3))
        return wide

    def _read_long(
        self, samples: int, span: Span, starts: tuple[int, ...], out: NDArray[np.generic]
    ) -> None:
        """Read the very samples that are asked for, channel by channel."""
        size = self._layout.sample_bytes
        buffer = self._take(LEAD + PIECE_BYTES)
        at = span.start
        while at < span.stop:
            record, within = divmod(at, samples)
            stop = min(span.stop, (record + 1) * samples)
            for piece in cut(Span(within, within + stop - at), PIECE_BYTES // size):
                place = at - within + piece.start - span.start
                for column, start in enumerate(starts):
                    offset = self._start + record * self._layout.record_bytes
                    view = memoryview(buffer)[LEAD : LEAD + len(piece) * size]
                    self._file.fill(view, offset + start + piece.start * size)
                    numbers = self._numbers(buffer, LEAD, (1, 1, len(piece)), (0, 0))
                    _copy(numbers[0, 0], out[place : place + len(piece), column])
            at = stop
        self._buffers.append(buffer)


def _runs(starts: tuple[int, ...], length: int) -> Iterator[tuple[int, int]]:
    """Yield first and number of signals that lie side by side."""
    first = 0
    for at in range(1, len(starts) + 1):
        if at == len(starts) or starts[at] != starts[at - 1] + length:
            yield first, at - first
            first = at


def _place(numbers: NDArray[np.generic], first: int, span: Span, out: NDArray[np.generic]) -> None:
    """Copy what a span holds of a block whose samples begin at ``first``."""
    records, _, samples = numbers.shape
    low, high = max(span.start, first) - first, min(span.stop, first + records * samples) - first
    # The rest of a record that the span begins in, whole records, the start of the last one.
    head = min(high, -(-low // samples) * samples)
    tail = max(head, high // samples * samples)
    at = first - span.start
    if head > low:
        within = slice(low % samples, low % samples + head - low)
        _copy(numbers[low // samples, :, within].T, out[at + low : at + head])
    if tail > head:
        whole = numbers[head // samples : tail // samples]
        place = out[at + head : at + tail].reshape(len(whole), samples, -1)
        _copy(whole.transpose(0, 2, 1), place)
    if high > tail:
        _copy(numbers[tail // samples, :, : high - tail].T, out[at + tail : at + high])


def _copy(numbers: NDArray[np.generic], out: NDArray[np.generic]) -> None:
    if numbers.dtype.itemsize == 2:
        out[...] = numbers
    else:
        np.right_shift(numbers, 8, out=out)
