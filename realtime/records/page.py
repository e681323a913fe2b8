"""A page: what is shown of one rate group in one window."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from realtime.signal.decimation import EMPTY
from storage.catalog_rows import StoredSegment
from storage.spans import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """What is said of one channel of a page."""

    key: str
    label: str
    unit: str
    factor: float = 1.0
    offset: float = 0.0
    to_unit: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The samples of some channels of one rate group in a window.

    Parameters
    ----------
    group
        Number of the rate group.
    rate
        Its rate.
    span
        The window on the group's grid.
    curves
        The channels.
    segments
        Where in the span there are samples.
    values
        Shape ``(n_channels, n_points)``: stored numbers if ``digital``, else physical values,
        NaN where there is no sample.
    digital
        Whether the values are stored numbers; those in gaps mean nothing then.
    places
        Where the values are not all samples in order: the place of each on the grid, ``EMPTY``
        for a bin without samples; shape as ``values``.
    method
        How they were chosen: ``none``, ``minmax``, ``minmaxlttb`` or ``overview``.
    """

    group: int
    rate: Fraction
    span: Span
    curves: tuple[Curve, ...]
    segments: tuple[StoredSegment, ...]
    values: NDArray[Any]
    digital: bool
    places: NDArray[np.int64] | None = None
    method: str = "none"

    @property
    def rate_hz(self) -> float:
        """Samples per second, as a double."""
        return float(self.rate)

    @property
    def extents(self) -> list[tuple[float, float]]:
        """Where there are samples, in seconds; pieces that only differ in drift are joined."""
        return [
            (
                seconds(piece.start, self.rate, first.shift_us),
                seconds(piece.stop, self.rate, last.shift_us),
            )
            for piece, first, last in joined(self.segments, self.rate)
        ]

    @property
    def pieces(self) -> list[tuple[int, int, int]]:
        """Gap-free stretches of one shift: first place on the grid, length, shift in microseconds.

        A sample at place ``n`` of a piece was taken at ``n / rate + shift``.
        """
        pieces: list[tuple[int, int, int]] = []
        for segment in self.segments:
            if pieces:
                start, length, shift_us = pieces[-1]
                if start + length == segment.start and shift_us == segment.shift_us:
                    pieces[-1] = (start, length + segment.n_samples, shift_us)
                    continue
            pieces.append((segment.start, segment.n_samples, segment.shift_us))
        return pieces

    @property
    def times(self) -> NDArray[np.float64]:
        """Time of each place of the span, in seconds."""
        times = on_grid(np.arange(self.span.start, self.span.stop), self.rate)
        for segment in self.segments:
            if segment.shift_us:
                inside = slice(segment.start - self.span.start, segment.stop - self.span.start)
                times[inside] += segment.shift_us / 1e6
        return times

    @property
    def missing(self) -> NDArray[np.bool_] | None:
        """Which values are none, shape ``(n_channels, n_points)``; None where all are there."""
        if self.places is not None:
            empty = self.places == EMPTY
            return empty if empty.any() else None
        if self.complete:
            return None
        gone = np.ones(len(self.span), np.bool_)
        for segment in self.segments:
            gone[segment.start - self.span.start : segment.stop - self.span.start] = False
        return np.broadcast_to(gone, self.values.shape)

    @property
    def complete(self) -> bool:
        """Whether there is a sample at every place of the span."""
        return sum(segment.n_samples for segment in self.segments) == len(self.span)


def seconds(index: int, rate: Fraction, shift_us: int = 0) -> float:
    """Return the time of a place on a grid, correctly rounded."""
    return float(index / rate + Fraction(shift_us, 1_000_000))


def on_grid(places: NDArray[np.int64], rate: Fraction) -> NDArray[np.float64]:
    """Return the times of places on a grid; exact as long as the products fit a double."""
    times: NDArray[np.float64] = places * rate.denominator / rate.numerator
    return times


def within(segments: Sequence[StoredSegment], span: Span) -> tuple[StoredSegment, ...]:
    """Return what of some segments lies in a span."""
    return tuple(
        StoredSegment(start, stop - start, segment.shift_us)
        for segment in segments
        for start, stop in ((max(segment.start, span.start), min(segment.stop, span.stop)),)
        if start < stop
    )


def joined(
    segments: Sequence[StoredSegment], rate: Fraction
) -> Iterator[tuple[Span, StoredSegment, StoredSegment]]:
    """Yield gap-free stretches, each with its first and its last segment.

    Segments that adjoin on the grid, and differ in time by less than half a period, are one: a
    clock that drifts makes no gap.
    """
    first: StoredSegment | None = None
    last: StoredSegment | None = None
    for segment in segments:
        if first is None or last is None:
            first = segment
        elif (
            last.stop != segment.start
            or abs(segment.shift_us - last.shift_us) * rate * 2 > 1_000_000
        ):
            yield Span(first.start, last.stop), first, last
            first = segment
        last = segment
    if first is not None and last is not None:
        yield Span(first.start, last.stop), first, last
