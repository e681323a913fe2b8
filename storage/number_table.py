"""Tables of numbers that came out of a text file, kept in a temporary file while they are used.

Text cannot be read from the middle. It is parsed once, in blocks, into doubles on disk, so that
memory does not grow with the length of a recording.
"""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from storage.byte_files import file_name, open_bytes
from storage.clocks import Clock
from storage.errors import CorruptRecording, UnsupportedRecording
from storage.placed_source import PlacedGroup
from storage.recording import Channel, RateGroup
from storage.spans import Span

BLOCK_BYTES = 1 << 20
# A last line is looked for within this many bytes.
TAIL_BYTES = 1 << 16

Numbers = NDArray[np.float64]


class NumberTable:
    """Rows of doubles, one of which is a time stamp.

    Parameters
    ----------
    width
        Numbers in a row.
    stamp_at
        Which of them is the stamp.
    """

    def __init__(self, width: int, stamp_at: int = 0) -> None:
        self._width = width
        self._stamp_at = stamp_at
        self._file = tempfile.TemporaryFile(prefix="ranvier-")  # noqa: SIM115
        self._stamps_file = tempfile.TemporaryFile(prefix="ranvier-")  # noqa: SIM115
        self._stamps: Numbers | None = None
        self.n_rows = 0

    def append(self, rows: Numbers) -> None:
        """Add rows, shape ``(n, width)``."""
        self._file.write(np.ascontiguousarray(rows, np.float64).data)
        self._stamps_file.write(np.ascontiguousarray(rows[:, self._stamp_at], np.float64).data)
        self.n_rows += len(rows)

    def read(self, span: Span) -> Numbers:
        """Return rows, shape ``(len(span), width)``."""
        self._file.flush()
        row_bytes = 8 * self._width
        rows = np.empty((len(span), self._width))
        view = rows.data.cast("B") if rows.size else memoryview(b"")
        at = 0
        while at < len(view):
            # One call returns at most 2 GiB.
            at += os.preadv(self._file.fileno(), [view[at:]], span.start * row_bytes + at)
        return rows

    @property
    def stamps(self) -> Numbers:
        """The stamps of all rows, mapped from disk."""
        if self._stamps is None:
            self._stamps_file.flush()
            shape = (self.n_rows,)
            self._stamps = (
                np.memmap(self._stamps_file, np.float64, "r", shape=shape)
                if self.n_rows
                else np.empty(shape)
            )
        return self._stamps

    def close(self) -> None:
        """Let the rows go."""
        self._stamps = None
        self._file.close()
        self._stamps_file.close()


@dataclass(frozen=True, slots=True)
class ColumnGroup:
    """Columns that make up a rate group."""

    name: str
    columns: tuple[int, ...]
    channels: tuple[Channel, ...]


def place_columns(
    table: NumberTable, clock: Clock, groups: Sequence[ColumnGroup]
) -> list[PlacedGroup]:
    """Return the rate groups of a table, all with the clock and the stamps of its rows."""
    placed = []
    for group in groups:
        wanted = np.array(group.columns, np.intp)

        def read(
            span: Span, chosen: Span, wanted: NDArray[np.intp] = wanted
        ) -> NDArray[np.generic]:
            return table.read(span)[:, wanted[chosen.start : chosen.stop]]

        described = RateGroup(
            name=group.name,
            rate_hz=clock.rate_hz,
            n_samples=table.n_rows,
            dtype=np.dtype(np.float64),
            channels=group.channels,
        )
        placed.append(
            PlacedGroup(described, clock, read, lambda span: table.stamps[span.start : span.stop])
        )
    return placed


def irregularities(stamps: Numbers) -> tuple[int, int]:
    """Return how many stamps step back, and how many repeat the one before."""
    back = same = 0
    for first in range(1, len(stamps), 1 << 17):
        steps = np.diff(stamps[first - 1 : first + (1 << 17)])
        back += int((steps < 0).sum())
        same += int((steps == 0).sum())
    return back, same


