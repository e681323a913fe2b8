"""One electrical series of an NWB file: its samples, scaling, clock and channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from fractions import Fraction

import numpy as np

from storage.clocks import Clock, RateClock
from storage.errors import ChannelMismatch, CorruptRecording, UnsupportedRecording
from storage.nwb_clock import read_clock
from storage.nwb_electrodes import Electrodes, read_electrodes
from storage.nwb_series import SPIKES, FoundSeries
from storage.nwb_tree import NwbArray, NwbGroup, array_at, number
from storage.recording import Channel
from storage.scaling import Scaling
from storage.stamps import SAME_RATE

MOST_RENAMINGS = 10
TO_MICROVOLTS = {
    "volts": 1e6, "volt": 1e6, "v": 1e6,
    "millivolts": 1e3, "millivolt": 1e3, "mv": 1e3,
    "microvolts": 1.0, "microvolt": 1.0, "uv": 1.0, "\N{MICRO SIGN}v": 1.0,
    "\N{GREEK SMALL LETTER MU}v": 1.0,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesSignal:
    """A series, ready to be read.

    Parameters
    ----------
    transposed
        The array holds channels first.
    bounds_us
        Times of the earliest and the latest sample, where all time stamps were read.
    notes
        What had to be decided, for people to read.
    """

    path: str
    data: NwbArray
    transposed: bool
    n_samples: int
    dtype: np.dtype[np.generic]
    channels: tuple[Channel, ...]
    clock: Clock
    bounds_us: tuple[int, int] | None
    notes: tuple[str, ...]

    @property
    def name(self) -> str:
        """Last part of the path."""
        return self.path.rpartition("/")[2]

    @property
    def chunk_shape(self) -> tuple[int, int] | None:
        """``(samples, channels)`` of the stored pieces."""
        shape = self.data.chunk_shape
        if shape is None:
            return None
        if len(shape) == 1:
            return (shape[0], 1)
        return (shape[1], shape[0]) if self.transposed else (shape[0], shape[1])


def read_signal(
    root: NwbGroup,
    series: FoundSeries,
    start: datetime,
    *,
    gap_periods: float,
    repair: bool,
    classic: bool,
    known_rate_hz: float | None,
) -> SeriesSignal:
    """Read all of a series but its samples.

    Raises
    ------
    UnsupportedRecording
        If it is no continuous signal in volts.
    ChannelMismatch
        If electrodes and data do not fit.
    CorruptRecording, TimestampGap
        If the file contradicts itself.
    """
    data = array_at(series.group, "data")
    if data is None:
        raise CorruptRecording(f"{series.path}: has no data")
    if 0 in data.shape and not classic:
        return _empty(series, data)
    if series.group.attributes.get("neurodata_type") == SPIKES or len(data.shape) not in (1, 2):
        raise UnsupportedRecording(
            f"{series.path}: data of shape {data.shape} are no continuous signal, expected "
            "(samples, channels)"
        )
    if data.dtype.kind not in "iuf" or data.dtype.itemsize > 8:
        raise UnsupportedRecording(
            f"{series.path}: data of type {data.dtype}, expected integers or floats up to 64 bit"
        )
    electrodes = read_electrodes(root, series.group)
    if classic:
        n_samples, n_channels = _classic_shape(series.path, data, electrodes)
        transposed, notes = False, list[str]()
    else:
        n_samples, n_channels, transposed, notes = _shape(series.path, data, electrodes)
    clock, bounds_us, clock_notes = read_clock(
        series, n_samples, start, gap_periods, repair, classic, known_rate_hz
    )
    scalings, unit_notes = _scalings(series, data, n_channels, classic)
    labels, groups = _names(series.name, n_channels, electrodes, classic)
    return SeriesSignal(
        path=series.path,
        data=data,
        transposed=transposed,
        n_samples=n_samples,
        dtype=data.dtype.newbyteorder("="),
        channels=tuple(
            Channel(label=label, group=group, unit="uV", scaling=scaling)
            for label, group, scaling in zip(labels, groups, scalings, strict=True)
        ),
        clock=clock,
        bounds_us=bounds_us,
        notes=(*notes, *unit_notes, *clock_notes),
    )


def _empty(series: FoundSeries, data: NwbArray) -> SeriesSignal:
    return SeriesSignal(
        path=series.path,
        data=data,
        transposed=False,
        n_samples=0,
        dtype=data.dtype,
        channels=(),
        clock=RateClock(Fraction(0), 1.0),
        bounds_us=None,
        notes=(f"empty, shape {data.shape}, skipped",),
    )


def _shape(
    path: str, data: NwbArray, electrodes: Electrodes | None
) -> tuple[int, int, bool, list[str]]:
    shape = data.shape
    expected = None if electrodes is None else len(electrodes)
    if len(shape) == 1:
        if expected not in (None, 1):
            raise ChannelMismatch(
                f"{path}: data of shape {shape} are one channel, the electrodes region names "
                f"{expected}; mend the region"
            )
        return shape[0], 1, False, ["1-D data read as one channel"]
    if expected is None or shape[1] == expected:
        return shape[0], shape[1], False, []
    if shape[0] == expected:
        return shape[1], shape[0], True, [f"data of shape {shape} read as channels first"]
    raise ChannelMismatch(
        f"{path}: data of shape {shape} do not fit an electrodes region of shape ({expected},); "
        "expected as many columns as electrodes, mend the region"
    )


def _classic_shape(path: str, data: NwbArray, electrodes: Electrodes | None) -> tuple[int, int]:
    if len(data.shape) != 2 or not data.shape[0]:
        raise UnsupportedRecording(
            f"{path}: data of shape {data.shape}; --classic reads (samples, channels) only"
        )
    rows = electrodes.table_rows if electrodes else 0
    if rows != data.shape[1]:
        raise ChannelMismatch(
            f"{path}: {data.shape[1]} channels and an electrodes table of {rows} rows; --classic "
            "needs as many, leave it out to go by the region"
        )
    return data.shape[0], data.shape[1]


def _scalings(
    series: FoundSeries, data: NwbArray, n_channels: int, classic: bool
) -> tuple[list[Scaling], list[str]]:
    notes: list[str] = []
    attributes = data.attributes
    unit = str(attributes.get("unit", "")).strip()
    if not unit:
        unit = "volts"
        notes.append("no unit given, read as volts")
    to_unit = TO_MICROVOLTS.get(unit.lower())
    if to_unit is None:
        raise UnsupportedRecording(
            f"{series.path}: unit {unit!r} is not a voltage; expected volts, millivolts or "
            "microvolts"
        )
    conversion = number(attributes.get("conversion", 1.0), f"{data.path}: conversion")
    offset = number(attributes.get("offset", 0.0), f"{data.path}: offset")
    per_channel = array_at(series.group, "channel_conversion")
    if not classic:
        conversion, offset = float(conversion), float(offset)
    if per_channel is None:
        return [Scaling(conversion, offset, to_unit, not classic)] * n_channels, notes
    gains = np.atleast_1d(per_channel.values())
    if len(gains) == 1:
        gains = np.repeat(gains, n_channels)
    if gains.shape != (n_channels,):
        raise ChannelMismatch(
            f"{per_channel.path}: {gains.shape[0]} factors for {n_channels} channels; give one "
            "for each"
        )
    factors = gains * conversion if classic else gains.astype(np.float64) * conversion
    return [Scaling(factor, offset, to_unit, not classic) for factor in factors], notes


def _names(
    series: str, n_channels: int, electrodes: Electrodes | None, classic: bool
) -> tuple[Sequence[str], Sequence[str]]:
    names = electrodes.names if electrodes else None
    groups = electrodes.groups if electrodes else None
    if classic:
        return names or [""] * n_channels, groups or [""] * n_channels
    labels = [(names[index] if names else "") or f"{series}-{index}" for index in range(n_channels)]
    return labels, [(groups[i] if groups else "") or "default" for i in range(n_channels)]


def without_collisions(signals: Sequence[SeriesSignal]) -> list[SeriesSignal]:
    """Return the signals with channel labels that are unique within a group and rate.

    Channels of two series that agree in label, group and rate (raw and filtered of one electrode)
    are called ``<label>-<series>``, with the path where the series agree in name too; two of one
    series get their number. A new label that another channel has already is changed again.
    """
    renamed = list(signals)
    for _ in range(MOST_RENAMINGS):
        changed = _renamed_once(renamed)
        if changed == renamed:
            break
        renamed = changed
    return renamed


def _renamed_once(signals: Sequence[SeriesSignal]) -> list[SeriesSignal]:
    sharing: dict[tuple[str, str], list[tuple[int, float]]] = {}
    for own, signal in enumerate(signals):
        for channel in signal.channels:
            same = sharing.setdefault((channel.label.casefold(), channel.group.casefold()), [])
            same.append((own, signal.clock.rate_hz))

    renamed = []
    for own, signal in enumerate(signals):
        channels = []
        for index, channel in enumerate(signal.channels):
            label, rate_hz = channel.label, signal.clock.rate_hz
            same = sharing[channel.label.casefold(), channel.group.casefold()]
            others = {
                signals[who].name
                for who, other in same
                if who != own and abs(1 - other / rate_hz) < SAME_RATE
            }
            if others:
                label = f"{label}-{signal.path if signal.name in others else signal.name}"
            if sum(who == own for who, _ in same) > 1:
                label = f"{label}-{index}"
            channels.append(replace(channel, label=label))
        renamed.append(replace(signal, channels=tuple(channels)))
    return renamed
