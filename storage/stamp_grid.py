"""From jittered time stamps to stretches of an even grid.

A device takes its samples evenly; their stamps are when they were received. They come in bursts,
repeat, step back by some milliseconds, and drift against the nominal rate. A stretch is what the
device took without a pause: its samples lie on a line ``start + index / rate``. It ends where
samples are missing (the stamps after a step stay late, where after a mere delay they catch up),
or where the line has drifted off the nominal rate by half a second.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from storage.clocks import MICROSECONDS
from storage.recording import Segment
from storage.spans import Span

# Missing samples show from this much on, and from half a period on.
LEAST_GAP_S = 0.03
GAP_PERIODS = 1.5
LONGEST_DRIFT_S = 0.5
# How far to look on for late stamps to catch up: as long as they are late, and a second more.
CATCH_UP_S = 1.0
BATCH = 1 << 17
LEAST_STAMPS = 10
NOTED_DRIFT_S = 0.005
WRONG_BY = 0.2

Stamps = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Stretch:
    """Samples without a pause.

    Parameters
    ----------
    span
        Which samples.
    start_s
        When the first was taken, by the line through the stamps.
    period_s
        Time from sample to sample, by that line.
    """

    span: Span
    start_s: float
    period_s: float

    @property
    def end_s(self) -> float:
        """When the last sample was taken, by the line."""
        return self.start_s + (len(self.span) - 1) * self.period_s


def stretches(stamps: Stamps, rate_hz: float) -> list[Stretch]:
    """Return the stretches of a regular stream.

    Parameters
    ----------
    stamps
        Finite, in seconds; may be a memory-mapped array, which is read piece by piece.
    rate_hz
        Nominal rate.
    """
    borders = [0, *_gaps(stamps, rate_hz), len(stamps)]
    found: list[Stretch] = []
    for start, stop in pairwise(borders):
        whole = _fit(stamps, Span(start, stop), rate_hz)
        drift_s = abs(whole.period_s - 1 / rate_hz) * len(whole.span)
        pieces = min(max(1, int(np.ceil(drift_s / LONGEST_DRIFT_S))), len(whole.span))
        if pieces == 1:
            found.append(whole)
            continue
        cuts = np.linspace(start, stop, pieces + 1).astype(np.int64).tolist()
        found.extend(_fit(stamps, Span(*piece), rate_hz) for piece in pairwise(cuts))
    return found


def irregular_stretches(stamps: Stamps, rate_hz: float) -> list[Stretch]:
    """Return stretches whose samples lie within half a period of their own stamps.

    For streams that promise no rate: ``rate_hz`` is what was measured.
    """
    period_s = 1 / rate_hz
    found: list[Stretch] = []
    start = 0
    for index in range(1, len(stamps) + 1):
        if index < len(stamps):
            due = stamps[start] + (index - start) * period_s
            if abs(stamps[index] - due) <= period_s / 2:
                continue
        found.append(Stretch(Span(start, index), float(stamps[start]), period_s))
        start = index
    return found


def effective_rate_hz(stamps: Stamps, longest_step_s: float = np.inf) -> float:
    """Return steps over seconds, longer steps left out; 1 where that says nothing."""
    seconds, steps = 0.0, 0
    for first in range(1, len(stamps), BATCH):
        each = np.diff(stamps[first - 1 : first + BATCH])
        kept = each[np.abs(each) <= longest_step_s]
        seconds += float(kept.sum())
        steps += len(kept)
    # What a stamp's jitter adds to the rate is not worth writing down.
    return float(f"{steps / seconds:.6g}") if steps and seconds > 0 else 1.0


def believed_rate_hz(stamps: Stamps, nominal_hz: float) -> float:
    """Return the nominal rate, or the measured one where the stamps plainly contradict it.

    Small differences are the device's crystal, or bursts at the ends of a short recording.
    """
    longest = max(CATCH_UP_S, GAP_PERIODS / nominal_hz)
    if len(stamps) < LEAST_STAMPS:
        return nominal_hz
    measured = effective_rate_hz(stamps, longest)
    return nominal_hz if abs(measured / nominal_hz - 1) <= WRONG_BY else measured


def _gaps(stamps: Stamps, rate_hz: float) -> Iterator[int]:
    gap_s = max(LEAST_GAP_S, (GAP_PERIODS - 1) / rate_hz)
    last = 0
    for first in range(1, len(stamps), BATCH):
        steps = np.diff(stamps[first - 1 : first + BATCH])
        for at in np.flatnonzero(np.abs(steps - 1 / rate_hz) > gap_s):
            index = first + int(at)
            reach = int((abs(float(steps[at])) + CATCH_UP_S) * rate_hz) + 1
            before = _late(stamps, max(last, index - reach), index, index, rate_hz)
            after = _late(stamps, index, min(len(stamps), index + reach), index, rate_hz)
            # Of late packets the most punctual stamps are as before; of one that was cut short
            # at the end of a recording, half of them.
            if (
                min(abs(later - sooner) for sooner, later in zip(before, after, strict=True))
                > gap_s
            ):
                last = index
                yield index


def _late(
    stamps: Stamps, start: int, stop: int, origin: int, rate_hz: float
) -> tuple[float, float]:
    """Return by how much some stamps are late against an even grid: the first of them, and half."""
    late = stamps[start:stop] - np.arange(start - origin, stop - origin) / rate_hz
    return float(late.min()), float(np.median(late))


def _fit(stamps: Stamps, span: Span, rate_hz: float) -> Stretch:
    """Lay a line through some stamps, by least squares."""
    count = len(span)
    origin = float(stamps[span.start])
    if count < 2:
        return Stretch(span, origin, 1 / rate_hz)
    middle = (count - 1) / 2
    total = moment = 0.0
    for first in range(span.start, span.stop, BATCH):
        piece = stamps[first : min(first + BATCH, span.stop)]
        places = np.arange(first - span.start, first - span.start + len(piece))
        # Against the nominal line the numbers stay small, so that nothing is lost in the sums.
        late = piece - origin - places / rate_hz
        total += float(late.sum())
        moment += float(np.dot(places - middle, late))
    slope = moment * 12 / (count * (count * count - 1.0))
    return Stretch(span, origin + total / count - slope * middle, 1 / rate_hz + slope)


class StretchClock:
    """The clock of a rate group whose stretches are known.

    Parameters
    ----------
    found
        The stretches, in order, without holes between their spans.
    rate_hz
        Nominal rate, by which the samples of a stretch are counted on.
    origin_us, origin_s
        Microseconds since 1970 of an instant, and the same on the clock of the stamps.
    """

    def __init__(
        self, found: Sequence[Stretch], rate_hz: float, origin_us: int, origin_s: float
    ) -> None:
        self.rate_hz = rate_hz
        self._spans = [each.span for each in found]
        self._firsts = [span.start for span in self._spans]
        self._starts_us = [
            round(origin_us + (Fraction(each.start_s) - Fraction(origin_s)) * MICROSECONDS)
            for each in found
        ]

    def time_us(self, index: int) -> int:
        """Return the nearest microsecond."""
        at = bisect_right(self._firsts, index) - 1
        steps = Fraction(index - self._firsts[at]) / Fraction(self.rate_hz)
        return self._starts_us[at] + round(steps * MICROSECONDS)

    def segments(self, span: Span) -> Iterator[Segment]:
        """Yield the gap-free stretches within a span."""
        first = max(0, bisect_right(self._firsts, span.start) - 1)
        for whole in self._spans[first:]:
            if whole.start >= span.stop:
                return
            if inside := whole.intersect(span):
                yield Segment(inside, self.time_us(inside.start))


def on_grid_s(found: Sequence[Stretch], rate_hz: float, at_s: float) -> float:
    """Return where an instant lies among the samples of a stream, by its nominal rate.

    An event's stamp and the samples' stamps drift together, the nominal rate does not.
    """
    for each in found:
        if each.start_s <= at_s <= each.end_s and each.period_s > 0:
            return each.start_s + (at_s - each.start_s) / (each.period_s * rate_hz)
    return at_s


def drift_notes(found: Sequence[Stretch], rate_hz: float) -> list[str]:
    """Return a line for people where samples lie visibly off their stamps by the nominal rate."""
    drift_s = max(abs(each.period_s - 1 / rate_hz) * len(each.span) for each in found)
    if drift_s <= NOTED_DRIFT_S:
        return []
    return [
        f"placed by the rate of {rate_hz:g} Hz, samples lie up to {drift_s * 1000:.0f} ms from "
        "their stamps"
    ]
