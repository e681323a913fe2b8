"""The overview of a recording: the lowest and the highest value of each bin of samples.

Levels of 64 and 1024 samples are stored with each block, the whole of the levels of 1024 and 16384
when a recording is sealed. Bins of a level hold whole bins of those below, so that no extreme is
ever lost. A bin without any sample has a low above its high.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.geometry import LEVELS, UNIT
from storage.spans import Span

BLOCK_LEVELS = LEVELS[:2]
WHOLE_LEVELS = LEVELS[1:]


@dataclass(frozen=True, slots=True)
class Overview:
    """Extremes of bins of equal length.

    Parameters
    ----------
    span
        What the bins cover; its start is a multiple of ``factor``, and the last bin ends with it.
    factor
        Samples of a bin.
    low, high
        Shape ``(n_bins, n_channels)``; ``low > high`` where no sample is held.
    """

    span: Span
    factor: int
    low: NDArray[Any]
    high: NDArray[Any]


def nothing(dtype: np.dtype[Any]) -> tuple[Any, Any]:
    """Return low and high of an empty bin."""
    if dtype.kind == "f":
        return np.inf, -np.inf
    held = np.iinfo(dtype)
    return held.max, held.min


def empty_bins(dtype: np.dtype[Any], n_channels: int, n_bins: int) -> NDArray[Any]:
    """Return bins without samples, shape ``(2, n_channels, n_bins)``."""
    bins = np.empty((2, n_channels, n_bins), dtype)
    bins[0], bins[1] = nothing(dtype)
    return bins


def choose_bins(span: Span, max_bins: int, levels: Iterable[int]) -> tuple[int, int]:
    """Return the level to read and the samples of a bin, so that there are at most so many bins.

    Bins begin at multiples of their length, so that the same samples always share a bin.
    """
    per_bin = max(1, -(-len(span) // max_bins))
    level = max(each for each in (1, *levels) if each <= per_bin)
    factor = -(-per_bin // level) * level
    while -(-span.stop // factor) - span.start // factor > max_bins and factor < span.stop:
        factor += level
    return level, factor


def pyramid(samples: NDArray[Any], held: Iterable[Span]) -> dict[int, NDArray[Any]]:
    """Return the levels of a block, each of shape ``(2, n_channels, n_bins)``.

    Parameters
    ----------
    samples
        Shape ``(n_channels, n_samples)``, a multiple of the highest level.
    held
        Which of them are there, in order.
    """
    n_channels, n_samples = samples.shape
    levels = {
        level: np.empty((2, n_channels, n_samples // level), samples.dtype)
        for level in BLOCK_LEVELS
    }
    absent = _absent(n_samples, held)
    # Piece by piece: at once it would take as much memory as one or two further blocks.
    for start in range(0, n_samples, UNIT):
        piece = slice(start, start + UNIT)
        lows, highs = _without_gaps(samples[:, piece], absent[piece])
        below = 1
        for level, bins in levels.items():
            for _ in range((level // below).bit_length() - 1):
                lows = np.minimum(lows[:, 0::2], lows[:, 1::2])
                highs = np.maximum(highs[:, 0::2], highs[:, 1::2])
            at = slice(start // level, start // level + lows.shape[1])
            bins[0, :, at], bins[1, :, at] = lows, highs
            below = level
    return levels


def merge_bins(into: NDArray[Any], bins: NDArray[Any], at: int, factor: int) -> None:
    """Take extremes of shorter bins over into longer ones.

    Parameters
    ----------
    into
        Bins of ``factor`` units, shape ``(2, n_channels, n_bins)``; the first begins at unit 0.
    bins
        Bins of one unit.
    at
        Unit at which the first of them begins; what lies outside is left out.
    """
    first = max(0, -at)
    stop = min(bins.shape[-1], into.shape[-1] * factor - at)
    if stop <= first:
        return
    inside = bins[..., first:stop]
    low = (at + first) // factor
    starts = np.arange(low, -(-(at + stop) // factor)) * factor - (at + first)
    starts[0] = 0
    target = into[..., low : low + len(starts)]
    if factor == 1:
        lows, highs = inside
    else:
        lows = np.minimum.reduceat(inside[0], starts, axis=-1)
        highs = np.maximum.reduceat(inside[1], starts, axis=-1)
    np.minimum(target[0], lows, out=target[0])
    np.maximum(target[1], highs, out=target[1])


def merge_samples(
    into: NDArray[Any], samples: NDArray[Any], at: int, factor: int, held: Iterable[Span]
) -> None:
    """Take the extremes of samples ``(n_channels, n_samples)`` over, as ``merge_bins`` does."""
    for span in held:
        piece = samples[:, span.start : span.stop]
        lows, highs = _without_gaps(piece, np.zeros(len(span), np.bool_))
        if lows is highs:
            merge_bins(into, np.broadcast_to(piece, (2, *piece.shape)), at + span.start, factor)
        else:
            merge_bins(into, np.stack((lows, highs)), at + span.start, factor)


def _absent(n_samples: int, held: Iterable[Span]) -> NDArray[np.bool_]:
    absent = np.ones(n_samples, np.bool_)
    for span in held:
        absent[span.start : span.stop] = False
    return absent


def _without_gaps(
    samples: NDArray[Any], absent: NDArray[np.bool_]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the samples twice, with what is no number an empty bin's low and high."""
    low, high = nothing(samples.dtype)
    missing: Any = absent
    if samples.dtype.kind == "f":
        missing = absent | np.isnan(samples)
    if not missing.any():
        return samples, samples
    return np.where(missing, low, samples), np.where(missing, high, samples)
