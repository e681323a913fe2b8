"""A process that writes a recording as chunk files and kills itself while it does.

``python -m tests.support.killed_writes PLACE WHEN NUMBER``: WHEN is ``read`` or ``write``, NUMBER
which of them does not come back.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any

from storage import chunk_plan
from storage.chunk_plan import ChunkOptions
from storage.chunk_sink import ChunkFilesSink
from storage.folders import LocalFolder
from storage.spans import Span
from tests.support.synthetic_recording import SyntheticGroup, SyntheticRecording

BLOCK_FILES = 8
N_BLOCKS = 16


def recording(
    before_read: Callable[[int, Span], None] = lambda group, span: None,
) -> SyntheticRecording:
    """Return a recording of many small segments, so of many blocks."""
    chunk_plan.MOST_BLOCK_FILES = BLOCK_FILES
    gaps = dict.fromkeys(range(50, 2000, 50), 10_000)
    return SyntheticRecording(
        SyntheticGroup(n_samples=2000, n_channels=2, gaps_us=gaps),
        SyntheticGroup(n_samples=1000, n_channels=3, dtype="float64", gaps_us={500: 10_000}),
        SyntheticGroup(n_samples=2000, n_channels=1, gaps_us=gaps),
        before_read=before_read,
    )


def main() -> None:
    """Write until death."""
    place, when, number = sys.argv[1], sys.argv[2], int(sys.argv[3])
    reads = itertools.count()
    if when == "write":
        left, lock, real = iter(range(number)), threading.Lock(), LocalFolder.write

        def write(self: LocalFolder, name: str, buffers: Iterable[Any]) -> None:
            with lock:
                if name.endswith(".gz") and next(left, None) is None:
                    os.kill(os.getpid(), signal.SIGKILL)
            real(self, name, buffers)

        LocalFolder.write = write  # type: ignore[method-assign]

    def die(group: int, span: Span) -> None:
        if when == "read" and next(reads) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    ChunkFilesSink(place, ChunkOptions()).write(recording(die))


if __name__ == "__main__":
    main()
