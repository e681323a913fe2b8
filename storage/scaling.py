"""How stored numbers become physical values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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
    in_double
        Compute in double precision. Otherwise the precision is what NumPy makes of the types at
        hand, which for 32-bit floats may be single.
    """

    factor: Factor = 1.0
    offset: Factor = 0.0
    to_unit: float = 1.0
    in_double: bool = True

    def apply(
        self, stored: NDArray[Any], out: NDArray[np.float64] | None = None
    ) -> NDArray[np.float64]:
        """Return the physical values of an array of any shape.

        Parameters
        ----------
        stored
            Stored numbers.
        out
            Array of the same shape to write to, instead of a new one.
        """
        if out is None:
            out = np.empty(stored.shape, np.float64)
        if self.in_double:
            np.multiply(stored, self.factor, out=out, dtype=np.float64)
            np.add(out, self.offset, out=out)
            np.multiply(out, self.to_unit, out=out)
        else:
            out[...] = (stored * self.factor + self.offset) * self.to_unit
        return out
