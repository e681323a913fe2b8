"""The routes by which chunks come in."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Header, Query
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from realtime.records.access import INGEST, CallerOf, Opened, opened
from realtime.records.batches import batch_rows
from realtime.records.declaring import new_recording
from realtime.records.encoders import ARROW, JSON, RAW
from realtime.records.intake import Inlet, binary_chunk, takes_chunks
from realtime.records.listing import detail
from realtime.records.openapi import problems
from realtime.records.receipts import outcome, receipt_body, refusal_body
from realtime.records.state import Parts, PartsOf
from realtime.runtime.problems import Problem
from realtime.wire.chunk_json import parse_chunk
from realtime.wire.fields import BadField
from realtime.wire.records import (
    BatchReceipt,
    DeclareRecording,
    IngestChunk,
    Receipt,
    RecordingDetail,
)
from storage.errors import NotFound, RanvierError, UsageError
from storage.ingest import Answer, NewChunk
from storage.ingest import Receipt as StoredReceipt

router = APIRouter(tags=["ingest"])
OpenedToWrite = Annotated[Opened, Depends(opened(INGEST))]


@router.post(
    "/ingest",
    status_code=201,
    response_model=None,
    responses={
        201: {"model": Receipt, "description": "Stored for good."},
        200: {"model": Receipt, "description": "The same chunk was stored before."},
        **problems(401, 403, 404, 409, 413, 415, 422, 503),
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {JSON: {"schema": {"$ref": "#/components/schemas/IngestChunk"}}},
        }
    },
)
async def ingest(request: Request, caller: CallerOf, parts: PartsOf) -> Response:
    """Store one chunk of one rate group, sent as JSON.

    The answer comes when the chunk is safe on disk. The same chunk again changes nothing and gets
    the same receipt; other samples for a span that is stored are refused with 409.
    """
    caller.demand(INGEST)
    kind = _kind(request)
    if kind not in {"", JSON}:
        raise Problem(415, f"Content-Type {kind[:80]}: expected {JSON}")
    posted = parse_chunk(await request.body())
    if not caller.sees(posted.header.patient_id):
        raise NotFound(f"patient {posted.header.patient_id!r}: there is none")
    chunk = await parts.intake.place(posted, caller.name)
    (result,) = await _append(parts, [chunk])
    if isinstance(result, RanvierError):
        raise _named(result, "start")
    body = receipt_body(chunk.entry, chunk.group, result)
    return _json(body, 200 if result.duplicate else 201)


@router.post(
    "/recordings",
    status_code=201,
    responses=problems(400, 401, 403, 404, 409, 413, 415, 422, 503),
)
async def declare(declared: DeclareRecording, caller: CallerOf, parts: PartsOf) -> RecordingDetail:
    """Declare channels, rates and calibration of a recording before its first chunk.

    Values on the calibration's grid are then stored as integers. The same declaration again
    changes nothing.
    """
    caller.demand(INGEST)
    if not caller.sees(declared.patient_id):
        raise NotFound(f"patient {declared.patient_id!r}: there is none")

    def enter() -> RecordingDetail:
        new = new_recording(declared)
        entry = parts.store.create(new, actor=caller.name)
        return detail(parts.store, entry)

    return await run_in_threadpool(enter)


@router.post(
    "/recordings/{recording_id}/chunks",
    status_code=201,
    response_model=None,
    responses={
        201: {"model": Receipt | BatchReceipt, "description": "All stored."},
        200: {"model": Receipt | BatchReceipt, "description": "All were stored before."},
        207: {"model": BatchReceipt, "description": "Some chunks of the batch were refused."},
        **problems(401, 403, 404, 409, 413, 415, 422, 503),
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                RAW: {"schema": {"type": "string", "format": "binary"}},
                ARROW: {"schema": {"type": "string", "format": "binary"}},
            },
        }
    },
)
async def chunks(
    request: Request,
    found: OpenedToWrite,
    parts: PartsOf,
    start_sample: Annotated[
        int | None, Query(ge=0, lt=2**53, description="Place of the first sample on the grid.")
    ] = None,
    group: Annotated[int, Query(ge=0, lt=2**31, description="Number of the rate group.")] = 0,
    shift_us: Annotated[
        int, Query(ge=-(2**53), le=2**53, description="How much later it really began.")
    ] = 0,
    gap: Annotated[bool, Query(description="A hole of more than 24 h is meant.")] = False,
    x_content_sha256: Annotated[
        str | None, Header(pattern="^[0-9a-f]{64}$", description="Of the body; checked if sent.")
    ] = None,
) -> Response:
    """Store chunks in binary form: one as raw numbers, or many as an Arrow stream.

    Raw: numbers of the group's stored type, little-endian, channel after channel. Arrow: a row
    for each chunk with the columns `start_sample`, `samples` (binary, as above) and, if wanted,
    `group` and `shift_us`; the answer then has a receipt for each, in order.
    """
    body = await request.body()
    if x_content_sha256 is not None:
        digest = hashlib.sha256(body).hexdigest()
        if digest != x_content_sha256:
            raise BadField("X-Content-SHA256", f"the body that came has {digest}; send it again")
    takes_chunks(found.entry)
    known = await parts.intake.known(found.entry)
    kind = _kind(request)
    if kind == ARROW:
        return await _batch(body, found, known.inlets, gap, parts)
    if kind != RAW:
        raise Problem(415, f"Content-Type {kind[:80] or '(none)'}: expected {RAW} or {ARROW}")
    if start_sample is None:
        raise BadField("start_sample", "is missing; say where on the grid the chunk begins")
    inlet = _inlet(known.inlets, group)
    chunk = binary_chunk(found.entry, inlet, start_sample, body, found.caller.name, shift_us, gap)
    (result,) = await _append(parts, [chunk])
    if isinstance(result, RanvierError):
        raise _named(result, "start_sample")
    answer = receipt_body(found.entry, inlet.group, result)
    return _json(answer, 200 if result.duplicate else 201)


async def _batch(
    body: bytes, found: Opened, inlets: Sequence[Inlet], gap: bool, parts: Parts
) -> Response:
    rows = await run_in_threadpool(batch_rows, body)
    answers: list[dict[str, Any] | None] = []
    good: list[NewChunk] = []
    for row in rows:
        try:
            inlet = _inlet(inlets, row.group)
            good.append(
                binary_chunk(
                    found.entry, inlet, row.start, row.body, found.caller.name, row.shift_us, gap
                )
            )
        except BadField as error:
            parts.chunks.labels("refused").inc()
            answers.append(refusal_body(error))
        else:
            answers.append(None)
    results = iter(zip(good, await _append(parts, good), strict=True))
    statuses = set()
    receipts = []
    for answer in answers:
        if answer is None:
            chunk, result = next(results)
            if isinstance(result, RanvierError):
                answer = refusal_body(_named(result, "start_sample"))  # noqa: PLW2901
            else:
                answer = receipt_body(found.entry, chunk.group, result)  # noqa: PLW2901
        statuses.add(answer["status"])
        receipts.append(answer)
    status = 207 if "refused" in statuses else 201 if "stored" in statuses else 200
    return _json({"receipts": receipts}, status)


def _kind(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _named(error: RanvierError, field: str) -> RanvierError:
    """Return the refusal of a hole as one of a field; any other as it is."""
    if isinstance(error, UsageError) and ": a hole of " in str(error):
        return BadField(field, str(error))
    return error


def _inlet(inlets: Sequence[Inlet], group: int) -> Inlet:
    if group >= len(inlets):
        raise BadField("group", f"expected a number below {len(inlets)}, got {group}")
    return inlets[group]


async def _append(parts: Parts, new: Sequence[NewChunk]) -> list[Answer]:
    """Store chunks for good; what was refused does not stop the others."""
    if not new:
        return []
    results = await asyncio.wrap_future(parts.store.append(new))
    grown = False
    for chunk, result in zip(new, results, strict=True):
        parts.chunks.labels(outcome(result)).inc()
        if isinstance(result, StoredReceipt) and not result.duplicate:
            grown = True
            parts.samples.inc(chunk.n_samples * len(chunk.group.channels))
    if grown:
        entry = new[0].entry
        parts.compactor.note(entry)
        parts.followers.grown(entry.uuid)
    return results


def _json(body: dict[str, Any], status: int) -> Response:
    return Response(orjson.dumps(body), status, media_type=JSON)


SCHEMAS = (IngestChunk,)
