"""Recordings and patients in the database."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Connection, Row, Select, insert, or_, select
from sqlalchemy.exc import IntegrityError

from storage.audit import AuditEvent
from storage.catalog_audit import append_events
from storage.catalog_groups import group_facts, groups, insert_group
from storage.catalog_rows import LIVE, NewRecording, RecordingEntry, listed
from storage.catalog_tables import patient, recording, seal
from storage.database import utc_now
from storage.errors import AlreadyExists, Busy, NotFound, UsageError

TRIES = 5
# Names are indexed, and PostgreSQL's indexes hold no longer ones for sure.
LONGEST_NAME = 500


class AmbiguousRecording(UsageError):
    """Several patients have a recording of that name."""


def _entries() -> Select[Any]:
    return (
        select(recording, patient.c.name.label("patient"), seal.c.sealed_at)
        .join(patient, patient.c.id == recording.c.patient_id)
        .outerjoin(seal, seal.c.recording_id == recording.c.id)
    )


def _entry(row: Row[Any]) -> RecordingEntry:
    return RecordingEntry(
        id=row.id,
        uuid=row.uuid,
        patient=row.patient,
        name=row.name,
        kind=row.kind,
        start_us=row.start_us,
        sealed=row.sealed_at is not None,
        created_at=row.created_at,
        source_sha256=row.source_sha256,
        notes=listed(row.notes),
    )


def find(connection: Connection, name: str, of_patient: str | None) -> RecordingEntry:
    """Return a recording by its UUID or by the client's name for it.

    Raises
    ------
    NotFound
        If there is none.
    AmbiguousRecording
        If several patients have one of that name and the patient is not said.
    """
    query = _entries()
    if of_patient is not None:
        query = query.where(patient.c.name == of_patient)
    number = _uuid(name)
    # One after the other, so that each finds its row by an index. A name that looks like another
    # recording's UUID does not hide that one.
    if number is not None:
        row = connection.execute(query.where(recording.c.uuid == number)).first()
        if row is not None:
            return _entry(row)
    named = query.where(recording.c.name == name).limit(2)
    found = [_entry(row) for row in connection.execute(named)]
    if not found:
        of = "" if of_patient is None else f" of patient {of_patient!r}"
        raise NotFound(f"recording {name!r}{of}: there is none; list them to see what there is")
    if len(found) > 1:
        raise AmbiguousRecording(
            f"recording {name!r}: {found[0].patient!r} and {found[1].patient!r} have one of that "
            "name; say which patient, or give its UUID"
        )
    return found[0]


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def by_id(connection: Connection, recording_id: int) -> RecordingEntry:
    """Return a recording by the number of its row."""
    return _entry(connection.execute(_entries().where(recording.c.id == recording_id)).one())


def by_source(connection: Connection, sha256: str) -> list[RecordingEntry]:
    """Return the recordings that came from a file of that SHA-256, the oldest first."""
    query = _entries().where(recording.c.source_sha256 == sha256).order_by(recording.c.id)
    return [_entry(row) for row in connection.execute(query)]


def entries(
    connection: Connection, patients: Collection[str] | None, unfinished: bool
) -> list[RecordingEntry]:
    """Return recordings in the order of patient and name.

    Parameters
    ----------
    patients
        Of these; None for all.
    unfinished
        Those that are still being taken in from a file as well.
    """
    query = _entries().order_by(patient.c.name, recording.c.name)
    if patients is not None:
        query = query.where(patient.c.name.in_(sorted(patients)))
    if not unfinished:
        query = query.where(or_(recording.c.kind == LIVE, seal.c.sealed_at.is_not(None)))
    return [_entry(row) for row in connection.execute(query)]


def create(connection: Connection, new: NewRecording, actor: str) -> RecordingEntry:
    """Enter a recording with its groups; the same declaration again changes nothing.

    Raises
    ------
    AlreadyExists
        If the patient has another recording of that name.
    """
    for what, text in (("patient", new.patient), ("recording", new.name)):
        if not 0 < len(text) <= LONGEST_NAME or "\0" in text:
            raise UsageError(
                f"{what} name {text[:50]!r} of {len(text)} characters: expected 1 to "
                f"{LONGEST_NAME} characters, none of them NUL"
            )
    now = utc_now()
    for _ in range(TRIES):
        try:
            return find_same(connection, new)
        except NotFound:
            pass
        try:
            with connection.begin_nested():
                number = _insert(connection, new, now)
            break
        except IntegrityError:
            # Another process entered the patient, or the very recording, at the same moment.
            continue
    else:
        raise Busy(f"recording {new.name!r}: it could not be entered just now; try again")
    entry = by_id(connection, number)
    event = AuditEvent(event="created", source=actor, detail=entry_facts(entry))
    append_events(connection, entry, [event], at=now)
    for group in new.groups:
        insert_group(connection, entry, group, actor, now)
    return entry


def find_same(connection: Connection, new: NewRecording) -> RecordingEntry:
    """Return the recording that a declaration declares.

    Raises
    ------
    NotFound
        If the patient has none of that name.
    AlreadyExists
        If it was declared otherwise.
    """
    query = _entries().where(patient.c.name == new.patient, recording.c.name == new.name)
    row = connection.execute(query).first()
    if row is None:
        raise NotFound(f"recording {new.name!r} of patient {new.patient!r}: there is none")
    entry = _entry(row)
    wrong = ""
    for name in ("kind", "start_us", "source_sha256"):
        if getattr(entry, name) != getattr(new, name):
            wrong = f"its {name} is {getattr(entry, name)!r}, not {getattr(new, name)!r}"
    held = [group_facts(group, declared_only=True) for group in groups(connection, entry)]
    for group in new.groups:
        if group_facts(group, declared_only=True) not in held:
            wrong = wrong or f"its group {group.name!r} is not as declared now"
    if wrong:
        raise AlreadyExists(
            f"recording {new.name!r} of patient {new.patient!r} exists, and {wrong}; "
            "give it another name"
        )
    return entry


def _insert(connection: Connection, new: NewRecording, now: datetime) -> int:
    owner = connection.execute(select(patient.c.id).where(patient.c.name == new.patient)).scalar()
    if owner is None:
        owner = _key(connection, insert(patient).values(name=new.patient, created_at=now))
    return _key(
        connection,
        insert(recording).values(
            uuid=uuid4(),
            patient_id=owner,
            name=new.name,
            kind=new.kind,
            start_us=new.start_us,
            source_sha256=new.source_sha256,
            notes=list(new.notes),
            created_at=now,
        ),
    )


def entry_facts(entry: RecordingEntry) -> dict[str, Any]:
    """Return what the chain says of a recording."""
    return {
        "uuid": str(entry.uuid),
        "patient": entry.patient,
        "name": entry.name,
        "kind": entry.kind,
        "start_us": entry.start_us,
        "source_sha256": entry.source_sha256,
        "notes": list(entry.notes),
    }


def _key(connection: Connection, statement: Any) -> int:
    key: Any = connection.execute(statement).inserted_primary_key
    return int(key[0])
