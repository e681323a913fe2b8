"""The catalogue: what is known of recordings, kept in SQLite or PostgreSQL.

Every method is a transaction of its own; whoever needs several in one passes the connection of
``reading()`` or ``writing()`` to the functions that stand behind them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self
from uuid import UUID

from sqlalchemy import Connection, Engine

from storage import (
    catalog_annotations,
    catalog_audit,
    catalog_chunks,
    catalog_groups,
    catalog_recordings,
    catalog_results,
    catalog_summaries,
)
from storage.audit import AuditEvent, AuditRow
from storage.catalog_annotations import AnnotationChanged
from storage.catalog_recordings import AmbiguousRecording
from storage.catalog_rows import (
    BlobEntry,
    BlockEntry,
    ChunkEntry,
    ComputedResult,
    Holdings,
    InboxChunk,
    NewChannel,
    NewGroup,
    NewRecording,
    QuarantinedChunk,
    RecordingEntry,
    RecordingSummary,
    StoredAnnotation,
    StoredChannel,
    StoredGroup,
    StoredSegment,
)
from storage.catalog_schema import prepare
from storage.database import Database
from storage.recording import Annotation
from storage.spans import Span

__all__ = [
    "AmbiguousRecording",
    "AnnotationChanged",
    "BlobEntry",
    "BlockEntry",
    "Catalog",
    "ChunkEntry",
    "ComputedResult",
    "Holdings",
    "InboxChunk",
    "NewChannel",
    "NewGroup",
    "NewRecording",
    "QuarantinedChunk",
    "RecordingEntry",
    "RecordingSummary",
    "StoredAnnotation",
    "StoredChannel",
    "StoredGroup",
    "StoredSegment",
]


class Catalog:
    """A database of recordings; may be used by many threads at once."""

    def __init__(self, database: Database) -> None:
        self.database = database

    @classmethod
    def open(cls, url: str) -> Self:
        """Open a catalogue; an empty or older database is brought to the present tables.

        Parameters
        ----------
        url
            ``sqlite:///path``, ``postgresql://...``, or the path of a SQLite file.

        Raises
        ------
        StorageError
            If the database is newer than this program, or holds something else.
        """
        database = Database(url)
        try:
            prepare(database)
        except BaseException:
            database.close()
            raise
        return cls(database)

    @property
    def engine(self) -> Engine:
        """SQLAlchemy's engine."""
        return self.database.engine

    def close(self) -> None:
        """Close all connections."""
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def reading(self) -> AbstractContextManager[Connection]:
        """Open a transaction that sees one state and writes nothing."""
        return self.database.reading()

    def writing(self) -> AbstractContextManager[Connection]:
        """Open a transaction that is committed at the end, or rolled back by an exception."""
        return self.database.writing()

    # --- recordings ------------------------------------------------------------------------------

    def find(self, recording: str, patient: str | None = None) -> RecordingEntry:
        """Return a recording by its UUID or by the client's name for it.

        Raises
        ------
        NotFound
            If there is none.
        AmbiguousRecording
            If several patients have one of that name and the patient is not said.
        """
        with self.reading() as connection:
            return catalog_recordings.find(connection, recording, patient)

    def by_source(self, sha256: str) -> list[RecordingEntry]:
        """Return the recordings that came from a file of that SHA-256, the oldest first."""
        with self.reading() as connection:
            return catalog_recordings.by_source(connection, sha256)

    def recordings(
        self, patient: str | None = None, unfinished: bool = False
    ) -> list[RecordingEntry]:
        """Return recordings in the order of patient and name.

        Parameters
        ----------
        unfinished
            Those that are still being taken in from a file as well.
        """
        patients = None if patient is None else (patient,)
        with self.reading() as connection:
            return catalog_recordings.entries(connection, patients, unfinished)

    def summaries(
        self, patients: Collection[str] | None = None, unfinished: bool = False
    ) -> list[RecordingSummary]:
        """Return what a list of recordings says of each; of these patients, or of all."""
        with self.reading() as connection:
            found = catalog_recordings.entries(connection, patients, unfinished)
            return catalog_summaries.summaries(connection, found)

    def summary(self, entry: RecordingEntry) -> RecordingSummary:
        """Return what a list of recordings says of one."""
        with self.reading() as connection:
            return catalog_summaries.summaries(connection, [entry])[0]

    def refresh(self, entry: RecordingEntry) -> RecordingEntry:
        """Return a recording as it is now."""
        with self.reading() as connection:
            return catalog_recordings.by_id(connection, entry.id)

    def create(self, new: NewRecording, actor: str) -> RecordingEntry:
        """Enter a recording with its groups; the same declaration again changes nothing.

        Raises
        ------
        AlreadyExists
            If the patient has a recording of that name that was declared otherwise.
        """
        with self.writing() as connection:
            return catalog_recordings.create(connection, new, actor)

    def add_group(self, entry: RecordingEntry, new: NewGroup, actor: str) -> StoredGroup:
        """Enter a rate group; one that is declared in the same way is returned as it is.

        Raises
        ------
        RecordingSealed
            If the recording is closed.
        """
        with self.writing() as connection:
            return catalog_groups.add_group(connection, entry, new, actor)

    def groups(self, entry: RecordingEntry) -> tuple[StoredGroup, ...]:
        """Return a recording's rate groups, in order."""
        with self.reading() as connection:
            return catalog_groups.groups(connection, entry)

    # --- annotations -----------------------------------------------------------------------------

    def annotations(self, entry: RecordingEntry, history: bool = False) -> list[StoredAnnotation]:
        """Return a recording's annotations in the order of onset; or every version of each."""
        with self.reading() as connection:
            return catalog_annotations.listed(connection, entry, history)

    def add_annotation(
        self, entry: RecordingEntry, new: Annotation, author: str, beyond_end: bool = False
    ) -> StoredAnnotation:
        """Enter an annotation."""
        return self.add_annotations(entry, [(new, beyond_end)], author)[0]

    def add_annotations(
        self, entry: RecordingEntry, new: Iterable[tuple[Annotation, bool]], author: str
    ) -> list[StoredAnnotation]:
        """Enter annotations, each with whether it lies beyond the recording's end."""
        with self.writing() as connection:
            return catalog_annotations.add(connection, entry, list(new), author)

    def add_annotation_once(
        self,
        entry: RecordingEntry,
        number: UUID,
        new: Annotation,
        author: str,
        beyond_end: bool = False,
    ) -> tuple[StoredAnnotation, bool]:
        """Enter an annotation under an id that its author chose; the same again changes nothing.

        Returns
        -------
        The annotation's last version, and whether it was entered just now.

        Raises
        ------
        AlreadyExists
            If the id is another annotation's.
        """
        with self.writing() as connection:
            return catalog_annotations.add_once(connection, entry, number, new, author, beyond_end)

    def revise_annotation(
        self,
        entry: RecordingEntry,
        number: UUID,
        version: int,
        new: Annotation,
        author: str,
        reason: str,
        beyond_end: bool | None = None,
    ) -> StoredAnnotation:
        """Enter a further version of an annotation.

        Parameters
        ----------
        version
            The one that it follows, so that nobody revises what they have not seen.
        beyond_end
            Whether it now lies beyond the recording's end; as before, if not given.

        Raises
        ------
        NotFound
            If there is no such annotation.
        AnnotationChanged
            If ``version`` is not its last one, or it is void.
        """
        with self.writing() as connection:
            return catalog_annotations.revise(
                connection, entry, number, version, new, author, reason, beyond_end
            )

    def void_annotation(
        self, entry: RecordingEntry, number: UUID, version: int, author: str, reason: str
    ) -> StoredAnnotation:
        """Enter a further version of an annotation that says it does not count."""
        with self.writing() as connection:
            return catalog_annotations.revise(
                connection, entry, number, version, None, author, reason
            )

    # --- the chain -------------------------------------------------------------------------------

    def audit(
        self, entry: RecordingEntry, after: int = 0, limit: int | None = None
    ) -> list[AuditRow]:
        """Return rows of a recording's chain, in order, after a sequence."""
        with self.reading() as connection:
            return list(catalog_audit.rows(connection, entry, after, limit))

    def log(self, entry: RecordingEntry, events: Sequence[AuditEvent]) -> list[AuditRow]:
        """Add events to a recording's chain: exports, reads of identities, and the like."""
        with self.writing() as connection:
            return catalog_audit.append_events(connection, entry, events)

    # --- what is held ----------------------------------------------------------------------------

    def holdings(self, group: StoredGroup, span: Span) -> Holdings:
        """Return what is held of a span, all of it as of one moment."""
        with self.reading() as connection:
            return catalog_chunks.holdings(connection, group, span)

    def segments(self, group: StoredGroup, span: Span | None = None) -> list[StoredSegment]:
        """Return the gap-free stretches of a group, as they lie within a span."""
        with self.reading() as connection:
            return catalog_chunks.segments(connection, group, span)

    def chunks(self, group: StoredGroup, span: Span | None = None) -> list[ChunkEntry]:
        """Return the accepted chunks that meet a span, in order."""
        with self.reading() as connection:
            return catalog_chunks.chunks(connection, group, span)

    def inbox(self, group: StoredGroup, span: Span | None = None) -> list[InboxChunk]:
        """Return the chunks that meet a span and whose samples lie in the catalogue."""
        with self.reading() as connection:
            return catalog_chunks.inbox(connection, group, span)

    def inbox_places(self, group: StoredGroup) -> list[ChunkEntry]:
        """Return the chunks whose samples lie in the catalogue, without their samples."""
        with self.reading() as connection:
            return catalog_chunks.inbox_places(connection, group)

    def blocks(self, group: StoredGroup, span: Span | None = None) -> list[BlockEntry]:
        """Return the counting generation of each block that meets a span of samples."""
        with self.reading() as connection:
            return catalog_chunks.blocks(connection, group, span)

    def extent(self, group: StoredGroup) -> int:
        """Return the index after the last sample of a group; 0 where there is none."""
        with self.reading() as connection:
            return catalog_chunks.extent(connection, group)

    def blobs(self, entry: RecordingEntry) -> list[BlobEntry]:
        """Return a recording's files that hold no samples."""
        with self.reading() as connection:
            return catalog_chunks.blobs(connection, entry)

    # --- results, quarantine ---------------------------------------------------------------------

    def add_result(self, entry: RecordingEntry, new: ComputedResult) -> None:
        """Enter something that was computed from a recording."""
        with self.writing() as connection:
            catalog_results.add_result(connection, entry, new)

    def results(self, entry: RecordingEntry, name: str | None = None) -> list[ComputedResult]:
        """Return what was computed from a recording, the oldest first."""
        with self.reading() as connection:
            return catalog_results.results(connection, entry, name)

    def quarantined(self, entry: RecordingEntry) -> list[QuarantinedChunk]:
        """Return the chunks that were refused because others are stored for their span."""
        with self.reading() as connection:
            return catalog_results.quarantined(connection, entry)
