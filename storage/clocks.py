"""When each sample of a rate group was taken, and where the gaps are.

Times are exact rationals until the moment they are rounded to the nearest microsecond (halves to
even), once. The classic clocks repeat the existing processor's double-precision formulas instead,
truncation included.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import numpy as np

from storage.recording import Segment
from storage.spans import Span
from storage.stamps import StampReader

MICROSECONDS = 1_000_000


class Clock(Protocol):
    """Time of the samples of one rate group."""

    @property
    def rate_hz(self) -> float:
        """Samples per second."""
        ...

    def time_us(self, index: int) -> int:
        """Return when a sample was taken, in microseconds since 1970-01-01 UTC."""
        ...

    def segments(self, span: Span) -> Iterator[Segment]:
        """Yield the gap-free stretches within a span."""
        ...


@dataclass(frozen=True, slots=True)
class RateClock:
    """A constant rate from a known start: ``start_us + index / rate_hz``."""

    start_us: Fraction
    rate_hz: float

    def time_us(self, index: int) -> int:
        """Return the nearest microsecond."""
        return round(self.start_us + index * MICROSECONDS / Fraction(self.rate_hz))

    def segments(self, span: Span) -> Iterator[Segment]:
        """Yield the span itself: there are no gaps."""
        if span:
            yield Segment(span, self.time_us(span.start))


@dataclass(frozen=True, slots=True)
class ClassicRateClock:
    """``int((index / rate + start) * 1e6)`` in doubles."""

    start_s: float
    rate_hz: float

    def time_us(self, index: int) -> int:
        """Return the double-precision product, truncated toward zero."""
        return int((index / self.rate_hz + self.start_s) * 1e6)

    def segments(self, span: Span) -> Iterator[Segment]:
        """Yield the span itself: there are no gaps."""
        if span:
            yield Segment(span, self.time_us(span.start))


@dataclass(frozen=True, slots=True)
class StampedClock:
    """A time stamp for each sample, in seconds after an origin.

    Parameters
    ----------
    origin_us
        Microseconds since 1970 that the stamps count from.
    rate_hz
        Samples per second, as given or as measured.
    gap_s
        A longer step starts a new segment.
    stamps
        Gives the checked (or repaired) stamps.
    """

    origin_us: int
    rate_hz: float
    gap_s: float
    stamps: StampReader

    def time_us(self, index: int) -> int:
        """Return the nearest microsecond."""
        stamp = Fraction(self.stamps.at(index))
        return round(self.origin_us + stamp * MICROSECONDS)

    def segments(self, span: Span) -> Iterator[Segment]:
        """Yield the stretches without a longer step."""
        for piece in self.stamps.stretches(span, self.gap_s):
            yield Segment(piece, self.time_us(piece.start))


@dataclass(frozen=True, slots=True)
class ClassicStampedClock:
    """``int(stamp * 1e6)`` in doubles; steps back and NaN never start a segment.

    The stamps count from 1970: that rounds them to a quarter of a microsecond, which decides
    whether a step is longer than two periods.
    """

    rate_hz: float
    stamps: StampReader

    def time_us(self, index: int) -> int:
        """Return the double-precision product, truncated toward zero."""
        return int(self.stamps.at(index) * 1e6)

    def segments(self, span: Span) -> Iterator[Segment]:
        """Yield the stretches without a step of more than two periods."""
        for piece in self.stamps.stretches(span, 1.0 / self.rate_hz * 2):
            yield Segment(piece, self.time_us(piece.start))


@dataclass(frozen=True, slots=True)
class Regularity:
    """How well stamps follow the rate.

    Parameters
    ----------
    n_segments
        Gap-free stretches.
    residual_us
        Largest distance of a stamp from its segment's start plus samples over rate.
    wrong
        Number of stamps that were missing, repeated or stepped back, and the first few of them.
    """

    n_segments: int
    residual_us: float
    wrong: int
    first_wrong: tuple[int, ...]
    first_us: int
    last_us: int


def measure(clock: StampedClock, n_samples: int) -> Regularity:
    """Read all stamps once and say how regular they are."""
    everything = Span(0, n_samples)
    found: list[int] = []
    count = 0
    for first, _, wrong in clock.stamps.batches(everything):
        count += int(wrong.sum())
        if len(found) < 5:
            found.extend(int(first + at) for at in np.flatnonzero(wrong)[: 5 - len(found)])
    residual, segments = 0.0, 0
    earliest, latest = clock.time_us(0), clock.time_us(0)
    for piece in clock.stamps.stretches(everything, clock.gap_s):
        segments += 1
        start_s = clock.stamps.at(piece.start)
        for first, stamps, _ in clock.stamps.batches(piece):
            due = start_s + np.arange(first - piece.start, first - piece.start + len(stamps)) / (
                clock.rate_hz
            )
            residual = max(residual, float(np.abs(stamps - due).max()))
        earliest = min(earliest, clock.time_us(piece.start))
        latest = max(latest, clock.time_us(piece.stop - 1))
    return Regularity(segments, residual * 1e6, count, tuple(found), earliest, latest)
