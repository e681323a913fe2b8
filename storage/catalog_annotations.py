"""Annotations in the database: an edit is a further version, and nothing is lost."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Connection, Row, insert, select
from sqlalchemy.exc import IntegrityError

from storage.audit import AuditEvent, digest_of
from storage.catalog_audit import append_events, lock_recording
from storage.catalog_rows import RecordingEntry, StoredAnnotation
from storage.catalog_rows import listed as as_tuple
from storage.catalog_tables import annotation
from storage.database import utc_now
from storage.errors import AlreadyExists, Busy, NotFound, UsageError
from storage.recording import Annotation

TRIES = 3  # at entering an id that another transaction enters at the same moment


class AnnotationChanged(AlreadyExists):
    """There is a further version of the annotation already: read it, and decide again."""


def listed(
    connection: Connection, entry: RecordingEntry, history: bool = False
) -> list[StoredAnnotation]:
    """Return a recording's annotations in the order of their onset.

    Parameters
    ----------
    history
        Every version, voided ones as well; otherwise the last version of those that count.
    """
    query = (
        select(annotation)
        .where(annotation.c.recording_id == entry.id)
        .order_by(annotation.c.onset_us, annotation.c.id)
    )
    found = [_stored(row) for row in connection.execute(query).all()]
    if history:
        return sorted(found, key=lambda one: (str(one.uuid), one.version))
    last: dict[UUID, int] = {}
    for one in found:
        last[one.uuid] = max(one.version, last.get(one.uuid, 0))
    return [one for one in found if one.version == last[one.uuid] and not one.voided]


def latest(connection: Connection, entry: RecordingEntry, number: UUID) -> StoredAnnotation:
    """Return the last version of an annotation, voided or not.

    Raises
    ------
    NotFound
        If the recording has no such annotation.
    """
    row = connection.execute(
        select(annotation)
        .where(annotation.c.recording_id == entry.id, annotation.c.uuid == number)
        .order_by(annotation.c.version.desc())
        .limit(1)
    ).first()
    if row is None:
        raise NotFound(f"recording {entry.name!r}: it has no annotation {number}")
    return _stored(row)


def add(
    connection: Connection,
    entry: RecordingEntry,
    new: Sequence[tuple[Annotation, bool]],
    author: str,
) -> list[StoredAnnotation]:
    """Enter annotations, each with whether it lies beyond the recording's end."""
    now = utc_now()
    first = [_first(uuid4(), one, author, beyond, now) for one, beyond in new]
    return _enter(connection, entry, first)


def add_once(
    connection: Connection,
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
        If the id is another annotation's: one that began otherwise, that somebody else entered,
        or of another recording.
    """
    lock_recording(connection, entry.id)
    for _ in range(TRIES):
        begun = connection.execute(
            select(annotation).where(annotation.c.uuid == number, annotation.c.version == 1)
        ).first()
        if begun is not None:
            known = _stored(begun)
            same = (known.annotation, known.author) == (new, author)
            if begun.recording_id != entry.id or not same:
                raise AlreadyExists(
                    f"annotation {number}: that id is another annotation's; take a new one"
                )
            return latest(connection, entry, number), False
        try:
            with connection.begin_nested():
                first = _first(number, new, author, beyond_end, utc_now())
                (stored,) = _enter(connection, entry, [first])
            return stored, True
        except IntegrityError:
            # Somebody entered the id in another recording at the same moment.
            continue
    raise Busy(f"annotation {number}: it could not be entered just now; try again")


def revise(
    connection: Connection,
    entry: RecordingEntry,
    number: UUID,
    version: int,
    new: Annotation | None,
    author: str,
    reason: str,
    beyond_end: bool | None = None,
) -> StoredAnnotation:
    """Enter a further version of an annotation; without ``new``, one that voids it.

    Raises
    ------
    NotFound
        If there is no such annotation.
    AnnotationChanged
        If ``version`` is not its last one, or it is void.
    UsageError
        If no reason is given.
    """
    if not reason.strip():
        raise UsageError(f"annotation {number}: a change needs a reason")
    lock_recording(connection, entry.id)
    old = latest(connection, entry, number)
    if old.version != version or old.voided:
        state = "void" if old.voided else f"at version {old.version}"
        raise AnnotationChanged(
            f"annotation {number} is {state}, not at version {version}; read it again"
        )
    (stored,) = _enter(
        connection,
        entry,
        [
            StoredAnnotation(
                uuid=number,
                version=version + 1,
                annotation=old.annotation if new is None else new,
                beyond_end=old.beyond_end if beyond_end is None else beyond_end,
                voided=new is None,
                author=author,
                reason=reason,
                created_at=utc_now(),
            )
        ],
    )
    return stored


def annotation_facts(one: StoredAnnotation) -> dict[str, Any]:
    """Return everything that the catalogue says of a version, as JSON."""
    note = one.annotation
    return {
        "uuid": str(one.uuid),
        "version": one.version,
        "onset_us": note.onset_us,
        "duration_us": note.duration_us,
        "text": note.text,
        "kind": note.kind,
        "source": note.source,
        "channels": list(note.channels),
        "beyond_end": one.beyond_end,
        "voided": one.voided,
        "author": one.author,
        "reason": one.reason,
        "created_at": one.created_at.isoformat(),
    }


def annotation_digest(one: StoredAnnotation) -> str:
    """Return the SHA-256 that the chain holds of a version."""
    return digest_of(annotation_facts(one))


def _first(
    number: UUID, note: Annotation, author: str, beyond_end: bool, now: datetime
) -> StoredAnnotation:
    return StoredAnnotation(
        uuid=number,
        version=1,
        annotation=note,
        beyond_end=beyond_end,
        voided=False,
        author=author,
        reason=None,
        created_at=now,
    )


def _enter(
    connection: Connection, entry: RecordingEntry, new: Sequence[StoredAnnotation]
) -> list[StoredAnnotation]:
    if not new:
        return []
    at: datetime = new[0].created_at
    events = [
        AuditEvent(
            event="annotation",
            source=one.author,
            checksum=annotation_digest(one),
            detail={
                "uuid": str(one.uuid),
                "version": one.version,
                "action": "void" if one.voided else "add" if one.version == 1 else "revise",
                "reason": one.reason,
            },
        )
        for one in new
    ]
    append_events(connection, entry, events, at=at)
    connection.execute(
        insert(annotation),
        [
            annotation_facts(one)
            | {
                "recording_id": entry.id,
                "uuid": one.uuid,
                "created_at": one.created_at,
            }
            for one in new
        ],
    )
    return list(new)


def _stored(row: Row[Any]) -> StoredAnnotation:
    return StoredAnnotation(
        uuid=row.uuid,
        version=row.version,
        annotation=Annotation(
            onset_us=row.onset_us,
            duration_us=row.duration_us,
            text=row.text,
            kind=row.kind,
            source=row.source,
            channels=as_tuple(row.channels),
        ),
        beyond_end=row.beyond_end,
        voided=row.voided,
        author=row.author,
        reason=row.reason,
        created_at=row.created_at,
    )
