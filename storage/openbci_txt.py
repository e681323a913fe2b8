"""Raw text files of the OpenBCI GUI (version 5 and later) as recordings.

EXG channels, acceleration and all other columns are a rate group each. The stamps are the
computer's; the board's counter tells which samples never arrived.
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from storage.byte_files import file_name, fingerprint, open_bytes
from storage.clocks import MICROSECONDS
from storage.errors import CorruptRecording, UnsupportedRecording
from storage.number_table import (
    ColumnGroup,
    NumberTable,
    TextLayout,
    place_columns,
    read_blocks,
)
from storage.placed_source import StampedPlacedSource, distinct
from storage.recording import Annotation, Channel, Recording
from storage.stamp_grid import StretchClock, drift_notes, stretches

MOST_HEADER_LINES = 50
COUNTER, STAMP, MARKER = "Sample Index", "Timestamp", "Marker Channel"
# Older versions stamp in milliseconds.
MILLISECONDS_FROM = 1e11
KINDS = (("EXG", "uV"), ("Accel", "g"), ("", ""))


class OpenBciSource(StampedPlacedSource):
    """A raw text file of the OpenBCI GUI.

    Parameters
    ----------
    url
        Local path or ``s3://`` URL.

    Raises
    ------
    UnsupportedRecording
        If it is another kind of file.
    CorruptRecording
        If a line is damaged; the message has its number.
    """

    def __init__(self, url: str) -> None:
        where = file_name(url)
        rate_hz, names, skipped = _heading(url, where)
        stamp_at = names.index(STAMP)
        texts = frozenset(i for i, name in enumerate(names) if name.endswith("(Formatted)"))
        labels = distinct(names)
        layout = TextLayout(
            columns=tuple(labels), texts=texts, needed=frozenset({stamp_at}), skipped_lines=skipped
        )
        notes: list[str] = []
        table = NumberTable(len(names), stamp_at)
        lost, last = 0, np.empty(0)
        markers: list[tuple[int, float]] = []
        try:
            for numbers, _ in read_blocks(url, layout, notes.append):
                if numbers[0, stamp_at] > MILLISECONDS_FROM:
                    numbers[:, stamp_at] /= 1000
                if COUNTER in names:
                    counts = np.append(last, numbers[:, names.index(COUNTER)])
                    lost, last = lost + _lost(counts), counts[-1:]
                if MARKER in names:
                    values = np.nan_to_num(numbers[:, names.index(MARKER)])
                    rows = np.flatnonzero(values)
                    markers += [(table.n_rows + int(row), float(values[row])) for row in rows]
                table.append(numbers)
            if not table.n_rows:
                raise UnsupportedRecording(f"{where}: holds no samples")
            stamps = table.stamps
            found = stretches(stamps, rate_hz)
            origin_s = min(each.start_s for each in found)
            start_us = round(origin_s * MICROSECONDS)
            notes.extend(drift_notes(found, rate_hz))
            clock = StretchClock(found, rate_hz, start_us, origin_s)
            left_out = {stamp_at, *texts}
            groups = []
            for prefix, unit in KINDS:
                columns = [
                    i
                    for i, name in enumerate(names)
                    if i not in left_out and name.startswith(prefix)
                ]
                left_out.update(columns)
                channels = tuple(Channel(label=labels[i], unit=unit) for i in columns)
                if columns:
                    groups.append(ColumnGroup(prefix or "other", tuple(columns), channels))
            placed = place_columns(table, clock, groups)
            if lost:
                notes.append(f"by the board's counter {lost} samples never arrived")
            recording = Recording(
                id=where,
                start_us=start_us,
                groups=tuple(each.group for each in placed),
                notes=tuple(notes),
                annotations=tuple(
                    Annotation(
                        onset_us=clock.time_us(row) - start_us,
                        text=f"{value:g}",
                        kind="marker",
                        source="openbci",
                    )
                    for row, value in markers
                ),
            )
            super().__init__(url, recording, placed, fingerprint(url), table.close)
        except BaseException:
            table.close()
            raise


def _heading(url: str, where: str) -> tuple[float, list[str], int]:
    """Return the rate, the names of the columns, and how many lines come before the samples."""
    rate_hz = 0.0
    with open_bytes(url) as file:
        for number in range(1, MOST_HEADER_LINES):
            line = file.readline(1 << 16).decode("utf-8-sig", "replace").strip()
            if number == 1 and not line.startswith("%OpenBCI"):
                raise UnsupportedRecording(f"{where}: no raw text file of the OpenBCI GUI")
            if line.startswith("%"):
                said = re.match(r"%\s*Sample Rate\s*=\s*([0-9.]+)\s*Hz", line)
                rate_hz = float(said[1]) if said else rate_hz
                continue
            names = [name.strip() for name in line.split(",")]
            if names[0] == COUNTER and STAMP in names:
                break
            raise UnsupportedRecording(
                f"{where}: line {number} names no columns; written by a version of the OpenBCI "
                "GUI before 5, which is not read"
            )
    if not rate_hz:
        raise CorruptRecording(f"{where}: says no 'Sample Rate' above its samples")
    return rate_hz, names, number


def _lost(counter: NDArray[np.float64]) -> int:
    """Return how many numbers a counter of 256 left out."""
    steps = np.diff(counter[np.isfinite(counter)]) % 256
    return int(np.where(steps > 0, steps - 1, 0).sum())
