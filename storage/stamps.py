"""Time stamps: read in batches, checked, repaired, and what rate they tell."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from storage.errors import CorruptRecording, TimestampGap
from storage.spans import Span

BATCH = 65_536
BATCHES_KEPT = 3
FIRST_STEPS = 10_000
SAME_RATE = 0.02

Stamps = NDArray[np.float64]


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
