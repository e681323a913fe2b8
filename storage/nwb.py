"""NWB files as recordings: one rate group for each electrical series.

Found by walking the tree rather than through PyNWB: that costs a second less, reads files that
PyNWB refuses, and is the same for HDF5 and Zarr.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from storage.clocks import StampedClock, measure
from storage.errors import (
    CorruptRecording,
    NotFound,
    RecordingError,
    UnsupportedRecording,
    UsageError,
)
from storage.nwb_hdf5 import Hdf5NwbFile
from storage.nwb_rows import RowReader
from storage.nwb_series import FoundSeries, choose, discover
from storage.nwb_signal import SeriesSignal, read_signal, without_collisions
from storage.nwb_start import classic_session_start, microseconds, session_start
from storage.nwb_tree import NwbFile, array_at
from storage.persons import may_name_somebody
from storage.recording import RateGroup, Recording, Segment
from storage.spans import Span

# What HDF5, zarr and NumPy raise where the bytes of a file make no sense.
SUBJECT = "general/subject/subject_id"
DAMAGE = (OSError, RuntimeError, LookupError, ValueError, TypeError, ArithmeticError, MemoryError)


@dataclass(frozen=True, slots=True)
class NwbOptions:
    """How an NWB file is to be read.

    Parameters
    ----------
    series
        Names or paths of series; nothing for those in ``acquisition``, ``all`` for those in
        ``processing`` too.
    gap_periods
        A longer step between time stamps starts a new segment.
    repair_timestamps
        Start a new segment at a stamp that is missing, repeats or steps back, instead of raising.
    timezone
        IANA name of the zone of a start time without an offset.
    classic
        Read as the existing container processor does, faults included.
    """

    series: tuple[str, ...] = ()
    gap_periods: float = 1.5
    repair_timestamps: bool = False
    timezone: str | None = None
    classic: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.gap_periods) and self.gap_periods > 1):
            raise UsageError(f"gap threshold: expected periods above 1, got {self.gap_periods}")


class NwbSource:
    """The electrical series of an NWB file, as a recording.

    Parameters
    ----------
    url
        Local path of an HDF5 file or a Zarr folder, or an ``s3://`` URL of either.
    options
        What to read, and how.
    rates_hz
        Rates by series path that an earlier look at the same file measured; saves reading all
        time stamps again.

    Raises
    ------
    RecordingError
        If the file cannot be read, or holds nothing that was asked for.
    """

    def __init__(
        self,
        url: str,
        options: NwbOptions = NwbOptions(),
        rates_hz: Mapping[str, float] | None = None,
    ) -> None:
        with _explained(url):
            self._file = _open(url)
        try:
            with _explained(url):
                self._signals, self.recording = _read(self._file, options, rates_hz or {})
        except BaseException:
            self._file.close()
            raise
        self._rows = [RowReader(signal.data, signal.transposed) for signal in self._signals]

    @property
    def person(self) -> str | None:
        """What the file says about the subject, if that may name somebody."""
        with _explained(self.url):
            array = array_at(self._file.root, SUBJECT)
            subject = "" if array is None else str(array.values().reshape(-1)[0]).strip()
        return subject if may_name_somebody(subject) else None

    @property
    def url(self) -> str:
        """Path or URL that it was opened from."""
        return self._file.url

    @property
    def fingerprint(self) -> dict[str, str | int]:
        """Changes whenever the content does."""
        return self._file.fingerprint

    def segments(self, group: int, span: Span | None = None) -> Iterator[Segment]:
        """Yield the gap-free stretches of a series."""
        signal = self._signals[group]
        return signal.clock.segments(Span(0, signal.n_samples) if span is None else span)

    def time_us(self, group: int, index: int) -> int:
        """Return when a sample was taken, in microseconds since 1970-01-01 UTC."""
        return self._signals[group].clock.time_us(index)

    def bounds_us(self, group: int) -> tuple[int, int]:
        """Return the times of the earliest and the latest sample of a series."""
        signal = self._signals[group]
        if signal.bounds_us is not None:
            return signal.bounds_us
        if isinstance(signal.clock, StampedClock):
            seen = measure(signal.clock, signal.n_samples)
            return seen.first_us, seen.last_us
        return signal.clock.time_us(0), signal.clock.time_us(signal.n_samples - 1)

    def read(
        self,
        group: int,
        span: Span,
        channels: Span | None = None,
        out: NDArray[np.generic] | None = None,
    ) -> NDArray[np.generic]:
        """Return stored numbers, shape ``(n_samples, n_channels)``; see ``RecordingSource``."""
        signal = self._signals[group]
        channels = Span(0, len(signal.channels)) if channels is None else channels
        if out is None:
            out = np.empty((len(span), len(channels)), signal.dtype)
        self._rows[group].read(span, channels, out)
        return out

    def close(self) -> None:
        """Let go of the file."""
        for rows in self._rows:
            rows.close()
        # Arrays that links led to keep their files open for as long as they are known.
        self._rows.clear()
        self._signals.clear()
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


def _open(url: str) -> NwbFile:
    if url.rstrip("/").endswith(".zarr") or (not url.startswith("s3://") and Path(url).is_dir()):
        return _open_zarr(url)
    try:
        return Hdf5NwbFile(url)
    except NotFound:
        if url.startswith("s3://"):
            return _open_zarr(url)
        raise


def _open_zarr(url: str) -> NwbFile:
    # Costs a quarter of a second of imports, which HDF5 files need not wait for.
    from storage.nwb_zarr import ZarrNwbFile

    return ZarrNwbFile(url)


def recording_id(url: str) -> str:
    """Return the file's name without its endings."""
    name = _name(url)
    for ending in (".zarr", ".nwb"):
        if name.lower().endswith(ending):
            name = name[: -len(ending)]
    return name


