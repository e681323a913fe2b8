"""Columns of an NWB table, read leniently: what is missing or odd is None, and a note says so."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.errors import CorruptRecording
from storage.nwb_tree import NwbArray, NwbGroup, array_at
from storage.spans import Span, cut

MICROSECONDS = 1e6
LATEST_S = 9e12  # beyond it microseconds do not fit into 64 bits


class Table:
    """A table whose columns stand beside one another as arrays.

    Parameters
    ----------
    group
        The table.
    notes
        Where to say what was left out, one line each.
    """

    def __init__(self, group: NwbGroup, notes: list[str]) -> None:
        self._group = group
        self._notes = notes
        ids = self.array("id")
        self.ids: list[int] | None = None
        if ids is not None and ids.dtype.kind in "iu":
            self.ids = [int(item) for item in ids.values().reshape(-1)]

    @property
    def path(self) -> str:
        """Where the table stands in the file."""
        return self._group.path

    def array(self, name: str) -> NwbArray | None:
        """Return the array of a column, or None where there is none."""
        try:
            return array_at(self._group, name)
        except CorruptRecording as error:
            self._notes.append(str(error))
            return None

    def column(self, name: str, rows: int) -> NDArray[Any] | None:
        """Return one value for each row, or None where the column has another shape."""
        array = self.array(name)
        if array is None:
            return None
        if math.prod(array.shape) != rows or self.array(f"{name}_index") is not None:
            self._notes.append(
                f"{array.path}: shape {array.shape}, expected one value for each of {rows} rows; "
                "left out"
            )
            return None
        return array.values().reshape(-1)

    def ragged(self, name: str, rows: int) -> list[NDArray[Any]] | None:
        """Return the values of each row of a column that may hold several for each."""
        array = self.array(name)
        if array is None:
            return None
        values = np.atleast_1d(array.values())
        index = self.array(f"{name}_index")
        if index is None:
            if values.shape[:1] == (rows,):
                return [np.atleast_1d(item) for item in values]
            self._notes.append(f"{array.path}: shape {array.shape} for {rows} rows; left out")
            return None
        try:
            bounds = row_bounds(index, rows, len(values))
        except CorruptRecording as error:
            self._notes.append(f"{error}; left out")
            return None
        return [values[bounds[row] : bounds[row + 1]] for row in range(rows)]

    def numbers(self, name: str, rows: int) -> list[float | None]:
        """Return a column of numbers; None for what is not finite."""
        values = self.column(name, rows)
        if values is None or values.dtype.kind not in "fiub":
            return [None] * rows
        return [value if math.isfinite(value) else None for value in values.astype(float).tolist()]

    def whole_numbers(self, name: str, rows: int) -> list[int | None]:
        """Return a column of whole numbers; None for others."""
        return [
            int(value) if value is not None and value.is_integer() else None
            for value in self.numbers(name, rows)
        ]

    def times_us(self, name: str, rows: int) -> list[int | None]:
        """Return a column of seconds as whole microseconds."""
        return [
            round(value * MICROSECONDS) if value is not None and abs(value) < LATEST_S else None
            for value in self.numbers(name, rows)
        ]

    def truths(self, name: str, rows: int) -> list[bool | None]:
        """Return a column of yes and no."""
        return [None if value is None else value != 0 for value in self.numbers(name, rows)]

    def texts(self, name: str, rows: int) -> list[str | None]:
        """Return a column of texts; None for empty ones."""
        values = self.column(name, rows)
        if values is None or values.dtype.kind not in "OU":
            return [None] * rows
        return [str(value).strip() or None for value in values]


def row_bounds(index: NwbArray, rows: int, n_values: int) -> NDArray[np.int64]:
    """Return where the values of each row begin, and where the last ones end.

    Raises
    ------
    CorruptRecording
        If the index does not fit the rows or the values.
    """
    ends = index.values().reshape(-1)
    if ends.dtype.kind not in "iu" or len(ends) != rows:
        raise CorruptRecording(
            f"{index.path}: {len(ends)} ends of type {ends.dtype}, expected {rows} whole numbers"
        )
    # pynwb stores the narrowest type that fits, down to uint8.
    bounds = np.concatenate([[0], ends.astype(np.int64)])
    if (np.diff(bounds) < 0).any() or bounds[-1] > n_values:
        raise CorruptRecording(
            f"{index.path}: ends at {int(bounds.max())} of {n_values} values, expected rising "
            "numbers up to that"
        )
    return bounds


def microseconds_of(seconds: NDArray[Any]) -> NDArray[np.int64]:
    """Return ``round(t * 1e6)`` of finite times."""
    scaled: NDArray[np.float64] = np.multiply(seconds, MICROSECONDS, dtype=np.float64)
    np.rint(scaled, out=scaled)
    return scaled.astype(np.int64)


def is_time(seconds: NDArray[Any]) -> NDArray[np.bool_]:
    """Say which numbers are times at all: neither NaN nor beyond what microseconds can tell."""
    told: NDArray[np.bool_] = np.abs(seconds) < LATEST_S
    return told


def row_blocks(array: NwbArray, span: Span, rows: int) -> Iterator[NDArray[Any]]:
    """Yield the rows of an array in blocks of ``rows``; the last may be shorter.

    Each stored piece is read and decompressed once, also where it is larger than a block.
    """
    further = tuple(Span(0, size) for size in array.shape[1:])
    height = array.chunk_shape[0] if array.chunk_shape else 1
    step = max(height, rows // height * height)
    # Reading ends where stored pieces end, so the first read is shorter.
    begin = span.start // height * height
    held: NDArray[Any] | None = None
    for piece in cut(Span(begin, max(begin, span.stop)), step):
        read = array.read(piece.intersect(span), *further)
        held = read if held is None or not len(held) else np.concatenate([held, read])
        while len(held) >= rows:
            yield held[:rows]
            held = held[rows:]
    if held is not None and len(held):
        yield held
