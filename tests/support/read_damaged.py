"""A process that reads damaged copies of NWB files, since damage can make the HDF5 library crash.

``python -m tests.support.read_damaged FOLDER FIRST LAST`` damages the files of a folder at random,
by seed, and prints a line for each seed: its number and what came of it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from storage.errors import RanvierError
from storage.nwb import NwbOptions, NwbSource
from storage.spans import Span

MOST_SAMPLES = 100_000


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """Return some bytes with others in one to three places, perhaps cut short."""
    changed = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        at, length = rng.integers(len(changed)), rng.choice([1, 1, 4, 64])
        changed[at : at + length] = rng.bytes(length)
    if rng.random() < 0.2:
        del changed[rng.integers(len(changed)) :]
    return bytes(changed)


def read_all(path: Path) -> str:
    """Read everything, and return what came of it."""
    try:
        with NwbSource(str(path), NwbOptions(series=("all",))) as source:
            for number, group in enumerate(source.recording.groups):
                if group.n_samples < MOST_SAMPLES:
                    source.read(number, Span(0, group.n_samples))
    except RanvierError as error:
        return "several lines" if "\n" in str(error) else type(error).__name__
    except Exception as error:  # noqa: BLE001  # what must not happen, and is reported
        return f"traceback {type(error).__name__}: {error!s:.100}"
    return "read"


def main() -> None:
    """Read the copies of the seeds that were asked for."""
    folder, first, last = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    sources = sorted(folder.glob("*.nwb"))
    copy = folder / "damaged.hdf5"
    for seed in range(first, last):
        rng = np.random.default_rng(seed)
        copy.write_bytes(damaged(sources[rng.integers(len(sources))].read_bytes(), rng))
        outcome = read_all(copy).replace("\n", " ")
        print(seed, outcome, flush=True)


if __name__ == "__main__":
    main()
