"""The clock of an NWB series: from its rate, or from its time stamps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from fractions import Fraction

import numpy as np

from storage.clocks import (
    MICROSECONDS,
    ClassicRateClock,
    ClassicStampedClock,
    Clock,
    RateClock,
    StampedClock,
    measure,
)
from storage.errors import CorruptRecording
from storage.nwb_series import FoundSeries
from storage.nwb_start import microseconds
from storage.nwb_tree import NwbArray, array_at, number
from storage.spans import Span
from storage.stamps import (
    SAME_RATE,
    StampReader,
    Stamps,
    check_given_rate,
    classic_rate_hz,
    first_estimate_s,
    measured_rate_hz,
)


def read_clock(
    series: FoundSeries,
    n_samples: int,
    start: datetime,
    gap_periods: float,
    repair: bool,
    classic: bool,
    known_rate_hz: float | None,
) -> tuple[Clock, tuple[int, int] | None, list[str]]:
    """Return the clock of a series, the bounds of its samples if known, and notes for people.

    Parameters
    ----------
    series
        The series.
    n_samples
        How many samples it has.
    start
        What its times count from.
    gap_periods
        A longer step between time stamps starts a new segment.
    repair
        Start one too at a stamp that is missing, repeats or steps back, instead of raising.
    classic
        Reckon as the existing processor does.
    known_rate_hz
        What an earlier look measured; saves reading all time stamps.

    Raises
    ------
    CorruptRecording
        If there is neither a rate nor time stamps, or they contradict each other or the samples.
    TimestampGap
        If stamps are missing, repeat or step back.
    """
    stamps = array_at(series.group, "timestamps")
    given = _given_rate(series)
    if stamps is None:
        if given is None:
            raise CorruptRecording(
                f"{series.path}: has neither a rate nor time stamps; one of them is needed"
            )
        if classic:
            return ClassicRateClock(start.timestamp(), given), None, []
        beginning = Fraction(_starting_time(series)) * MICROSECONDS + microseconds(start)
        return RateClock(beginning, given), None, []
    if stamps.shape != (n_samples,):
        raise CorruptRecording(
            f"{stamps.path}: {stamps.shape[0] if stamps.shape else 1} time stamps for "
            f"{n_samples} samples; expected one for each"
        )
    if stamps.dtype.kind not in "iuf":
        raise CorruptRecording(f"{stamps.path}: time stamps of type {stamps.dtype}, not numbers")
    if classic:
        read = _stamp_reader(stamps, start.timestamp())
        return _classic_stamped_clock(stamps.path, read, n_samples, given), None, []
    return _stamped_clock(
        stamps.path,
        _stamp_reader(stamps),
        n_samples,
        start,
        gap_periods,
        repair,
        known_rate_hz,
        given,
    )


def _classic_stamped_clock(
    path: str, read: Callable[[Span], Stamps], n_samples: int, given: float | None
) -> Clock:
    inferred = classic_rate_hz(read, n_samples)
    if given is not None and abs(inferred - given) / given > SAME_RATE:
        raise CorruptRecording(
            f"{path}: the file gives a rate of {given:g} Hz, its first time stamps say "
            f"{inferred} Hz; --classic needs them to agree within 2 %"
        )
    rate = inferred if given is None else given
    return ClassicStampedClock(rate, StampReader(read, n_samples, path, "accept"))


def _stamped_clock(
    path: str,
    read: Callable[[Span], Stamps],
    n_samples: int,
    start: datetime,
    gap_periods: float,
    repair: bool,
    known_rate_hz: float | None,
    given: float | None,
) -> tuple[Clock, tuple[int, int] | None, list[str]]:
    reader = StampReader(read, n_samples, path, "repair" if repair else "refuse")
    if known_rate_hz is None:
        if given is not None and n_samples > 1:
            check_given_rate(given, reader)
        period = 1.0 / given if given is not None else first_estimate_s(reader)
        reader = replace(reader, period_s=period)
        rate = given if given is not None else measured_rate_hz(reader, gap_periods)
    else:
        rate = known_rate_hz
    reader = replace(reader, period_s=1.0 / rate)
    clock = StampedClock(microseconds(start), rate, gap_periods / rate, reader)
    if known_rate_hz is not None:
        return clock, None, []
    seen = measure(clock, n_samples)
    notes = [
        f"time stamps follow {rate:.9g} Hz within {seen.residual_us:.1f} us, "
        f"{seen.n_segments} segment{'s' if seen.n_segments > 1 else ''}"
    ]
    if seen.wrong:
        which = ", ".join(map(str, seen.first_wrong))
        notes.append(f"{seen.wrong} time stamps repaired, a new segment at each (first: {which})")
    return clock, (seen.first_us, seen.last_us), notes


def _stamp_reader(stamps: NwbArray, start_s: float = 0.0) -> Callable[[Span], Stamps]:
    def read(span: Span) -> Stamps:
        seconds = stamps.read(span).astype(np.float64, copy=False)
        return seconds + start_s if start_s else seconds

    return read


def _given_rate(series: FoundSeries) -> float | None:
    start = array_at(series.group, "starting_time")
    if start is None or "rate" not in start.attributes:
        return None
    rate = float(number(start.attributes["rate"], f"{start.path}: rate"))
    if not (np.isfinite(rate) and rate > 0):
        raise CorruptRecording(f"{start.path}: rate is {rate:g}, expected a number above 0")
    return rate


def _starting_time(series: FoundSeries) -> float:
    start = array_at(series.group, "starting_time")
    if start is None:
        return 0.0
    value = float(number(start.values(), f"{start.path}"))
    if not np.isfinite(value):
        raise CorruptRecording(f"{start.path}: is {value}, expected a number of seconds")
    return value
