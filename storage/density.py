"""The colour density array: how much of each frequency there is over time, as bytes of decibels.

A column is about 4 s of signal, a row about 0.5 Hz between 0 and 40 Hz. It is a picture of the
night for people, computed once at compaction; it takes below a tenth of the samples' bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.geometry import density_hop
from storage.scaling import Scaling
from storage.spans import Span

TOP_HZ = 40
LEAST_RATE_HZ = 16
MOST_ROWS = 80
# Rows for each sample of a column: bounds the bytes to a share of those of the samples.
ROWS_SHARE = Fraction(MOST_ROWS, 1024)
EMPTY = 0
# Value 1 is FLOOR_DB, each further one STEP_DB more; decibels of uV^2/Hz.
FLOOR_DB = -40.0
STEP_DB = 0.5
_MICROVOLTS = {"V": 1e6, "mV": 1e3, "uV": 1.0, "nV": 1e-3}


@dataclass(frozen=True, slots=True)
class Density:
    """Spectral density over time.

    Parameters
    ----------
    span
        What the columns cover, on the group's grid.
    hop
        Samples of a column.
    row_hz
        Width of a row; row ``r`` is centred ``(r + 1/2) * row_hz``, from 0 Hz up.
    values
        Shape ``(n_columns, n_rows, n_channels)``, uint8; 0 where a column is not wholly held,
        else ``floor_db + (value - 1) * step_db`` decibels of uV^2/Hz.
    """

    span: Span
    hop: int
    row_hz: float
    values: NDArray[np.uint8]
    floor_db: float = FLOOR_DB
    step_db: float = STEP_DB


@dataclass(frozen=True, slots=True)
class DensityShape:
    """Samples of a column, rows, and lines of the transform in each row."""

    hop: int
    rows: int
    lines: int

    def row_hz(self, rate_hz: Fraction) -> float:
        """Return the width of a row."""
        return float(self.lines * rate_hz / self.hop)


def density_shape(rate_hz: Fraction) -> DensityShape | None:
    """Return the shape for a rate; None where it is too low for a picture of frequencies."""
    if rate_hz < LEAST_RATE_HZ:
        return None
    hop = density_hop(rate_hz)
    lines = min(hop // 2, int(TOP_HZ * hop / rate_hz))
    if lines < 1:
        return DensityShape(hop, 1, hop // 2)
    rows = max(1, min(MOST_ROWS, int(hop * ROWS_SHARE), lines))
    each = -(-lines // rows)
    return DensityShape(hop, lines // each, each)


def density_block(
    samples: NDArray[Any],
    held: Iterable[Span],
    rate_hz: Fraction,
    channels: Sequence[tuple[Scaling, str]],
) -> NDArray[np.uint8]:
    """Return the density of a block, shape ``(n_channels, n_rows, n_columns)``.

    Parameters
    ----------
    samples
        Stored numbers, shape ``(n_channels, n_samples)``, whole columns.
    held
        Which of them are there.
    rate_hz
        Their rate; ``density_shape`` has a shape for it.
    channels
        Scaling and unit of each.
    """
    import scipy.fft

    shape = density_shape(rate_hz)
    assert shape is not None
    n_columns = samples.shape[1] // shape.hop
    there = np.zeros(n_columns, np.bool_)
    for span in held:
        there[-(-span.start // shape.hop) : span.stop // shape.hop] = True
    values = np.zeros((len(samples), shape.rows, n_columns), np.uint8)
    window = np.hanning(shape.hop + 1)[:-1].astype(np.float32)
    density = 2 / (float(rate_hz) * float(np.sum(window.astype(np.float64) ** 2)))
    for number, (scaling, unit) in enumerate(channels):
        columns = samples[number].reshape(n_columns, shape.hop)[there]
        gain = float(scaling.factor) * scaling.to_unit * _MICROVOLTS.get(unit, 1.0)
        # Spectra of numbers that are none, or too great for squares, are nothing to be shown.
        with np.errstate(all="ignore"):
            wave = columns - columns.mean(axis=1, keepdims=True)
            spectra = scipy.fft.rfft(wave.astype(np.float32) * window, axis=1)
            power = spectra.real.astype(np.float64) ** 2 + spectra.imag.astype(np.float64) ** 2
            power = power[:, 1 : 1 + shape.rows * shape.lines]
            power = power.reshape(len(columns), shape.rows, shape.lines).mean(axis=2)
            decibels = 10 * np.log10(power * (density * gain * gain))
            steps = np.clip(np.rint((decibels - FLOOR_DB) / STEP_DB) + 1, 1, 255)
        steps[np.isnan(steps)] = EMPTY
        values[number][:, there] = steps.T.astype(np.uint8)
    return values


def join_columns(values: NDArray[np.uint8], count: int) -> NDArray[np.uint8]:
    """Return the highest of each ``count`` columns along the last axis."""
    if count == 1:
        return values
    starts = np.arange(0, values.shape[-1], count)
    joined: NDArray[np.uint8] = np.maximum.reduceat(values, starts, axis=-1)
    return joined
