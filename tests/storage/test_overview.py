"""The pyramid: extremes of bins equal those of the samples, at every zoom."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from storage.errors import UsageError
from storage.overview import (
    BLOCK_LEVELS,
    choose_bins,
    empty_bins,
    merge_bins,
    merge_samples,
    pyramid,
)
from storage.recording_store import RecordingStore
from storage.spans import Span
from tests.support.stores import BLOCK, check_overview, fill, live, pieces

TYPES = ("int16", "int32", "float32", "float64")


def signal(dtype: str, seed: int = 0) -> NDArray[Any]:
    rng = np.random.default_rng(seed)
    return (rng.normal(0, 300, (2, BLOCK))).astype(dtype)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(
    "held",
    [[Span(0, BLOCK)], [], [Span(5, 6)], [Span(0, 64), Span(100, 3000), Span(4096, 16000)]],
)
def test_levels_hold_the_extremes_of_what_is_held(dtype: str, held: list[Span]) -> None:
    samples = signal(dtype)
    there = np.zeros(BLOCK, np.bool_)
    for span in held:
        there[span.start : span.stop] = True
    for level, bins in pyramid(samples, held).items():
        assert bins.shape == (2, 2, BLOCK // level)
        assert bins.dtype == dtype
        for number in range(BLOCK // level):
            inside = slice(number * level, (number + 1) * level)
            kept = samples[:, inside][:, there[inside]]
            low, high = bins[0, :, number], bins[1, :, number]
            if kept.shape[1]:
                np.testing.assert_array_equal(low, kept.min(axis=1))
                np.testing.assert_array_equal(high, kept.max(axis=1))
            else:
                assert (low > high).all()


def test_what_is_no_number_is_left_out() -> None:
    samples = np.zeros((2, BLOCK), np.float32)
    samples[0, :64] = np.nan
    samples[1, 0] = np.nan
    samples[1, 1] = -np.inf
    bins = pyramid(samples, [Span(0, BLOCK)])[64]
    assert bins[0, 0, 0] > bins[1, 0, 0]
    assert (bins[0, 1, 0], bins[1, 1, 0]) == (-np.inf, 0)


def test_the_greatest_numbers_are_no_empty_bins() -> None:
    samples = np.full((1, BLOCK), np.iinfo(np.int16).max, np.int16)
    bins = pyramid(samples, [Span(0, BLOCK)])[64]
    assert (bins[0] <= bins[1]).all()


@given(
    st.integers(0, 10**7),
    st.integers(1, 10**8),
    st.integers(1, 5000),
    st.sampled_from([(64, 1024), (64, 1024, 16384)]),
)
def test_bins_are_multiples_of_a_level_and_few_enough(
    start: int, length: int, most: int, levels: tuple[int, ...]
) -> None:
    span = Span(start, start + length)
    level, factor = choose_bins(span, most, levels)
    assert factor % level == 0
    assert level == 1 or level in levels
    bins = -(-span.stop // factor) - span.start // factor
    assert bins <= most or factor >= span.stop
    # Not coarser than needed: a bin less long by a level would be one too many, or nearly so.
    # A single bin is another matter: it has to hold both ends, on whichever side of its border.
    assert most == 1 or factor <= 2 * (-(-length // most) + level)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_bins_of_any_length_are_merged_exactly(data: st.DataObject) -> None:
    factor = data.draw(st.integers(1, 7))
    count = data.draw(st.integers(1, 20))
    units = data.draw(st.integers(1, 60))
    at = data.draw(st.integers(-30, count * factor + 5))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    held = rng.integers(-1000, 1000, (2, units)).astype(np.int16)
    into, direct = (empty_bins(np.dtype("int16"), 2, count) for _ in range(2))
    merge_bins(into, np.stack((held, held)), at, factor)
    merge_samples(direct, held, at, factor, [Span(0, units)])
    np.testing.assert_array_equal(into, direct)
    for number in range(count):
        first = max(0, number * factor - at)
        inside = held[:, first : max(first, (number + 1) * factor - at)]
        if inside.shape[1]:
            np.testing.assert_array_equal(into[0, :, number], inside.min(axis=1))
            np.testing.assert_array_equal(into[1, :, number], inside.max(axis=1))
        else:
            assert (into[0, :, number] > into[1, :, number]).all()


def test_no_spike_is_hidden_at_any_zoom_before_and_after_sealing(
    local_store: RecordingStore,
) -> None:
    entry, group = live(local_store)
    stop = 5 * BLOCK + 777
    spans = [span for span in pieces(stop, 1000) if span.start // 1000 not in {3, 20, 21, 60}]
    late = spans.pop(9)
    fill(local_store, entry, group, spans)
    held = np.zeros(stop, np.bool_)
    for span in spans:
        held[span.start : span.stop] = True
    rng = np.random.default_rng(0)
    views = [(Span(0, stop), 2), (Span(0, stop), 1), (Span(0, stop + 5), 100_000)]
    for _ in range(25):
        start, end = sorted(rng.integers(0, stop + 1000, 2).tolist())
        views.append((Span(start, end), int(rng.choice([1, 7, 60, 500, 3000]))))

    def check() -> None:
        for span, most in views:
            check_overview(local_store, entry, group, span, most, held)

    check()
    local_store.compact(entry)
    check()
    fill(local_store, entry, group, [late])
    held[late.start : late.stop] = True
    check()
    entry = local_store.seal(entry)
    check()
    assert tuple(BLOCK_LEVELS) == (64, 1024)


def test_channels_can_be_chosen(local_store: RecordingStore) -> None:
    entry, group = live(local_store)
    fill(local_store, entry, group, pieces(4000, 1000))
    every = local_store.overview(entry, 0, Span(0, 4000), 10)
    some = local_store.overview(entry, 0, Span(0, 4000), 10, [2, 0])
    np.testing.assert_array_equal(some.low, every.low[:, [2, 0]])
    np.testing.assert_array_equal(some.high, every.high[:, [2, 0]])
    for wrong in ([3], [-1]):
        with pytest.raises(UsageError, match="no channel"):
            local_store.overview(entry, 0, Span(0, 4000), 10, wrong)
    with pytest.raises(UsageError, match="at least 1"):
        local_store.overview(entry, 0, Span(0, 4000), 0)


def test_the_end_of_time_costs_no_memory(local_store: RecordingStore) -> None:
    entry, group = live(local_store)
    far = 10**12
    fill(local_store, entry, group, [Span(0, 1000), Span(far, far + 1000)])
    local_store.compact(entry)
    entry = local_store.seal(entry)
    found = local_store.overview(entry, 0, Span(0, far + 1000), 100)
    there = np.all(found.low <= found.high, axis=1)
    assert there.tolist() == [number in {0, len(there) - 1} for number in range(len(there))]
