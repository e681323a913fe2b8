"""CSV files of muse-lsl as recordings: ``timestamps,TP9,AF7,AF8,TP10,Right AUX,Marker0``.

The rows lie on the grid of the nominal rate; their stamps, which may repeat and step back, are
kept as they are. A row whose marker is not 0 is an annotation.
"""

from __future__ import annotations

from collections.abc import Iterator

from storage.byte_files import file_name, fingerprint, open_bytes
from storage.clocks import MICROSECONDS
from storage.errors import CorruptRecording, UnsupportedRecording
from storage.number_table import (
    ColumnGroup,
    NumberTable,
    TextLayout,
    irregularities,
    place_columns,
    read_blocks,
)
from storage.placed_source import StampedPlacedSource, distinct
from storage.recording import Annotation, Channel, Recording
from storage.stamp_grid import (
    StretchClock,
    believed_rate_hz,
    drift_notes,
    effective_rate_hz,
    stretches,
)

STAMP = "timestamps"
MOST_BYTES = 1 << 16
EEG = {"tp9", "tp10", "af7", "af8", "fp1", "fp2", "right aux", "left aux", "aux"}
# Stamps from here on count from 1970; smaller ones are of LSL's clock.
UNIX_FROM_S, UNIX_TO_S = 1e9, 1e10
NO_MARKER = ("", "0", "0.0", "nan")


class MuseCsvSource(StampedPlacedSource):
    """A CSV file of muse-lsl.

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
        with open_bytes(url) as file:
            names = [
                name.strip()
                for name in file.readline(MOST_BYTES).decode("utf-8-sig", "replace").split(",")
            ]
        if len(names) < 2 or names[0].lower() != STAMP:
            raise UnsupportedRecording(f"{where}: no CSV file of muse-lsl")
        marked = frozenset(i for i, name in enumerate(names) if name.lower().startswith("marker"))
        layout = TextLayout(
            columns=tuple(distinct(names)), texts=marked, needed=frozenset({0}), skipped_lines=1
        )
        notes: list[str] = []
        markers: list[tuple[int, str, str]] = []
        table = NumberTable(len(names))
        try:
            for numbers, texts in read_blocks(url, layout, notes.append):
                for column, values in zip(sorted(marked), texts, strict=True):
                    markers.extend(
                        (table.n_rows + row, text, layout.columns[column])
                        for row, text in _set_markers(values)
                    )
                table.append(numbers)
            if not table.n_rows:
                raise UnsupportedRecording(f"{where}: holds no samples")
            stamps = table.stamps
            signals = [i for i in range(1, len(names)) if i not in marked]
            if not signals:
                raise CorruptRecording(f"{where}: has no column but {STAMP} and markers")
            kind, nominal = _kind([names[i] for i in signals], where)
            rate_hz = believed_rate_hz(stamps, nominal) if nominal else effective_rate_hz(stamps)
            if rate_hz != nominal:
                notes.append(f"rate of {rate_hz:.6g} Hz as its stamps say")
            found = stretches(stamps, rate_hz)
            origin_s = min(each.start_s for each in found)
            start_known = UNIX_FROM_S < origin_s < UNIX_TO_S
            start_us = round(origin_s * MICROSECONDS) if start_known else 0
            if not start_known:
                notes.append("time stamps of LSL's clock; times count from the first sample")
            back, same = irregularities(stamps)
            if back or same:
                notes.append(f"of the time stamps {back} step back and {same} repeat; kept as such")
            notes.extend(drift_notes(found, rate_hz))
            clock = StretchClock(found, rate_hz, start_us, origin_s)
            channels = tuple(
                Channel(label=layout.columns[i], unit=_unit(names[i], kind)) for i in signals
            )
            placed = place_columns(table, clock, [ColumnGroup(kind, tuple(signals), channels)])
            recording = Recording(
                id=where,
                start_us=start_us,
                groups=tuple(each.group for each in placed),
                notes=tuple(notes),
                annotations=tuple(
                    Annotation(
                        onset_us=clock.time_us(row) - start_us,
                        text=text,
                        kind="marker",
                        source="muse-lsl" if len(marked) == 1 else f"muse-lsl {column}",
                    )
                    for row, text, column in sorted(markers)
                ),
                start_known=start_known,
            )
            super().__init__(url, recording, placed, fingerprint(url), table.close)
        except BaseException:
            table.close()
            raise


def _set_markers(values: list[str]) -> Iterator[tuple[int, str]]:
    for row, value in enumerate(values):
        text = value.strip()
        if text.lower() not in NO_MARKER:
            yield row, text.removesuffix(".0")


def _kind(names: list[str], where: str) -> tuple[str, float]:
    """Return what is recorded, and at which nominal rate (0: unknown)."""
    lower = {name.lower() for name in names}
    if lower & EEG:
        return "EEG", 256.0
    if any(name.startswith("ppg") for name in lower):
        return "PPG", 64.0
    if {"x", "y", "z"} <= lower:
        # The two have the same headings; muse-lsl puts the kind into the file's name.
        kinds = [kind for kind in ("ACC", "GYRO") if kind in where.upper()]
        return kinds[0] if len(kinds) == 1 else "XYZ", 52.0
    return "columns", 0.0


def _unit(name: str, kind: str) -> str:
    if kind == "EEG":
        return "uV" if name.lower() in EEG else ""
    return {"PPG": "a.u.", "ACC": "g", "GYRO": "deg/s"}.get(kind, "")
