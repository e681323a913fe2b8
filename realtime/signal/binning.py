"""Spike counts and signals in bins of 25 ms, exact to the microsecond.

Bin ``k`` of a session holds the microseconds ``[k * 25000, (k + 1) * 25000)``. Reckoning with
whole microseconds matters: ``floor(seconds * 40)`` puts spikes that lie on a bin's edge into the
bin before, for the product is often a little too small.

What is counted comes in blocks, in any number and of any size, with the same result.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

BIN_US = 25_000
MOST_IN_BYTE = 255
MOST = 65_535  # spikes of a unit in a bin that can be told; more are counted as so many

Counts = NDArray[np.uint8] | NDArray[np.uint16]


def bin_of(us: int) -> int:
    """Return the bin of a session that holds a microsecond."""
    return us // BIN_US


def bins_over(start_us: int, stop_us: int) -> tuple[int, int]:
    """Return the origin and the number of the bins that cover ``[start_us, stop_us)``.

    The origin is the start, floored to a bin; the end is rounded up to one.
    """
    first = start_us // BIN_US
    return first * BIN_US, max(0, -(-stop_us // BIN_US) - first)


class SpikeCounter:
    """Counts spikes by bin and unit.

    Parameters
    ----------
    n_units
        How many units there are.
    origin_us, n_bins
        The bins; what lies outside is not counted.
    """

    def __init__(self, n_units: int, origin_us: int, n_bins: int) -> None:
        self._origin_us = origin_us
        self._counts: Counts = np.zeros((n_bins, n_units), np.uint8)

    @property
    def counts(self) -> Counts:
        """Spikes, shape ``(n_bins, n_units)``; wider than a byte only if some bin needs it."""
        return self._counts

    def add(self, times_us: NDArray[np.int64], units: NDArray[np.int32]) -> None:
        """Count more spikes: when, and by which unit. Fastest where they come unit by unit."""
        n_bins, _ = self._counts.shape
        bins = (times_us - self._origin_us) // BIN_US
        inside = (bins >= 0) & (bins < n_bins)
        if not inside.all():
            bins, units = bins[inside], units[inside]
        if not len(bins):
            return
        # Spikes of a unit that share a bin are neighbours once sorted; sorted trains are already.
        places = units * np.int64(n_bins) + bins
        if (places[1:] < places[:-1]).any():
            places.sort()
        starts = np.concatenate([[0], np.flatnonzero(places[1:] != places[:-1]) + 1])
        unit, at = np.divmod(places[starts], n_bins)
        more = np.diff(starts, append=len(places)) + self._counts[at, unit]
        if self._counts.dtype == np.uint8 and more.max() > MOST_IN_BYTE:
            self._counts = self._counts.astype(np.uint16)
        self._counts[at, unit] = np.minimum(more, MOST)


def count_spikes(spikes: Sequence[NDArray[np.int64]], origin_us: int, n_bins: int) -> Counts:
    """Count the spikes of each unit in each bin.

    Parameters
    ----------
    spikes
        When each unit fired, in microseconds, in any order.
    origin_us, n_bins
        The bins.

    Returns
    -------
    NDArray
        Shape ``(n_bins, n_units)``; bytes unless a bin holds more than they can say.
    """
    counter = SpikeCounter(len(spikes), origin_us, n_bins)
    for unit, times_us in enumerate(spikes):
        counter.add(times_us, np.full(len(times_us), unit, np.int32))
    return counter.counts


class BinnedSignal:
    """Mean and last sample of a signal in each bin.

    A number that is NaN was not measured and counts as no sample, each column for itself.

    Parameters
    ----------
    origin_us, n_bins
        The bins; samples outside are left out.
    n_columns
        Columns of the signal.
    """

    def __init__(self, origin_us: int, n_bins: int, n_columns: int) -> None:
        self._origin_us = origin_us
        self._n_bins = n_bins
        # Column by column, so that adding up runs along memory.
        self._sums = np.zeros((n_columns, n_bins))
        self._samples = np.zeros((n_columns, n_bins), np.int32)
        self._last = np.full((n_columns, n_bins), np.nan, np.float32)
        self._last_us = np.full((n_columns, n_bins), np.iinfo(np.int64).min)

    @property
    def mean(self) -> NDArray[np.float32]:
        """Mean of the samples of each bin, shape ``(n_bins, n_columns)``; NaN without samples."""
        out = np.full(self._sums.shape, np.nan, np.float32)
        np.divide(self._sums, self._samples, out=out, where=self._samples > 0, casting="same_kind")
        return np.ascontiguousarray(out.T)

    @property
    def last(self) -> NDArray[np.float32]:
        """Sample with the latest time in each bin, shape ``(n_bins, n_columns)``."""
        return np.ascontiguousarray(self._last.T)

    def add(self, stamps_us: NDArray[np.int64], values: NDArray[np.float32]) -> None:
        """Add samples: when, and numbers of shape ``(n, n_columns)``."""
        bins = (stamps_us - self._origin_us) // BIN_US
        inside = (bins >= 0) & (bins < self._n_bins)
        if not inside.all():
            bins, stamps_us, values = bins[inside], stamps_us[inside], values[inside]
        for column in range(len(self._sums)):
            numbers, at, when = values[:, column], bins, stamps_us
            measured = ~np.isnan(numbers)
            if not measured.all():
                numbers, at, when = numbers[measured], at[measured], when[measured]
            # One after the other in the order they came, whatever the blocks: the sum of floats
            # depends on their order.
            np.add.at(self._sums[column], at, numbers.astype(np.float64))
            np.add.at(self._samples[column], at, np.int32(1))
            self._keep_last(column, at, when, numbers)

    def _keep_last(
        self,
        column: int,
        at: NDArray[np.int64],
        when: NDArray[np.int64],
        numbers: NDArray[np.float32],
    ) -> None:
        if not len(at):
            return
        if (when[1:] < when[:-1]).any():
            order = np.argsort(when, kind="stable")
            at, when, numbers = at[order], when[order], numbers[order]
        ends = np.append(np.flatnonzero(at[1:] != at[:-1]), len(at) - 1)
        at, when, numbers = at[ends], when[ends], numbers[ends]
        later = when >= self._last_us[column, at]
        self._last_us[column, at[later]] = when[later]
        self._last[column, at[later]] = numbers[later]


def observed_us(
    observed: NDArray[np.int64] | None, origin_us: int, n_bins: int
) -> NDArray[np.int32]:
    """Return how many microseconds of each bin were observed.

    Parameters
    ----------
    observed
        Rows of start and stop in microseconds, apart and in order; None where everything was.
    origin_us, n_bins
        The bins.
    """
    if observed is None:
        return np.full(n_bins, BIN_US, np.int32)
    if not len(observed):
        return np.zeros(n_bins, np.int32)
    edges = origin_us + BIN_US * np.arange(n_bins + 1, dtype=np.int64)
    starts, lengths = observed[:, 0], observed[:, 1] - observed[:, 0]
    # Observed time before each edge: whole intervals, and the begun one as far as it goes.
    begun = np.searchsorted(starts, edges, "right") - 1
    before = np.concatenate([[0], np.cumsum(lengths)])[np.maximum(begun, 0)]
    current = np.clip(edges - starts[begun], 0, lengths[begun])
    return np.diff(np.where(begun >= 0, before + current, 0)).astype(np.int32)


def coverage(observed: NDArray[np.int64] | None, origin_us: int, n_bins: int) -> NDArray[np.bool_]:
    """Say which bins are valid: observed from their first microsecond to their last.

    A bin that a trial ends in is not: its counts are those of a part of it, and would read as
    silence. Counts and samples of that part are kept all the same.
    """
    whole: NDArray[np.bool_] = observed_us(observed, origin_us, n_bins) == BIN_US
    return whole
