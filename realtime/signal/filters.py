"""Zero-phase filters whose pages join: high pass, low pass and notch as second-order sections.

A page of a recording is filtered together with as much of its neighbourhood as the filter
remembers, so that two pages that meet show the same curve as one page over both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from storage.errors import UsageError
from storage.spans import Span

BUTTERWORTH_ORDER = 2  # of one pass; forth and back it is four
NOTCH_QUALITY = 30.0  # centre frequency over width at -3 dB
FORGOTTEN = 1e-9  # of a transient, where it no longer counts


@dataclass(frozen=True, slots=True)
class Filter:
    """A cascade of second-order sections, and how long it remembers.

    Parameters
    ----------
    sections
        Coefficients, shape ``(n_sections, 6)``, as SciPy orders them.
    reach
        Samples after which a transient has decayed to ``FORGOTTEN`` of its height: the context
        to read on either side of a page.
    """

    sections: NDArray[np.float64]
    reach: int


def design(
    rate_hz: float, hp: float | None = None, lp: float | None = None, notch: float | None = None
) -> Filter | None:
    """Design a filter from corner frequencies.

    High and low pass are Butterworth filters of second order, each run forth and back [1]_; the
    notch is the second-order notch of ``scipy.signal.iirnotch`` [2]_. Run forth and back, the
    corner lies at -6 dB instead of -3 dB, and there is no delay.

    Parameters
    ----------
    rate_hz
        Sampling rate.
    hp, lp, notch
        Corner frequencies of the high and the low pass and centre of the notch, in hertz; None
        leaves it out.

    Returns
    -------
    Filter or None
        None where nothing is to be done.

    Raises
    ------
    UsageError
        If a frequency is not between 0 and half the rate, or ``hp`` is not below ``lp``.

    References
    ----------
    .. [1] S. Butterworth, "On the Theory of Filter Amplifiers", Experimental Wireless 7, 1930;
       Gustafsson, "Determining the initial states in forward-backward filtering", IEEE Trans.
       Signal Processing 44, 1996.
    .. [2] S. J. Orfanidis, "Introduction to Signal Processing", Prentice-Hall, 1996, 11.3.
    """
    for name, value in (("hp", hp), ("lp", lp), ("notch", notch)):
        if value is not None and not (math.isfinite(value) and 0 < value < rate_hz / 2):
            raise UsageError(
                f"{name}: expected a frequency between 0 and {rate_hz / 2:g} Hz, half the rate of "
                f"the channels, got {value:g}"
            )
    if hp is not None and lp is not None and hp >= lp:
        raise UsageError(f"hp: expected less than lp = {lp:g} Hz, got {hp:g}")
    from scipy import signal

    parts: list[NDArray[np.float64]] = []
    if hp is not None:
        parts.append(signal.butter(BUTTERWORTH_ORDER, hp, "highpass", fs=rate_hz, output="sos"))
    if lp is not None:
        parts.append(signal.butter(BUTTERWORTH_ORDER, lp, "lowpass", fs=rate_hz, output="sos"))
    if notch is not None:
        parts.append(signal.tf2sos(*signal.iirnotch(notch, NOTCH_QUALITY, fs=rate_hz)))
    if not parts:
        return None
    sections = np.concatenate(parts)
    return Filter(sections, reach(sections))


def reach(sections: NDArray[np.float64]) -> int:
    """Return after how many samples a transient of the filter is forgotten.

    A pole of radius r decays as r**n, so n = ln(FORGOTTEN) / ln(r) of the slowest one.
    """
    slowest = max(float(np.max(np.abs(np.roots(section[3:])))) for section in sections)
    if slowest <= 0:
        return 1
    return math.ceil(math.log(FORGOTTEN) / math.log(slowest))


def zero_phase(sections: NDArray[np.float64], samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """Filter forth and back along time.

    Parameters
    ----------
    sections
        Second-order sections.
    samples
        Gap-free, shape ``(n_samples, n_channels)``.

    Returns
    -------
    NDArray
        Same shape. A stretch of one sample, which no filter can judge, comes back unchanged.
    """
    from scipy import signal

    n_samples = len(samples)
    if n_samples < 2:
        return samples.copy()
    edge = min(3 * (2 * len(sections) + 1), n_samples - 1)
    filtered: NDArray[np.float64] = signal.sosfiltfilt(sections, samples, axis=0, padlen=edge)
    return filtered


def filter_stretches(
    sections: NDArray[np.float64], samples: NDArray[np.float64], stretches: Sequence[Span]
) -> NDArray[np.float64]:
    """Filter each gap-free stretch by itself; what lies between them becomes NaN.

    Parameters
    ----------
    sections
        Second-order sections.
    samples
        Shape ``(n_samples, n_channels)``; meaningless outside the stretches.
    stretches
        Positions within ``samples``, in order.
    """
    out = np.full(samples.shape, np.nan)
    for stretch in stretches:
        piece = slice(stretch.start, stretch.stop)
        out[piece] = zero_phase(sections, samples[piece])
    return out
