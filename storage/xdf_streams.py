"""What an XDF file says of a stream: its names, units and values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.placed_source import distinct
from storage.recording import Channel
from storage.scaling import Scaling

TO_MICROVOLTS = {
    "microvolts": 1.0, "microvolt": 1.0, "uv": 1.0, "\N{MICRO SIGN}v": 1.0,
    "\N{GREEK SMALL LETTER MU}v": 1.0,
    "millivolts": 1e3, "millivolt": 1e3, "mv": 1e3,
    "volts": 1e6, "volt": 1e6, "v": 1e6,
    "nanovolts": 1e-3, "nv": 1e-3,
}  # fmt: skip
# Stamps further than this from the comparisons of clocks, or from each other, share no clock.
SAME_CLOCK_S = 600.0
SHORT_UNITS = {"percent": "%", "seconds": "s", "hertz": "Hz", "celsius": "C"}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class XdfStream:
    """A stream.

    Parameters
    ----------
    id, name, type
        What it is called; the name is unique in the file.
    nominal_hz
        Samples per second that were promised; 0 for none.
    values
        Shape ``(n_samples, n_channels)``; text as objects of ``str``.
    stamps, raw_stamps
        In seconds, corrected to the recorder's clock and as they were recorded.
    own_clock
        The stamps are not of the clock that was compared with the recorder's: the device has one
        of its own. ``stamps`` are then the raw ones, since a correction would mean nothing.
    labels, units
        Of each channel, as far as the file says; else empty.
    """

    id: int
    name: str
    type: str
    nominal_hz: float
    values: NDArray[Any]
    stamps: NDArray[np.float64]
    raw_stamps: NDArray[np.float64]
    own_clock: bool
    labels: tuple[str, ...]
    units: tuple[str, ...]

    @property
    def is_text(self) -> bool:
        """Whether the samples are text."""
        return bool(self.values.dtype == object)

    @property
    def first_s(self) -> float:
        """The earliest stamp."""
        return float(self.stamps.min())

    @property
    def last_s(self) -> float:
        """The latest stamp."""
        return float(self.stamps.max())

    def texts(self) -> Iterator[str]:
        """Yield each sample as text, the channels of one with commas between them."""
        for row in self.values:
            yield ", ".join(_text(value) for value in row)


def describe(item: dict[str, Any], name: str, stamps: NDArray[np.float64]) -> XdfStream:
    """Return what pyxdf says of a stream.

    Parameters
    ----------
    item
        As pyxdf returns it, clocks not corrected.
    name
        A name that no other stream of the file has.
    stamps
        The same stamps with corrected clocks.
    """
    info = item["info"]
    count = int(info["channel_count"][0])
    values = item["time_series"]
    if info["channel_format"][0] == "string":
        rows = np.empty((len(values), count), object)
        for index, row in enumerate(values):
            rows[index] = row
        values = rows
    labels, units = _labels(info, count)
    raw_stamps = np.asarray(item["time_stamps"], np.float64)
    own_clock = _is_own_clock(raw_stamps, item.get("clock_times", ()))
    return XdfStream(
        id=int(info["stream_id"]),
        name=name,
        type=str(info.get("type", [""])[0] or ""),
        nominal_hz=float(info["nominal_srate"][0]),
        values=values,
        stamps=raw_stamps if own_clock else np.asarray(stamps, np.float64),
        raw_stamps=raw_stamps,
        own_clock=own_clock,
        labels=labels,
        units=units,
    )


def _is_own_clock(stamps: NDArray[np.float64], compared_at: Sequence[float]) -> bool:
    if not len(stamps) or not len(compared_at):
        return False
    low, high = min(compared_at) - SAME_CLOCK_S, max(compared_at) + SAME_CLOCK_S
    return bool(stamps.max() < low or stamps.min() > high)


def channels_of(stream: XdfStream) -> tuple[Channel, ...]:
    """Return the channels of a numeric stream, voltages in microvolts."""
    return tuple(
        _channel(label, unit, stream.name)
        for label, unit in zip(distinct(stream.labels), stream.units, strict=True)
    )


def _channel(label: str, unit: str, group: str) -> Channel:
    factor = TO_MICROVOLTS.get(unit.lower())
    if factor is not None:
        scaling = Scaling(to_unit=factor)
        return Channel(label=label, group=group, unit="uV", scaling=scaling, details={"unit": unit})
    return Channel(label=label, group=group, unit=SHORT_UNITS.get(unit.lower(), unit))


def _labels(info: dict[str, Any], count: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    labels, units = [""] * count, [""] * count
    description = _first(info.get("desc"))
    channels = _first(description.get("channels")).get("channel", [])
    if isinstance(channels, list) and len(channels) == count:
        for index, channel in enumerate(channels):
            if isinstance(channel, dict):
                labels[index] = str(_only(channel.get("label")) or _only(channel.get("name")) or "")
                units[index] = str(_only(channel.get("unit")) or "").strip()
    return tuple(labels), tuple(units)


def _first(value: object) -> dict[str, Any]:
    first = _only(value)
    return first if isinstance(first, dict) else {}


def _only(value: object) -> object:
    return value[0] if isinstance(value, list) and value else None


def _text(value: object) -> str:
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    return str(value)
