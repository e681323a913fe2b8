"""Signals of an NWB file beside its spikes: found, and read block by block with their times."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from storage.errors import CorruptRecording
from storage.nwb_columns import is_time, microseconds_of, row_blocks
from storage.nwb_series import SeriesTypes
from storage.nwb_tree import NwbArray, NwbGroup, array_at, is_array, is_group, number
from storage.spans import Span, cut
from storage.trials import Signal

PLACES = ("processing", "acquisition")
COLUMNS = re.compile(r"columns\s*=\s*\[([^\]]*)\]")
STAMPS_LOOKED_AT = 100  # for the rate that people are told


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalArrays:
    """A signal, and where its samples and times are.

    Parameters
    ----------
    stamps
        Time of each sample, in seconds; None where a rate gives them.
    start_s, rate_hz
        Time of the first sample, and samples per second.
    offset
        Added after the conversion.
    """

    signal: Signal
    data: NwbArray
    stamps: NwbArray | None
    start_s: float
    rate_hz: float
    offset: float

    def blocks(self, rows: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Yield times and values of shape ``(n, k)``; samples without a time are left out."""
        everything = Span(0, self.signal.n_samples)
        for seconds, data in zip(
            self._seconds(everything, rows), row_blocks(self.data, everything, rows), strict=True
        ):
            values = self._converted(data).reshape(len(data), -1)
            told = is_time(seconds)
            if told.all():
                yield microseconds_of(seconds), values
            else:
                yield microseconds_of(seconds[told]), values[told]

    def _seconds(self, span: Span, rows: int) -> Iterator[NDArray[np.float64]]:
        if self.stamps is not None:
            yield from row_blocks(self.stamps, span, rows)
            return
        for piece in cut(span, rows):
            yield self.start_s + np.arange(piece.start, piece.stop) / self.rate_hz

    def _converted(self, data: NDArray[np.generic]) -> NDArray[np.float32]:
        if self.signal.conversion == 1 and self.offset == 0:
            return data.astype(np.float32)
        scaled = data.astype(np.float64) * self.signal.conversion + self.offset
        return scaled.astype(np.float32)


def find_signals(root: NwbGroup, notes: list[str]) -> tuple[SignalArrays, ...]:
    """Return every signal of a file that is neither electrical nor a film, sorted by path."""
    types = SeriesTypes(root)
    found: dict[object, SignalArrays] = {}
    for place in PLACES:
        top = root.member(place)
        if not is_group(top):
            continue
        for group in _series_below(top, set(), notes):
            if types.kind(group.attributes.get("neurodata_type", "")) or group.identity in found:
                continue
            try:
                arrays = _arrays(group)
            except CorruptRecording as error:
                notes.append(f"{error}; left out")
                continue
            if arrays is not None:
                found[group.identity] = arrays
    ordered = sorted(found.values(), key=lambda arrays: arrays.signal.path)
    names = Counter(arrays.signal.name for arrays in ordered)
    return tuple(
        replace(arrays, signal=replace(arrays.signal, name=arrays.signal.path))
        if names[arrays.signal.name] > 1
        else arrays
        for arrays in ordered
    )


def _series_below(group: NwbGroup, above: set[object], notes: list[str]) -> Iterator[NwbGroup]:
    for name in group.names():
        try:
            member = group.member(name)
            if not is_group(member) or member.identity in above:
                continue
            is_series = array_at(member, "data") is not None
        except CorruptRecording as error:
            notes.append(f"{error}; left out")
            continue
        if is_series:
            yield member
        else:
            yield from _series_below(member, above | {member.identity}, notes)


def _arrays(group: NwbGroup) -> SignalArrays | None:
    """Return a series as a signal, or None where it is something else, like a film or texts.

    Raises
    ------
    CorruptRecording
        If its samples have no time.
    """
    data = array_at(group, "data")
    if data is None or data.dtype.kind not in "iuf" or len(data.shape) not in (1, 2):
        return None
    n_samples, n_columns = data.shape[0], (data.shape[1] if len(data.shape) == 2 else 1)
    if not n_samples or not n_columns:
        return None
    stamps, start_s, rate_hz = array_at(group, "timestamps"), 0.0, 0.0
    told: float | None = None
    if stamps is not None:
        if stamps.shape != (n_samples,) or stamps.dtype.kind not in "iuf":
            raise CorruptRecording(
                f"{group.path}: {n_samples} samples and time stamps of shape {stamps.shape}, "
                f"type {stamps.dtype}; expected one for each"
            )
        told = _rate_of(stamps.read(Span(0, min(STAMPS_LOOKED_AT, n_samples))))
    else:
        start_s, rate_hz = _given_clock(group)
        told = rate_hz
    attributes = data.attributes
    conversion = float(number(attributes.get("conversion", 1.0), f"{data.path}: conversion"))
    offset = float(number(attributes.get("offset", 0.0), f"{data.path}: offset"))
    return SignalArrays(
        signal=Signal(
            name=group.path.rpartition("/")[2],
            columns=_columns(group, n_columns),
            unit=str(attributes.get("unit", "")).strip() or "unknown",
            conversion=conversion if np.isfinite(conversion) else 1.0,
            path=group.path,
            n_samples=n_samples,
            rate_hz=told,
        ),
        data=data,
        stamps=stamps,
        start_s=start_s,
        rate_hz=rate_hz,
        offset=offset if np.isfinite(offset) else 0.0,
    )


def _given_clock(group: NwbGroup) -> tuple[float, float]:
    start = group.member("starting_time")
    if not is_array(start) or "rate" not in start.attributes:
        raise CorruptRecording(f"{group.path}: samples have neither a rate nor time stamps")
    start_s = float(number(start.values(), start.path))
    rate_hz = float(number(start.attributes["rate"], f"{start.path}: rate"))
    if not (np.isfinite(start_s) and np.isfinite(rate_hz) and rate_hz > 0):
        raise CorruptRecording(
            f"{group.path}: starts at {start_s:g} s with {rate_hz:g} Hz, expected finite numbers"
        )
    return start_s, rate_hz


def _rate_of(seconds: NDArray[np.generic]) -> float | None:
    steps = np.diff(seconds.astype(np.float64))
    steps = steps[np.isfinite(steps) & (steps > 0)]
    # Rounded, since the last digits of the stamps say nothing.
    return round(1 / float(np.median(steps)), 3) if len(steps) else None


def _columns(group: NwbGroup, n_columns: int) -> tuple[str, ...]:
    for key in ("comments", "description"):
        match = COLUMNS.search(str(group.attributes.get(key, "")))
        names = [name.strip(" '\"") for name in match[1].split(",")] if match else []
        if len(names) == n_columns and all(names) and len(set(names)) == n_columns:
            return tuple(names)
    if n_columns == 1:
        return ("value",)
    if n_columns <= 3:
        return ("x", "y", "z")[:n_columns]
    return tuple(str(column) for column in range(n_columns))
