"""A made night: an EDF file of any length with 23 channels at 256 Hz, for benchmarks.

The background has an amplitude of 1/f that follows the depth of sleep, with alpha rhythm over the
back of the head, mains hum, bursts of muscle, and seizures of 3 Hz. It is quantised as CHB-MIT is:
-2048 to 2047 over -800 to 800 uV. The entropy of the first differences is 6.00 bit.

Every stretch of 64 s depends on the seed and its number alone, so a short night is the beginning
of a long one. ``python -m tests.support.night FOLDER HOURS [SEED...]`` writes some
and prints what they are.
"""

from __future__ import annotations

import json
import os
import sys
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count, pairwise
from pathlib import Path

import numpy as np
import scipy.fft
from numpy.typing import NDArray

RATE = 256
LABELS = (
    *("FP1-F7", "F7-T7", "T7-P7", "P7-O1", "FP1-F3", "F3-C3", "C3-P3", "P3-O1"),
    *("FP2-F4", "F4-C4", "C4-P4", "P4-O2", "FP2-F8", "F8-T8", "T8-P8", "P8-O2"),
    *("FZ-CZ", "CZ-PZ", "P7-T7", "T7-FT9", "FT9-FT10", "FT10-T8", "T8-P8"),
)
CHANNELS = len(LABELS)
KEYS = (*LABELS[:-1], "T8-P8#2")  # unique
DIGITAL = (-2048, 2047)
PHYSICAL = (-800, 800)
FACTOR = (PHYSICAL[1] - PHYSICAL[0]) / (DIGITAL[1] - DIGITAL[0])
OFFSET = PHYSICAL[0] - DIGITAL[0] * FACTOR
HEADER_BYTES = 256 * (CHANNELS + 1)
RECORD_BYTES = CHANNELS * RATE * 2
FIRST_SEIZURE_S = 2996
SEIZURE_S = 40
SEIZURES_EVERY_S = 5 * 3600
STRETCH = 64 * RATE
FADE = 4 * RATE
# The one figure that was tuned, so that the first differences of 24 hours have 6.00 bit.
LOUDNESS = 1425.0


def night_file(folder: Path, hours: float = 24, seed: int = 0) -> Path:
    """Return a night in a folder, written now unless it is there.

    Parameters
    ----------
    folder
        Made if needed.
    hours
        Length; rounded to whole seconds.
    seed
        Another one gives another night.
    """
    seconds = round(hours * 3600)
    path = folder / f"night-{seconds}s-{seed}.edf"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(f".{os.getpid()}.unfinished")
        with unfinished.open("wb") as file:
            file.write(header(seconds))
            written = 0
            for block in stretches(seed):
                records = block.reshape(CHANNELS, -1, RATE)[:, : seconds - written].swapaxes(0, 1)
                file.write(np.ascontiguousarray(records, "<i2").data)
                written += len(records)
                if written == seconds:
                    break
        unfinished.rename(path)
    return path


def header(seconds: int) -> bytes:
    """Return the header of a plain EDF file of so many one-second records."""

    def fields(width: int, *values: object) -> bytes:
        return b"".join(str(value).ljust(width).encode("ascii") for value in values)

    return b"".join(
        (
            fields(8, 0),
            fields(80, "X", ""),
            fields(8, "04.03.19", "20.00.00", HEADER_BYTES),
            fields(44, ""),
            fields(8, seconds, 1),
            fields(4, CHANNELS),
            fields(16, *LABELS),
            fields(80, *("",) * CHANNELS),
            fields(8, *("uV",) * CHANNELS),
            *(fields(8, *(bound,) * CHANNELS) for bound in (*PHYSICAL, *DIGITAL)),
            fields(80, *("",) * CHANNELS),
            fields(8, *(RATE,) * CHANNELS),
            fields(32, *("",) * CHANNELS),
        )
    )


