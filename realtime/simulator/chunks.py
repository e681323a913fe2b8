"""A recording cut into the chunks that a wearable sends: one second of one rate group each."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from storage.grid_source import place
from storage.protocols import RecordingSource
from storage.spans import Span

CHUNK_S = 1


@dataclass(frozen=True, slots=True)
class DueChunk:
    """A chunk by its place; samples are read when it is sent, and read again when sent again.

    Parameters
    ----------
    group
        Number of its rate group.
    span
        Where its samples are in the source.
    start
        Index of the first one on the group's grid, counted from the start of the recording.
    shift_us
        How much later than there it was taken: after a gap samples may lie beside the grid.
    second
        Which second of the recording it belongs to.
    """

    group: int
    span: Span
    start: int
    shift_us: int
    second: int

    @property
    def stop(self) -> int:
        """Index on the grid after the last sample."""
        return self.start + len(self.span)


def chunks_of(source: RecordingSource) -> Iterator[DueChunk]:
    """Yield the chunks of all rate groups in the order in which they are due.

    A second that a gap divides gives one chunk on each side of it. The last one may be shorter.
    """
    waiting = [
        (chunks, first)
        for number in range(len(source.recording.groups))
        for chunks in (_of_group(source, number),)
        for first in (next(chunks, None),)
        if first is not None
    ]
    while waiting:
        at = min(range(len(waiting)), key=lambda index: (waiting[index][1].second, index))
        chunks, chunk = waiting[at]
        yield chunk
        following = next(chunks, None)
        if following is None:
            del waiting[at]
        else:
            waiting[at] = (chunks, following)


def _of_group(source: RecordingSource, number: int) -> Iterator[DueChunk]:
    rate_hz = source.recording.groups[number].exact_rate_hz
    for stretch in place(source, number):
        at, stop = stretch.span.start, stretch.span.stop
        while at < stop:
            second = math.floor(at / rate_hz / CHUNK_S)
            end = min(stop, _first_of(second + 1, rate_hz))
            first = stretch.dense.start + at - stretch.start
            span = Span(first, first + end - at)
            yield DueChunk(number, span, at, stretch.shift_us, second)
            at = end


def _first_of(second: int, rate_hz: Fraction) -> int:
    return math.ceil(second * CHUNK_S * rate_hz)
