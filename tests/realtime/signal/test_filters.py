"""Filters: what they pass, and that pages join."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from realtime.signal.filters import FORGOTTEN, design, filter_stretches, zero_phase
from storage.errors import UsageError
from storage.spans import Span

RATE = 256.0


def sine(frequency: float, seconds: float = 60.0) -> NDArray[np.float64]:
    wave: NDArray[np.float64] = np.sin(
        2 * np.pi * frequency * np.arange(int(seconds * RATE)) / RATE
    )
    return wave[:, None]


@pytest.mark.parametrize(
    ("corners", "frequency", "gain"),
    [
        ({"hp": 1.0}, 0.05, 0.0),
        ({"hp": 1.0}, 10.0, 1.0),
        ({"hp": 1.0}, 1.0, 0.5),
        ({"lp": 30.0}, 100.0, 0.0),
        ({"lp": 30.0}, 5.0, 1.0),
        ({"lp": 30.0}, 30.0, 0.5),
        ({"notch": 60.0}, 60.0, 0.0),
        ({"notch": 60.0}, 50.0, 1.0),
        ({"hp": 1.0, "lp": 70.0, "notch": 60.0}, 10.0, 1.0),
    ],
)
def test_gain_without_delay(corners: dict[str, float], frequency: float, gain: float) -> None:
    made = design(RATE, **corners)
    assert made is not None
    wave = sine(frequency)
    middle = slice(20 * 256, 40 * 256)
    filtered = zero_phase(made.sections, wave)[middle]
    # No delay: what passes lies upon the original, scaled.
    np.testing.assert_allclose(filtered, gain * wave[middle], atol=0.02)


@pytest.mark.parametrize(
    "corners",
    [{"hp": 0.1}, {"hp": 1.0, "lp": 70.0, "notch": 60.0}, {"lp": 15.0}, {"hp": 5.0, "notch": 50.0}],
)
def test_pages_join(corners: dict[str, float]) -> None:
    made = design(RATE, **corners)
    assert made is not None
    rng = np.random.default_rng(3)
    samples = rng.normal(0, 50, (int(400 * RATE), 2)).cumsum(axis=0) / 10 + 3000
    whole = zero_phase(made.sections, samples)
    for start in (int(120 * RATE), int(200 * RATE)):
        stop = start + int(10 * RATE)
        around = slice(start - made.reach, stop + made.reach)
        page = zero_phase(made.sections, samples[around])[made.reach : made.reach + stop - start]
        # The steps of the converters are 0.1 uV at least.
        np.testing.assert_allclose(page, whole[start:stop], atol=1e-3)


def test_reach_is_where_the_impulse_response_has_decayed() -> None:
    made = design(RATE, hp=0.5, lp=40.0)
    assert made is not None
    impulse = np.zeros((4 * made.reach + 1, 1))
    impulse[2 * made.reach] = 1
    answer = np.abs(zero_phase(made.sections, impulse))[:, 0]
    assert answer[3 * made.reach :].max() < 100 * FORGOTTEN


def test_gaps_are_not_crossed() -> None:
    made = design(RATE, hp=1.0)
    assert made is not None
    samples = np.zeros((3000, 1))
    samples[1000:2000] = 1e9
    samples[2000:] = np.nan
    out = filter_stretches(made.sections, samples, [Span(0, 1000)])
    assert np.abs(out[:1000]).max() == 0
    assert np.isnan(out[1000:]).all()


@pytest.mark.parametrize("n_samples", [1, 2, 5])
def test_short_stretches(n_samples: int) -> None:
    made = design(RATE, hp=1.0, lp=70.0)
    assert made is not None
    assert np.isfinite(zero_phase(made.sections, np.ones((n_samples, 3)))).all()


@pytest.mark.parametrize(
    ("corners", "named"),
    [
        ({"hp": 128.0}, "hp"),
        ({"lp": 0.0}, "lp"),
        ({"notch": 200.0}, "notch"),
        ({"hp": 30.0, "lp": 10.0}, "hp"),
        ({"hp": float("nan")}, "hp"),
    ],
)
def test_impossible_corners(corners: dict[str, float], named: str) -> None:
    with pytest.raises(UsageError, match=f"^{named}: expected"):
        design(RATE, **corners)


def test_nothing_to_do() -> None:
    assert design(RATE) is None
