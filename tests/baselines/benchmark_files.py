"""The NWB files that the conversion benchmarks run on.

Synthetic recordings: a shared and a private slow potential with a 1/f spectrum, white noise and
spikes, as 16-bit integers. A short stretch is calculated and then repeated, each time rotated and
shifted by another offset, so that a file of any length takes little more time than writing it. The
content depends on the name of the case alone.

``python -m tests.baselines.benchmark_files A B --folder DIR`` writes cases; without names it lists
them.
"""

from __future__ import annotations

import argparse
import os
import sys
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from tests.support.nwb_files import RAW, SeriesSpec, uniform_times, with_gaps, write_nwb

TILE_SAMPLES = 60_000
SPIKE_SAMPLES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A benchmark file.

    Parameters
    ----------
    samples, channels, rate_hz
        Size and rate.
    chunks
        HDF5 chunk shape; None for contiguous data.
    gaps
        Number of gaps; any makes the series carry time stamps instead of a rate.
    about
        One line for people.
    """

    samples: int
    channels: int
    rate_hz: float
    chunks: tuple[int, int] | None = None
    gaps: int = 0
    about: str


GZIP_LEVEL = 4
CASES = {
    "A": Case(samples=1_800_000, channels=64, rate_hz=30e3, about="64 x 30 kHz x 60 s"),
    "B": Case(samples=1_800_000, channels=64, rate_hz=30e3, chunks=(32_768, 64), about="A, gzip 4"),
    "C": Case(
        samples=1_800_000,
        channels=64,
        rate_hz=30e3,
        chunks=(78_125, 64),
        about="A, gzip 4 in chunks that do not fit the output's",
    ),
    "D": Case(
        samples=1_800_000, channels=64, rate_hz=30e3, gaps=20, about="A, time stamps with 20 gaps"
    ),
    "E": Case(samples=1_800_000, channels=128, rate_hz=1e3, about="128 x 1 kHz x 30 min"),
    "F": Case(
        samples=1_800_000, channels=128, rate_hz=1e3, chunks=(16_384, 128), about="E, gzip 4"
    ),
    "G": Case(
        samples=1_800_000,
        channels=128,
        rate_hz=1e3,
        chunks=(16_384, 128),
        gaps=50,
        about="F, time stamps with 50 gaps",
    ),
    "H": Case(
        samples=1_800_000,
        channels=64,
        rate_hz=30e3,
        chunks=(28_125, 1),
        about="A, gzip 4 in chunks of one channel",
    ),
    "I": Case(samples=300_000, channels=384, rate_hz=30e3, about="384 x 30 kHz x 10 s"),
    "A10": Case(samples=18_000_000, channels=64, rate_hz=30e3, about="A, ten times as long"),
    "one_second": Case(samples=30_000, channels=64, rate_hz=30e3, about="64 x 30 kHz x 1 s"),
}


def write_case(name: str, folder: Path) -> Path:
    """Write a case unless the folder holds it already.

    Parameters
    ----------
    name
        One of ``CASES``.
    folder
        Where to; made if needed.

    Returns
    -------
    Path
        The file, ``<name>.nwb``.
    """
    path = folder / f"{name}.nwb"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_file(CASES[name], path)
    return path


def write_file(case: Case, path: Path) -> None:
    """Write a case, beside its place first."""
    unfinished = path.with_suffix(".unfinished")
    unit_v = 0.195e-6 if case.rate_hz > 10_000 else 0.25e-6
    stamps = None
    if case.gaps:
        every = case.samples // (case.gaps + 1)
        gaps_s = {(number + 1) * every: 0.25 + number / 100 for number in range(case.gaps)}
        stamps = with_gaps(uniform_times(case.samples, case.rate_hz), gaps_s)
    first = SeriesSpec(
        samples=1,
        channels=case.channels,
        rate_hz=case.rate_hz,
        conversion=unit_v,
        timestamps=None if stamps is None else stamps[:1],
    )
    write_nwb(unfinished, first)
    with h5py.File(unfinished, "r+") as file:
        series = file[RAW]
        if stamps is not None:
            _replace(series, "timestamps", (case.samples,), "f8")[:] = stamps
        data = _replace(series, "data", (case.samples, case.channels), "i2", case.chunks)
        if case.chunks is None:
            at = 0
            for block in blocks(case):
                data[at : at + len(block)] = block
                at += len(block)
        else:
            _write_chunks(data, case)
    unfinished.rename(path)


def blocks(case: Case) -> Iterator[NDArray[np.int16]]:
    """Yield the samples of a case, in pieces that are made one at a time."""
    tile = _tile(case)
    for number, begin in enumerate(range(0, case.samples, TILE_SAMPLES)):
        rng = np.random.default_rng([number, case.channels])
        block = np.roll(tile, int(rng.integers(TILE_SAMPLES)), axis=0)
        block += rng.integers(-40, 41, case.channels).astype(np.int16)
        yield block[: case.samples - begin]


def _tile(case: Case) -> NDArray[np.int16]:
    """Return ``TILE_SAMPLES`` samples that join seamlessly when repeated."""
    rng = np.random.default_rng([case.channels, int(case.rate_hz)])
    fast = case.rate_hz > 10_000
    unit_uv, shared_uv, private_uv, noise_uv = (
        (0.195, 90.0, 60.0, 20.0) if fast else (0.25, 45.0, 28.0, 12.0)
    )
    tile = np.empty((TILE_SAMPLES, case.channels), np.int16)
    shared = _slow(rng, case.rate_hz) * shared_uv
    for channel in range(case.channels):
        values = shared * rng.uniform(0.7, 1.3) + _slow(rng, case.rate_hz) * private_uv
        values += rng.standard_normal(TILE_SAMPLES, np.float32) * noise_uv
        if fast:
            shape = -np.hanning(SPIKE_SAMPLES) * rng.uniform(40, 160)
            seconds = TILE_SAMPLES / case.rate_hz
            for at in rng.integers(0, TILE_SAMPLES - SPIKE_SAMPLES, int(12 * seconds)):
                values[at : at + SPIKE_SAMPLES] += shape
        tile[:, channel] = np.clip(np.rint(values / unit_uv), -32_000, 32_000)
    return tile


def _slow(rng: np.random.Generator, rate_hz: float) -> NDArray[np.float64]:
    """Return a periodic signal with a 1/f spectrum above 1 Hz and a standard deviation of 1."""
    count = TILE_SAMPLES // 2 + 1
    frequencies = np.arange(count) * rate_hz / TILE_SAMPLES
    phases = np.exp(2j * np.pi * rng.random(count))
    spectrum = phases / np.maximum(frequencies, 1.0)
    spectrum[0] = 0
    signal = np.fft.irfft(spectrum, TILE_SAMPLES)
    normal: NDArray[np.float64] = signal / signal.std()
    return normal


def _replace(
    series: Any,
    name: str,
    shape: tuple[int, ...],
    dtype: str,
    chunks: tuple[int, int] | None = None,
) -> Any:
    attributes = dict(series[name].attrs)
    del series[name]
    compression = {"compression": "gzip", "compression_opts": GZIP_LEVEL} if chunks else {}
    dataset = series.create_dataset(name, shape, dtype, chunks=chunks, **compression)
    for key, value in attributes.items():
        dataset.attrs[key] = value
    return dataset


def _write_chunks(data: Any, case: Case) -> None:
    """Compress the chunks as HDF5 would, but several at once."""
    rows, columns = case.chunks or data.shape

    def packed(place: tuple[int, int], values: NDArray[np.int16]) -> tuple[tuple[int, int], bytes]:
        whole = np.zeros((rows, columns), np.int16)
        part = values[:, place[1] : place[1] + columns]
        whole[: part.shape[0], : part.shape[1]] = part
        return place, zlib.compress(whole.tobytes(), GZIP_LEVEL)

    workers = os.cpu_count() or 1
    waiting: deque[Future[tuple[tuple[int, int], bytes]]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for at, stretch in _stretches(blocks(case), rows):
            for column in range(0, case.channels, columns):
                waiting.append(pool.submit(packed, (at, column), stretch))
                while len(waiting) > 2 * workers:
                    data.id.write_direct_chunk(*waiting.popleft().result())
        for task in waiting:
            data.id.write_direct_chunk(*task.result())


def _stretches(
    pieces: Iterator[NDArray[np.int16]], rows: int
) -> Iterator[tuple[int, NDArray[np.int16]]]:
    """Cut blocks into others of ``rows`` samples; the last may be shorter."""
    at = 0
    held: list[NDArray[np.int16]] = []
    for piece in pieces:
        held.append(piece)
        while sum(map(len, held)) >= rows:
            joined = np.concatenate(held)
            yield at, joined[:rows]
            at += rows
            held = [joined[rows:]]
    rest = np.concatenate(held)
    if len(rest):
        yield at, rest


def main(arguments: Sequence[str] | None = None) -> None:
    """Write cases, or list them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE")
    parser.add_argument("--folder", type=Path, default=Path("benchmark-files"))
    options = parser.parse_args(arguments)
    if unknown := set(options.cases) - set(CASES):
        parser.error(f"no such case: {', '.join(sorted(unknown))}; there are {', '.join(CASES)}")
    for name in options.cases:
        path = write_case(name, options.folder)
        sys.stdout.write(f"{path} {path.stat().st_size / 1e6:.0f} MB, {CASES[name].about}\n")
    if not options.cases:
        for name, case in CASES.items():
            sys.stdout.write(f"{name:10} {case.about}\n")


if __name__ == "__main__":
    main()