@contextmanager
def _explained(url: str) -> Iterator[None]:
    """Let every error name the file, and say in a line what its bytes did to the libraries."""
    name = _name(url)
    try:
        yield
    except RecordingError as error:
        if name in str(error):
            raise
        raise type(error)(f"{name}: {error}") from error
    except PermissionError as error:
        raise NotFound(f"{url}: may not be read by this user") from error
    except DAMAGE as error:
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise CorruptRecording(
            f"{name}: cannot be understood ({reason:.200}); the file may be damaged, copy it again"
        ) from error


def _name(url: str) -> str:
    return url.rstrip("/").rpartition("/")[2]


def _read(
    file: NwbFile, options: NwbOptions, rates_hz: Mapping[str, float]
) -> tuple[list[SeriesSignal], Recording]:
    where = _name(file.url)
    found = choose(file.root, options.series)
    chosen, notes = list(found.series), list(found.skipped)
    if options.classic:
        chosen = _only_classic(chosen, options, where)
    if not chosen:
        raise UnsupportedRecording(f"{where}: {_why_nothing(file, notes)}")
    find_start = classic_session_start if options.classic else session_start
    start, assumed = find_start(file.root, options.timezone, where=where)
    if assumed:
        notes.append(f"start time {start:%Y-%m-%dT%H:%M:%S} read in zone {options.timezone}")
    signals = []
    for series in chosen:
        try:
            signal = read_signal(
                file.root,
                series,
                start,
                gap_periods=options.gap_periods,
                repair=options.repair_timestamps,
                classic=options.classic,
                known_rate_hz=rates_hz.get(series.path),
            )
        except UnsupportedRecording as error:
            if len(chosen) == 1:
                raise
            others = " ".join(f"--series {each.path}" for each in chosen if each is not series)
            raise UnsupportedRecording(f"{error}; to leave it out: {others}") from error
        notes.extend(f"{series.path}: {note}" for note in signal.notes)
        if signal.n_samples:
            signals.append(signal)
    if not signals:
        raise UnsupportedRecording(f"{where}: every electrical series is empty; nothing to convert")
    if not options.classic:
        signals = without_collisions(signals)
    groups = tuple(
        RateGroup(
            name=signal.path,
            rate_hz=signal.clock.rate_hz,
            n_samples=signal.n_samples,
            dtype=signal.dtype,
            channels=signal.channels,
            chunk_shape=signal.chunk_shape,
        )
        for signal in signals
    )
    recording = Recording(
        id=recording_id(file.url),
        start_us=microseconds(start),
        groups=groups,
        notes=tuple(notes),
    )
    return signals, recording


def _only_classic(chosen: list[FoundSeries], options: NwbOptions, where: str) -> list[FoundSeries]:
    if not options.series:
        chosen = [series for series in chosen if series.path.count("/") == 1]
    if len(chosen) > 1:
        paths = ", ".join(series.path for series in chosen)
        raise UsageError(
            f"{where}: --classic converts one series, this file has {paths}; choose with --series"
        )
    return chosen


def _why_nothing(file: NwbFile, skipped: Sequence[str]) -> str:
    elsewhere = discover(file.root, ("processing",)).series
    if elsewhere:
        paths = ", ".join(series.path for series in elsewhere)
        return f"no ElectricalSeries in acquisition, but {paths}; choose with --series"
    if skipped:
        return f"nothing to convert ({skipped[0]})"
    return "holds no ElectricalSeries in acquisition or processing; nothing to convert"
