"""CSV files of Mind Monitor as recordings.

A row has a time and what was known then: band powers, raw values, motion, fit and battery. One at
an event has nothing but its time and the event. Columns of a kind are a rate group.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from storage.byte_files import file_name, fingerprint, open_bytes
from storage.clocks import MICROSECONDS
from storage.errors import CorruptRecording, UnsupportedRecording
from storage.number_table import ColumnGroup, NumberTable, irregularities, place_columns
from storage.placed_source import PlacedGroup, StampedPlacedSource, distinct
from storage.recording import Annotation, Channel, Recording
from storage.stamp_grid import BATCH, StretchClock, drift_notes, on_grid_s, stretches

STAMP, EVENT = "TimeStamp", "Elements"
BANDS = ("delta_", "theta_", "alpha_", "beta_", "gamma_")
# What a column is called, which group it belongs to, and its unit.
KINDS = (
    (("raw_", "aux"), "RAW", "uV"),
    (BANDS, "bands", "Bel"),
    (("accelerometer_",), "motion", "g"),
    (("gyro_",), "motion", "deg/s"),
    (("headbandon", "hsi_"), "fit", ""),
    (("battery",), "battery", "%"),
    (("optics", "ppg"), "optics", "a.u."),
    (("heart_rate",), "heart", "1/min"),
)
RATES_HZ = (256.0, 220.0, 128.0, 64.0, 60.0, 32.0, 16.0, 10.0, 8.0, 5.0, 4.0, 2.0, 1.0)
SAME_RATE = 0.05
ROWS_AT_ONCE = 4096
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class MindMonitorSource(StampedPlacedSource):
    """A CSV file of Mind Monitor.

    Parameters
    ----------
    url
        Local path or ``s3://`` URL.

    Raises
    ------
    UnsupportedRecording
        If it is another kind of file, or holds no rows of numbers.
    CorruptRecording
        If a line is damaged; the message has its number.
    """

    def __init__(self, url: str) -> None:
        where = file_name(url)
        events: list[tuple[float, str]] = []
        notes = ["times of the phone's own clock, which names no zone; taken as UTC"]
        with open_bytes(url) as file:
            lines = csv.reader(io.TextIOWrapper(file, "utf-8-sig", "replace", newline=""))
            names = [name.strip() for name in next(lines, [])]
            if not names or names[0] != STAMP:
                raise UnsupportedRecording(f"{where}: no CSV file of Mind Monitor")
            numeric = [i for i, name in enumerate(names) if i and name != EVENT]
            table = NumberTable(len(numeric) + 1)
            try:
                for block in _blocks(lines, names, numeric, events, notes, where):
                    table.append(block)
                recording, placed = _describe(url, table, names, numeric, events, notes)
                super().__init__(url, recording, placed, fingerprint(url), table.close)
            except csv.Error as error:
                table.close()
                raise CorruptRecording(f"{where}: line {lines.line_num}: {error}") from error
            except BaseException:
                table.close()
                raise


def _blocks(
    lines: Iterator[list[str]],
    names: list[str],
    numeric: list[int],
    events: list[tuple[float, str]],
    notes: list[str],
    where: str,
) -> Iterator[NDArray[np.float64]]:
    """Yield rows of a stamp and the numeric columns; fill ``events``."""
    event_at = names.index(EVENT) if EVENT in names else None
    rows: list[list[float]] = []
    damaged = ""
    for number, fields in enumerate(lines, 2):
        if damaged:
            raise CorruptRecording(damaged)
        if not any(field.strip() for field in fields):
            continue
        try:
            stamp, values, event = _row(fields, names, numeric, event_at)
        except ValueError as error:
            # Of a last line that was cut short nothing can be said but that.
            damaged = f"{where}: line {number}: {error}; mend or remove the line"
            continue
        if event:
            events.append((stamp, event))
        if values is not None:
            rows.append([stamp, *values])
        if len(rows) == ROWS_AT_ONCE:
            yield np.array(rows)
            rows.clear()
    if damaged:
        notes.append("the last line is cut short; left out")
    if rows:
        yield np.array(rows)


def _row(
    fields: list[str], names: list[str], numeric: list[int], event_at: int | None
) -> tuple[float, list[float] | None, str]:
    # The last field may be missing with its comma where there is no event.
    least = len(names) - (event_at == len(names) - 1)
    if not least <= len(fields) <= len(names):
        raise ValueError(f"{len(fields)} fields, expected {len(names)}")
    try:
        at = datetime.fromisoformat(fields[0].strip())
    except ValueError as error:
        raise ValueError(f"{STAMP} is {fields[0]!r}") from error
    stamp = (at.replace(tzinfo=UTC) - EPOCH) / timedelta(seconds=1)
    event = fields[event_at].strip() if event_at is not None and event_at < len(fields) else ""
    if not any(fields[i].strip() for i in numeric):
        return stamp, None, event
    values = []
    for i in numeric:
        text = fields[i].strip()
        try:
            values.append(float(text) if text else np.nan)
        except ValueError as error:
            raise ValueError(f"{names[i]} is {text!r}") from error
    return stamp, values, event


def _describe(
    url: str,
    table: NumberTable,
    names: list[str],
    numeric: list[int],
    events: list[tuple[float, str]],
    notes: list[str],
) -> tuple[Recording, list[PlacedGroup]]:
    where = file_name(url)
    if not table.n_rows:
        raise UnsupportedRecording(f"{where}: holds no rows of numbers")
    stamps = table.stamps
    rate_hz = _rate_hz(stamps)
    found = stretches(stamps, rate_hz)
    origin_s = min(each.start_s for each in found)
    start_us = round(origin_s * MICROSECONDS)
    back, same = irregularities(stamps)
    if back:
        notes.append(f"of the time stamps {back} step back and {same} repeat; kept as such")
    notes.extend(drift_notes(found, rate_hz))
    clock = StretchClock(found, rate_hz, start_us, origin_s)
    labels = distinct(names)
    members: dict[str, list[tuple[int, Channel]]] = {}
    for column, i in enumerate(numeric, 1):
        kind, unit = _kind(names[i])
        members.setdefault(kind, []).append((column, Channel(label=labels[i], unit=unit)))
    groups = [
        ColumnGroup(kind, tuple(at for at, _ in held), tuple(channel for _, channel in held))
        for kind, held in members.items()
    ]
    placed = place_columns(table, clock, groups)
    recording = Recording(
        id=where,
        start_us=start_us,
        groups=tuple(each.group for each in placed),
        notes=tuple(notes),
        annotations=tuple(
            Annotation(
                onset_us=round((on_grid_s(found, rate_hz, at) - origin_s) * MICROSECONDS),
                text=text,
                kind="marker",
                source="mind-monitor",
            )
            for at, text in sorted(events)
        ),
    )
    return recording, placed


def _kind(name: str) -> tuple[str, str]:
    for beginnings, kind, unit in KINDS:
        if name.lower().startswith(beginnings):
            return kind, unit
    return "other", ""


def _rate_hz(stamps: NDArray[np.float64]) -> float:
    """Return how many rows a second mostly has; from the usual step where rows are rarer."""
    if len(stamps) < 2:
        return 1.0
    step = float(np.median(np.diff(stamps[:BATCH])))
    if step >= 0.75:
        measured = 1 / step
    else:
        seconds = np.floor(stamps[:BATCH] - float(stamps[0])).astype(np.int64)
        counts = np.bincount(seconds[seconds >= 0])
        measured = float(np.median(counts[counts > 0]))
    usual = [rate for rate in RATES_HZ if abs(measured / rate - 1) <= SAME_RATE]
    return usual[0] if usual else float(f"{measured:.6g}")
