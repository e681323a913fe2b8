"""Times of samples, rates and gaps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.clocks import (
    ClassicRateClock,
    ClassicStampedClock,
    RateClock,
    StampedClock,
    measure,
)
from storage.errors import CorruptRecording, TimestampGap
from storage.recording import Segment
from storage.spans import Span
from storage.stamps import (
    BATCH,
    StampReader,
    Stamps,
    check_given_rate,
    classic_rate_hz,
    first_estimate_s,
    measured_rate_hz,
)
from tests.support.nwb_files import (
    jittered_times,
    uniform_times,
    with_gaps,
    with_nan,
    with_repeat,
    with_step_back,
    without_samples,
)

RATES = (250.0, 1000.0, 1017.25, 5000.0, 20_000.0, 24_414.0625, 30_000.0, 40_000.0)
EPOCH_US = 1_714_979_289_123_456
BORDERS = (1, 2, BATCH - 1, BATCH, BATCH + 1, 2 * BATCH - 1, 2 * BATCH, 2 * BATCH + 1)
LENGTH = 2 * BATCH + 10


def reader_of(stamps: Stamps, policy: str = "refuse", period_s: float = 0.0) -> StampReader:
    """Return a reader of stamps in memory."""

    def read(span: Span) -> Stamps:
        assert span.stop <= len(stamps)
        return stamps[span.start : span.stop].copy()

    return StampReader(read, len(stamps), "raw/timestamps", policy, period_s)


def clock_of(
    stamps: Stamps, rate_hz: float, periods: float = 1.5, policy: str = "refuse"
) -> StampedClock:
    """Return the clock of stamps in memory."""
    reader = reader_of(stamps, policy, 1 / rate_hz)
    return StampedClock(EPOCH_US, rate_hz, periods / rate_hz, reader)


def starts(clock: StampedClock | ClassicStampedClock) -> list[int]:
    """Return where segments begin, after proving that they hold every sample once."""
    at = 0
    found = []
    for segment in clock.segments(Span(0, clock.stamps.n_samples)):
        assert segment.span.start == at
        at = segment.span.stop
        found.append(segment.span.start)
    assert at == clock.stamps.n_samples
    return found


# --- constant rates ------------------------------------------------------------------------------


@given(
    start_us=st.fractions(min_value=-(10**16), max_value=10**16),
    rate_hz=st.floats(1e-3, 1e7),
    index=st.integers(0, 10**12),
)
def test_a_rate_clock_rounds_the_exact_time_once(
    start_us: Fraction, rate_hz: float, index: int
) -> None:
    exact = start_us + Fraction(index) / Fraction(rate_hz) * 1_000_000
    found = RateClock(start_us, rate_hz).time_us(index)
    assert abs(found - exact) <= Fraction(1, 2)
    if abs(found - exact) == Fraction(1, 2):
        assert found % 2 == 0


def test_an_hour_at_a_rate_does_not_drift() -> None:
    clock = RateClock(Fraction(EPOCH_US), 30_000.0)
    assert clock.time_us(30_000 * 3600) == EPOCH_US + 3_600_000_000
    clock = RateClock(Fraction(EPOCH_US), 24_414.0625)
    assert clock.time_us(24_414_0625 * 100) == EPOCH_US + 10**12


def test_a_rate_clock_has_one_segment() -> None:
    for clock in (RateClock(Fraction(7), 1000.0), ClassicRateClock(7e-6, 1000.0)):
        assert list(clock.segments(Span(5, 9))) == [Segment(Span(5, 9), clock.time_us(5))]
        assert list(clock.segments(Span(5, 5))) == []


@given(st.integers(0, 10**9), st.sampled_from(RATES), st.floats(-1e9, 2e9))
def test_the_classic_clock_truncates_a_product_of_doubles(
    index: int, rate_hz: float, start_s: float
) -> None:
    expected = int((np.float64(index) / np.float64(rate_hz) + np.float64(start_s)) * 1e6)
    assert ClassicRateClock(start_s, rate_hz).time_us(index) == expected


# --- gaps ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", BORDERS)
def test_a_gap_is_a_step_above_the_threshold(at: int) -> None:
    even = uniform_times(LENGTH, 1024.0)
    for extra, gap in ((0.5, False), (0.5001, True), (1.0, True), (-0.4, False)):
        clock = clock_of(with_gaps(even, {at: extra / 1024}), 1024.0)
        assert starts(clock) == ([0, at] if gap else [0])


@pytest.mark.parametrize("periods", [1.5, 2.0, 2.5, 10.0])
def test_the_threshold_is_settable(periods: float) -> None:
    stamps = without_samples(5000, 1024.0, [100, *range(200, 209), 300])
    expected = [0]
    if periods < 2:
        expected += [100]
    if periods < 10:
        expected += [199]
    if periods < 2:
        expected += [290]
    assert starts(clock_of(stamps, 1024.0, periods)) == expected


@pytest.mark.parametrize("rate_hz", RATES)
def test_every_missing_sample_is_found(rate_hz: float) -> None:
    missing = list(range(17, 20_000, 101))
    stamps = without_samples(20_000, rate_hz, missing)
    expected = [0, *(at - number for number, at in enumerate(missing))]
    assert starts(clock_of(stamps, rate_hz)) == expected


@given(
    st.lists(st.integers(1, LENGTH - 1), max_size=6),
    st.lists(st.tuples(st.integers(0, LENGTH), st.integers(0, LENGTH)), min_size=1, max_size=8),
)
@settings(deadline=None, max_examples=40)
def test_segments_of_any_span_are_those_of_the_whole(
    gaps: list[int], spans: list[tuple[int, int]]
) -> None:
    clock = clock_of(with_gaps(uniform_times(LENGTH, 1000.0), dict.fromkeys(gaps, 0.01)), 1000.0)
    whole = list(clock.segments(Span(0, LENGTH)))
    for ends in spans:
        span = Span(min(ends), max(ends))
        expected = [
            Segment(inside, clock.time_us(inside.start))
            for segment in whole
            if (inside := segment.span.intersect(span))
        ]
        assert list(clock.segments(span)) == expected


def test_a_stamp_is_rounded_once_and_exactly() -> None:
    stamps = np.array([0.0, 0.1, 0.25, 1e-6 / 2, 1e9 + 0.1])
    for index, stamp in enumerate(stamps):
        clock = clock_of(np.sort(stamps), 1.0)
        exact = EPOCH_US + Fraction(float(np.sort(stamps)[index])) * 1_000_000
        assert abs(clock.time_us(index) - exact) <= Fraction(1, 2), stamp


# --- bad stamps, refused -------------------------------------------------------------------------

BAD: dict[str, Callable[[Stamps, int], Stamps]] = {
    "step back": lambda stamps, at: with_step_back(stamps, at, 0.5),
    "repeat": with_repeat,
    "missing": with_nan,
    "infinite": lambda stamps, at: np.where(np.arange(len(stamps)) == at, np.inf, stamps),
    "minus infinite": lambda stamps, at: np.where(np.arange(len(stamps)) == at, -np.inf, stamps),
}


@pytest.mark.parametrize(
    ("kind", "at"),
    [
        (kind, at)
        for kind in BAD
        for at in (0, *BORDERS, LENGTH - 1)
        if at or kind not in ("step back", "repeat")
    ],
)
def test_the_first_bad_stamp_is_named(kind: str, at: int) -> None:
    stamps = BAD[kind](uniform_times(LENGTH, 1000.0), at)
    if at + 5 < LENGTH:
        stamps[at + 5] = np.nan
    with pytest.raises(TimestampGap, match=rf"time stamp {at}\b") as caught:
        starts(clock_of(stamps, 1000.0))
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("raw/timestamps: ")
    assert "--repair-timestamps" in message
    with pytest.raises(TimestampGap, match=rf"time stamp {at}\b"):
        measured_rate_hz(reader_of(stamps), 1.5)


def test_the_message_tells_the_values() -> None:
    stamps = with_step_back(uniform_times(100, 1000.0), 40, 0.02)
    with pytest.raises(TimestampGap, match=r"0\.02.* s\).*\(0\.039 s\)"):
        starts(clock_of(stamps, 1000.0))


# --- bad stamps, repaired ------------------------------------------------------------------------


@pytest.mark.parametrize("at", [*BORDERS, LENGTH - 1])
@pytest.mark.parametrize("kind", BAD)
def test_a_bad_stamp_begins_a_segment(kind: str, at: int) -> None:
    stamps = BAD[kind](uniform_times(LENGTH, 1000.0), at)
    clock = clock_of(stamps, 1000.0, policy="repair")
    # After a repeat the next stamp is two periods on, which is a gap.
    after = [at + 1] if kind == "repeat" and at + 1 < LENGTH else []
    assert starts(clock) == [0, at, *after]
    seen = measure(clock, LENGTH)
    assert seen.n_segments == 2 + len(after)
    assert (seen.wrong, seen.first_wrong) == (1, (at,))
    if kind in ("missing", "infinite", "minus infinite"):
        assert clock.time_us(at) == EPOCH_US + at * 1000
    if at + 1 < LENGTH and kind != "step back":
        assert clock.time_us(at + 1) == EPOCH_US + (at + 1) * 1000


@pytest.mark.parametrize("first", [0, 1, BATCH - 3, BATCH - 1, BATCH])
@pytest.mark.parametrize("count", [1, 2, 5, 1000])
def test_a_run_of_missing_stamps_is_counted_on(first: int, count: int) -> None:
    stamps = with_nan(uniform_times(LENGTH, 1000.0), *range(first, first + count))
    clock = clock_of(stamps, 1000.0, policy="repair")
    assert starts(clock) == sorted({0, first})
    for index in {0, first, first + count - 1, first + count, LENGTH - 1}:
        assert clock.time_us(index) == EPOCH_US + index * 1000
    # Asked in any order, whichever batches are known already.
    again = clock_of(stamps, 1000.0, policy="repair")
    times = [again.time_us(index) for index in range(LENGTH - 1, 0, -7777)]
    assert times == [EPOCH_US + index * 1000 for index in range(LENGTH - 1, 0, -7777)]


def test_more_than_a_batch_of_missing_stamps() -> None:
    stamps = with_nan(uniform_times(5 * BATCH, 1000.0), *range(BATCH // 2, 4 * BATCH + 7))
    clock = clock_of(stamps, 1000.0, policy="repair")
    assert starts(clock) == [0, BATCH // 2]
    assert clock.time_us(4 * BATCH) == EPOCH_US + 4 * BATCH * 1000


def test_nothing_can_be_counted_from_nothing() -> None:
    clock = clock_of(np.full(100, np.nan), 1000.0, policy="repair")
    with pytest.raises(CorruptRecording, match="first 100 time stamps are all missing"):
        starts(clock)


def test_missing_stamps_and_a_gap() -> None:
    stamps = with_gaps(uniform_times(100, 1000.0), {50: 1.0})
    assert starts(clock_of(with_nan(stamps, 49), 1000.0, policy="repair")) == [0, 49, 50]
    # The missing one is counted on from before the gap, so the gap is after it.
    assert starts(clock_of(with_nan(stamps, 50), 1000.0, policy="repair")) == [0, 50, 51]


# --- rates ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate_hz", RATES)
@pytest.mark.parametrize("start_s", [0.0, 1234.5, 1e6])
def test_the_rate_of_stamps_is_exact_however_late_they_are(rate_hz: float, start_s: float) -> None:
    stamps = uniform_times(200_000, rate_hz, start_s)
    found = measured_rate_hz(reader_of(stamps), 1.5)
    assert found == pytest.approx(rate_hz, rel=1e-8)
    assert round(found, 2) == round(rate_hz, 2)


@pytest.mark.parametrize("rate_hz", RATES)
def test_the_rate_stays_right_where_stamps_count_from_1970(rate_hz: float) -> None:
    # Stamps of a quarter of a microsecond: what the existing processor gets wrong.
    stamps = uniform_times(200_000, rate_hz, 1.7e9)
    assert measured_rate_hz(reader_of(stamps), 1.5) == pytest.approx(rate_hz, rel=1e-6)


def test_the_rate_is_that_of_the_longest_stretch() -> None:
    stamps = with_gaps(jittered_times(60_000, 1000.0), {10_000: 0.7, 40_000: 3.0})
    assert measured_rate_hz(reader_of(stamps), 1.5) == 29_999 / (stamps[39_999] - stamps[10_000])


def test_a_late_change_of_step_does_not_move_the_first_estimate() -> None:
    stamps = np.concatenate([np.arange(12_000) / 1000, 12 + np.arange(50_000) / 10])
    assert first_estimate_s(reader_of(stamps)) == pytest.approx(0.001)


@pytest.mark.parametrize("stamps", [[], [5.0], [0.0, np.nan], [np.nan, np.nan, 1.0]])
def test_no_rate_can_be_told_from_too_little(stamps: list[float]) -> None:
    with pytest.raises(CorruptRecording, match="no rate can be told"):
        measured_rate_hz(reader_of(np.array(stamps), "repair", 0.001), 1.5)


def test_two_stamps_give_a_rate() -> None:
    assert measured_rate_hz(reader_of(np.array([1.0, 1.25])), 1.5) == 4.0


@pytest.mark.parametrize(("given_hz", "agrees"), [(1000.0, True), (1015.0, True), (1025.0, False)])
def test_a_given_rate_agrees_with_the_stamps_within_2_percent(
    given_hz: float, agrees: bool
) -> None:
    reader = reader_of(uniform_times(500, 1000.0))
    if agrees:
        check_given_rate(given_hz, reader)
    else:
        with pytest.raises(CorruptRecording, match=r"1025 Hz.*1000 Hz"):
            check_given_rate(given_hz, reader)


def test_regularity_reports_the_largest_distance() -> None:
    stamps = uniform_times(LENGTH, 1000.0)
    stamps[BATCH + 3] += 0.00025
    seen = measure(clock_of(stamps, 1000.0), LENGTH)
    assert seen.residual_us == pytest.approx(250, abs=1e-3)
    assert (seen.n_segments, seen.wrong) == (1, 0)
    assert (seen.first_us, seen.last_us) == (EPOCH_US, EPOCH_US + (LENGTH - 1) * 1000)


def test_regularity_restarts_at_every_segment() -> None:
    stamps = with_gaps(uniform_times(LENGTH, 1000.0), {100: 0.0003, 200: 7.00042, BATCH: 1.0})
    seen = measure(clock_of(stamps, 1000.0), LENGTH)
    assert seen.residual_us == pytest.approx(300, abs=1e-3)
    assert seen.n_segments == 3


def test_bounds_are_the_earliest_and_latest_whatever_steps_back() -> None:
    stamps = with_step_back(uniform_times(3000, 1000.0), 1000, 10.0)
    seen = measure(clock_of(stamps, 1000.0, policy="repair"), 3000)
    assert seen.first_us == EPOCH_US + 1_000_000 - 10_000_000
    assert seen.last_us == EPOCH_US + 999_000


# --- the existing processor's rules --------------------------------------------------------------


@pytest.mark.parametrize(
    ("rate_hz", "wrong"),
    [(5000, 4999), (10_000, 10_010), (20_000, 19_973), (30_000, 29_959), (40_000, 39_946)],
)
def test_the_classic_rate_has_its_fault(rate_hz: float, wrong: int) -> None:
    def read(span: Span) -> Stamps:
        return np.arange(span.start, span.stop) / rate_hz + EPOCH_US / 1e6

    found = classic_rate_hz(read, 1000)
    assert isinstance(found, int)
    assert found == wrong


def test_classic_splits_at_two_periods_and_nowhere_else() -> None:
    stamps = with_gaps(uniform_times(LENGTH, 1024.0), {100: 0.9 / 1024, BATCH: 1.1 / 1024})
    stamps = with_nan(with_step_back(stamps, 1000, 0.5), 2000)
    clock = ClassicStampedClock(1024, reader_of(stamps, "accept"))
    assert starts(clock) == [0, BATCH]


def test_reading_twice_gives_the_same_and_keeps_few_batches() -> None:
    reads: list[Span] = []
    stamps = uniform_times(10 * BATCH, 1000.0)

    def read(span: Span) -> Stamps:
        reads.append(span)
        return stamps[span.start : span.stop]

    reader = StampReader(read, len(stamps), "t")
    reader = replace(reader, period_s=0.001)
    assert [len(batch) for _, batch, _ in reader.batches(Span(0, len(stamps)))] == [BATCH] * 10
    assert max(map(len, reads)) <= BATCH
    assert sum(map(len, reads)) <= len(stamps) + 10
    reader.at(9 * BATCH)
    assert sum(map(len, reads)) <= len(stamps) + 10
