"""How rate groups are cut."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.geometry import (
    BLOCK_BYTES,
    LEVELS,
    MOST_CHUNK_BYTES,
    UNIT,
    Geometry,
    block_span,
    blocks_of,
    choose_geometry,
    density_hop,
)
from storage.spans import Span

RATES = st.fractions(min_value=Fraction(1, 1000), max_value=200_000)


def test_the_cut_of_chb_mit() -> None:
    assert choose_geometry(Fraction(256), 23, 2) == Geometry(163_840, 2560)


@given(RATES, st.integers(0, 4096), st.sampled_from([2, 4, 8]))
def test_blocks_hold_whole_bins_and_whole_chunks(
    rate: Fraction, channels: int, itemsize: int
) -> None:
    cut = choose_geometry(rate, channels, itemsize)
    sample = max(1, channels * itemsize)
    assert cut.block_samples % UNIT == 0
    assert cut.block_samples * sample <= BLOCK_BYTES or cut.block_samples == UNIT
    assert cut.chunk_samples % LEVELS[0] == 0
    chunks = cut.block_samples // cut.chunk_samples
    assert chunks * cut.chunk_samples == cut.block_samples
    assert chunks & (chunks - 1) == 0
    assert cut.chunk_samples * sample <= MOST_CHUNK_BYTES or cut.chunk_samples == LEVELS[0]
    assert cut.block_samples % density_hop(rate) == 0


@given(st.integers(200, 1000), st.integers(8, 64))
def test_usual_recordings_have_blocks_of_minutes_and_chunks_of_seconds(
    rate: int, channels: int
) -> None:
    cut = choose_geometry(Fraction(rate), channels, 2)
    assert 60 < cut.block_samples / rate < 680
    assert 5 < cut.chunk_samples / rate < 20
    assert 2.5 < density_hop(Fraction(rate)) / rate < 6


@given(st.integers(0, 10**12), st.integers(0, 10**6), st.integers(1, 10**6))
def test_the_blocks_of_a_span_are_those_that_share_samples_with_it(
    start: int, length: int, block: int
) -> None:
    block = max(block, length // 100 + 1)
    span = Span(start, start + length)
    numbers = list(blocks_of(span, block))
    assert sum(len(block_span(number, block).intersect(span)) for number in numbers) == length
    assert all(block_span(number, block).intersect(span) for number in numbers)


@pytest.mark.parametrize(("rate", "hop"), [(256, 1024), (512, 2048), (250, 1024), (1, 64)])
def test_columns_of_the_density_last_about_four_seconds(rate: int, hop: int) -> None:
    assert density_hop(Fraction(rate)) == hop
