"""Binning: every spike counts once and in its bin, and blocks do not show."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from realtime.signal.binning import (
    BIN_US,
    MOST,
    BinnedSignal,
    SpikeCounter,
    bin_of,
    bins_over,
    count_spikes,
    coverage,
    observed_us,
)

N_BINS = 12
ORIGINS = st.sampled_from([0, 3 * BIN_US, -2 * BIN_US, 91304 * BIN_US])
# Some before the first bin and after the last one, many on an edge.
TIMES = st.lists(
    st.one_of(
        st.integers(-2 * BIN_US, (N_BINS + 2) * BIN_US),
        st.integers(-2, N_BINS + 2).map(lambda number: number * BIN_US),
        st.integers(-2, N_BINS + 2).map(lambda number: number * BIN_US - 1),
    ),
    max_size=60,
)


def blocks_of(total: int, cuts: list[int]) -> list[slice]:
    """Cut a range at some places."""
    edges = sorted({0, total, *(cut % (total + 1) for cut in cuts)})
    return [slice(*pair) for pair in pairwise(edges)] or [slice(0, 0)]


@given(ORIGINS, st.lists(TIMES, min_size=1, max_size=4), st.booleans())
def test_each_spike_within_is_counted_once(
    origin: int, trains: list[list[int]], in_order: bool
) -> None:
    trains = [sorted(train) if in_order else train for train in trains]
    spikes = [np.array(train, np.int64) + origin for train in trains]
    counts = count_spikes(spikes, origin, N_BINS)
    expected = Counter(
        (int(Fraction(time, BIN_US) // 1), unit)
        for unit, train in enumerate(trains)
        for time in train
        if 0 <= time < N_BINS * BIN_US
    )
    assert {tuple(at): counts[tuple(at)] for at in np.argwhere(counts).tolist()} == expected
    assert counts.sum() == expected.total()
    assert counts.shape == (N_BINS, len(trains))
    assert counts.dtype == np.uint8


@given(TIMES, st.lists(st.integers(0, 100)), st.randoms(use_true_random=False))
def test_counts_do_not_depend_on_blocks(times: list[int], cuts: list[int], random: object) -> None:
    rng = np.random.default_rng(len(times))
    units = rng.integers(0, 3, len(times)).astype(np.int32)
    when = np.array(times, np.int64)
    whole, cut = SpikeCounter(3, 0, N_BINS), SpikeCounter(3, 0, N_BINS)
    whole.add(when, units)
    for block in blocks_of(len(times), cuts):
        cut.add(when[block], units[block])
    np.testing.assert_array_equal(whole.counts, cut.counts)


def test_more_spikes_than_a_byte_can_tell() -> None:
    counter = SpikeCounter(2, 0, 3)
    block = np.full(200, BIN_US, np.int64), np.ones(200, np.int32)
    counter.add(*block)
    assert counter.counts.dtype == np.uint8
    counter.add(*block)
    assert counter.counts.dtype == np.uint16
    assert counter.counts.tolist() == [[0, 0], [0, 400], [0, 0]]
    counter.add(np.full(70_000, BIN_US, np.int64), np.ones(70_000, np.int32))
    assert counter.counts[1, 1] == MOST


def test_nothing_to_count() -> None:
    assert count_spikes([], 0, 5).shape == (5, 0)
    assert count_spikes([np.empty(0, np.int64)], 0, 5).sum() == 0
    assert count_spikes([np.array([7])], 0, 0).shape == (0, 1)


@pytest.mark.parametrize(
    ("start", "stop", "expected"),
    [
        (0, 50_000, (0, 2)),
        (1, 50_001, (0, 3)),
        (24_999, 25_000, (0, 1)),
        (2_282_600_000, 2_285_836_000, (2_282_600_000, 130)),
        (-1, 1, (-25_000, 2)),
        (10, 10, (0, 1)),
        (25_000, 25_000, (25_000, 0)),
    ],
)
def test_bins_cover_a_stretch(start: int, stop: int, expected: tuple[int, int]) -> None:
    assert bins_over(start, stop) == expected


def test_bin_of_a_microsecond() -> None:
    assert [bin_of(us) for us in (-1, 0, 24_999, 25_000)] == [-1, 0, 0, 1]
    # A recorded spike time of 2283.55 s, on the edge of a bin, as a file holds it.
    recorded = 2283.5499999999997
    assert bin_of(round(recorded * 1e6)) == 91_342
    assert int(recorded * 40) == 91_341


SAMPLES = st.lists(
    st.tuples(
        st.integers(-BIN_US, (N_BINS + 1) * BIN_US),
        st.floats(-1e6, 1e6, width=32) | st.just(float("nan")),
        st.floats(-1e6, 1e6, width=32) | st.just(float("nan")),
    ),
    max_size=60,
)


def naive(
    stamps: NDArray[np.int64], column: NDArray[np.float32]
) -> tuple[list[float], list[float]]:
    means, lasts = [], []
    for number in range(N_BINS):
        held = [
            (int(when), float(value))
            for when, value in zip(stamps, column, strict=True)
            if when // BIN_US == number and not np.isnan(value)
        ]
        means.append(float(np.mean([value for _, value in held])) if held else np.nan)
        # Of equal stamps the later sample of the file.
        lasts.append(
            max(enumerate(held), key=lambda item: (item[1][0], item[0]))[1][1] if held else np.nan
        )
    return means, lasts


@given(SAMPLES, st.booleans(), ORIGINS)
def test_mean_and_last_sample(
    samples: list[tuple[int, float, float]], in_order: bool, origin: int
) -> None:
    if in_order:
        samples = sorted(samples, key=lambda sample: sample[0])
    stamps = np.array([sample[0] for sample in samples], np.int64)
    values = np.array([sample[1:] for sample in samples], np.float32).reshape(-1, 2)
    binned = BinnedSignal(origin, N_BINS, 2)
    binned.add(stamps + origin, values)
    assert binned.mean.dtype == binned.last.dtype == np.float32
    for column in range(2):
        means, lasts = naive(stamps, values[:, column])
        np.testing.assert_allclose(binned.mean[:, column], means, rtol=1e-6, atol=1e-3)
        np.testing.assert_array_equal(binned.last[:, column], np.array(lasts, np.float32))


@given(SAMPLES, st.lists(st.integers(0, 100)), st.booleans())
def test_signals_do_not_depend_on_blocks(
    samples: list[tuple[int, float, float]], cuts: list[int], in_order: bool
) -> None:
    if in_order:
        samples = sorted(samples, key=lambda sample: sample[0])
    stamps = np.array([sample[0] for sample in samples], np.int64)
    values = np.array([sample[1:] for sample in samples], np.float32).reshape(-1, 2)
    whole, cut = BinnedSignal(0, N_BINS, 2), BinnedSignal(0, N_BINS, 2)
    whole.add(stamps, values)
    for block in blocks_of(len(stamps), cuts):
        cut.add(stamps[block], values[block])
    # To the last bit.
    np.testing.assert_array_equal(whole.mean, cut.mean)
    np.testing.assert_array_equal(whole.last, cut.last)


def test_of_equal_times_the_later_sample_is_the_last() -> None:
    binned = BinnedSignal(0, 1, 1)
    for values in ([1, 2], [3, 4]):
        binned.add(np.array([9, 9]), np.array(values, np.float32)[:, None])
    assert binned.last.tolist() == [[4.0]]
    # An earlier one that comes later does not count, but for the mean.
    binned.add(np.array([8]), np.array([[10]], np.float32))
    assert (binned.last.tolist(), binned.mean.tolist()) == ([[4.0]], [[4.0]])


@given(st.sets(st.integers(-40, 400), max_size=12))
def test_observed_time_is_exact(edges: set[int]) -> None:
    ordered = [edge * 997 for edge in sorted(edges)]
    pairs = list(zip(ordered[0::2], ordered[1::2], strict=False))
    intervals = np.array(pairs, np.int64).reshape(-1, 2)
    told = observed_us(intervals, 0, N_BINS)
    for number, found in enumerate(told):
        begin, end = number * BIN_US, (number + 1) * BIN_US
        assert found == sum(max(0, min(stop, end) - max(start, begin)) for start, stop in pairs)
    np.testing.assert_array_equal(coverage(intervals, 0, N_BINS), told == BIN_US)


def test_a_bin_is_valid_if_observed_throughout() -> None:
    # 100 ms seen, a gap of 60 ms, seen again until the middle of a bin.
    observed = np.array([[0, 100_000], [160_000, 260_000]])
    assert coverage(observed, 0, 11).tolist() == [True] * 4 + [False] * 3 + [True] * 3 + [False]
    assert coverage(None, 0, 2).all()
    assert not coverage(np.empty((0, 2), np.int64), 0, 2).any()
