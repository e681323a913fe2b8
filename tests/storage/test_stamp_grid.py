"""Stretches of an even grid are found in jittered stamps, however they come."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.spans import Span
from storage.stamp_grid import (
    Stretch,
    StretchClock,
    believed_rate_hz,
    drift_notes,
    effective_rate_hz,
    irregular_stretches,
    on_grid_s,
    stretches,
)


def in_bursts(
    taken: np.ndarray[tuple[int, ...], np.dtype[np.float64]], size: int, seed: int
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Return stamps of packets that arrive whole, some milliseconds after their last sample."""
    random = np.random.default_rng(seed)
    ends = np.repeat(taken[size - 1 :: size], size)
    return ends + np.repeat(random.uniform(0, 0.01, len(taken) // size), size)


@settings(max_examples=40, deadline=None)
@given(
    pauses=st.dictionaries(st.integers(1, 79), st.floats(0.08, 30.0), max_size=5),
    seed=st.integers(0, 1000),
    rate_hz=st.sampled_from([64.0, 256.0, 500.0]),
)
def test_pauses_are_found_and_jitter_is_not(
    pauses: dict[int, float], seed: int, rate_hz: float
) -> None:
    packet, at = 12, {}
    n_samples = 80 * 24 * packet
    taken = np.arange(n_samples) / rate_hz
    for place, seconds in pauses.items():
        at[place * 24 * packet] = seconds
        taken[place * 24 * packet :] += seconds
    found = stretches(in_bursts(taken, packet, seed), rate_hz)
    assert [each.span.start for each in found] == [0, *sorted(at)]
    assert found[-1].span.stop == n_samples
    for each in found:
        # Late by half a packet and the delay, all alike.
        assert 0 < each.start_s - taken[each.span.start] < packet / rate_hz + 0.02


def test_exact_stamps_give_their_own_start() -> None:
    taken = 100.25 + np.arange(1000) / 250
    (only,) = stretches(taken, 250.0)
    assert only.span == Span(0, 1000)
    assert only.start_s == pytest.approx(100.25)
    assert only.period_s == pytest.approx(1 / 250)


def test_a_burst_after_a_delay_is_no_gap() -> None:
    taken = np.arange(5000) / 1000
    late = taken.copy()
    late[2000:2900] = np.maximum(late[2000:2900], 2.9)
    assert len(stretches(late, 1000.0)) == 1
    lost = taken.copy()
    lost[2000:] += 0.9
    assert [each.span.start for each in stretches(lost, 1000.0)] == [0, 2000]


def test_a_clock_that_is_set_back_begins_a_new_stretch() -> None:
    stamps = np.arange(3000) / 100 + 1000
    stamps[2000:] -= 900
    found = stretches(stamps, 100.0)
    assert [each.span.start for each in found] == [0, 2000]
    assert found[1].start_s == pytest.approx(120)


def test_drift_is_noted_and_cut_before_it_grows_large() -> None:
    taken = np.arange(60 * 250) / 250.2
    (only,) = stretches(taken, 250.0)
    assert "48 ms" in drift_notes([only], 250.0)[0]
    long = np.arange(3600 * 250) / 250.2
    found = stretches(long, 250.0)
    assert len(found) == 6
    assert all(abs(each.start_s - long[each.span.start]) < 1e-6 for each in found)
    assert on_grid_s([only], 250.0, float(taken[9000])) == pytest.approx(36.0)
    assert on_grid_s([only], 250.0, -3.0) == -3.0
    assert drift_notes(stretches(np.arange(100) / 250, 250.0), 250.0) == []


def test_no_stamps_or_one() -> None:
    assert stretches(np.array([5.0]), 10.0) == [Stretch(Span(0, 1), 5.0, 0.1)]
    assert effective_rate_hz(np.array([5.0])) == 1.0
    assert effective_rate_hz(np.array([5.0, 5.0])) == 1.0


@given(st.lists(st.floats(0, 1000), min_size=1, max_size=60))
def test_irregular_samples_lie_within_half_a_period_of_their_stamps(stamps: list[float]) -> None:
    given_s = np.array(stamps)
    rate_hz = effective_rate_hz(given_s)
    found = irregular_stretches(given_s, rate_hz)
    assert [each.span.start for each in found[1:]] == [each.span.stop for each in found[:-1]]
    for each in found:
        due = each.start_s + np.arange(len(each.span)) / rate_hz
        held = given_s[each.span.start : each.span.stop]
        assert (np.abs(held - due) <= 0.5 / rate_hz + 1e-9).all()


def test_a_rate_is_believed_unless_the_stamps_plainly_contradict_it() -> None:
    assert believed_rate_hz(np.arange(35.0), 0.1) == 1.0
    assert believed_rate_hz(np.arange(1000) / 1004.1, 1000.0) == 1000.0
    assert believed_rate_hz(np.arange(5.0), 0.1) == 0.1
    paused = np.arange(2000) / 100
    paused[1000:] += 500
    assert believed_rate_hz(paused, 100.0) == 100.0


def test_the_clock_counts_within_stretches() -> None:
    found = [Stretch(Span(0, 3), 10.0, 0.5), Stretch(Span(3, 5), 20.0, 0.5)]
    clock = StretchClock(found, 2.0, 1_000_000, 10.0)
    assert [clock.time_us(index) for index in range(5)] == [
        1_000_000, 1_500_000, 2_000_000, 11_000_000, 11_500_000,
    ]  # fmt: skip
    assert [each.span for each in clock.segments(Span(1, 4))] == [Span(1, 3), Span(3, 4)]
    assert list(clock.segments(Span(2, 2))) == []
