"""Decimation: extremes are exact, wherever they lie."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.signal.decimation import (
    EMPTY,
    extremes,
    lttb_points,
    minmax_points,
    minmax_points_with_gaps,
)
from storage.spans import Span


@given(st.integers(1, 3000), st.integers(2, 200), st.data())
def test_no_spike_is_lost(n_samples: int, n_points: int, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, n_samples - 1))
    height = data.draw(st.sampled_from([7, -7]))
    samples = np.zeros((n_samples, 2), np.int16)
    samples[at, 1] = height
    points = minmax_points(samples, n_points)
    assert len(points) <= max(n_points, 2)
    assert at in points[:, 1]
    assert (np.diff(points, axis=0) >= 0).all()


@given(st.integers(10, 2000), st.integers(2, 100), st.data())
def test_no_spike_is_lost_beside_gaps(n_samples: int, n_points: int, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(0, n_samples), min_size=2, max_size=12)))
    stretches = [Span(*pair) for pair in zip(cuts[0::2], cuts[1::2], strict=False)]
    stretch = data.draw(st.sampled_from(stretches))
    at = data.draw(st.integers(stretch.start, stretch.stop - 1))
    # Whatever stands in the gaps must not count.
    samples = np.full((n_samples, 1), 30000, np.int16)
    for one in stretches:
        samples[one.start : one.stop] = 0
    samples[at] = 9
    points = minmax_points_with_gaps(samples, stretches, n_points)[:, 0]
    assert len(points) <= n_points
    assert at in points
    there = points[points != EMPTY]
    assert samples[there].max() == 9
    assert samples[there].min() == (0 if sum(map(len, stretches)) > 1 else 9)
    assert (np.diff(there) >= 0).all()


def test_few_samples_stay_as_they_are() -> None:
    samples = np.arange(10.0)[:, None]
    np.testing.assert_array_equal(minmax_points(samples, 100)[:, 0], np.arange(10))


def test_shape_is_kept_by_triangles() -> None:
    samples = np.sin(np.linspace(0, 20, 5000))[:, None]
    points = lttb_points(samples, 200)
    assert points.shape == (200, 1)
    assert samples[points[:, 0], 0].max() == pytest.approx(samples.max(), abs=1e-3)


@given(st.integers(0, 500), st.integers(1, 70))
def test_extremes_equal_numpy(n_samples: int, factor: int) -> None:
    samples = np.random.default_rng(n_samples).integers(-99, 99, (n_samples, 3))
    low, high = extremes(samples, factor)
    assert len(low) == -(-n_samples // factor)
    for number in range(len(low)):
        piece = samples[number * factor : (number + 1) * factor]
        np.testing.assert_array_equal(low[number], piece.min(axis=0))
        np.testing.assert_array_equal(high[number], piece.max(axis=0))


def test_impossible_numbers() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        minmax_points(np.zeros((10, 1)), 1)
    with pytest.raises(ValueError, match="at least 1"):
        extremes(np.zeros((10, 1)), 0)
