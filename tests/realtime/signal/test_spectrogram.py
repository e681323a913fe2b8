"""Spectrograms: power where it belongs, as much as there is."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import signal

from realtime.signal.spectrogram import spectrogram
from storage.errors import UsageError
from storage.spans import Span

RATE = 256.0


def test_a_sine_has_half_its_squared_amplitude() -> None:
    wave = 30 * np.sin(2 * np.pi * 10 * np.arange(60 * 256) / RATE)
    made = spectrogram(wave, RATE, window_s=2, step_s=1)
    width = made.frequencies_hz[1]
    np.testing.assert_allclose(made.density.sum(axis=1) * width, 450, rtol=1e-6)
    peaks = made.frequencies_hz[made.density.argmax(axis=1)]
    np.testing.assert_allclose(peaks, 10)
    np.testing.assert_allclose(made.times_s[:3], [1, 2, 3])


def test_equals_scipy() -> None:
    noise = np.random.default_rng(5).normal(0, 20, 10_000)
    made = spectrogram(noise, RATE, window_s=2, step_s=0.5, fmax_hz=128)
    frequencies, times, density = signal.spectrogram(
        noise, RATE, "hann", nperseg=512, noverlap=384, detrend="constant"
    )
    np.testing.assert_allclose(made.frequencies_hz, frequencies)
    np.testing.assert_allclose(made.times_s, times)
    np.testing.assert_allclose(made.density, density.T, rtol=1e-9, atol=1e-15)


def test_windows_over_gaps_are_empty() -> None:
    wave = np.ones(4096)
    wave[2000:2100] = np.nan
    made = spectrogram(wave, RATE, 1, 0.5, stretches=[Span(0, 2000), Span(2100, 4096)])
    starts = made.times_s * RATE - 128
    touched = (starts + 256 > 2000) & (starts < 2100)
    assert np.isnan(made.density[touched]).all()
    assert np.isfinite(made.density[~touched]).all()


def test_too_short_for_a_window() -> None:
    assert spectrogram(np.ones(100), RATE, 2).density.shape == (0, 141)
    with pytest.raises(UsageError, match="at least 4"):
        spectrogram(np.ones(100), RATE, 0.001)
