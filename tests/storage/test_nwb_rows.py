"""Rows of arrays in any layout are read right, and each stored chunk is decoded once."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from storage import nwb_rows
from storage.nwb_rows import RowReader
from storage.nwb_tree import NwbGroup
from storage.spans import Span, cut

pytestmark = pytest.mark.usefixtures("nothing_left_over")


class CountedArray:
    """An array in memory that counts how often each of its chunks is decoded."""

    is_group: Literal[False] = False
    path = "counted"
    attributes: Mapping[str, object] = {}

    def __init__(self, values: NDArray[Any], chunk_shape: tuple[int, ...] | None) -> None:
        self._values = values
        self._lock = threading.Lock()
        self.shape = values.shape
        self.dtype = values.dtype
        self.chunk_shape = chunk_shape
        self.decoded: Counter[tuple[int, ...]] = Counter()
        self.read_bytes: list[int] = []

    @property
    def root(self) -> NwbGroup:
        raise NotImplementedError

    def values(self) -> NDArray[Any]:
        return self._values

    def read(self, *axes: Span) -> NDArray[Any]:
        assert all(axis.stop <= size for axis, size in zip(axes, self.shape, strict=True))
        block = self._values[tuple(slice(axis.start, axis.stop) for axis in axes)].copy()
        self.read_bytes.append(block.nbytes)
        return block

    def read_chunk(self, *corner: int) -> NDArray[Any]:
        assert self.chunk_shape is not None
        assert all(at % size == 0 for at, size in zip(corner, self.chunk_shape, strict=True))
        with self._lock:
            self.decoded[corner] += 1
        ends = zip(corner, self.chunk_shape, self.shape, strict=True)
        return self.read(*(Span(at, min(at + size, end)) for at, size, end in ends))


def numbers(rows: int, columns: int) -> NDArray[np.int32]:
    """Return numbers that are all different."""
    return np.arange(rows * columns, dtype=np.int32).reshape(rows, columns)


@st.composite
def layouts(draw: st.DrawFn) -> tuple[CountedArray, bool, NDArray[Any]]:
    """Draw an array, whether it holds channels first, and what reading it must give."""
    rows, columns = draw(st.integers(1, 900)), draw(st.integers(1, 9))
    expected = numbers(rows, columns)
    kind = draw(st.sampled_from(["rows first", "columns first", "one column"]))
    if kind == "one column":
        expected = expected[:, :1]
        stored: NDArray[Any] = expected[:, 0].copy()
    else:
        stored = expected.copy() if kind == "rows first" else expected.T.copy()
    chunk_shape = None
    if draw(st.booleans()):
        chunk_shape = tuple(draw(st.integers(1, side + 3)) for side in stored.shape)
    return CountedArray(stored, chunk_shape), kind == "columns first", expected


def read(reader: RowReader, rows: Span, columns: Span, columns_first: bool) -> NDArray[Any]:
    """Read into an array of one memory order or the other."""
    shape = (len(rows), len(columns))
    out = np.full(shape[::-1], -1, np.int32).T if columns_first else np.full(shape, -1, np.int32)
    reader.read(rows, columns, out)
    return out


@given(layouts(), st.lists(st.tuples(*[st.floats(0, 1)] * 4), max_size=8), st.booleans())
@settings(deadline=None, max_examples=150)
def test_any_read_gives_its_rows_and_columns(
    layout: tuple[CountedArray, bool, NDArray[Any]],
    places: list[tuple[float, float, float, float]],
    columns_first: bool,
) -> None:
    array, transposed, expected = layout
    reader = RowReader(array, transposed)
    n_rows, n_columns = expected.shape
    try:
        for a, b, c, d in [(0.0, 1.0, 0.0, 1.0), *places]:
            rows = Span(*sorted((round(a * n_rows), round(b * n_rows))))
            columns = Span(*sorted((round(c * n_columns), round(d * n_columns))))
            np.testing.assert_array_equal(
                read(reader, rows, columns, columns_first),
                expected[rows.start : rows.stop, columns.start : columns.stop],
            )
    finally:
        reader.close()


@given(layouts(), st.integers(1, 400), st.integers(0, 2))
@settings(deadline=None, max_examples=100)
def test_consecutive_blocks_decode_each_chunk_once(
    layout: tuple[CountedArray, bool, NDArray[Any]], size: int, columns: int
) -> None:
    array, transposed, expected = layout
    if array.chunk_shape is None:
        return
    shape = array.chunk_shape
    width = 1 if len(shape) == 1 else shape[0] if transposed else shape[1]
    n_rows, n_columns = expected.shape
    # The widths that a plan cuts channels into: whole chunks.
    step = max(1, columns) * width
    reader = RowReader(array, transposed)
    try:
        for part in cut(Span(0, n_columns), step if columns else n_columns):
            for rows in cut(Span(0, n_rows), size):
                np.testing.assert_array_equal(
                    read(reader, rows, part, True),
                    expected[rows.start : rows.stop, part.start : part.stop],
                )
    finally:
        reader.close()
    assert set(array.decoded.values()) == {1}
    counts = [-(-side // each) for side, each in zip(array.shape, shape, strict=True)]
    assert len(array.decoded) == np.prod(counts)


def test_no_more_than_a_band_of_chunks_is_kept() -> None:
    array = CountedArray(numbers(10_000, 4), (100, 2))
    reader = RowReader(array, False)
    for rows in cut(Span(0, 10_000), 730):
        read(reader, rows, Span(0, 4), True)
        assert len(reader._band) <= 2
    reader.close()
    assert not reader._band


def test_going_back_decodes_again_and_is_right() -> None:
    array = CountedArray(numbers(1000, 2), (300, 2))
    reader = RowReader(array, False)
    for start in (500, 0, 700, 100, 100):
        rows = Span(start, start + 200)
        np.testing.assert_array_equal(
            read(reader, rows, Span(0, 2), False), numbers(1000, 2)[start : start + 200]
        )
    reader.close()


@pytest.mark.parametrize("transposed", [False, True])
def test_a_contiguous_array_is_read_in_pieces(transposed: bool) -> None:
    expected = numbers(300_000, 16)
    array = CountedArray(expected.T.copy() if transposed else expected, None)
    reader = RowReader(array, transposed)
    np.testing.assert_array_equal(read(reader, Span(0, 300_000), Span(0, 16), True), expected)
    assert max(array.read_bytes) <= 2 * nwb_rows.PIECE_BYTES
    assert sum(array.read_bytes) == expected.nbytes


class Broken(CountedArray):
    """Cannot decode its third chunk."""

    def read_chunk(self, *corner: int) -> NDArray[Any]:
        if corner[0] == 200:
            raise OSError("the third")
        return super().read_chunk(*corner)


def test_an_error_reaches_the_reader_and_others_stay_readable() -> None:
    reader = RowReader(Broken(numbers(1000, 2), (100, 2)), False)
    with pytest.raises(OSError, match="the third"):
        read(reader, Span(0, 1000), Span(0, 2), True)
    np.testing.assert_array_equal(
        read(reader, Span(300, 1000), Span(0, 2), True), numbers(1000, 2)[300:]
    )
    reader.close()


def threads() -> Iterator[str]:
    """Yield the names of the decoding threads."""
    return (thread.name for thread in threading.enumerate() if thread.name.startswith("decode"))


def test_closing_ends_the_threads_and_may_be_repeated() -> None:
    reader = RowReader(CountedArray(numbers(1000, 2), (100, 2)), False)
    assert not list(threads())
    read(reader, Span(0, 1000), Span(0, 2), True)
    assert 0 < len(list(threads())) <= nwb_rows.DECODERS
    reader.close()
    assert not list(threads())
    reader.close()
