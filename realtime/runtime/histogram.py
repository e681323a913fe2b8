"""A histogram of bounded size for times in nanoseconds: fine where small, coarse where large."""

from __future__ import annotations

import math
from dataclasses import dataclass

_FINE_BITS = 5
_FINE = 1 << _FINE_BITS  # steps in which each doubling is divided: 3 % of the value
_LARGEST_BITS = 44  # 4.9 hours


@dataclass(frozen=True, slots=True)
class Spread:
    """How values are spread; all zero when there were none.

    Parameters
    ----------
    count
        How many there were.
    mean, std
        Exact.
    p50, p99
        At most 3 % above the true ones.
    max
        Exact.
    """

    count: int
    mean: float
    std: float
    p50: float
    p99: float
    max: float

    def scaled(self, by: float) -> Spread:
        """Return the same in another unit."""
        return Spread(
            self.count,
            self.mean * by,
            self.std * by,
            self.p50 * by,
            self.p99 * by,
            self.max * by,
        )


class Histogram:
    """Counts values for as long as a service runs; takes 10 KB, however many there are."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget all values."""
        self._counts = [0] * (_bucket((1 << _LARGEST_BITS) - 1) + 1)
        self.count = 0
        self.total = 0
        self._squares = 0  # whole numbers, so that nothing is lost in a long run
        self.max = 0

    def add(self, value: int) -> None:
        """Count a value; one below zero counts as zero."""
        value = max(value, 0)
        place = _bucket(value)
        # Beyond the largest, only the greatest of them is known.
        self._counts[place if place < len(self._counts) else -1] += 1
        self.count += 1
        self.total += value
        self._squares += value * value
        self.max = max(self.max, value)

    def quantile(self, part: float) -> int:
        """Return a value that this part of all values do not exceed; 0 when there are none.

        Raises
        ------
        ValueError
            If the part does not lie between 0 and 1.
        """
        if not 0 <= part <= 1:
            raise ValueError(f"a part of {part}; it lies between 0 and 1")
        left = max(math.ceil(part * self.count), 1)
        for place, count in enumerate(self._counts):
            left -= count
            if left <= 0:
                return self.max if place == len(self._counts) - 1 else min(_top(place), self.max)
        return 0

    def spread(self) -> Spread:
        """Return what is worth telling."""
        if not self.count:
            return Spread(0, 0.0, 0.0, 0.0, 0.0, 0.0)
        spread = self._squares * self.count - self.total * self.total
        return Spread(
            self.count,
            self.total / self.count,
            math.sqrt(spread) / self.count,
            float(self.quantile(0.5)),
            float(self.quantile(0.99)),
            float(self.max),
        )

    def at_most(self, bound: int) -> int:
        """Return how many values certainly do not exceed a bound, for cumulative buckets."""
        if bound >= self.max:
            return self.count
        end = _bucket(max(bound + 1, 0))
        return sum(self._counts[: min(end, len(self._counts) - 1)])


def _bucket(value: int) -> int:
    """Return the place of a value: itself when small, then ``_FINE`` places for each doubling."""
    shift = value.bit_length() - _FINE_BITS - 1
    if shift <= 0:
        return value
    return (shift << _FINE_BITS) + (value >> shift)


def _top(place: int) -> int:
    """Return the largest value that belongs into a place."""
    shift = (place >> _FINE_BITS) - 1
    if shift <= 0:
        return place
    return (((place & (_FINE - 1)) + _FINE + 1) << shift) - 1
