"""When each record of an EDF or BDF file begins, and so when each of its samples was taken."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction

from storage.edf_tals import NANOSECONDS
from storage.recording import Segment
from storage.spans import Span


@dataclass
class RecordTimes:
    """Where stretches of adjoining records begin; records are added in order.

    Parameters
    ----------
    start_us
        What all times count from, in microseconds since 1970.
    record_s
        Duration of a record.
    tolerance_s
        Records adjoin if the second begins this much earlier or later than the first ends.
    """

    start_us: int
    record_s: Fraction
    tolerance_s: Fraction
    records: int = 0
    missing: int = 0
    backwards: int = 0
    firsts: array[int] = field(default_factory=lambda: array("q"))
    onsets_ns: array[int] = field(default_factory=lambda: array("q"))

    def __post_init__(self) -> None:
        self._scale = self.record_s.denominator
        self._step = self.record_s.numerator * NANOSECONDS
        self._tolerance = int(self.tolerance_s * NANOSECONDS * self._scale)

    def add(self, onset_ns: int | None) -> None:
        """Add a record; one without an onset adjoins the one before."""
        record = self.records
        self.records += 1
        if not self.firsts:
            self._begin(0, onset_ns or 0)
            self.missing += onset_ns is None
            return
        if onset_ns is None:
            self.missing += 1
            return
        late = (onset_ns - self.onsets_ns[-1]) * self._scale - (
            record - self.firsts[-1]
        ) * self._step
        if abs(late) > self._tolerance:
            self.backwards += late < 0
            self._begin(record, onset_ns)

    def add_adjoining(self, count: int) -> None:
        """Add records that follow one another."""
        if not self.firsts:
            self._begin(0, 0)
        self.records += count

    def _begin(self, record: int, onset_ns: int) -> None:
        self.firsts.append(record)
        self.onsets_ns.append(onset_ns)

    @property
    def first_ns(self) -> int:
        """When the first record begins, after the start."""
        return self.onsets_ns[0] if self.onsets_ns else 0


@dataclass(frozen=True, slots=True)
class RecordClock:
    """The times of the samples of one rate group.

    Parameters
    ----------
    times
        Of the records.
    samples
        Of each channel in a record.
    """

    times: RecordTimes
    samples: int

    @property
    def rate_hz(self) -> float:
        """Samples per second."""
        return float(self.samples / self.times.record_s)

    def time_us(self, index: int) -> int:
        """Return the nearest microsecond."""
        times = self.times
        if not times.firsts:
            return times.start_us
        at = bisect_right(times.firsts, index // self.samples) - 1
        return self._time_us(at, index)

    def _time_us(self, at: int, index: int) -> int:
        times = self.times
        passed_s = times.record_s * (index - times.firsts[at] * self.samples) / self.samples
        return times.start_us + round(Fraction(times.onsets_ns[at], 1000) + passed_s * 1_000_000)

    def segments(self, span: Span) -> Iterator[Segment]:
        """Yield the gap-free stretches within a span."""
        firsts = self.times.firsts
        at = max(0, bisect_right(firsts, span.start // self.samples) - 1)
        while at < len(firsts):
            ends = firsts[at + 1] if at + 1 < len(firsts) else self.times.records
            held = Span(firsts[at] * self.samples, ends * self.samples)
            inside = held.intersect(span)
            if inside:
                yield Segment(inside, self._time_us(at, inside.start))
            elif held.start >= span.stop:
                return
            at += 1

    def bounds_us(self) -> tuple[int, int]:
        """Return the times of the earliest and the latest sample."""
        times, count = self.times, len(self.times.firsts)
        if not times.records:
            return times.start_us, times.start_us
        stretches = range(count) if times.backwards else sorted({0, count - 1})
        ends = []
        for at in stretches:
            stop = times.firsts[at + 1] if at + 1 < count else times.records
            ends.append(self._time_us(at, times.firsts[at] * self.samples))
            ends.append(self._time_us(at, stop * self.samples - 1))
        return min(ends), max(ends)
