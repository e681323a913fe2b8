"""The bounded histogram against numpy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.runtime.histogram import Histogram, Spread


@given(st.lists(st.integers(0, 10**13), min_size=1, max_size=300))
def test_against_numpy(values: list[int]) -> None:
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    spread = histogram.spread()
    assert spread.count == len(values)
    assert spread.mean == pytest.approx(np.mean(values))
    assert spread.std == pytest.approx(np.std(values), abs=1e-3, rel=1e-6)
    assert spread.max == max(values)
    for part, found in [(0.5, spread.p50), (0.99, spread.p99)]:
        exact = int(np.quantile(values, part, method="inverted_cdf"))
        assert exact <= found <= exact * 33 / 32 + 1
    for bound in (0, 31, 32, 10**6, 10**9, max(values)):
        within = histogram.at_most(bound)
        assert within <= sum(value <= bound for value in values)
        assert within >= sum(value <= bound * 32 / 33 - 1 for value in values)


def test_every_small_value_is_exact() -> None:
    histogram = Histogram()
    for value in range(64):
        histogram.add(value)
        assert histogram.quantile(1) == value
    assert histogram.quantile(0.5) == 31
    assert histogram.at_most(31) == 32


def test_bounded_and_out_of_range() -> None:
    histogram = Histogram()
    histogram.add(-5)
    assert histogram.spread() == Spread(1, 0, 0, 0, 0, 0)
    histogram.add(10**30)
    assert histogram.quantile(1) == 10**30
    assert histogram.at_most(10**29) == 1
    assert len(histogram._counts) < 1500
    histogram.clear()
    assert histogram.spread() == Spread(0, 0, 0, 0, 0, 0)
    assert histogram.quantile(0.5) == 0
    with pytest.raises(ValueError, match="part"):
        histogram.quantile(1.5)


def test_in_another_unit() -> None:
    histogram = Histogram()
    histogram.add(2000)
    assert histogram.spread().scaled(1e-3).mean == 2.0
