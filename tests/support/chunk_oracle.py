"""What the chunk files and metadata of an NWB file must be, calculated slowly and plainly.

Shares no code with the product: the file is read through PyNWB, times are ``fractions.Fraction``
until they are rounded once, and everything is held in memory. h5py is asked only for what PyNWB
does not pass on as it stands in the file: the unit of the data (PyNWB always says volts) and the
text of the start time (PyNWB gives a time without an offset the zone of the machine).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import h5py
import numpy as np
from numpy.typing import NDArray
from pynwb import NWBHDF5IO
from pynwb.ecephys import ElectricalSeries, SpikeEventSeries

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
CLASSIC_UNITS = {"volts": 1e6, "v": 1e6, "millivolts": 1e3, "mv": 1e3, "microvolts": 1, "uv": 1}
UNITS = {
    **CLASSIC_UNITS,
    "volt": 1e6,
    "millivolt": 1e3,
    "microvolt": 1,
    "\u00b5v": 1,
    "\u03bcv": 1,
}


class BadTimestamp(ValueError):
    """A time stamp is missing, repeats or steps back."""

    def __init__(self, index: int) -> None:
        super().__init__(f"time stamp {index} does not come after the one before")
        self.index = index


@dataclass(frozen=True)
class Expected:
    """The output of a conversion.

    Parameters
    ----------
    files
        Decompressed payload of each ``.bin.gz`` file by name.
    metadata
        Object in each ``.metadata.json`` file by name.
    """

    files: dict[str, bytes]
    metadata: dict[str, dict[str, Any]]


@dataclass(frozen=True)
class _Piece:
    """A gap-free stretch: samples ``start`` to ``stop``."""

    start: int
    stop: int


def expected_chunks(
    path: Path,
    *,
    classic: bool = False,
    chunk_size_mb: int = 1,
    gap_threshold: float = 1.5,
    series: str | Sequence[str] | None = None,
    repair: bool = False,
    timezone: str | None = None,
) -> Expected:
    """Calculate the output of a conversion.

    Series stand in the order of their full path in the file, as plain strings
    (``acquisition/LFP/b`` before ``acquisition/a``, ``acquisition/raw`` before
    ``processing/ecephys/LFP/raw``); channel indices run on from one to the next. Series without
    samples and SpikeEventSeries take no index.

    Parameters
    ----------
    path
        An NWB file (HDF5) that PyNWB can read.
    classic
        As the existing container processor calculates it; needs exactly one series.
    chunk_size_mb
        Size of a full chunk in MiB.
    gap_threshold
        A longer step, in periods, starts a new segment; 2 in classic, whatever is given here.
    series
        None for those in ``acquisition`` (in classic: standing directly there), ``all`` for those
        in ``processing`` too, else names or paths.
    repair
        Start a new segment at a bad time stamp. A missing one is counted on by one period from
        the one before.
    timezone
        Zone of a start time without an offset.

    Raises
    ------
    BadTimestamp
        If a time stamp is missing, repeats or steps back, and neither ``repair`` nor ``classic``.
    ValueError
        If the file cannot be converted for another reason.
    """
    with NWBHDF5IO(path, "r") as io, h5py.File(path, "r") as file:
        nwb = io.read()
        chosen = _choose(nwb, series, classic)
        start = _start(file, classic, timezone)
        length = chunk_size_mb * 1024 * 1024 // 8
        if classic:
            if len(chosen) != 1:
                raise ValueError(f"classic converts one series, not {sorted(chosen)}")
            (only,) = chosen.values()
            return _classic(only, start.timestamp(), length)
        readings = [
            _Reading(name, item, _unit(file[name]), start, gap_threshold, repair)
            for name, item in sorted(chosen.items())
        ]
        readings = [one for one in readings if one.n_samples]
        if not readings:
            raise ValueError("no series with samples")
        return _correct(readings, length)


# --- which series, and when ----------------------------------------------------------------------


def _choose(nwb: Any, series: str | Sequence[str] | None, classic: bool) -> dict[str, Any]:
    found = dict(_electrical(nwb.acquisition, "acquisition"))
    if series is None:
        if classic:
            found = {path: item for path, item in found.items() if path.count("/") == 1}
        return found
    for name, module in nwb.processing.items():
        found.update(_electrical(module.data_interfaces, f"processing/{name}"))
    if series == "all":
        return found
    wanted = [series] if isinstance(series, str) else list(series)
    chosen = {}
    for one in wanted:
        fitting = [p for p in found if p == one.strip("/") or p.rpartition("/")[2] == one]
        if len(fitting) != 1:
            raise ValueError(f"{one!r} names {fitting}, expected one of {sorted(found)}")
        chosen[fitting[0]] = found[fitting[0]]
    return chosen


def _electrical(members: Any, where: str) -> Iterator[tuple[str, Any]]:
    for name, item in members.items():
        if isinstance(item, SpikeEventSeries):
            continue
        if isinstance(item, ElectricalSeries):
            yield f"{where}/{name}", item
        elif hasattr(item, "electrical_series"):
            yield from _electrical(item.electrical_series, f"{where}/{name}")


def _start(file: Any, classic: bool, timezone: str | None) -> datetime:
    name = "timestamps_reference_time"
    if classic or name not in file:
        name = "session_start_time"
    start = datetime.fromisoformat(file[name][()].decode())
    if start.tzinfo is None:
        if timezone is None:
            raise ValueError(f"{name} has no offset and no time zone was given")
        start = start.replace(tzinfo=ZoneInfo(timezone))
    return start


def _unit(series: Any) -> str:
    unit = series["data"].attrs.get("unit", "volts")
    return unit.decode() if isinstance(unit, bytes) else str(unit)


# --- the correct mode ----------------------------------------------------------------------------


class _Reading:
    """One series: its samples, times and channels."""

    def __init__(
        self,
        path: str,
        series: Any,
        unit: str,
        start: datetime,
        gap_threshold: float,
        repair: bool,
    ) -> None:
        self.path = path
        self.name = path.rpartition("/")[2]
        self.region = [int(row) for row in series.electrodes.data[:]]
        self.table = series.electrodes.table
        stored = series.data[()]
        if stored.ndim == 1:
            stored = stored[:, np.newaxis]
        if stored.shape[1] != len(self.region) and stored.shape[0] == len(self.region):
            stored = stored.T
        if stored.shape[1] != len(self.region):
            raise ValueError(f"data of shape {stored.shape} for {len(self.region)} electrodes")
        self.n_samples, self.n_channels = stored.shape
        if not self.n_samples:
            return
        self.microvolts = self._scaled(stored, series, unit)
        self.origin_us = Fraction((start - EPOCH) // timedelta(microseconds=1))
        self.stamps: list[float] | None = None
        self.rate: float
        self.pieces: list[_Piece]
        if series.rate is not None and not series.rate > 0:
            raise ValueError(f"rate is {series.rate}")
        if series.timestamps is None:
            self.rate = float(series.rate)
            self.origin_us += Fraction(float(series.starting_time or 0)) * 1_000_000
            self.pieces = [_Piece(0, self.n_samples)]
        else:
            self._read_timestamps(series, gap_threshold, repair)

    def _scaled(self, stored: NDArray[Any], series: Any, unit: str) -> NDArray[np.float64]:
        factor: Any = np.float64(series.conversion)
        if series.channel_conversion is not None:
            factor = np.asarray(series.channel_conversion[:], np.float64) * factor
        if unit.strip().lower() not in UNITS:
            raise ValueError(f"unit {unit!r} is no voltage")
        volts = stored.astype(np.float64) * factor + np.float64(series.offset)
        scaled: NDArray[np.float64] = volts * np.float64(UNITS[unit.strip().lower()])
        return scaled

    def _read_timestamps(self, series: Any, gap_threshold: float, repair: bool) -> None:
        raw = [float(stamp) for stamp in series.timestamps[:]]
        if len(raw) != self.n_samples:
            raise ValueError(f"{len(raw)} time stamps for {self.n_samples} samples")
        if not repair:
            for index, stamp in enumerate(raw):
                if not np.isfinite(stamp) or (index and not stamp > raw[index - 1]):
                    raise BadTimestamp(index)
        some = min(len(raw), 10_001)
        steps = [raw[index] - raw[index - 1] for index in range(1, some)]
        steps = [step for step in steps if np.isfinite(step) and step > 0]
        if not steps:
            raise ValueError("no rate can be told from these time stamps")
        estimate = float(np.median(steps))
        if series.rate is not None:
            self.rate = float(series.rate)
            if abs(1 / estimate - self.rate) / self.rate > 0.02:
                raise ValueError(f"time stamps say {1 / estimate} Hz, the rate {self.rate} Hz")
        else:
            stamps = _counted_on(raw, estimate)
            longest = max(
                _pieces(raw, stamps, gap_threshold * estimate),
                key=lambda piece: piece.stop - piece.start,
            )
            last = longest.stop - 1
            if longest.start == last:
                self.rate = 1 / estimate
            else:
                self.rate = (last - longest.start) / (stamps[last] - stamps[longest.start])
        self.stamps = _counted_on(raw, 1 / self.rate)
        self.pieces = _pieces(raw, self.stamps, gap_threshold / self.rate)

    def time_us(self, index: int) -> int:
        """Return when a sample was taken: rounded once, halves to even."""
        if self.stamps is None:
            return round(self.origin_us + index / Fraction(self.rate) * 1_000_000)
        return round(self.origin_us + Fraction(self.stamps[index]) * 1_000_000)

    def labels(self) -> list[str]:
        """Return the channels' names before collisions with other channels are looked at."""
        names = _column(self.table, "channel_name", self.region)
        if names is None:
            names = _column(self.table, "label", self.region)
        if names is None:
            names = [""] * self.n_channels
        return [name or f"{self.name}-{index}" for index, name in enumerate(names)]

    def groups(self) -> list[str]:
        """Return the channels' groups."""
        groups = _column(self.table, "group_name", self.region)
        if groups is None and "group" in self.table.colnames:
            groups = [str(self.table["group"][row].name).strip() for row in self.region]
        return [group or "default" for group in groups or [""] * self.n_channels]


