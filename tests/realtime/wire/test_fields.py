"""Numbers of a message: rates as ratios, places on a grid."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.wire.fields import BadField, exact, first_from, grid_index, rate_of, read_rate

RATES = st.sampled_from(
    [
        Fraction(256),
        Fraction(300),
        Fraction(2997, 10),
        Fraction(500),
        Fraction(1),
        Fraction(1, 10),
        Fraction(5000),
        Fraction(1024, 3),
        Fraction(200),
    ]
)


@given(RATES, st.integers(0, 30 * 86400), st.integers(1, 20))
def test_the_rate_is_found_wherever_the_chunk_lies(rate: Fraction, start: int, n: int) -> None:
    # As a client computes it: in doubles.
    n_samples = n * rate.numerator
    first = float(start * rate.numerator / rate)
    last = float((start * rate.numerator + n_samples) / rate)
    assert rate_of(n_samples, first, last) == rate
    assert grid_index(exact(first), rate) == start * rate.numerator


@pytest.mark.parametrize(
    ("n_samples", "start", "end", "rate"),
    [
        (256, 0.0, 1.0, Fraction(256)),
        (100, 1 / 3, 2 / 3, Fraction(300)),
        (2997, 10.0, 20.0, Fraction(2997, 10)),
        (1, 0.0, 0.1, Fraction(10)),
        (2560001, 0.0, 10000.0, Fraction(2560001, 10000)),
    ],
)
def test_rates(n_samples: int, start: float, end: float, rate: Fraction) -> None:
    assert rate_of(n_samples, start, end) == rate


@given(RATES, st.integers(0, 10**9))
def test_the_grid_holds_its_places_through_doubles(rate: Fraction, index: int) -> None:
    at = float(index / rate)
    if index / rate < 10**6:
        assert grid_index(exact(at), rate) == index
        assert first_from(exact(at), rate) == index


@pytest.mark.parametrize(("n_samples", "end"), [(1, 5e-324), (1, 1e8), (10**6, 1e-3)])
def test_impossible_rates(n_samples: int, end: float) -> None:
    with pytest.raises(BadField, match=r"^end: expected a rate"):
        rate_of(n_samples, 0.0, end)


def test_beside_the_grid() -> None:
    with pytest.raises(BadField, match=r"start: 1.001 s .* 1.0 and 1.00390625"):
        grid_index(exact(1.001), Fraction(256))
    assert grid_index(exact(1.0000005), Fraction(256)) == 256


@pytest.mark.parametrize("value", ["fast", "1/0", "", "inf", -1, 0, 1e9, "1e-30", "256Hz"])
def test_no_rates(value: float | str) -> None:
    with pytest.raises(BadField, match=r"^rate_hz: expected"):
        read_rate(value, "rate_hz")


def test_rates_as_ratios() -> None:
    assert read_rate("2997/10", "rate_hz") == read_rate(299.7, "rate_hz") == Fraction(2997, 10)
