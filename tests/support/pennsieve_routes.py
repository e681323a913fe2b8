"""The test platform over HTTP: routes, and the gate that every request passes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from tests.support.bearers import Bearers
from tests.support.faults import Fault, Faults
from tests.support.object_stores import ObjectStore
from tests.support.pennsieve_platform import BODY_BYTES, Platform, Refused, require

STORE_PREFIX = "/store"
PUT_HEADERS_REFUSED = (
    "authorization",
    "content-type",
    "content-encoding",
    "content-md5",
    "transfer-encoding",
)


@dataclass(slots=True)
class Call:
    """One request as it came in, without its bearer."""

    route: str
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    json: Any = None
    status: int = 0


@dataclass(slots=True)
class Switchboard:
    """What the routes share; the tests look at it."""

    platform: Platform
    bearers: Bearers
    store: ObjectStore
    cognito_config: dict[str, Any]
    faults: Faults = field(default_factory=Faults)
    delay_s: float = 0.0
    url: str = ""
    calls: list[Call] = field(default_factory=list)
    signatures: dict[str, str] = field(default_factory=dict)
    puts: dict[str, int] = field(default_factory=dict)
    under_way: int = 0
    most_under_way: int = 0
    etag: str | None = None
    store_headers: dict[str, str] = field(default_factory=dict)


class Dropped(Response):
    """Cuts the connection instead of answering."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        transport = getattr(receive, "__self__").transport  # noqa: B009 - uvicorn's own object
        transport.abort()
        while (await receive())["type"] != "http.disconnect":
            continue


Handler = Callable[[Request, bytes], Awaitable[Response]]


def build_app(board: Switchboard) -> Starlette:
    """Return the application; its routes carry the names that faults and transcripts use."""
    platform = board.platform

    async def config(request: Request, body: bytes) -> Response:
        return JSONResponse(board.cognito_config)

    async def run(request: Request, body: bytes) -> Response:
        require(request.headers["accept"] == "application/json", "Accept: application/json")
        found = platform.runs.get(request.path_params["run_id"])
        return Response(b"", 200) if found is None else JSONResponse(found)

    async def package(request: Request, body: bytes) -> Response:
        wanted = {"includeAncestors": "true", "startAtEpoch": "false", "limit": "100"}
        require(dict(request.query_params) == wanted | {"offset": "0"}, "unexpected query")
        return JSONResponse(platform.describe(request.path_params["package_id"]))

    async def properties(request: Request, body: bytes) -> Response:
        require(request.query_params.get("updateStorage") == "true", "updateStorage=true")
        require(request.headers["accept"] == "*/*", "Accept: */*")
        platform.merge_properties(request.path_params["package_id"], decoded(request, body))
        return JSONResponse({})

    async def channels(request: Request, body: bytes) -> Response:
        found = platform.package(request.path_params["package_id"])
        return JSONResponse(list(found.channels.values()))

    async def create_channels(request: Request, body: bytes) -> Response:
        package_id = request.path_params["package_id"]
        return JSONResponse(platform.create_channels(package_id, decoded(request, body)), 201)

    async def update_channel(request: Request, body: bytes) -> Response:
        ids = request.path_params
        content = decoded(request, body)
        return JSONResponse(platform.update_channel(ids["package_id"], ids["channel_id"], content))

    async def create_import(request: Request, body: bytes) -> Response:
        dataset_id = request.query_params.get("dataset_id")
        record = platform.create_import(dataset_id, decoded(request, body))
        return JSONResponse({"id": record.id}, 201)

    async def add_files(request: Request, body: bytes) -> Response:
        import_id = request.path_params["import_id"]
        dataset_id = request.query_params.get("dataset_id")
        platform.add_files(import_id, dataset_id, decoded(request, body))
        return Response(b"", 200)

    async def presign(request: Request, body: bytes) -> Response:
        ids = request.path_params
        record = platform.import_of(ids["import_id"], request.query_params.get("dataset_id"))
        require(ids["key"] in record.files, f"upload key {ids['key']} not found", 404)
        path, signature = board.store.sign(f"{record.id}/{ids['key']}")
        board.signatures[signature] = f"{record.id}/{ids['key']}"
        return JSONResponse({"url": f"{board.url}{STORE_PREFIX}{path}"})

    async def put(request: Request, body: bytes) -> Response:
        refused = [name for name in PUT_HEADERS_REFUSED if name in request.headers]
        require(not refused, f"InvalidArgument: unexpected {refused}")
        query = request.scope["query_string"].decode()
        signature = parse_qs(query).get("X-Amz-Signature", [""])[0]
        key = board.signatures.get(signature)
        require(key and request.url.path.endswith(key), "SignatureDoesNotMatch", 403)
        path = request.scope["raw_path"].decode().removeprefix(STORE_PREFIX)
        etag = await board.store.put(path, query, str(key), body)
        board.puts[str(key)] = board.puts.get(str(key), 0) + 1
        return Response(
            b"", 200, {"ETag": etag if board.etag is None else board.etag, **board.store_headers}
        )

    async def summary(request: Request) -> Response:
        stored = board.store.objects.values()
        return JSONResponse(
            {
                "objects": len(stored),
                "bytes": sum(item.length for item in stored),
                "puts": sum(board.puts.values()),
                "imports": len(platform.imports),
                "requests": len(board.calls),
                "most_under_way": board.most_under_way,
            }
        )

    def route(path: str, method: str, name: str, handler: Handler, open_: bool = False) -> Route:
        return Route(path, _gate(board, name, handler, open_), methods=[method], name=name)

    timeseries = "/timeseries/{package_id}/channels"

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        await board.store.close()

    return Starlette(
        lifespan=lifespan,
        routes=[
            route("/authentication/cognito-config", "GET", "cognito-config", config, True),
            route("/compute/workflows/runs/{run_id}", "GET", "run", run),
            route("/packages/{package_id}", "GET", "package", package),
            route("/packages/{package_id}", "PUT", "properties", properties),
            route(timeseries, "GET", "channels", channels),
            route(timeseries, "POST", "create-channels", create_channels),
            route(timeseries + "/{channel_id}", "PUT", "update-channel", update_channel),
            route("/import", "POST", "create-import", create_import),
            route("/import/{import_id}/files", "POST", "add-files", add_files),
            route("/import/{import_id}/upload/{key}/presign", "GET", "presign", presign),
            route(STORE_PREFIX + "/{path:path}", "PUT", "put", put, True),
            Route("/_test/summary", summary),
        ],
    )


