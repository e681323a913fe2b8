"""How stored numbers become physical values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Factor = float | np.floating


@dataclass(frozen=True, slots=True)
class Scaling:
    """``physical = (stored * factor + offset) * to_unit``, in exactly this order.

    The order matters to the last bit: multiplying the factors beforehand gives other doubles.

    Parameters
    ----------
    factor, offset
        From stored number to the unit that the file names.
    to_unit
        From the unit that the file names to the unit of the channel, for example 1e6 from volts
        to microvolts.
    """

    factor: Factor = 1.0
    offset: Factor = 0.0
    to_unit: float = 1.0

    def apply(self, stored: NDArray[np.generic]) -> NDArray[np.floating]:
        """Return the physical values of an array of any shape, in NumPy's own result type."""
        return (stored * self.factor + self.offset) * self.to_unit

    def apply_into(self, stored: NDArray[np.generic], out: NDArray[np.float64]) -> None:
        """Write the physical values of ``stored`` into ``out``, an array of the same shape.

        Bit for bit what :meth:`apply` returns where that is computed in double precision, without
        an array of its own.
        """
        np.multiply(stored, self.factor, out=out, dtype=np.float64)
        np.add(out, self.offset, out=out)
        np.multiply(out, self.to_unit, out=out)