def _counted_on(raw: list[float], period: float) -> list[float]:
    """Return time stamps where a missing one is a period after the one before it."""
    finite = [index for index, stamp in enumerate(raw) if np.isfinite(stamp)]
    stamps: list[float] = []
    for index, stamp in enumerate(raw):
        if np.isfinite(stamp):
            stamps.append(stamp)
        elif stamps:
            stamps.append(stamps[-1] + period)
        else:
            stamps.append(raw[finite[0]] - (finite[0] - index) * period)
    return stamps


def _pieces(raw: list[float], stamps: list[float], gap: float) -> list[_Piece]:
    """Return the stretches without a longer step, a step back, a repeat or a missing stamp."""
    starts = [0]
    for index in range(1, len(stamps)):
        step = stamps[index] - stamps[index - 1]
        begins_missing = not np.isfinite(raw[index]) and np.isfinite(raw[index - 1])
        if step > gap or not step > 0 or begins_missing:
            starts.append(index)
    stops = [*starts[1:], len(stamps)]
    return [_Piece(start, stop) for start, stop in zip(starts, stops, strict=True)]


def _column(table: Any, name: str, rows: list[int]) -> list[str] | None:
    if name not in table.colnames:
        return None
    return [_text(table[name].data[row]) for row in rows]


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        value = value.decode()
    if isinstance(value, float | np.floating) and float(value).is_integer():
        value = int(value)
    return str(value).strip()