def decoded(request: Request, body: bytes) -> Any:
    """Return a JSON body, refusing one that is too long or not said to be JSON."""
    require(len(body) <= BODY_BYTES, f"body of {len(body)} bytes is too large", 413)
    require(request.headers.get("content-type") == "application/json", "expected JSON", 415)
    try:
        return json.loads(body)
    except ValueError:
        raise Refused(400, "not JSON") from None


def _gate(
    board: Switchboard, name: str, handler: Handler, open_: bool
) -> Callable[[Request], Awaitable[Response]]:
    """Wrap a handler: noted, delayed, struck by faults, authorized; then answered."""

    async def endpoint(request: Request) -> Response:
        call = Call(
            name,
            request.method,
            request.scope["raw_path"].decode(),
            dict(request.query_params),
            {key: value for key, value in request.headers.items() if key != "authorization"},
        )
        board.calls.append(call)
        board.under_way += 1
        board.most_under_way = max(board.most_under_way, board.under_way)
        try:
            response = await _answer(request, call)
        finally:
            board.under_way -= 1
        call.status = 0 if isinstance(response, Dropped) else response.status_code
        return response

    async def _answer(request: Request, call: Call) -> Response:
        fault = board.faults.strike(name)
        await asyncio.sleep(board.delay_s + (fault.delay_s if fault else 0.0))
        if fault and fault.expire:
            board.bearers.expire_all()
        if fault and fault.drop and not fault.after:
            await anext(aiter(request.stream()))
            return Dropped()
        body = await request.body()
        if request.headers.get("content-type") == "application/json":
            call.json = json.loads(body)
        if fault and fault.status and not fault.after:
            return _failure(fault)
        if fault and fault.damage:
            body = body[:-1] + bytes([body[-1] ^ 1])
        response = await _judged(request, body)
        if fault and fault.after:
            return Dropped() if fault.drop else _failure(fault)
        return response

    async def _judged(request: Request, body: bytes) -> Response:
        try:
            if not open_:
                kind, _, token = request.headers.get("authorization", "").partition(" ")
                reason = board.bearers.refusal(token) if kind == "Bearer" else "no bearer"
                require(reason is None, str(reason), 401)
            return await handler(request, body)
        except Refused as refused:
            return JSONResponse({"message": refused.message}, refused.status)

    return endpoint


def _failure(fault: Fault) -> Response:
    wanted = {"Retry-After": fault.retry_after, "Location": fault.location}
    headers = {name: value for name, value in wanted.items() if value is not None}
    if fault.code:
        return Response(f"<Error><Code>{fault.code}</Code></Error>", fault.status, headers)
    return JSONResponse({"message": "as the test asked"}, fault.status, headers)