@dataclass(frozen=True, slots=True, kw_only=True)
class TextLayout:
    """What the lines of a file look like.

    Parameters
    ----------
    columns
        Names of the columns.
    texts
        Indices of those that hold text.
    needed
        Indices of those that must hold a number.
    skipped_lines
        Lines before the first row of numbers, headings included.
    """

    columns: tuple[str, ...]
    texts: frozenset[int]
    needed: frozenset[int]
    skipped_lines: int

    def damage(self, line: bytes) -> str | None:
        """Return what is wrong with a row, or None."""
        fields = line.rstrip(b"\r\n").split(b",")
        if len(fields) != len(self.columns):
            return f"{len(fields)} fields, expected {len(self.columns)}"
        for index, field in enumerate(fields):
            if index in self.texts or (not field.strip() and index not in self.needed):
                continue
            try:
                number = float(field)
            except ValueError:
                return f"{self.columns[index]} is {field.decode('utf-8', 'replace')!r}"
            if index in self.needed and not np.isfinite(number):
                return f"{self.columns[index]} is {number}"
        return None


def read_blocks(
    url: str, layout: TextLayout, note: Callable[[str], None]
) -> Iterator[tuple[Numbers, list[list[str]]]]:
    """Yield the rows of a file in blocks: all columns as doubles, and those of text.

    Fields without a number, and those of text, are NaN. A last line that was cut short is left
    out, with a note.

    Raises
    ------
    CorruptRecording
        If another line is damaged; the message has its number.
    """
    import pyarrow as pa
    from pyarrow import csv

    where = file_name(url)
    types = {
        name: pa.string() if index in layout.texts else pa.float64()
        for index, name in enumerate(layout.columns)
    }
    with open_bytes(url) as file:
        end = _whole_lines_end(file, layout)
        if end is not None:
            note("the last line is cut short; left out")
        try:
            reader = csv.open_csv(
                io.BufferedReader(_Head(file, end)),
                read_options=csv.ReadOptions(
                    column_names=list(layout.columns),
                    skip_rows=layout.skipped_lines,
                    block_size=BLOCK_BYTES,
                    use_threads=False,
                ),
                convert_options=csv.ConvertOptions(column_types=types),
            )
            for batch in reader:
                numbers = np.full((batch.num_rows, len(layout.columns)), np.nan)
                for index in range(len(layout.columns)):
                    if index not in layout.texts:
                        numbers[:, index] = batch.column(index).to_numpy(zero_copy_only=False)
                if not np.isfinite(numbers[:, sorted(layout.needed)]).all():
                    raise CorruptRecording(first_damage(url, layout))
                yield numbers, [batch.column(index).to_pylist() for index in sorted(layout.texts)]
        except pa.ArrowInvalid as error:
            if "Empty CSV file" in str(error):
                raise UnsupportedRecording(f"{where}: holds no samples") from error
            raise CorruptRecording(first_damage(url, layout)) from error


def first_damage(url: str, layout: TextLayout) -> str:
    """Return what is wrong with the first damaged line of a file."""
    where = file_name(url)
    with open_bytes(url) as file:
        for number, line in enumerate(file, 1):
            if number <= layout.skipped_lines or not line.strip():
                continue
            wrong = layout.damage(line)
            if wrong is not None:
                return f"{where}: line {number}: {wrong}; mend or remove the line"
    return f"{where}: is not the text that its first lines promise"


def _whole_lines_end(file: BinaryIO, layout: TextLayout) -> int | None:
    """Return where the last line begins if it was cut short, else None."""
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - TAIL_BYTES))
    tail = file.read()
    file.seek(0)
    before, newline, last = tail.rpartition(b"\n")
    if not newline or not last or layout.damage(last) is None:
        return None
    return size - len(tail) + len(before) + 1


class _Head(io.RawIOBase):
    """The first bytes of a file, or all of it."""

    def __init__(self, file: BinaryIO, end: int | None) -> None:
        super().__init__()
        self._file = file
        self._left = end

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        wanted = len(buffer) if self._left is None else min(len(buffer), self._left)
        data = self._file.read(wanted)
        buffer[: len(data)] = data
        if self._left is not None:
            self._left -= len(data)
        return len(data)