def _correct(readings: list[_Reading], length: int) -> Expected:
    files: dict[str, bytes] = {}
    metadata: dict[str, dict[str, Any]] = {}
    names = _without_collisions(readings)
    number = 0
    for which, reading in enumerate(readings):
        groups = reading.groups()
        for channel in range(reading.n_channels):
            firsts, lasts = [], []
            for piece in reading.pieces:
                for begin in range(piece.start, piece.stop, length):
                    end = min(begin + length, piece.stop)
                    first, last = reading.time_us(begin), reading.time_us(end - 1)
                    payload = reading.microvolts[begin:end, channel].astype(">f8").tobytes()
                    _put(files, f"channel-{number:05d}_{first}_{last}.bin.gz", payload)
                    firsts.append(first)
                    lasts.append(last)
            metadata[f"channel-{number:05d}.metadata.json"] = _metadata(
                names[which][channel], min(firsts), max(lasts), reading.rate, groups[channel]
            )
            number += 1
    return Expected(files, metadata)


def _without_collisions(readings: list[_Reading]) -> list[list[str]]:
    """Add the series to names that agree with another's, and the index to repeats within one."""
    everyone = [
        (which, label, group, reading.rate)
        for which, reading in enumerate(readings)
        for label, group in zip(reading.labels(), reading.groups(), strict=True)
    ]
    named = []
    for which, reading in enumerate(readings):
        own = []
        labels, groups = reading.labels(), reading.groups()
        for index, (label, group) in enumerate(zip(labels, groups, strict=True)):
            alike = [
                other
                for other, name, shank, rate in everyone
                if name.casefold() == label.casefold()
                and shank.casefold() == group.casefold()
                and abs(1 - rate / reading.rate) < 0.02
            ]
            name = label
            others = {readings[other].name for other in alike if other != which}
            if others:
                name += f"-{reading.path if reading.name in others else reading.name}"
            if alike.count(which) > 1:
                name += f"-{index}"
            own.append(name)
        named.append(own)
    return named


