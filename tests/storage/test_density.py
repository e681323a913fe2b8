"""The colour density array: what is loud at which frequency, and where nothing is known."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from storage.density import (
    EMPTY,
    FLOOR_DB,
    STEP_DB,
    TOP_HZ,
    density_block,
    density_shape,
)
from storage.recording_store import RecordingStore
from storage.scaling import Scaling
from storage.spans import Span
from tests.support.stores import BLOCK, append, chunk, live

RATE = Fraction(256)


def tone(hz: float, amplitude: float, n_samples: int = BLOCK) -> NDArray[np.float64]:
    wave: NDArray[np.float64] = np.sin(2 * np.pi * hz * np.arange(n_samples) / float(RATE))
    return amplitude * wave


@pytest.mark.parametrize("hz", [3.0, 10.0, 25.5, 39.0])
def test_a_tone_is_loudest_in_its_row(hz: float) -> None:
    samples = np.stack([tone(hz, 2000)]).astype(np.int16)
    values = density_block(samples, [Span(0, BLOCK)], RATE, [(Scaling(0.5), "uV")])
    shape = density_shape(RATE)
    assert shape is not None
    assert values.shape == (1, shape.rows, BLOCK // shape.hop)
    row = values[0].mean(axis=1).argmax()
    assert abs((row + 0.5) * shape.row_hz(RATE) - hz) <= shape.row_hz(RATE)


def test_noise_has_the_density_that_its_variance_tells() -> None:
    rng = np.random.default_rng(0)
    # White noise of 10 uV: 100 uV^2 over 128 Hz.
    samples = rng.normal(0, 20, (2, 8 * BLOCK)).astype(np.float32)
    channels = [(Scaling(0.5), "uV"), (Scaling(0.5e-6), "V")]
    values = density_block(samples, [Span(0, 8 * BLOCK)], RATE, channels)
    expected = 10 * np.log10(100 / 128)
    for channel in values:
        power = 10 ** ((FLOOR_DB + (channel.astype(float) - 1) * STEP_DB) / 10)
        assert abs(10 * np.log10(power.mean()) - expected) < 0.2


def test_columns_that_are_not_wholly_held_are_empty() -> None:
    samples = np.stack([tone(10, 500)]).astype(np.int16)
    held = [Span(0, 2048), Span(3000, 5119), Span(6144, BLOCK)]
    values = density_block(samples, held, RATE, [(Scaling(), "uV")])
    empty = (values == EMPTY).all(axis=(0, 1))
    assert empty.tolist() == [number in {2, 4, 5} for number in range(16)]


@pytest.mark.parametrize("bad", [np.nan, np.inf, 3e38])
def test_what_is_no_number_harms_only_its_column(bad: float) -> None:
    samples = np.stack([tone(10, 500)]).astype(np.float32)
    samples[0, 1500] = bad
    values = density_block(samples, [Span(0, BLOCK)], RATE, [(Scaling(), "uV")])
    clean = density_block(
        np.stack([tone(10, 500)]).astype(np.float32), [Span(0, BLOCK)], RATE, [(Scaling(), "uV")]
    )
    np.testing.assert_array_equal(np.delete(values, 1, axis=2), np.delete(clean, 1, axis=2))


@given(st.fractions(min_value=Fraction(1, 10), max_value=100_000))
def test_the_array_is_a_small_share_of_the_samples(rate: Fraction) -> None:
    shape = density_shape(rate)
    if shape is None:
        assert rate < 16
        return
    assert shape.rows >= 1
    assert shape.rows * shape.lines <= shape.hop // 2
    assert shape.rows / shape.hop <= 0.08
    assert shape.row_hz(rate) * shape.rows <= max(TOP_HZ, float(rate) / 2)


def test_columns_are_joined_and_cut(local_store: RecordingStore) -> None:
    entry, group = live(local_store, channels=2)
    append(local_store, [chunk(entry, group, Span(at, at + BLOCK)) for at in (0, BLOCK, 3 * BLOCK)])
    entry = local_store.seal(entry)
    every = local_store.density(entry, 0)
    shape = density_shape(group.rate)
    assert every is not None
    assert shape is not None
    columns = 4 * BLOCK // shape.hop
    assert every.values.shape == (columns, shape.rows, 2)
    assert every.span == Span(0, 4 * BLOCK)
    empty = (every.values == EMPTY).all(axis=(1, 2))
    assert np.flatnonzero(empty).tolist() == list(range(columns // 2, 3 * columns // 4))
    few = local_store.density(entry, 0, max_columns=10)
    assert few is not None
    count = few.hop // every.hop
    assert len(few.values) == -(-columns // count) <= 10
    for number, column in enumerate(few.values):
        inside = every.values[number * count : (number + 1) * count]
        np.testing.assert_array_equal(column, inside.max(axis=0))
    part = local_store.density(entry, 0, Span(BLOCK - 10, BLOCK + 10), channels=[1])
    assert part is not None
    first = BLOCK // shape.hop - 1
    np.testing.assert_array_equal(part.values, every.values[first : first + 2, :, 1:])
    odd = local_store.density(entry, 0, Span(shape.hop, 4 * BLOCK), max_columns=9)
    assert odd is not None
    count = odd.hop // every.hop
    for number, column in enumerate(odd.values):
        inside = every.values[1 + number * count : 1 + (number + 1) * count]
        np.testing.assert_array_equal(column, inside.max(axis=0))


def test_slow_signals_have_none(local_store: RecordingStore) -> None:
    entry, group = live(local_store, rate=Fraction(1))
    append(local_store, [chunk(entry, group, Span(0, 1000))])
    entry = local_store.seal(entry)
    assert local_store.density(entry, 0) is None
    assert local_store.verify(entry).ok
