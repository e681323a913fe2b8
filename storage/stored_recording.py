"""A recording of the store as a source: its samples one after the other, across all gaps."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from storage.catalog_rows import BlobEntry, RecordingEntry, StoredSegment
from storage.edf_original import rebuild
from storage.errors import CorruptRecording, DigestMismatch, NotFound, UsageError
from storage.grid_source import grid_time_us
from storage.identity import IdentityKey
from storage.parts import Parts
from storage.protocols import MASKED_ANNOTATIONS
from storage.recording import Channel, RateGroup, Recording, Segment
from storage.spans import Span
from storage.windows import WindowReader


class StoredRecording:
    """A recording of the store; of a live one, what it held when it was opened.

    Channels are called by their keys, so that no two have one name.

    Parameters
    ----------
    parts
        The store.
    reader
        Reads its windows.
    entry
        Which recording.
    """

    def __init__(self, parts: Parts, reader: WindowReader, entry: RecordingEntry) -> None:
        self._parts = parts
        self._reader = reader
        self.entry = entry
        self._groups = reader.groups(entry)
        self._segments: list[tuple[StoredSegment, ...]] = []
        # Where each segment begins among all samples, and where the last one ends.
        self._places: list[NDArray[np.int64]] = []
        for group in self._groups:
            segments = tuple(parts.catalog.segments(group))
            self._segments.append(segments)
            lengths = [segment.n_samples for segment in segments]
            self._places.append(np.cumsum([0, *lengths], dtype=np.int64))
        self.recording = self._describe()

    def _describe(self) -> Recording:
        entry = self.entry
        return Recording(
            id=entry.name,
            start_us=entry.start_us or 0,
            groups=tuple(
                RateGroup(
                    name=group.name,
                    rate_hz=float(group.rate) if group.rate.denominator > 1 else int(group.rate),
                    n_samples=int(places[-1]),
                    dtype=group.dtype,
                    channels=tuple(
                        Channel(
                            label=channel.key,
                            group=channel.electrode_group,
                            unit=channel.unit,
                            scaling=channel.scaling,
                            details=channel.details,
                        )
                        for channel in group.channels
                    ),
                    chunk_shape=(group.chunk_samples, len(group.channels)),
                    ratio=group.rate,
                )
                for group, places in zip(self._groups, self._places, strict=True)
            ),
            notes=entry.notes,
            annotations=tuple(each.annotation for each in self._parts.catalog.annotations(entry)),
            start_known=entry.start_us is not None,
        )

    @property
    def fingerprint(self) -> dict[str, str | int]:
        """Changes whenever the content does: the recording, and its samples of each group."""
        counts = {
            f"samples of group {number}": int(places[-1])
            for number, places in enumerate(self._places)
        }
        return {"recording": str(self.entry.uuid), "sealed": int(self.entry.sealed), **counts}

    def segments(self, group: int, span: Span | None = None) -> Iterator[Segment]:
        """Yield the gap-free stretches of a rate group."""
        places = self._places[group]
        inside = Span(0, int(places[-1])) if span is None else span
        first = max(0, int(np.searchsorted(places, inside.start, "right")) - 1)
        for number in range(first, len(places) - 1):
            whole = Span(int(places[number]), int(places[number + 1]))
            if whole.start >= inside.stop:
                return
            piece = whole.intersect(inside)
            if piece:
                yield Segment(piece, self.time_us(group, piece.start))

    def time_us(self, group: int, index: int) -> int:
        """Return when a sample was taken, in microseconds since 1970-01-01 UTC."""
        segment, place = self._locate(group, index)
        start = self.recording.start_us + segment.shift_us
        return start + grid_time_us(self._groups[group].rate, place)

    def grid_index(self, group: int, index: int) -> int:
        """Return where a sample lies on the grid of its group."""
        return self._locate(group, index)[1]

    def _locate(self, group: int, index: int) -> tuple[StoredSegment, int]:
        places = self._places[group]
        if not 0 <= index < places[-1]:
            raise UsageError(
                f"recording {self.entry.name!r}, rate group {group}: no sample {index}; it has "
                f"{places[-1]}"
            )
        number = int(np.searchsorted(places, index, "right")) - 1
        segment = self._segments[group][number]
        return segment, segment.start + index - int(places[number])

    def bounds_us(self, group: int) -> tuple[int, int]:
        """Return the times of the earliest and the latest sample of a rate group."""
        places = self._places[group]
        ends = [
            self.time_us(group, index)
            for start, stop in pairwise(places.tolist())
            for index in (start, stop - 1)
        ]
        if not ends:
            raise UsageError(
                f"recording {self.entry.name!r}, rate group {group}: it holds no samples"
            )
        return min(ends), max(ends)

    def read(
        self,
        group: int,
        span: Span,
        channels: Span | None = None,
        out: NDArray[np.generic] | None = None,
    ) -> NDArray[np.generic]:
        """Return stored numbers, shape ``(n_samples, n_channels)``; see ``RecordingSource``."""
        stored = self._groups[group]
        count = len(stored.channels)
        chosen = Span(0, count) if channels is None else channels
        if span.stop > self._places[group][-1] or chosen.stop > count:
            raise UsageError(
                f"recording {self.entry.name!r}, rate group {group}: samples up to {span.stop} of "
                f"channels up to {chosen.stop} were asked for, there are "
                f"{self._places[group][-1]} of {count}"
            )
        if out is None:
            out = np.empty((len(chosen), len(span)), stored.dtype).T
        at = 0
        for place in self._grid_spans(group, span):
            held = self._reader.held(self.entry, stored, place, segments=False)
            samples = self._reader.samples(self.entry, stored, held, place)
            out[at : at + len(place)] = samples[chosen.start : chosen.stop].T
            at += len(place)
        return out

    def _grid_spans(self, group: int, span: Span) -> Iterator[Span]:
        places = self._places[group]
        first = max(0, int(np.searchsorted(places, span.start, "right")) - 1)
        for number in range(first, len(places) - 1):
            start = int(places[number])
            if start >= span.stop:
                return
            piece = Span(start, int(places[number + 1])).intersect(span)
            if piece:
                shift = self._segments[group][number].start - start
                yield Span(piece.start + shift, piece.stop + shift)

    def stamps_s(self, group: int, span: Span) -> NDArray[np.float64] | None:
        """Return the source's own time stamps in seconds, or None where it had none."""
        stored = self._groups[group]
        files = self._reader.files(self.entry)
        stamps = np.empty(len(span), np.float64)
        at = 0
        for place in self._grid_spans(group, span):
            held = self._reader.held(self.entry, stored, place, segments=False, inbox=False)
            found = files.read_stamps(stored, held.blocks, place)
            if found is None:
                return None
            stamps[at : at + len(place)] = found
            at += len(place)
        if not span and len(self._segments[group]):
            # Nothing was asked for: whether there are any tells the first sample.
            return None if self.stamps_s(group, Span(0, 1)) is None else stamps
        return stamps if at else None

    def close(self) -> None:
        """Do nothing: the store stays open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class StoredOriginal(StoredRecording):
    """A recording of the store whose file can be rebuilt.

    Parameters
    ----------
    key_path
        File with the key that opens names of people; without it they are left out.
    """

    def __init__(
        self,
        parts: Parts,
        reader: WindowReader,
        entry: RecordingEntry,
        key_path: Path | None = None,
    ) -> None:
        super().__init__(parts, reader, entry)
        self._key_path = key_path

    @property
    def sha256(self) -> str:
        """SHA-256 of the file."""
        return self.entry.source_sha256 or ""

    def blobs(self) -> Iterator[tuple[str, Iterable[bytes]]]:
        """Yield what of the file is no sample; what is sealed is opened.

        Raises
        ------
        NotFound
            If it is there, and the key is gone.
        """
        yield from ((name, [content]) for name, content in self._contents(True).items())

    def original(self, with_names: bool = True) -> Iterator[bytes]:
        """Yield the bytes of the file.

        Parameters
        ----------
        with_names
            Whether the two fields of the header that name people, and annotations that do, are as
            they were; otherwise, and where they were not kept, they name nobody.

        Raises
        ------
        NotFound
            If the names are asked for, and the key that opens them is gone.
        """
        contents = self._contents(with_names)
        return rebuild(
            contents["header"],
            contents.get("identity"),
            contents.get("annotations", contents.get(MASKED_ANNOTATIONS)),
            contents.get("tail"),
            self.read,
            [group.n_samples for group in self.recording.groups],
        )

    def _contents(self, with_names: bool) -> dict[str, bytes]:
        contents = {}
        for blob in self._parts.catalog.blobs(self.entry):
            if not blob.encrypted:
                contents[blob.name] = read_blob(self._parts, self.entry, blob)
            elif with_names and self._key_path is not None:
                contents[blob.name] = read_blob(self._parts, self.entry, blob, self._key_path)
        return contents


def read_blob(
    parts: Parts, entry: RecordingEntry, blob: BlobEntry, key_path: Path | None = None
) -> bytes:
    """Return the content of a file that holds no samples.

    Raises
    ------
    DigestMismatch
        If it is not what was stored.
    UsageError
        If it is encrypted, and no key was given.
    """
    files = parts.files(entry)
    where = files.where(blob.key)
    try:
        content = parts.folder.read(files.name(blob.key))
    except NotFound as error:
        raise CorruptRecording(f"{error}; restore it from a copy") from error
    if hashlib.sha256(content).hexdigest() != blob.sha256:
        raise DigestMismatch(
            f"{where}: its SHA-256 is not the one that was stored; restore it from a copy"
        )
    if not blob.encrypted:
        return zlib.decompress(content, wbits=31)
    if key_path is None:
        raise UsageError(f"{where}: is sealed, and there is no key to open it")
    return IdentityKey.load(key_path).open(content, f"{entry.uuid}/{blob.name}")


def has_file(parts: Parts, entry: RecordingEntry) -> bool:
    """Return whether the file that a recording came from can be rebuilt."""
    return entry.source_sha256 is not None and any(
        blob.name == "header" for blob in parts.catalog.blobs(entry)
    )
