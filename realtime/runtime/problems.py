"""From the tree of errors to HTTP: one status for each, and problem bodies (RFC 9457)."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from realtime.wire.fields import BadField, place
from storage import errors

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 1
UNREADABLE = "There was an error parsing the body"  # as FastAPI says it

log = logging.getLogger(__name__)

# The nearest ancestor that is named here counts.
STATUS: Mapping[type[errors.RanvierError], int] = {
    errors.RanvierError: 500,
    errors.UnsupportedRecording: 422,
    errors.CorruptRecording: 500,
    errors.ChannelMismatch: 422,
    errors.TimestampGap: 422,
    errors.NotFound: 404,
    errors.AlreadyExists: 409,
    errors.ChunkConflict: 409,
    errors.RecordingSealed: 409,
    errors.Busy: 503,
    errors.DigestMismatch: 500,
    errors.StorageError: 500,
    errors.RecordingError: 500,
    errors.RemoteError: 502,
    errors.StreamError: 503,
    errors.DecoderError: 500,
    errors.NotAuthorized: 401,
    errors.Rejected: 502,
    errors.Unreachable: 503,
    errors.StreamNotFound: 404,
    errors.StreamLost: 503,
    errors.StreamOverrun: 503,
    errors.ClientTooSlow: 503,
    errors.ProtocolViolation: 400,
    errors.NotFitted: 409,
    errors.FitFailed: 422,
    errors.UsageError: 422,
}


class Problem(errors.RanvierError):
    """A refusal that only HTTP knows, such as 413.

    Parameters
    ----------
    status
        Of the answer.
    detail
        One line: what was found, what was expected, what to do.
    headers
        Further headers of the answer.
    members
        Further members of the body.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        headers: Mapping[str, str] | None = None,
        **members: Any,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = dict(headers or {})
        self.members = members


def status_of(
    error: errors.RanvierError, further: Mapping[type[errors.RanvierError], int] = STATUS
) -> int:
    """Return the HTTP status of an error; ``further`` are those of a service's own."""
    if isinstance(error, Problem):
        return error.status
    known = {**STATUS, **further}
    return next(known[kind] for kind in type(error).__mro__ if kind in known)


def problem_of(
    error: errors.RanvierError, further: Mapping[type[errors.RanvierError], int] = STATUS
) -> dict[str, Any]:
    """Return the body that explains an error."""
    members: dict[str, Any] = {}
    if isinstance(error, Problem):
        members = error.members
    elif isinstance(error, BadField):
        members = {
            "errors": [{"field": field, "message": message} for field, message in error.errors]
        }
    elif isinstance(error, errors.ChunkConflict):
        members = {"stored": error.stored, "offered": error.offered}
    return body(status_of(error, further), str(error), **members)


def body(status: int, detail: str, **members: Any) -> dict[str, Any]:
    """Return a problem body."""
    return {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        **members,
    }


def answer(content: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    """Return the response that carries a problem body."""
    return Response(
        orjson.dumps(content), int(content["status"]), dict(headers or {}), media_type=MEDIA_TYPE
    )


def answer_error(
    error: errors.RanvierError, further: Mapping[type[errors.RanvierError], int] = STATUS
) -> Response:
    """Return the response that explains an error."""
    status = status_of(error, further)
    headers = dict(error.headers) if isinstance(error, Problem) else {}
    if status == 401:
        headers.setdefault("WWW-Authenticate", "Bearer")
    if status == 503:
        headers.setdefault("Retry-After", str(RETRY_AFTER_S))
    if status >= 500:
        log.error("request failed: %s", error, exc_info=error)
    return answer(problem_of(error, further), headers)


def validation_problem(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the body for parameters or fields that FastAPI refused."""
    wrong = [
        {
            # The first part says query, path, header or body. Of no JSON, the next says where.
            "field": "body"
            if item.get("type") == "json_invalid"
            else place(item["loc"][1:] or item["loc"]),
            "in": str(item["loc"][0]),
            "message": str(item["msg"]),
        }
        for item in found
    ]
    detail = "; ".join(f"{item['field']} ({item['in']}): {item['message']}" for item in wrong[:3])
    return body(422, detail, errors=wrong)


def install(app: FastAPI, further: Mapping[type[errors.RanvierError], int] = STATUS) -> None:
    """Make an application answer every refusal with a problem body.

    Parameters
    ----------
    app
        The application.
    further
        Statuses of errors that only this service knows.
    """

    async def ours(_: Request, error: Exception) -> Response:
        assert isinstance(error, errors.RanvierError)
        return answer_error(error, further)

    async def invalid(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return answer(validation_problem(error.errors()))

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        detail = str(error.detail)
        if error.status_code == 400 and detail == UNREADABLE:
            said = "is no JSON; send UTF-8 text that is not nested deeply"
            return answer(problem_of(BadField("body", said), further))
        if error.status_code in {404, 405}:
            detail = f"{request.method} {request.url.path}: {detail.lower()}"
        return answer(body(error.status_code, detail), error.headers)

    async def unforeseen(_: Request, error: Exception) -> Response:
        log.error("request failed: %s", type(error).__name__, exc_info=error)
        return answer(body(500, "the service failed; its log says where"))

    app.add_exception_handler(errors.RanvierError, ours)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(Exception, unforeseen)
