"""The routes of recordings as wholes: lists, proof, sealing, export."""

from __future__ import annotations

import threading
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse, Response

from realtime.records import montage_routes
from realtime.records.access import AUDIT, EXPORT, INGEST, PHI, READ, CallerOf, Opened, opened
from realtime.records.exporting import ExportForm, exported
from realtime.records.listing import detail, item
from realtime.records.openapi import problems
from realtime.records.state import PartsOf
from realtime.wire.fields import BadField, exact
from realtime.wire.records import AuditItem, RecordingDetail, RecordingItem, VerifyAnswer
from storage.errors import Busy

VERIFYING_AT_ONCE = 1
EXPORTS_AT_ONCE = 4
MOST_ROWS = 10_000
COUNTED = ("rows", "chunks", "blocks", "files", "samples")

router = APIRouter(tags=["recordings"])
router.include_router(montage_routes.router)
ToRead = Annotated[Opened, Depends(opened(READ))]
Instant = Annotated[float, Query(ge=0, le=1e10, allow_inf_nan=False)]
_verifying = threading.BoundedSemaphore(VERIFYING_AT_ONCE)
_exporting = threading.BoundedSemaphore(EXPORTS_AT_ONCE)


@router.get("/recordings", responses=problems(401, 403, 422))
def recordings(
    caller: CallerOf,
    parts: PartsOf,
    patient_id: Annotated[str | None, Query(max_length=200, examples=["chb01"])] = None,
) -> list[RecordingItem]:
    """Return the recordings of a patient, or all that the token opens."""
    caller.demand(READ)
    patients = caller.patients
    if patient_id is not None:
        patients = frozenset((patient_id,) if caller.sees(patient_id) else ())
    return [item(summary) for summary in parts.store.catalog.summaries(patients)]


@router.get("/recordings/{recording_id}", responses=problems(401, 403, 404, 409, 422))
def recording(found: ToRead, parts: PartsOf) -> RecordingDetail:
    """Return all that is known of one recording."""
    return detail(parts.store, found.entry)


@router.post("/recordings/{recording_id}/seal", responses=problems(401, 403, 404, 409, 422, 503))
async def seal(
    found: Annotated[Opened, Depends(opened(INGEST))], parts: PartsOf
) -> RecordingDetail:
    """Close a live recording for good: it takes nothing more, and has its proof.

    Sealing a sealed recording changes nothing.
    """

    def close() -> RecordingDetail:
        with parts.compactor.resting():
            sealed = parts.store.seal(found.entry, found.caller.name)
        return detail(parts.store, sealed)

    answer = await run_in_threadpool(close)
    parts.intake.forget(found.entry)
    parts.followers.grown(found.entry.uuid)
    return answer


@router.get("/recordings/{recording_id}/audit", responses=problems(401, 403, 404, 409, 422))
def audit(
    found: Annotated[Opened, Depends(opened(AUDIT))],
    parts: PartsOf,
    after: Annotated[int, Query(ge=0, lt=2**53, description="Rows after this sequence.")] = 0,
    limit: Annotated[int, Query(ge=1, le=MOST_ROWS)] = MOST_ROWS,
) -> list[AuditItem]:
    """Return the audit trail of a recording, row after row."""
    rows = parts.store.catalog.audit(found.entry, after=after, limit=limit)
    return [AuditItem(**row.published()) for row in rows]


@router.get("/recordings/{recording_id}/verify", responses=problems(401, 403, 404, 409, 422, 503))
def verify(found: Annotated[Opened, Depends(opened(AUDIT))], parts: PartsOf) -> VerifyAnswer:
    """Compute all checksums afresh from the samples, and walk the audit trail.

    Takes as long as reading the whole recording; one at a time.
    """
    if not _verifying.acquire(blocking=False):
        raise Busy("another recording is being verified; try again when that is done")
    try:
        report = parts.store.verify(found.entry)
    finally:
        _verifying.release()
    return VerifyAnswer(
        recording_id=found.entry.name,
        ok=report.ok,
        problems=[str(problem) for problem in report.problems],
        counts={name: getattr(report, name) for name in COUNTED},
        head=report.head,
    )


@router.get(
    "/recordings/{recording_id}/export",
    response_class=FileResponse,
    responses={
        200: {
            "description": "A file.",
            "content": {
                name: {"schema": {"type": "string", "format": "binary"}}
                for name in ("text/csv", "application/zip", "application/octet-stream")
            },
        },
        **problems(401, 403, 404, 409, 413, 422, 503),
    },
)
def export(
    found: Annotated[Opened, Depends(opened(EXPORT))],
    parts: PartsOf,
    format: Annotated[ExportForm, Query(description="csv, edf or original.")],  # noqa: A002
    start: Annotated[Instant, Query()] = 0,
    end: Annotated[Instant | None, Query(description="The end, if not given.")] = None,
) -> Response:
    """Return a recording, or a part of it, as a file; the export is noted in the audit trail.

    CSV of several rate groups is a zip file. `original` is the EDF or BDF file that came in; the
    two fields of its header that may name people are only kept for a token with the scope `phi`.
    All other files carry no identity of a person.
    """
    if end is not None and end <= start:
        raise BadField("end", f"expected more than start = {start:g}, got {end:g}")
    if format == "original" and (start or end is not None):
        raise BadField("start", "the original is one whole file; ask for it without start and end")
    if not _exporting.acquire(blocking=False):
        raise Busy(f"{EXPORTS_AT_ONCE} exports are being made; try again in a moment")
    try:
        file = exported(
            parts.store,
            found.entry,
            format,
            exact(start),
            None if end is None else exact(end),
            found.caller.name,
            with_names=found.caller.may(PHI),
        )
    finally:
        _exporting.release()
    return FileResponse(
        file.path,
        media_type=file.media_type,
        filename=file.name,
        headers={"Cache-Control": "private, no-store"},
        background=BackgroundTask(file.remove),
    )
