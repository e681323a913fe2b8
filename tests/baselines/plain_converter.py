"""A plain NWB to chunk converter, the peer that ``ranvier benchmark convert`` measures against.

Does what the existing container processor does, step for step: PyNWB reads the file; each chunk is
one two-dimensional read, scaled with full-size temporaries in double precision; a thread pool of
the default size then gets one task for each channel, which gathers its column, swaps the bytes and
writes them with Python's gzip at level 0; the next chunk waits for all of them. Metadata follow
at the end. The libraries that the processor imports at its start are imported here as well.

``python -m tests.baselines.plain_converter INPUT.nwb OUTPUT_DIR [--chunk-size-mb 1]`` prints one
line of JSON: CPU seconds of the whole process so far and of the conversion alone, wall seconds of
both, and the largest resident memory.
"""

from __future__ import annotations

import argparse
import gzip
import json
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3  # noqa: F401
import numpy as np
import requests  # noqa: F401
from numpy.typing import NDArray
from pynwb import NWBHDF5IO
from pynwb.ecephys import ElectricalSeries

TO_MICROVOLTS = {"volts": 1e6, "v": 1e6, "millivolts": 1e3, "mv": 1e3, "microvolts": 1, "uv": 1}
TIMESTAMP_BATCH = 100_000


class SeriesReader:
    """Samples, times and channels of one series."""

    def __init__(self, series: Any, start_s: float) -> None:
        self.series = series
        self.start_s = start_s
        self.n_samples, self.n_channels = series.data.shape
        table = series.electrodes.table
        if len(table) != self.n_channels:
            raise ValueError(f"{len(table)} electrodes for {self.n_channels} channels")
        self.rate = series.rate
        if self.rate is None:
            stamps = np.array(series.timestamps[:10]) + start_s
            self.rate = round(1 / float(np.median(np.diff(stamps))))
        self.factor = series.conversion
        if series.channel_conversion is not None:
            self.factor = np.array(series.channel_conversion[:]) * series.conversion
        self.to_microvolts = TO_MICROVOLTS[series.unit.lower()]

    def time_s(self, index: int) -> float:
        """Return seconds since 1970 of a sample."""
        if self.series.timestamps is None:
            return float(index / self.rate + self.start_s)
        return float(self.series.timestamps[index]) + self.start_s

    def segments(self) -> Iterator[tuple[int, int]]:
        """Yield the stretches without a step of more than two periods."""
        if self.series.timestamps is None:
            yield 0, self.n_samples
            return
        gap_s = 2 * (1 / self.rate)
        begin = 0
        last: float | None = None
        for first in range(0, self.n_samples, TIMESTAMP_BATCH):
            stamps = self.series.timestamps[first : first + TIMESTAMP_BATCH] + self.start_s
            steps = np.diff(stamps, prepend=stamps[0] if last is None else last)
            for index in first + np.flatnonzero(steps > gap_s):
                yield begin, int(index)
                begin = int(index)
            last = stamps[-1]
        yield begin, self.n_samples

    def microvolts(self, begin: int, end: int) -> NDArray[np.float64]:
        """Return the scaled samples of all channels, shape ``(samples, channels)``."""
        values = self.series.data[begin:end, :] * self.factor + self.series.offset
        scaled: NDArray[np.float64] = values * self.to_microvolts
        return scaled


def write_channel(path: Path, values: NDArray[np.float64]) -> None:
    """Write one channel's share of a chunk: gather the column, swap its bytes, write."""
    column = values.astype(np.float64)
    with gzip.open(path, "wb", compresslevel=0) as file:
        file.write(column.byteswap(inplace=True).data)


def convert_series(reader: SeriesReader, output: Path, chunk_size_mb: int) -> None:
    """Write all chunks of a series, then its metadata."""
    length = chunk_size_mb * 1024 * 1024 // 8
    with ThreadPoolExecutor() as pool:
        for segment_begin, segment_end in reader.segments():
            for begin in range(segment_begin, segment_end, length):
                end = min(begin + length, segment_end)
                values = reader.microvolts(begin, end)
                first_us = int(reader.time_s(begin) * 1e6)
                last_us = int(reader.time_s(end - 1) * 1e6)
                tasks = [
                    pool.submit(
                        write_channel,
                        output / f"channel-{channel:05d}_{first_us}_{last_us}.bin.gz",
                        values[:, channel],
                    )
                    for channel in range(reader.n_channels)
                ]
                for task in tasks:
                    task.result()
    write_metadata(reader, output)


def write_metadata(reader: SeriesReader, output: Path) -> None:
    """Write one object for each channel."""
    for channel, electrode in enumerate(reader.series.electrodes):
        name = ""
        for column in ("label", "channel_name"):
            if column in electrode:
                name = electrode[column].iloc[0].strip()
        metadata = {
            "name": name,
            "start": int(reader.time_s(0) * 1e6),
            "end": int(reader.time_s(reader.n_samples - 1) * 1e6),
            "unit": "uV",
            "rate": reader.rate,
            "type": "CONTINUOUS",
            "group": electrode["group_name"].iloc[0].strip(),
            "lastAnnotation": 0,
            "properties": [],
        }
        (output / f"channel-{channel:05d}.metadata.json").write_text(json.dumps(metadata))


def convert(source: Path, output: Path, chunk_size_mb: int = 1) -> None:
    """Convert every electrical series that stands directly in the acquisition of a file."""
    with NWBHDF5IO(source, mode="r") as io:
        file = io.read()
        start_s = file.session_start_time.timestamp()
        for series in file.acquisition.values():
            if isinstance(series, ElectricalSeries):
                convert_series(SeriesReader(series, start_s), output, chunk_size_mb)


def cpu_s() -> float:
    """Return the CPU seconds of this process so far, in user and system mode."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main(arguments: Sequence[str] | None = None) -> None:
    """Convert, and print what it cost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--chunk-size-mb", type=int, default=1)
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    imported_cpu_s, imported_s = cpu_s(), time.monotonic()
    convert(options.source, options.output, options.chunk_size_mb)
    total_cpu_s, ended_s, now_s = cpu_s(), time.monotonic(), time.time()

    import psutil  # type: ignore[import-untyped, unused-ignore]

    result = {
        "cpu_s": round(total_cpu_s, 3),
        "conversion_cpu_s": round(total_cpu_s - imported_cpu_s, 3),
        "wall_s": round(now_s - psutil.Process().create_time(), 3),
        "conversion_wall_s": round(ended_s - imported_s, 3),
        "max_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
