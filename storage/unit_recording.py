"""An NWB file with sorted units, open: its units, trials and signals, and their samples in blocks.

Read through h5py alone, so that a live service is ready in a fraction of a second; nothing but
small tables is read when the file is opened.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from storage.errors import CorruptRecording, NotFound, RecordingError, UsageError
from storage.nwb_hdf5 import Hdf5NwbFile
from storage.nwb_signals import SignalArrays, find_signals
from storage.nwb_start import session_start
from storage.nwb_tree import NwbGroup, array_at
from storage.nwb_trials import read_trials
from storage.nwb_units import BLOCK_SPIKES, read_observed, read_units
from storage.trials import Signal, Trial, Unit

Block = TypeVar("Block")

BLOCK_ROWS = 65_536
# What h5py and NumPy raise where the bytes of a file make no sense.
DAMAGE = (
    *(OSError, RuntimeError, LookupError, ValueError, TypeError, ArithmeticError, MemoryError),
    AttributeError,  # of a stored type that stands where a dataset should
)
SYNTHETIC = re.compile(r"\s*(synthetic|simulated)\b", re.IGNORECASE)
LICENCE = re.compile(r"\bCC0(?:[- ]1\.0)?\b|\bCC[- ]BY(?:[- ](?:NC|SA|ND))*(?:[- ]\d\.\d)?\b")
DESCRIPTIONS = ("session_description", "general/experiment_description", "general/notes")
KEYWORDS = "general/keywords"


def open_units(path: str | Path) -> UnitRecording:
    """Open an NWB file that holds units.

    Parameters
    ----------
    path
        Local path, or an ``s3://`` URL.

    Raises
    ------
    NotFound
        If there is no such file.
    UnsupportedRecording
        If it holds no units; the message says what it holds.
    CorruptRecording
        If it cannot be understood.
    """
    return UnitRecording(str(path))


class UnitRecording:
    """An NWB file that holds units, with or without trials and behaviour.

    Parameters
    ----------
    url
        Local path, or an ``s3://`` URL.

    Attributes
    ----------
    url : str
        Where it was opened from.
    name : str
        Name of the file without its ending.
    units : tuple of Unit
        In the order of the file.
    trials : tuple of Trial
        In order of their start.
    signals : tuple of Signal
        Sorted by path.
    observed : NDArray or None
        When units were observed, rows of start and stop in microseconds, apart and in order; None
        where the file does not say.
    start_time : datetime or None
        Start of the session; None where the file gives none with an offset from UTC.
    licence : str or None
        Licence that the descriptions name.
    synthetic : bool
        Whether the file says that its data were made.
    notes : tuple of str
        What was left out or mended, one line each, for people to read.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.name = Path(url).name.removesuffix(".nwb")
        with _explained(url):
            self._file = Hdf5NwbFile(url)
        notes: list[str] = []
        try:
            with _explained(url):
                root = self._file.root
                units, self._trains = read_units(root, notes)
                self.observed: NDArray[np.int64] | None = read_observed(root, notes)
                self.trials: tuple[Trial, ...] = read_trials(root, notes)
                self._signals = find_signals(root, notes)
                self.start_time = _start_time(root, notes)
                told = _descriptions(root)
                keywords = _texts(root, KEYWORDS)
        except BaseException:
            self._file.close()
            raise
        self.units: tuple[Unit, ...] = units
        self.signals: tuple[Signal, ...] = tuple(arrays.signal for arrays in self._signals)
        self.synthetic = any(SYNTHETIC.match(text) for text in (*told, *keywords))
        self.licence = next((match[0] for text in told if (match := LICENCE.search(text))), None)
        self.notes = tuple(notes)

    @property
    def n_spikes(self) -> int:
        """Spikes of all units, those at impossible times included."""
        return int(self._trains.bounds[-1] - self._trains.bounds[0])

    @cached_property
    def extent_us(self) -> tuple[int, int]:
        """From the first trial's start to the last trial's stop.

        Without trials the observed time; without that as well, from the first to the last spike
        or sample, which takes reading them.
        """
        if self.trials:
            return self.trials[0].start_us, max(trial.stop_us for trial in self.trials)
        if self.observed is not None and len(self.observed):
            return int(self.observed[0, 0]), int(self.observed[-1, 1])
        return self._read_extent()

    def spikes(self, unit: int) -> NDArray[np.int64]:
        """Return when a unit, given by its position, fired: microseconds, in order."""
        with _explained(self.url):
            return self._trains.of(range(len(self.units))[unit])

    def spike_blocks(
        self, size: int = BLOCK_SPIKES
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int32]]]:
        """Return all spikes, unit by unit: microseconds, and positions of the units that fired."""
        return _explaining(self.url, self._trains.blocks(size))

    def signal_blocks(
        self, name: str, rows: int = BLOCK_ROWS
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Return a signal in blocks, in the order of the file.

        Parameters
        ----------
        name
            Of the signal.
        rows
            Samples in a block; the last may hold fewer.

        Returns
        -------
        iterator of (stamps_us, values)
            Microseconds, and numbers in the signal's unit, shape ``(n, n_columns)``. Samples
            whose time is not a number are left out.

        Raises
        ------
        NotFound
            If there is no such signal.
        """
        return _explaining(self.url, self._arrays(name).blocks(rows))

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _arrays(self, name: str) -> SignalArrays:
        for arrays in self._signals:
            if arrays.signal.name == name:
                return arrays
        names = ", ".join(signal.name for signal in self.signals) or "none"
        raise NotFound(f"{self.name}: there is no signal {name!r:.60}; it has {names}")

    def _read_extent(self) -> tuple[int, int]:
        ends: list[int] = []
        for times, _ in self.spike_blocks():
            if len(times):
                ends += int(times.min()), int(times.max()) + 1
        for signal in self.signals:
            for stamps, _ in self.signal_blocks(signal.name):
                if len(stamps):
                    ends += int(stamps.min()), int(stamps.max()) + 1
        return (min(ends), max(ends)) if ends else (0, 0)


def _start_time(root: NwbGroup, notes: list[str]) -> datetime | None:
    try:
        return session_start(root, None, where="session")[0]
    except (CorruptRecording, UsageError) as error:
        notes.append(str(error))
        return None


def _descriptions(root: NwbGroup) -> list[str]:
    return [text for path in DESCRIPTIONS for text in _texts(root, path)]


def _texts(root: NwbGroup, path: str) -> list[str]:
    array = array_at(root, path)
    return [] if array is None else [str(text) for text in array.values().reshape(-1)]


def _explaining(url: str, blocks: Iterator[Block]) -> Iterator[Block]:
    with _explained(url):
        yield from blocks


@contextmanager
def _explained(url: str) -> Iterator[None]:
    """Let every error name the file, and say in a line what its bytes did to the libraries."""
    name = url.rstrip("/").rpartition("/")[2]
    try:
        yield
    except RecordingError as error:
        if name in str(error):
            raise
        raise type(error)(f"{name}: {error}") from error
    except DAMAGE as error:
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise CorruptRecording(
            f"{name}: cannot be understood ({reason:.200}); the file may be damaged, copy it again"
        ) from error
