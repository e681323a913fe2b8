"""When each sample of a rate group was taken, and where the gaps are.

Times are exact rationals until the moment they are rounded to the nearest microsecond (halves to
even), once. The classic clocks repeat the existing processor's double-precision formulas instead,
truncation included.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from storage.errors import CorruptRecording, TimestampGap
from storage.recording import Segment
from storage.spans import Span

BATCH = 65_536
BATCHES_KEPT = 3
FIRST_STEPS = 10_000
MICROSECONDS = 1_000_000

Stamps = NDArray[np.float64]


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


@dataclass(frozen=True, eq=False)
class StampReader:
    """Reads time stamps in batches, and says which of them cannot be.

    Parameters
    ----------
    read
        Returns the stamps of a span as doubles, in seconds.
    n_samples
        How many there are.
    where
        What to call them in an error.
    policy
        ``refuse`` raises at the first stamp that is missing, repeats or steps back; ``repair``
        starts a new segment there (a missing stamp is counted on from the one before);
        ``accept`` does neither.
    period_s
        With ``repair``: what a missing stamp is counted on by.
    """

    read: Callable[[Span], Stamps]
    n_samples: int
    where: str
    policy: str = "refuse"
    period_s: float = 0.0
    _kept: dict[int, tuple[Stamps, NDArray[np.bool_]]] = field(
        default_factory=dict, init=False, repr=False
    )

    def at(self, index: int) -> float:
        """Return one stamp, in seconds."""
        number, place = divmod(index, BATCH)
        return float(self._batch(number)[0][place])

    def batches(self, span: Span) -> Iterator[tuple[int, Stamps, NDArray[np.bool_]]]:
        """Yield ``(first index, stamps, which of them are wrong)`` over a span."""
        for number in range(span.start // BATCH, -(-span.stop // BATCH) if span else 0):
            stamps, wrong = self._batch(number)
            kept = Span(number * BATCH, number * BATCH + len(stamps)).intersect(span)
            inside = slice(kept.start - number * BATCH, kept.stop - number * BATCH)
            yield kept.start, stamps[inside], wrong[inside]

    def stretches(self, span: Span, gap_s: float) -> Iterator[Span]:
        """Yield the stretches without a step above ``gap_s`` or a wrong stamp."""
        start = span.start
        previous: float | None = None
        for first, stamps, wrong in self.batches(span):
            before = stamps[0] if previous is None else previous
            steps = np.diff(stamps, prepend=before)
            breaks = steps > gap_s
            if self.policy == "repair":
                breaks |= wrong
            for at in np.flatnonzero(breaks):
                if first + at > start:
                    yield Span(start, int(first + at))
                    start = int(first + at)
            previous = float(stamps[-1])
        if span.stop > start:
            yield Span(start, span.stop)

    def _batch(self, number: int) -> tuple[Stamps, NDArray[np.bool_]]:
        batch = self._kept.pop(number, None) or self._load(number)
        # The one used last stands last.
        self._kept[number] = batch
        if len(self._kept) > BATCHES_KEPT:
            del self._kept[next(iter(self._kept))]
        return batch

    def _load(self, number: int) -> tuple[Stamps, NDArray[np.bool_]]:
        span = Span(number * BATCH, min((number + 1) * BATCH, self.n_samples))
        stamps = self.read(span)
        if self.policy == "accept":
            return stamps, np.zeros(len(stamps), np.bool_)
        before, missing = self._before(span.start)
        with np.errstate(invalid="ignore"):
            wrong = ~(np.diff(stamps, prepend=before) > 0) | ~np.isfinite(stamps)
        if not wrong.any():
            return stamps, wrong
        if self.policy == "refuse":
            raise TimestampGap(self._describe(span.start, stamps, before, wrong))
        return self._repair(stamps, before, missing)

    def _before(self, start: int) -> tuple[float, int]:
        """Return the last stamp before a batch, and how many there are missing.

        A missing one is counted on; minus infinity where there is none to count on from.
        """
        if not start:
            return -np.inf, 0
        last = float(self.read(Span(start - 1, start))[0])
        if np.isfinite(last) or self.policy == "refuse":
            return last, 0
        for stop in range(start, 0, -BATCH):
            stamps = self.read(Span(stop - BATCH, stop))
            finite = np.flatnonzero(np.isfinite(stamps))
            if len(finite):
                missing = start - 1 - (stop - BATCH + int(finite[-1]))
                return float(stamps[finite[-1]]) + missing * self.period_s, missing
        return -np.inf, start

    def _describe(self, first: int, stamps: Stamps, before: float, wrong: NDArray[np.bool_]) -> str:
        at = int(np.flatnonzero(wrong)[0])
        last = float(stamps[at - 1]) if at else before
        value = float(stamps[at])
        what = (
            f"is {value}"
            if not np.isfinite(value)
            else f"({value!r} s) does not come after the one before ({last!r} s)"
        )
        return (
            f"{self.where}: time stamp {first + at} {what}; mend the file, or use "
            "--repair-timestamps to start a new segment there"
        )

    def _repair(
        self, stamps: Stamps, before: float, missing: int
    ) -> tuple[Stamps, NDArray[np.bool_]]:
        finite = np.isfinite(stamps)
        if not np.isfinite(before):
            if not finite.any():
                raise CorruptRecording(
                    f"{self.where}: the first {len(stamps)} time stamps are all missing; "
                    "without one of them the start is unknown"
                )
            at = int(np.flatnonzero(finite)[0])
            before = float(stamps[at]) - (at + 1) * self.period_s
        places = np.arange(len(stamps))
        known = np.maximum.accumulate(np.where(finite, places, -1))
        counted_from = np.where(known >= 0, stamps[known], before)
        repaired = np.where(finite, stamps, counted_from + (places - known) * self.period_s)
        wrong = ~(np.diff(repaired, prepend=before) > 0)
        # A run of missing stamps is one new segment, whatever batches it lies in.
        wrong |= ~finite & np.concatenate(([missing == 0], finite[:-1]))
        return repaired, wrong


def first_estimate_s(reader: StampReader) -> float:
    """Return the median of the first 10,000 steps, in seconds, wrong ones left out.

    Raises
    ------
    CorruptRecording
        If there is no step forward among them.
    """
    stamps = reader.read(Span(0, min(reader.n_samples, FIRST_STEPS + 1)))
    steps = np.diff(stamps)
    if reader.policy == "repair":
        steps = steps[np.isfinite(steps) & (steps > 0)]
    estimate = float(np.median(steps)) if len(steps) else float("nan")
    if not (np.isfinite(estimate) and estimate > 0):
        if reader.policy == "refuse":
            for _ in reader.batches(Span(0, min(reader.n_samples, FIRST_STEPS + 1))):
                pass
        raise CorruptRecording(
            f"{reader.where}: no rate can be told from {reader.n_samples} time stamps; "
            "a series needs a rate, or at least two stamps that move forward"
        )
    return estimate


def measured_rate_hz(reader: StampReader, gap_periods: float) -> float:
    """Return the rate over the longest gap-free stretch: ``(n - 1) / (last - first)``.

    Gaps are told by a first estimate of the period. Reads every stamp once.
    """
    estimate = first_estimate_s(reader)
    everything = Span(0, reader.n_samples)
    longest = max(reader.stretches(everything, gap_periods * estimate), key=len)
    if len(longest) < 2:
        return 1.0 / estimate
    first, last = reader.at(longest.start), reader.at(longest.stop - 1)
    return (len(longest) - 1) / (last - first)


def classic_rate_hz(read: Callable[[Span], Stamps], n_samples: int) -> int:
    """Return the existing processor's rate: a whole number, from ten stamps that count from 1970.

    Raises
    ------
    CorruptRecording
        If these stamps give none.
    """
    stamps = read(Span(0, min(n_samples, 10)))
    period = float(np.median(np.diff(stamps))) if len(stamps) > 1 else float("nan")
    if not (np.isfinite(period) and period > 0):
        raise CorruptRecording("no rate can be told from the first ten time stamps")
    return round(1.0 / period)


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


def check_given_rate(given_hz: float, reader: StampReader) -> None:
    """Refuse a rate that differs by more than 2 % from what the stamps say.

    Raises
    ------
    CorruptRecording
        If it does.
    """
    inferred = 1.0 / first_estimate_s(reader)
    if abs(inferred - given_hz) / given_hz > 0.02:
        raise CorruptRecording(
            f"{reader.where}: the file gives a rate of {given_hz:g} Hz, its time stamps say "
            f"{inferred:g} Hz; they should agree within 2 %, mend the wrong one"
        )
