"""Fewer points for the same picture: exact minima and maxima, so that no spike is lost.

The work is done by the ``tsdownsample`` library (J. Van Der Donckt et al., "tsdownsample:
high-performance time series downsampling for scalable visualization", SoftwareX, 2025).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tsdownsample import MinMaxDownsampler, MinMaxLTTBDownsampler

from storage.spans import Span

EMPTY = -1  # index of a point that stands for a hole
# The library has no types.
_MINMAX: Any = MinMaxDownsampler()  # type: ignore[no-untyped-call]
_MINMAX_LTTB: Any = MinMaxLTTBDownsampler()  # type: ignore[no-untyped-call]


def minmax_points(samples: NDArray[np.generic], n_points: int) -> NDArray[np.int64]:
    """Pick the smallest and the largest sample of equal bins, each channel for itself.

    Parameters
    ----------
    samples
        Gap-free, shape ``(n_samples, n_channels)``.
    n_points
        Points wanted for each channel, at least 2; an odd number gives one less.

    Returns
    -------
    NDArray
        Indices into the samples, shape ``(n_points, n_channels)``, in order of time. All samples
        where there are no more than points wanted.
    """
    return _each_channel(samples, n_points - n_points % 2, _MINMAX.downsample)


def lttb_points(samples: NDArray[np.generic], n_points: int) -> NDArray[np.int64]:
    """Pick the points that keep the shape: MinMax first, then Largest-Triangle-Three-Buckets.

    May leave out an extreme that ``minmax_points`` keeps. Parameters and result are alike.

    References
    ----------
    J. Van Der Donckt et al., "MinMaxLTTB: Leveraging MinMax-Preselection to Scale LTTB", IEEE VIS
    2023.
    """
    return _each_channel(samples, max(n_points, 3), _MINMAX_LTTB.downsample)


def _each_channel(
    samples: NDArray[np.generic], n_points: int, pick: Callable[..., Any]
) -> NDArray[np.int64]:
    n_samples, n_channels = samples.shape
    if n_points < 2:
        raise ValueError(f"at least 2 points are needed, got {n_points}")
    if n_samples <= n_points:
        return np.repeat(np.arange(n_samples)[:, None], n_channels, axis=1)
    out = np.empty((n_points, n_channels), np.int64)
    for channel in range(n_channels):
        out[:, channel] = pick(np.ascontiguousarray(samples[:, channel]), n_out=n_points)
    return out


def minmax_points_with_gaps(
    samples: NDArray[np.generic], stretches: Sequence[Span], n_points: int
) -> NDArray[np.int64]:
    """Pick the smallest and the largest sample of equal bins of a window that has gaps.

    Parameters
    ----------
    samples
        Shape ``(n_samples, n_channels)``; meaningless outside the stretches.
    stretches
        Where there are samples, in order.
    n_points
        Points wanted for each channel, at least 2; an odd number gives one less.

    Returns
    -------
    NDArray
        Indices into the samples, shape ``(n_points, n_channels)``, in order of time; ``EMPTY``
        twice for a bin in which there are no samples.
    """
    n_samples, n_channels = samples.shape
    n_bins = max(1, n_points // 2)
    out = np.full((n_bins, 2, n_channels), EMPTY, np.int64)
    edges = np.linspace(0, n_samples, n_bins + 1).round().astype(np.int64)
    smallest = np.full((n_bins, n_channels), np.inf)
    largest = np.full((n_bins, n_channels), -np.inf)
    for stretch in stretches:
        first = int(np.searchsorted(edges, stretch.start, "right")) - 1
        last = int(np.searchsorted(edges, stretch.stop, "left"))
        for number in range(first, last):
            start = max(stretch.start, int(edges[number]))
            stop = min(stretch.stop, int(edges[number + 1]))
            if start >= stop:
                continue
            piece = samples[start:stop]
            for side, at, best in (
                (0, piece.argmin(axis=0), smallest[number]),
                (1, piece.argmax(axis=0), largest[number]),
            ):
                value = np.take_along_axis(piece, at[None], axis=0)[0].astype(np.float64)
                better = value < best if side == 0 else value > best
                best[better] = value[better]
                out[number, side, better] = start + at[better]
    out.sort(axis=1)
    return out.reshape(2 * n_bins, n_channels)


def extremes(
    samples: NDArray[np.generic], factor: int
) -> tuple[NDArray[np.generic], NDArray[np.generic]]:
    """Return the smallest and the largest sample of consecutive runs of ``factor`` samples.

    Parameters
    ----------
    samples
        Gap-free, shape ``(n_samples, n_channels)``.
    factor
        Samples of a bin; the last bin may hold fewer.

    Returns
    -------
    tuple of NDArray
        Shape ``(ceil(n_samples / factor), n_channels)`` each.
    """
    if factor < 1:
        raise ValueError(f"a bin needs at least 1 sample, got {factor}")
    starts = np.arange(0, len(samples), factor)
    if not len(starts):
        return samples[:0], samples[:0]
    return (
        np.minimum.reduceat(samples, starts, axis=0),
        np.maximum.reduceat(samples, starts, axis=0),
    )
