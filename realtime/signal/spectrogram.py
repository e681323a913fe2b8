"""Power over time and frequency of one channel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from storage.errors import UsageError
from storage.spans import Span


@dataclass(frozen=True, slots=True)
class Spectrogram:
    """Power spectral densities of overlapping windows.

    Parameters
    ----------
    times_s
        Centre of each window, in seconds after the first sample.
    frequencies_hz
        Centre of each bin.
    density
        Shape ``(n_windows, n_frequencies)``, in squared units per hertz; NaN where a window
        touches a gap.
    """

    times_s: NDArray[np.float64]
    frequencies_hz: NDArray[np.float64]
    density: NDArray[np.float64]


def spectrogram(
    samples: NDArray[np.float64],
    rate_hz: float,
    window_s: float = 2.0,
    step_s: float = 0.5,
    fmax_hz: float = 70.0,
    stretches: Sequence[Span] | None = None,
) -> Spectrogram:
    """Return the one-sided power spectral density of Hann windows.

    ``S = 2 |X|**2 / (rate * sum(w**2))``, without the 2 at zero and at half the rate; the mean of
    each window is taken off first. A sine of amplitude A therefore has the power A**2 / 2 under
    its peak.

    Parameters
    ----------
    samples
        One channel, shape ``(n_samples,)``.
    rate_hz
        Sampling rate.
    window_s, step_s
        Length and distance of the windows, in seconds; rounded to samples.
    fmax_hz
        Highest frequency that is returned.
    stretches
        Where there are samples; None for everywhere.

    Raises
    ------
    UsageError
        If a window holds fewer than 4 samples, or a step none.

    References
    ----------
    P. D. Welch, IEEE Trans. Audio Electroacoustics 15, 1967, for the windows; G. Heinzel, A.
    Ruediger, R. Schilling, "Spectrum and spectral density estimation by the DFT", 2002, equation
    23, for the scaling.
    """
    size = round(window_s * rate_hz)
    step = round(step_s * rate_hz)
    if size < 4 or step < 1:
        raise UsageError(
            f"spectrogram: a window of {window_s:g} s every {step_s:g} s at {rate_hz:g} Hz is "
            f"{size} samples every {step}; expected at least 4 every 1"
        )
    frequencies = np.fft.rfftfreq(size, 1 / rate_hz)
    kept = frequencies <= fmax_hz
    n_windows = max(0, (len(samples) - size) // step + 1)
    starts = np.arange(n_windows) * step
    density = np.full((n_windows, int(kept.sum())), np.nan)
    whole = [
        index
        for index in range(n_windows)
        if stretches is None
        or any(s.start <= starts[index] and starts[index] + size <= s.stop for s in stretches)
    ]
    if whole:
        # The periodic Hann window, as transforms want it.
        taper = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
        windows = sliding_window_view(samples, size)[starts[whole]]
        spectra = np.fft.rfft((windows - windows.mean(axis=1, keepdims=True)) * taper, axis=1)
        power = np.abs(spectra) ** 2 * (2 / (rate_hz * np.sum(taper**2)))
        power[:, 0] /= 2
        if size % 2 == 0:
            power[:, -1] /= 2
        density[whole] = power[:, kept]
    times_s = np.asarray((starts + size / 2) / rate_hz, np.float64)
    return Spectrogram(times_s, np.asarray(frequencies[kept], np.float64), density)
