"""What the page asks of the records API, passed on with a token that the page never sees."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from realtime.runtime.problems import Problem, answer, problem_of
from realtime.viewer.callers import COOKIE, Callers
from realtime.viewer.passable import passable, target_of
from realtime.viewer.records_api import ANSWER_S, LONG_ANSWER_S, RecordsApi, Unanswered

ASKED = ("accept", "content-type", "if-none-match")
ANSWERED = ("cache-control", "content-disposition", "content-type", "etag", "retry-after", "vary")
SMALL = 2_000_000  # bytes that are read whole: one message instead of many

router = APIRouter()


@router.api_route("/api/{path:path}", methods=["GET", "POST", "PATCH", "DELETE"])
async def pass_on(request: Request) -> Response:
    """Ask the records API, and answer what it answers."""
    path, target = target_of(request.scope["raw_path"], request.scope["query_string"])
    if not passable(request.method, path):
        raise Problem(404, f"{request.method} {request.url.path}: there is nothing of that name")
    callers: Callers = request.app.state.callers
    headers = {name: request.headers[name] for name in ASKED if name in request.headers}
    headers.update(callers.authorization(request))
    records: RecordsApi = request.app.state.records
    try:
        found = await records.send(
            request.method,
            target,
            headers,
            None if request.method == "GET" else await request.body(),
            LONG_ANSWER_S if path.endswith(b"/export") else ANSWER_S,
        )
        response = await _response(found)
    except httpx.TransportError as error:
        return _unanswered(records.unanswered(error))
    except Unanswered as error:
        return _unanswered(error)
    if found.status_code == 401:
        callers.sessions.close(request.cookies.get(COOKIE))
    # Else a browser would show one person what it kept for another.
    response.headers["Vary"] = ", ".join(filter(None, (response.headers.get("vary"), "Cookie")))
    return response


def _unanswered(error: Unanswered) -> Response:
    return answer(problem_of(error), {"Retry-After": "1"})


async def _response(found: httpx.Response) -> Response:
    headers = {
        name: value
        for name, value in found.headers.items()
        if name in ANSWERED or name.startswith("x-")
    }
    length = found.headers.get("content-length", "")
    if not length.isdecimal() or int(length) > SMALL:
        if length.isdecimal():
            headers["content-length"] = length
        return StreamingResponse(_body(found), found.status_code, headers)
    try:
        return Response(await found.aread(), found.status_code, headers)
    finally:
        await found.aclose()


async def _body(found: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for piece in found.aiter_raw():
            yield piece
    finally:
        await found.aclose()