# --- the classic mode ----------------------------------------------------------------------------


def _classic(series: Any, start_s: float, length: int) -> Expected:
    n_samples, n_channels = series.data.shape
    table = series.electrodes.table
    if len(table) != n_channels:
        raise ValueError(f"{len(table)} electrodes for {n_channels} channels")
    times: NDArray[np.float64] | None = None
    rate = series.rate
    pieces = [_Piece(0, n_samples)]
    if series.timestamps is not None:
        times = np.array([float(stamp) + start_s for stamp in series.timestamps[:]])
        if rate is None:
            rate = round(1 / float(np.median(np.diff(times[:10]))))
        starts = [0]
        for index in range(1, n_samples):
            if times[index] - times[index - 1] > 2 * (1 / rate):
                starts.append(index)
        stops = [*starts[1:], n_samples]
        pieces = [_Piece(start, stop) for start, stop in zip(starts, stops, strict=True)]

    def time_us(index: int) -> int:
        seconds = index / rate + start_s if times is None else times[index]
        return int(seconds * 1e6)

    factor = series.conversion
    if series.channel_conversion is not None:
        factor = np.array(series.channel_conversion[:]) * series.conversion
    to_microvolts = CLASSIC_UNITS[series.unit.lower()]
    files: dict[str, bytes] = {}
    for piece in pieces:
        for begin in range(piece.start, piece.stop, length):
            end = min(begin + length, piece.stop)
            values = series.data[begin:end, :] * factor + series.offset
            values = values * to_microvolts
            for channel in range(n_channels):
                name = f"channel-{channel:05d}_{time_us(begin)}_{time_us(end - 1)}.bin.gz"
                _put(files, name, values[:, channel].astype(">f8").tobytes())
    metadata = {}
    for channel, row in enumerate(int(row) for row in series.electrodes.data[:]):
        name = ""
        for column in ("label", "channel_name"):
            if column in table.colnames:
                name = table[column].data[row].strip()
        metadata[f"channel-{channel:05d}.metadata.json"] = _metadata(
            name,
            time_us(0),
            time_us(n_samples - 1),
            rate,
            table["group_name"].data[row].strip(),
        )
    return Expected(files, metadata)


# --- both ----------------------------------------------------------------------------------------


def _metadata(name: str, start: int, end: int, rate: float, group: str) -> dict[str, Any]:
    return {
        "name": name,
        "start": start,
        "end": end,
        "unit": "uV",
        "rate": rate if isinstance(rate, int) else float(rate),
        "type": "CONTINUOUS",
        "group": group,
        "lastAnnotation": 0,
        "properties": [],
    }


def _put(files: dict[str, bytes], name: str, payload: bytes) -> None:
    if name in files:
        raise ValueError(f"two chunks are called {name}")
    files[name] = payload
