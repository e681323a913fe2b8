"""Deadlines: none drifts, overruns follow their policy, and a new speed keeps the phase."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.runtime.schedule import Policy, Schedule, Tick, exact_speed
from storage.errors import UsageError

BIN_NS = 25_000_000
BEGIN_NS = 7_000_000_000_123
MILLION = 1_000_000


@pytest.mark.parametrize("speed", [Fraction(1, 10), Fraction(1), Fraction(3, 7), Fraction(20)])
def test_a_million_ticks_do_not_drift(speed: Fraction) -> None:
    period = BIN_NS / speed
    schedule = Schedule(BEGIN_NS, period)
    less = math.ceil(period) - 1
    for index in range(MILLION):
        # Each comes late, by any time under a period.
        tick = schedule.take(schedule.due_ns + index * 7919 % less)
        assert tick.index == index
    assert tick.due_ns == BEGIN_NS + math.floor((MILLION - 1) * period)
    assert schedule.due_ns == BEGIN_NS + math.floor(MILLION * period)
    assert (schedule.overruns, schedule.shifted, schedule.skipped) == (0, 0, 0)


@pytest.mark.parametrize(
    ("policy", "late", "first", "second", "shifted", "skipped"),
    [
        # Tick 10 should come at 10 periods, and comes later by so many.
        ("shift", 0.5, (10, 10, 0.5), (11, 11), 0, 0),
        ("shift", 1.0, (10, 10, 1.0), (11, 12), 1, 0),
        ("shift", 1.5, (10, 10, 1.5), (11, 12), 1, 0),
        ("shift", 100.0, (10, 10, 100.0), (11, 111), 100, 0),
        ("skip", 0.5, (10, 10, 0.5), (11, 11), 0, 0),
        ("skip", 1.0, (11, 11, 0.0), (12, 12), 0, 1),
        ("skip", 1.5, (11, 11, 0.5), (12, 12), 0, 1),
        ("skip", 100.0, (110, 110, 0.0), (111, 111), 0, 100),
    ],
)
def test_overruns(
    policy: Policy,
    late: float,
    first: tuple[int, int, float],
    second: tuple[int, int],
    shifted: int,
    skipped: int,
) -> None:
    schedule = Schedule(0, BIN_NS, policy)
    for _ in range(10):
        schedule.take(schedule.due_ns)
    tick = schedule.take(schedule.due_ns + int(late * BIN_NS))
    assert tick == Tick(first[0], first[1] * BIN_NS, int(first[2] * BIN_NS))
    assert (schedule.index, schedule.due_ns) == (second[0], second[1] * BIN_NS)
    assert (schedule.shifted, schedule.skipped) == (shifted, skipped)
    assert schedule.overruns == (late >= 1)


@given(
    period=st.fractions(min_value=1000, max_value=10**9, max_denominator=10**6),
    policy=st.sampled_from(["shift", "skip"]),
    lates=st.lists(st.floats(0, 5), max_size=30),
)
def test_ticks_stay_on_the_grid(period: Fraction, policy: Policy, lates: list[float]) -> None:
    schedule = Schedule(BEGIN_NS, period, policy)
    now = BEGIN_NS
    for count, late in enumerate(lates):
        now = max(now, schedule.due_ns) + int(late * period)
        tick = schedule.take(now)
        # What is lost is lost to one of the two, and the next tick is never a burst.
        assert tick.index == count + schedule.skipped
        place = count + 1 + schedule.shifted + schedule.skipped
        assert schedule.due_ns == BEGIN_NS + math.floor(place * period)
        assert now < schedule.due_ns <= now + math.ceil(period)
        assert schedule.shifted == 0 or policy == "shift"
        assert schedule.skipped == 0 or policy == "skip"


@pytest.mark.parametrize(("slow", "fast"), [(1, 20), (20, Fraction(1, 10)), (Fraction(3, 7), 1)])
def test_a_new_period_keeps_the_phase(slow: Fraction, fast: Fraction) -> None:
    before, after = Fraction(BIN_NS) / slow, Fraction(BIN_NS) / fast
    schedule = Schedule(0, before)
    for _ in range(5):
        schedule.take(schedule.due_ns)
    # 0.4 of a period after tick 4, 0.6 of one are left.
    now = math.floor(Fraction(44, 10) * before)
    schedule.retime(now, after)
    expected = now + Fraction(6, 10) * after
    assert abs(schedule.due_ns - expected) <= 1 + after / before
    for _ in range(1000):
        schedule.take(schedule.due_ns)
    assert abs(schedule.due_ns - expected - 1000 * after) <= 2 + after / before
    assert schedule.index == 1005


def test_a_tick_that_is_overdue_stays_so() -> None:
    schedule = Schedule(0, BIN_NS)
    schedule.retime(BIN_NS // 2, 10 * BIN_NS)
    assert schedule.take(BIN_NS // 2) == Tick(0, 0, BIN_NS // 2)
    assert schedule.due_ns == 10 * BIN_NS


def test_too_early() -> None:
    with pytest.raises(ValueError, match="tick 0 is due in 1 ns"):
        Schedule(1, BIN_NS).take(0)


def test_speeds_as_people_write_them() -> None:
    assert exact_speed(0.1) == Fraction(1, 10)
    assert exact_speed(3 / 7) == Fraction(3, 7)
    assert exact_speed(20) == 20
    assert exact_speed(Fraction(1, 3)) == Fraction(1, 3)


@pytest.mark.parametrize("speed", [0, -1, math.nan, math.inf, -math.inf, 1e-9])
def test_bad_speeds(speed: float) -> None:
    with pytest.raises(UsageError, match="speed"):
        exact_speed(speed)


def test_bad_periods() -> None:
    for period in (0, -5, Fraction(1, 2)):
        with pytest.raises(UsageError, match="period"):
            Schedule(0, period)
        with pytest.raises(UsageError, match="period"):
            Schedule(0, BIN_NS).retime(0, period)
