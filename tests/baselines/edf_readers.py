"""Reading an EDF file from end to end, each way in a process of its own.

``python -m tests.baselines.edf_readers READER PATH`` prints CPU and wall seconds, by how much the
memory grew at its peak, and the sum of all samples, as JSON. ``fromfile`` is the limit: it knows
what a night looks like and reads 600 records at a time.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.support.night import CHANNELS, HEADER_BYTES, RATE

RECORDS = 600
Blocks = Iterator[NDArray[Any]]


def fromfile(path: str) -> Blocks:
    """Yield blocks of (channels, samples), by ``np.fromfile``."""
    with open(path, "rb") as file:
        file.seek(HEADER_BYTES)
        while len(block := np.fromfile(file, "<i2", RECORDS * CHANNELS * RATE)):
            records = block.reshape(-1, CHANNELS, RATE)
            yield np.ascontiguousarray(records.swapaxes(0, 1)).reshape(CHANNELS, -1)


def ours(path: str) -> Blocks:
    """Yield blocks of (channels, samples), by the reader of this project."""
    from storage.edf import EdfSource
    from storage.spans import Span

    with EdfSource(path) as source:
        (group,) = source.recording.groups
        for segment in source.segments(0):
            for at in range(segment.span.start, segment.span.stop, RECORDS * RATE):
                span = Span(at, min(at + RECORDS * RATE, segment.span.stop))
                block = np.empty((len(group.channels), span.stop - span.start), group.dtype)
                source.read(0, span, out=block.T)
                yield block


def pyedflib(path: str) -> Blocks:
    """Yield one channel at a time, digital, by pyEDFlib; keeps them as its users do."""
    import pyedflib as library

    kept = []
    with library.EdfReader(path) as reader:
        for channel in range(reader.signals_in_file):
            kept.append(reader.readSignal(channel, digital=True))
            yield kept[-1]


READERS: dict[str, Callable[[str], Blocks]] = {
    "fromfile": fromfile,
    "ours": ours,
    "pyedflib": pyedflib,
}


def _memory(field: str) -> int:
    (line,) = (
        line
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith(f"{field}:")
    )
    return int(line.split()[1]) * 1024


def measure(reader: str, path: str) -> dict[str, float]:
    """Read a file and return what it cost."""
    import numpy.random  # noqa: F401  # whatever NumPy loads late is not the reader's

    if reader == "ours":
        import storage.edf  # noqa: F401
    if reader == "pyedflib":
        import pyedflib as _  # noqa: F401
    with open("/proc/self/clear_refs", "w") as marks:
        marks.write("5")  # the peak counts from here
    before, cpu_s, wall_s = _memory("VmRSS"), time.process_time(), time.perf_counter()
    samples = 0
    first = last = 0
    for block in READERS[reader](path):
        first = first or int(block.flat[0])
        last = int(block.flat[-1])
        samples += block.size
    return {
        "cpu_s": time.process_time() - cpu_s,
        "wall_s": time.perf_counter() - wall_s,
        "growth_mb": (_memory("VmHWM") - before) / 1e6,
        "samples": samples,
        "first": first,
        "last": last,
    }


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], sys.argv[2])))
