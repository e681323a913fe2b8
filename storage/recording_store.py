"""Recordings at rest: the catalogue, the samples, and the door for live chunks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Self

from storage import compaction, sealing
from storage.catalog import Catalog
from storage.catalog_rows import NewRecording, RecordingEntry, StoredGroup, StoredSegment
from storage.density import Density
from storage.durable import DurableFolder, open_durable
from storage.errors import NotFound
from storage.heads import HEAD, try_record_head
from storage.ingest import Answer, Appender, NewChunk
from storage.overview import Overview
from storage.parts import Parts
from storage.spans import Span
from storage.store_sink import StoreResult, StoreSink
from storage.stored_overview import read_density, read_overview
from storage.stored_recording import StoredOriginal, StoredRecording, has_file, read_blob
from storage.survey import Surveyed, survey
from storage.verify_store import VerifyProblem, VerifyReport, verify
from storage.windows import Window, WindowReader
from storage.zarr_shards import ShardReader

__all__ = [
    "Density",
    "NewChunk",
    "Overview",
    "RecordingStore",
    "StoreResult",
    "StoreSink",
    "StoredRecording",
    "VerifyProblem",
    "VerifyReport",
    "Window",
]


class RecordingStore:
    """Recordings at rest; may be used by many threads at once.

    Parameters
    ----------
    catalog
        What is known of them.
    folder
        Where their samples rest.
    identity_key
        File with the key that seals names of people; made when it is first needed.
    """

    def __init__(
        self, catalog: Catalog, folder: DurableFolder, identity_key: Path | None = None
    ) -> None:
        self.catalog = catalog
        self.folder = folder
        self.identity_key = identity_key
        self._parts = Parts(catalog, folder, ShardReader(folder))
        self._reader = WindowReader(self._parts)
        self._appender: Appender | None = None
        self._lock = threading.Lock()

    @classmethod
    def open(cls, store_url: str, database_url: str, identity_key: Path | None = None) -> Self:
        """Open a store; what is missing is made, an older catalogue is brought up to date.

        Parameters
        ----------
        store_url
            Local folder, or ``s3://`` prefix.
        database_url
            ``sqlite:///path``, ``postgresql://...``, or the path of a SQLite file.
        identity_key
            File with the key that seals names of people.

        Raises
        ------
        StorageError
            If the catalogue is newer than this program.
        """
        return cls(Catalog.open(database_url), open_durable(store_url), identity_key)

    def close(self) -> None:
        """Take in what waits, then close all connections."""
        self.appender.close()
        self.catalog.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def create(self, new: NewRecording, actor: str) -> RecordingEntry:
        """Enter a recording with its groups; the same declaration again changes nothing.

        Raises
        ------
        AlreadyExists
            If the patient has a recording of that name that was declared otherwise.
        """
        entry = self.catalog.create(new, actor)
        if not self._parts.files(entry).has(HEAD):
            try_record_head(self._parts, entry)
        return entry

    # --- live ------------------------------------------------------------------------------------

    @property
    def appender(self) -> Appender:
        """Takes live chunks in; its thread starts with the first of them."""
        with self._lock:
            if self._appender is None:
                self._appender = Appender(self.catalog)
            return self._appender

    def append(self, chunks: Sequence[NewChunk]) -> Future[list[Answer]]:
        """Take chunks in; see ``Appender.append``."""
        return self.appender.append(chunks)

    # --- reading ---------------------------------------------------------------------------------

    def groups(self, entry: RecordingEntry) -> tuple[StoredGroup, ...]:
        """Return the rate groups of a recording."""
        return self._reader.groups(entry)

    def stop(self, entry: RecordingEntry, group: int) -> int:
        """Return the index after the last sample of a rate group."""
        return self._reader.stop(entry, self._reader.group(entry, group))

    def segments(
        self, entry: RecordingEntry, group: int, span: Span | None = None
    ) -> list[StoredSegment]:
        """Return the gap-free stretches of a rate group, as they lie within a span."""
        stored = self._reader.group(entry, group)
        if not entry.sealed:
            return self.catalog.segments(stored, span)
        held = self._reader.held(entry, stored)
        return list(held.within(Span(0, held.stop) if span is None else span))

    def window(
        self,
        entry: RecordingEntry,
        group: int,
        span: Span,
        channels: Sequence[int] | None = None,
    ) -> Window:
        """Return a window of a rate group; of a sealed recording without asking the database.

        Raises
        ------
        UsageError
            If there is no such group or channel.
        CorruptRecording
            If a file of the store is not what was written.
        """
        return self._reader.window(entry, group, span, channels)

    def overview(
        self,
        entry: RecordingEntry,
        group: int,
        span: Span,
        max_bins: int,
        channels: Sequence[int] | None = None,
    ) -> Overview:
        """Return the extremes of a span in at most so many bins; see ``read_overview``."""
        return read_overview(self._reader, entry, group, span, max_bins, channels)

    def density(
        self,
        entry: RecordingEntry,
        group: int,
        span: Span | None = None,
        max_columns: int | None = None,
        channels: Sequence[int] | None = None,
    ) -> Density | None:
        """Return the colour density array of a span; see ``read_density``."""
        return read_density(self._reader, entry, group, span, max_columns, channels)

    def source(self, entry: RecordingEntry) -> StoredRecording:
        """Return a recording as a source; an ``OriginalSource`` where its file can be rebuilt."""
        if has_file(self._parts, entry):
            return StoredOriginal(self._parts, self._reader, entry, self.identity_key)
        return StoredRecording(self._parts, self._reader, entry)

    def original(self, entry: RecordingEntry, with_names: bool = True) -> Iterator[bytes]:
        """Yield the bytes of the file that a recording came from.

        Parameters
        ----------
        with_names
            Whether the two fields of its header that name people are as they were; otherwise, and
            where they were not kept, they name nobody.

        Raises
        ------
        NotFound
            If there was no such file, or the key that opens the names is gone.
        """
        source = self.source(entry)
        if not isinstance(source, StoredOriginal):
            raise NotFound(
                f"recording {entry.name!r}: it did not come from an EDF or BDF file; export it in "
                "another format"
            )
        return source.original(with_names)

    def blob(self, entry: RecordingEntry, name: str) -> bytes | None:
        """Return a file that holds no samples, opened if it is sealed; None where there is none.

        Raises
        ------
        DigestMismatch
            If it is not what was stored.
        NotFound
            If it is sealed, and the key is gone.
        """
        for blob in self.catalog.blobs(entry):
            if blob.name == name:
                return read_blob(self._parts, entry, blob, self.identity_key)
        return None

    # --- closing and proving ---------------------------------------------------------------------

    def compact(self, entry: RecordingEntry, actor: str = "compaction") -> int:
        """Move whole blocks of a live recording to the Zarr store; return how many.

        Raises
        ------
        Busy
            If somebody else works on the recording.
        """
        return compaction.compact(self._parts, entry, actor)

    def seal(self, entry: RecordingEntry, actor: str = "seal") -> RecordingEntry:
        """Close a recording for good, and return it as it is then.

        Raises
        ------
        Busy
            If somebody else works on the recording.
        """
        sealing.seal(self._parts, entry, actor)
        return self.catalog.refresh(entry)

    def verify(
        self, entry: RecordingEntry, progress: Callable[[int], None] | None = None
    ) -> VerifyReport:
        """Recompute everything from the samples; see ``VerifyReport``."""
        return verify(self._parts, entry, progress)

    def survey(self, patient: str | None = None) -> list[Surveyed]:
        """Return all recordings, and what is left of any that are missing; see ``survey``."""
        return survey(self._parts, patient)

    # --- batch -----------------------------------------------------------------------------------

    def sink(
        self,
        *,
        patient: str,
        name: str | None = None,
        kind: str,
        codec: str = "blosc",
        drop_identity: bool = False,
        actor: str = "ingest",
        progress: Callable[[int], None] | None = None,
        source_sha256: str | None = None,
    ) -> StoreSink:
        """Return what stores whole recordings; see ``StoreSink``."""
        return StoreSink(
            self._parts,
            self.identity_key,
            patient=patient,
            name=name,
            kind=kind,
            codec=codec,
            drop_identity=drop_identity,
            actor=actor,
            progress=progress,
            source_sha256=source_sha256,
        )
