"""Scaling gives the bits of its formula, for every type."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from storage.scaling import Scaling

TYPES = (
    "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64",
    "float16", "float32", "float64", ">i2", ">u4", ">f4", ">f8",
)  # fmt: skip
finite = st.floats(-1e12, 1e12)
numbers = st.sampled_from(TYPES).flatmap(
    lambda kind: hnp.arrays(np.dtype(kind), hnp.array_shapes(max_dims=2, max_side=20))
)


def bits(values: NDArray[Any]) -> NDArray[Any]:
    """Return the bit patterns of doubles, so that signs of zeros and NaN count."""
    assert values.dtype == np.float64
    return np.ascontiguousarray(values).view(np.uint64)


@given(numbers, finite, finite, st.sampled_from([1.0, 1e3, 1e6]))
@settings(deadline=None)
def test_in_double_each_number_goes_through_the_formula(
    stored: NDArray[Any], factor: float, offset: float, to_unit: float
) -> None:
    # A value of numpy.float64 at a time: no array arithmetic that could be ordered otherwise.
    with np.errstate(all="ignore"):
        expected = np.array(
            [
                (np.float64(number) * np.float64(factor) + np.float64(offset)) * np.float64(to_unit)
                for number in stored.reshape(-1)
            ],
            np.float64,
        ).reshape(stored.shape)
        scaled = Scaling(factor, offset, to_unit).apply(stored)
    nan = np.isnan(expected)
    np.testing.assert_array_equal(np.isnan(scaled), nan)
    np.testing.assert_array_equal(bits(scaled)[~nan], bits(expected)[~nan])


@given(numbers, st.floats(-1e3, 1e3, width=32), st.booleans(), st.booleans())
@settings(deadline=None)
def test_otherwise_the_types_decide_as_numpy_does(
    stored: NDArray[Any], factor: float, single: bool, plain: bool
) -> None:
    kind: Any = float if plain else np.float32 if single else np.float64
    with np.errstate(all="ignore"):
        expected = np.asarray((stored * kind(factor) + 0.25) * 1e6, np.float64)
        scaled = Scaling(kind(factor), 0.25, 1e6, in_double=False).apply(stored)
    np.testing.assert_array_equal(scaled, expected)


@pytest.mark.parametrize("in_double", [True, False])
@pytest.mark.parametrize("kind", TYPES)
def test_out_is_filled_and_returned(kind: str, in_double: bool) -> None:
    stored = np.arange(10).astype(kind)
    scaling = Scaling(0.3, -1.0, 1e3, in_double)
    out = np.full(10, np.nan)
    assert scaling.apply(stored, out) is out
    np.testing.assert_array_equal(bits(out), bits(scaling.apply(stored)))


def test_the_order_of_the_factors_shows() -> None:
    stored = np.arange(-1000, 1000, dtype=np.int16)
    scaled = Scaling(1.95e-7, 0.0, 1e6).apply(stored)
    assert (scaled != stored * (1.95e-7 * 1e6)).any()


def test_nan_and_infinity_pass_through() -> None:
    stored = np.array([np.nan, np.inf, -np.inf, -0.0], np.float32)
    scaled = Scaling(2.0, -0.0, 1e6).apply(stored)
    np.testing.assert_array_equal(scaled, [np.nan, np.inf, -np.inf, 0.0])
    assert np.signbit(scaled[3])
