"""Where the samples of a source lie on the grid of their rate group, and in which blocks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from storage.catalog_rows import StoredGroup
from storage.geometry import block_span, blocks_of
from storage.protocols import RecordingSource
from storage.spans import Span


@dataclass(frozen=True, slots=True)
class Placed:
    """A stretch of a source on the grid.

    Parameters
    ----------
    dense
        Its samples, counted in the source.
    start
        Where the first of them lies on the grid.
    shift_us
        How much later than there it was taken.
    """

    dense: Span
    start: int
    shift_us: int

    @property
    def span(self) -> Span:
        """Its place on the grid."""
        return Span(self.start, self.start + len(self.dense))


@dataclass(frozen=True, slots=True)
class PlacedBlock:
    """What a source has of a block: stretches, in order; their samples adjoin in the source."""

    number: int
    pieces: tuple[Placed, ...]

    @property
    def dense(self) -> Span:
        """Samples of the block, counted in the source."""
        return Span(self.pieces[0].dense.start, self.pieces[-1].dense.stop)


def grid_time_us(rate_hz: Fraction, index: int) -> int:
    """Return the time of a place on the grid, in microseconds after the recording's start."""
    return round(Fraction(index * 1_000_000 * rate_hz.denominator, rate_hz.numerator))


def place(source: RecordingSource, number: int) -> Iterator[Placed]:
    """Yield the gap-free stretches of a rate group on its grid; those that fit on are joined.

    A stretch lies where its start says, but never before the end of the one in front of it.
    """
    recording = source.recording
    rate = recording.groups[number].exact_rate_hz
    last: Placed | None = None
    for segment in source.segments(number):
        after_us = segment.start_us - recording.start_us
        start = max(0, round(Fraction(after_us * rate.numerator, 1_000_000 * rate.denominator)))
        if last is not None:
            start = max(start, last.span.stop)
        shift_us = after_us - grid_time_us(rate, start)
        if last is not None and start == last.span.stop and shift_us == last.shift_us:
            last = Placed(Span(last.dense.start, segment.span.stop), last.start, shift_us)
            continue
        if last is not None:
            yield last
        last = Placed(segment.span, start, shift_us)
    if last is not None:
        yield last


def by_blocks(stretches: Iterator[Placed], group: StoredGroup) -> Iterator[PlacedBlock]:
    """Yield what there is of each block, in order."""
    pieces: list[Placed] = []
    current = -1
    for stretch in stretches:
        for number in blocks_of(stretch.span, group.block_samples):
            if number != current and pieces:
                yield PlacedBlock(current, tuple(pieces))
                pieces = []
            current = number
            inside = stretch.span.intersect(block_span(number, group.block_samples))
            dense = stretch.dense.start + inside.start - stretch.start
            pieces.append(Placed(Span(dense, dense + len(inside)), inside.start, stretch.shift_us))
    if pieces:
        yield PlacedBlock(current, tuple(pieces))
