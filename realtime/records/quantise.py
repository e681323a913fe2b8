"""From posted values to the numbers that are stored, exactly or not at all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from realtime.wire.fields import BadField
from storage.catalog_rows import StoredGroup

OFF_GRID_LSB = 1e-3
POSTED_UNIT = "posted_unit"
# What one of it is in microvolts; the two signs for micro are different characters.
MICROVOLTS = {"V": 1e6, "mV": 1e3, "uV": 1.0, "\u00b5V": 1.0, "\u03bcV": 1.0, "nV": 1e-3}


@dataclass(frozen=True, slots=True)
class Calibration:
    """How the values of one group become stored numbers.

    Parameters
    ----------
    dtype
        Of the stored numbers, little-endian.
    factor, offset, to_unit
        Of the scaling of each channel, shape ``(n_channels, 1)``.
    units
        Of the channels.
    exact
        Values must lie on the grid of integers.
    plain
        Stored as posted: nothing is known of the device.
    """

    dtype: np.dtype[Any]
    factor: NDArray[np.float64]
    offset: NDArray[np.float64]
    to_unit: NDArray[np.float64]
    units: tuple[str, ...]
    posted_unit: str | None
    exact: bool
    plain: bool

    @classmethod
    def of(cls, group: StoredGroup) -> Calibration:
        """Return the calibration of a group."""

        def column(name: str) -> NDArray[np.float64]:
            values = [float(getattr(channel.scaling, name)) for channel in group.channels]
            return np.array(values, np.float64)[:, None]

        return cls(
            dtype=group.dtype.newbyteorder("<"),
            factor=column("factor"),
            offset=column("offset"),
            to_unit=column("to_unit"),
            units=tuple(channel.unit for channel in group.channels),
            posted_unit=group.channels[0].details.get(POSTED_UNIT),
            exact=group.dtype.kind == "i",
            plain=not group.declared,
        )

    def stored(self, values: NDArray[np.float64], unit: str) -> NDArray[np.generic]:
        """Return the numbers to store.

        Parameters
        ----------
        values
            Shape ``(n_channels, n_samples)``.
        unit
            Of the values.

        Raises
        ------
        BadField
            If the unit does not fit, or a value lies off the grid or beyond the type's range.
        """
        if self.plain:
            if unit != self.posted_unit:
                raise BadField(
                    "unit",
                    f"expected {self.posted_unit!r}, as in the first chunk of these channels, got "
                    f"{unit!r}",
                )
            return np.ascontiguousarray(values, self.dtype)
        scales = np.array([[scale_of(unit, to)] for to in self.units])
        codes = (values * scales / self.to_unit - self.offset) / self.factor
        if not self.exact:
            return np.ascontiguousarray(codes, self.dtype)
        nearest = np.rint(codes)
        off = np.abs(codes - nearest) > OFF_GRID_LSB
        if off.any():
            channel, index = (int(at) for at in np.argwhere(off)[0])
            raise BadField(
                f"samples[{channel}][{index}]",
                f"{values[channel, index]!s} {unit} is {codes[channel, index]:.4f} steps of the "
                f"declared calibration; expected a whole number within {OFF_GRID_LSB} (declare "
                f"dtype float32 or float64 for values that are not the converter's own)",
            )
        bounds = np.iinfo(self.dtype)
        beyond = (nearest < bounds.min) | (nearest > bounds.max)
        if beyond.any():
            channel, index = (int(at) for at in np.argwhere(beyond)[0])
            raise BadField(
                f"samples[{channel}][{index}]",
                f"{values[channel, index]!s} {unit} is {nearest[channel, index]:.0f} steps of the "
                f"declared calibration; expected {bounds.min} to {bounds.max}, all that "
                f"{self.dtype.name} holds",
            )
        codes_in_type: NDArray[np.generic] = nearest.astype(self.dtype)
        return codes_in_type


def scale_of(unit: str, to: str) -> float:
    """Return what a value in one unit is to be multiplied with for another.

    Raises
    ------
    BadField
        If they measure different things.
    """
    if unit == to:
        return 1.0
    if unit in MICROVOLTS and to in MICROVOLTS:
        return MICROVOLTS[unit] / MICROVOLTS[to]
    raise BadField("unit", f"expected {to!r}, the unit of the channel, or a multiple, got {unit!r}")