def records(path: Path) -> NDArray[np.int16]:
    """Return the samples of a night as they lie in the file: (seconds, channels, RATE)."""
    shape = ((path.stat().st_size - HEADER_BYTES) // RECORD_BYTES, CHANNELS, RATE)
    return np.memmap(path, "<i2", "r", HEADER_BYTES, shape)


def digital(path: Path, start_s: int, stop_s: int) -> NDArray[np.int16]:
    """Return a window of a night, shape (channels, samples)."""
    window: NDArray[np.int16] = records(path)[start_s:stop_s].swapaxes(0, 1).reshape(CHANNELS, -1)
    return window


def stretches(seed: int) -> Iterator[NDArray[np.int16]]:
    """Yield a night without end, ``STRETCH`` samples at a time, each (channels, samples)."""
    workers = os.cpu_count() or 1
    waiting: deque[Future[NDArray[np.float32]]] = deque()
    with ThreadPoolExecutor(workers) as pool:

        def made() -> Iterator[NDArray[np.float32]]:
            for number in count():
                waiting.append(pool.submit(_stretch, seed, number))
                if len(waiting) > workers:
                    yield waiting.popleft().result()

        try:
            for stretch, (before, after) in enumerate(pairwise(made())):
                joined = after[:, :STRETCH]
                joined[:, :FADE] += before[:, STRETCH:]
                _add_rhythms(joined, stretch * STRETCH + np.arange(STRETCH))
                yield np.clip(np.rint(joined), *DIGITAL).astype(np.int16)
        finally:
            for task in waiting:
                task.cancel()


def _stretch(seed: int, number: int) -> NDArray[np.float32]:
    """Return a stretch and the beginning of the next, faded in and out."""
    rng = np.random.default_rng([seed, number])
    length = STRETCH + FADE
    hertz = np.fft.rfftfreq(length, 1 / RATE).astype(np.float32)
    depth = 0.5 - 0.5 * np.cos(2 * np.pi * number * STRETCH / RATE / 5400)  # cycles of 90 min
    background = 1 / np.maximum(hertz, 0.5) + depth * np.exp(-np.square(hertz - 2)) / 2
    alpha = (1 - depth) * np.exp(-np.square((hertz - 10) / 1.2)) / 3
    spectrum = rng.standard_normal((CHANNELS, len(hertz), 2), np.float32).view(np.complex64)[..., 0]
    spectrum *= background + _ALPHA[:, None] * alpha
    spectrum[:, hertz < 0.3] = 0
    values: NDArray[np.float32] = scipy.fft.irfft(spectrum, length, axis=1)
    values *= np.float32(LOUDNESS * length / 400) * _GAIN[:, None]
    if rng.random() < 0.2:
        _add_muscle(values, rng)
    rise = np.sin(np.linspace(0, np.pi / 2, FADE, dtype=np.float32))
    values[:, :FADE] *= rise
    values[:, STRETCH:] *= rise[::-1]
    return values


def _add_muscle(values: NDArray[np.float32], rng: np.random.Generator) -> None:
    at = int(rng.integers(0, STRETCH - 8 * RATE))
    burst = rng.standard_normal((CHANNELS, 8 * RATE), np.float32)
    burst[:, 1:] -= 0.7 * burst[:, :-1]
    place = 25 * rng.random((CHANNELS, 1), np.float32)
    values[:, at : at + burst.shape[1]] += place * np.hanning(burst.shape[1]) * burst


def _add_rhythms(values: NDArray[np.float32], index: NDArray[np.int64]) -> None:
    """Add mains hum, and seizures where there are some."""
    values += (3 * np.sin(2 * np.pi * 60 / RATE * index)).astype(np.float32)
    seconds = index / RATE - FIRST_SEIZURE_S
    inside = (seconds >= 0) & (seconds % SEIZURES_EVERY_S < SEIZURE_S)
    if inside.any():
        since = seconds[inside] % SEIZURES_EVERY_S
        phase = 3 * since % 1
        wave = np.sin(2 * np.pi * phase) - 1.5 * np.exp(-np.square((phase - 0.2) / 0.04))
        swell = np.sin(np.pi * since / SEIZURE_S)
        values[:, inside] += (250 * _GAIN[:, None] * swell * wave).astype(np.float32)


def difference_entropy(path: Path) -> float:
    """Return the entropy of the first differences of all samples of a night, in bit."""
    counts = np.zeros(2**17, np.int64)
    held = records(path)
    for at in range(0, len(held), 600):
        block = held[at : at + 601].swapaxes(0, 1).reshape(CHANNELS, -1).astype(np.int32)
        steps = np.diff(block, axis=1)
        counts += np.bincount(steps.ravel() + 2**16, minlength=len(counts))
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log2(shares)).sum())


_GAIN = np.random.default_rng(23).uniform(0.75, 1.25, CHANNELS).astype(np.float32)
_ALPHA = np.array([0.3 + ("O" in label) + 0.5 * ("P" in label) for label in LABELS], np.float32)


def main() -> None:
    """Write nights and say what they are."""
    folder, hours, *seeds = sys.argv[1:]
    described = []
    for seed in map(int, seeds or ["0"]):
        path = night_file(Path(folder), float(hours), seed)
        entropy = difference_entropy(path)
        size = path.stat().st_size
        described.append({"path": str(path), "bytes": size, "entropy_bit": entropy})
    print(json.dumps(described))


if __name__ == "__main__":
    main()
