"""The routes of annotations: every change is a further version, none is lost."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response

from realtime.records.access import ANNOTATE, READ, Opened, opened
from realtime.records.channels import chosen
from realtime.records.follow import state_of
from realtime.records.openapi import problems
from realtime.records.state import Parts, PartsOf
from realtime.runtime.problems import Problem
from realtime.wire.records import AnnotationItem, NewAnnotation, RevisedAnnotation
from storage.catalog import AnnotationChanged
from storage.catalog_rows import RecordingEntry, StoredAnnotation
from storage.errors import NotFound
from storage.recording import Annotation

PERSON = "person"
US = 1_000_000

router = APIRouter(prefix="/recordings/{recording_id}/annotations", tags=["annotations"])
ToRead = Annotated[Opened, Depends(opened(READ))]
ToWrite = Annotated[Opened, Depends(opened(ANNOTATE))]
KNOWN: dict[int | str, dict[str, Any]] = {
    200: {"model": AnnotationItem, "description": "It was stored before; its last version."}
}


@router.get("", responses=problems(401, 403, 404, 409, 422))
def listed(
    found: ToRead,
    parts: PartsOf,
    history: Annotated[bool, Query(description="Every version, voided ones as well.")] = False,
) -> list[AnnotationItem]:
    """Return a recording's annotations in the order of onset."""
    stored = parts.store.catalog.annotations(found.entry, history=history)
    return [annotation_item(one) for one in stored]


@router.post(
    "",
    status_code=201,
    responses=KNOWN | problems(400, 401, 403, 404, 409, 413, 415, 422, 503),
)
def add(new: NewAnnotation, found: ToWrite, parts: PartsOf, answer: Response) -> AnnotationItem:
    """Note something about a stretch of a recording, sealed ones included.

    A client that may have to send it again, because the answer can be lost, gives an
    `annotation_id` of its own: the same content under the same id is stored once (201, and 200
    from then on, with its last version), other content under it is 409.
    """
    note = Annotation(
        onset_us=round(new.onset * US),
        duration_us=None if new.duration is None else round(new.duration * US),
        text=new.text,
        kind=new.kind,
        source=PERSON,
        channels=_keys(parts, found.entry, new.channels),
    )
    beyond = _beyond(parts, found.entry, note)
    catalog, author = parts.store.catalog, found.caller.name
    if new.annotation_id is None:
        return annotation_item(catalog.add_annotation(found.entry, note, author, beyond))
    stored, entered = catalog.add_annotation_once(
        found.entry, new.annotation_id, note, author, beyond
    )
    if not entered:
        answer.status_code = 200
    return annotation_item(stored)


@router.patch("/{annotation_id}", responses=problems(400, 401, 403, 404, 409, 413, 415, 422, 503))
def revise(
    annotation_id: UUID, change: RevisedAnnotation, found: ToWrite, parts: PartsOf
) -> AnnotationItem:
    """Enter a further version of an annotation, with the reason for it."""
    last = _last(parts, found.entry, annotation_id)
    note = last.annotation
    given = change.model_fields_set
    if "onset" in given and change.onset is not None:
        note = replace(note, onset_us=round(change.onset * US))
    if "duration" in given:
        duration_us = None if change.duration is None else round(change.duration * US)
        note = replace(note, duration_us=duration_us)
    if change.text is not None:
        note = replace(note, text=change.text)
    if change.kind is not None:
        note = replace(note, kind=change.kind)
    if change.channels is not None:
        note = replace(note, channels=_keys(parts, found.entry, change.channels))
    version = last.version if change.version is None else change.version
    try:
        stored = parts.store.catalog.revise_annotation(
            found.entry, annotation_id, version, note, found.caller.name, change.reason
        )
    except AnnotationChanged as error:
        raise Problem(409, str(error), version=last.version) from error
    return annotation_item(stored)


@router.delete("/{annotation_id}", responses=problems(401, 403, 404, 409, 422, 503))
def void(
    annotation_id: UUID,
    found: ToWrite,
    parts: PartsOf,
    reason: Annotated[str, Query(min_length=1, max_length=2000)],
    version: Annotated[int | None, Query(ge=1, description="The version that was read.")] = None,
) -> AnnotationItem:
    """Let an annotation count no more; it stays in the history, with the reason."""
    last = _last(parts, found.entry, annotation_id)
    try:
        stored = parts.store.catalog.void_annotation(
            found.entry,
            annotation_id,
            last.version if version is None else version,
            found.caller.name,
            reason,
        )
    except AnnotationChanged as error:
        raise Problem(409, str(error), version=last.version) from error
    return annotation_item(stored)


def annotation_item(stored: StoredAnnotation) -> AnnotationItem:
    """Return a version of an annotation by its published names."""
    note = stored.annotation
    return AnnotationItem(
        annotation_id=str(stored.uuid),
        version=stored.version,
        onset=note.onset_us / US,
        duration=None if note.duration_us is None else note.duration_us / US,
        text=note.text,
        kind=note.kind,
        source=note.source,
        channels=list(note.channels),
        beyond_end=stored.beyond_end,
        voided=stored.voided,
        author=stored.author,
        reason=stored.reason,
        created_at=stored.created_at.isoformat(),
    )


def _last(parts: Parts, entry: RecordingEntry, number: UUID) -> StoredAnnotation:
    versions = [
        one for one in parts.store.catalog.annotations(entry, history=True) if one.uuid == number
    ]
    if not versions:
        raise NotFound(f"annotation {number}: this recording has none of that id")
    return versions[-1]


def _keys(parts: Parts, entry: RecordingEntry, names: list[str]) -> tuple[str, ...]:
    """Return labels as they were given, if all of them are channels of the recording."""
    if names:
        chosen(parts.store.catalog.groups(entry), names)
    return tuple(names)


def _beyond(parts: Parts, entry: RecordingEntry, note: Annotation) -> bool:
    end, sealed = state_of(parts.store, entry)
    return sealed and note.onset_us + (note.duration_us or 0) > end * US
