"""How the numbers of a channel become integers of 16 or 24 bits, and which range is declared.

Integers stay what they are. A range is declared in two numbers of at most 8 characters; where the
scaling does not lead to such numbers, the nearest are taken, and how much that changes is said.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.edf_fields import nearest, number_text, unit_text
from storage.edf_header import SIGNAL_FIELDS, UNCALIBRATED, EdfSignal
from storage.errors import UnsupportedRecording
from storage.protocols import RecordingSource
from storage.recording import Channel
from storage.scaling import Scaling
from storage.spans import Span, cut

VOLTAGES = (("uV", Fraction(1)), ("mV", Fraction(1, 1000)), ("V", Fraction(1, 10**6)),
            ("nV", Fraction(1000)))  # fmt: skip
LOOKED_AT_BYTES = 1 << 22
# Below this a number is what was meant: doubles are not exact themselves.
SAME = Fraction(1, 10**12)


@dataclass(frozen=True, slots=True)
class Extent:
    """Least and largest stored number of a channel, and whether all are integers."""

    low: float
    high: float
    whole: bool


@dataclass(frozen=True, slots=True)
class WrittenSignal:
    """How a channel is written.

    Parameters
    ----------
    fields
        Header fields by their names in ``SIGNAL_FIELDS``, but for ``samples``.
    scaling
        From stored numbers to the declared unit, where they are not written as they are.
    low, step
        Physical value of the lowest integer, and of a step.
    error
        How far a value may be off, in the unit of the channel.
    """

    fields: dict[str, str]
    scaling: Scaling | None = None
    low: float = 0.0
    step: float = 1.0
    error: float = 0.0

    def digitise(self, stored: NDArray[Any], bits: int) -> NDArray[np.int32]:
        """Return the integers of stored numbers."""
        if self.scaling is None:
            plain: NDArray[np.int32] = stored.astype(np.int32)
            return plain
        values = self.scaling.apply(stored)
        lowest = -(1 << (bits - 1))
        steps = np.rint((values - self.low) / self.step) + lowest
        integers: NDArray[np.int32] = np.clip(steps, lowest, -lowest - 1).astype(np.int32)
        return integers


def verbatim_signal(channel: Channel, dtype: np.dtype[np.generic]) -> EdfSignal | None:
    """Return the header fields that a channel came with, if they still hold for it."""
    names = [name for name, _ in SIGNAL_FIELDS]
    if dtype not in (np.int16, np.int32) or not all(name in channel.details for name in names):
        return None
    signal = EdfSignal(0, {name: channel.details[name] for name in names})
    same = signal.scaling == channel.scaling and signal.unit == channel.unit
    return signal if same else None


def extents(source: RecordingSource, number: int) -> list[Extent]:
    """Return what the numbers of each channel are; reads a rate group once.

    Raises
    ------
    UnsupportedRecording
        If some are no numbers.
    """
    group = source.recording.groups[number]
    count = len(group.channels)
    low, high = np.full(count, np.inf), np.full(count, -np.inf)
    whole = np.ones(count, bool)
    at_once = max(1, LOOKED_AT_BYTES // max(1, count * group.dtype.itemsize))
    for piece in cut(Span(0, group.n_samples), at_once):
        block: NDArray[Any] = source.read(number, piece)
        low = np.minimum(low, block.min(axis=0))
        high = np.maximum(high, block.max(axis=0))
        if group.dtype.kind == "f":
            if not np.isfinite(block).all():
                column = int(np.flatnonzero(~np.isfinite(block).all(axis=0))[0])
                raise UnsupportedRecording(
                    f"channel {group.channels[column].label}: samples {piece.start} to "
                    f"{piece.stop} hold values that are no numbers, for which EDF has no sign; "
                    "export as NWB or CSV"
                )
            whole &= (block == np.rint(block)).all(axis=0)
    empty = ~np.isfinite(low)
    low[empty] = high[empty] = 0
    return [Extent(float(a), float(b), bool(c)) for a, b, c in zip(low, high, whole, strict=True)]


def bits_needed(dtype: np.dtype[np.generic], extent: Extent | None) -> int:
    """Return 16 or 24: what a channel needs in order to lose nothing, or as little as possible."""
    if extent is None:
        return 16 if dtype == np.int16 else 24
    return 16 if extent.whole and extent.low >= -32768 and extent.high <= 32767 else 24


def written_signal(
    channel: Channel, dtype: np.dtype[np.generic], extent: Extent | None, bits: int
) -> WrittenSignal:
    """Return how a channel is written.

    Parameters
    ----------
    channel, dtype
        What it is.
    extent
        None where its own header fields are written again.
    bits
        Of a sample in the file.

    Raises
    ------
    UnsupportedRecording
        If its values have no place in the file.
    """
    if extent is None:
        signal = verbatim_signal(channel, dtype)
        assert signal is not None
        return WrittenSignal(dict(signal.fields))
    lowest, highest = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    if extent.whole and lowest <= extent.low and extent.high <= highest:
        return _as_they_are(channel, int(extent.low), int(extent.high), lowest, highest)
    if dtype.kind in "iu" and bits == 16:
        raise UnsupportedRecording(
            f"channel {channel.label}: integers from {extent.low:.0f} to {extent.high:.0f} do not "
            "fit the 16 bits of EDF; write a .bdf file"
        )
    return _quantised(channel, extent, lowest, highest)


def _as_they_are(channel: Channel, low: int, high: int, lowest: int, highest: int) -> WrittenSignal:
    scaling = channel.scaling
    to_unit = Fraction(float(scaling.to_unit))
    gain = Fraction(float(scaling.factor)) * to_unit
    offset = Fraction(float(scaling.offset)) * to_unit
    if not gain or channel.unit == UNCALIBRATED:
        return WrittenSignal(_fields(channel, "", (Fraction(lowest), Fraction(highest)),
                                     (lowest, highest)))  # fmt: skip
    best: tuple[Fraction, str, tuple[Fraction, Fraction], tuple[int, int]] | None = None
    for unit, scale in _units(channel):
        for limits in product(_below(low, lowest), _above(high, highest)):
            wanted = [(gain * limit + offset) * scale for limit in limits]
            found = [nearest(value) for value in wanted]
            if limits[0] >= limits[1] or None in found or found[0] == found[1]:
                continue
            a, b = (value or Fraction(0) for value in found)
            # Off at the ends of the range, which is where it is most.
            off = max(abs(a - wanted[0]), abs(b - wanted[1])) / scale
            if off <= SAME * max(abs(value) for value in wanted) / scale:
                off = Fraction(0)
            if best is None or off < best[0]:
                best = off, unit, (a, b), limits
        if best is not None and not best[0]:
            break
    if best is None:
        raise UnsupportedRecording(
            f"channel {channel.label}: values of {float(gain * high + offset):.3g} {channel.unit} "
            "do not fit the 8 characters that EDF has for the ends of a range; export as NWB"
        )
    off, unit, physical, limits = best
    return WrittenSignal(_fields(channel, unit, physical, limits), error=float(off))


def _quantised(channel: Channel, extent: Extent, lowest: int, highest: int) -> WrittenSignal:
    scaling = channel.scaling
    ends = np.sort(scaling.apply(np.array([extent.low, extent.high])))
    best: tuple[Fraction, str, Fraction, Fraction, Fraction] | None = None
    for unit, scale in _units(channel):
        low = nearest(Fraction(float(ends[0])) * scale, -1)
        high = nearest(Fraction(float(ends[1])) * scale, 1)
        if low is None or high is None:
            continue
        if low == high:
            high = nearest(high + Fraction(1, 10**6), 1)
            if high is None or low == high:
                continue
        step = (high - low) / (highest - lowest)
        if best is None or step / scale < best[0] / best[4]:
            best = step, unit, low, high, scale
    if best is None:
        raise UnsupportedRecording(
            f"channel {channel.label}: values from {ends[0]:.3g} to {ends[1]:.3g} {channel.unit} "
            "do not fit the 8 characters that EDF has for the ends of a range; export as NWB"
        )
    step, unit, low, high, scale = best
    return WrittenSignal(
        _fields(channel, unit, (low, high), (lowest, highest)),
        Scaling(scaling.factor, scaling.offset, scaling.to_unit * float(scale), scaling.in_double),
        float(low),
        float(step),
        float(step / scale / 2),
    )


def _units(channel: Channel) -> Iterator[tuple[str, Fraction]]:
    if channel.unit == "uV":
        yield from VOLTAGES
    else:
        yield channel.unit, Fraction(1)


def _below(low: int, lowest: int) -> list[int]:
    """Return lower ends of the range of integers that may lead to short physical ones."""
    found = [lowest, *(low // 10**zeros * 10**zeros for zeros in range(7, -1, -1))]
    return [end for end in dict.fromkeys(found) if lowest <= end <= low]


def _above(high: int, highest: int) -> list[int]:
    found = [highest, *(-(-high // 10**zeros) * 10**zeros for zeros in range(7, -1, -1))]
    found.append(high + 1)
    return [end for end in dict.fromkeys(found) if high <= end <= highest]


def _fields(
    channel: Channel,
    unit: str,
    physical: tuple[Fraction, Fraction],
    limits: tuple[int, int],
) -> dict[str, str]:
    names = ("physical_min", "physical_max", "digital_min", "digital_max")
    ends: list[Fraction | int] = [*physical, *limits]
    numbers = {
        name: number_text(value, f"{name} of {channel.label}")
        for name, value in zip(names, ends, strict=True)
    }
    kept = {name: channel.details.get(name, "") for name in ("transducer", "prefilter")}
    texts = {"label": channel.label, "dimension": unit, "reserved": "", **kept}
    return {name: _in_ascii(text) for name, text in texts.items()} | numbers


def _in_ascii(text: str) -> str:
    """Return a text with what ASCII lacks replaced."""
    return unit_text(text).encode("ascii", "replace").decode("ascii")
