"""The records service as a web application: its parts, its routes, and their order of life."""

from __future__ import annotations

import importlib
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from realtime.records import (
    annotation_routes,
    follow,
    ingest_routes,
    openapi,
    query_routes,
    recording_routes,
    sketch_routes,
)
from realtime.records.access import Access, CallerOf
from realtime.records.compactor import Compactor
from realtime.records.follow import Followers
from realtime.records.intake import Intake
from realtime.records.state import Parts
from realtime.runtime import problems
from realtime.runtime.limits import BodyLimit
from realtime.runtime.meters import Metered, Meters
from realtime.runtime.serving import is_loopback
from storage.catalog import AmbiguousRecording
from storage.errors import UsageError
from storage.recording_store import RecordingStore
from storage.settings import RecordsSettings

VERSION = "1.0"


def create_app(store: RecordingStore, settings: RecordsSettings) -> FastAPI:
    """Return the application for a store; who opened the store closes it.

    Raises
    ------
    UsageError
        If no tokens are required and other machines could reach the service.
    """
    parts = _assemble(store, settings)

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        warming = threading.Thread(target=_warm_up, name="warm-up")
        warming.start()
        parts.compactor.start()
        try:
            yield
        finally:
            parts.followers.close()
            await run_in_threadpool(parts.compactor.stop)
            await run_in_threadpool(warming.join)

    app = FastAPI(
        title="Ranvier records",
        version=VERSION,
        description=openapi.DESCRIPTION,
        lifespan=life,
        redirect_slashes=False,
    )
    app.state.parts = parts
    problems.install(app, {AmbiguousRecording: 409})
    for routes in (
        ingest_routes,
        query_routes,
        sketch_routes,
        recording_routes,
        annotation_routes,
        follow,
    ):
        app.include_router(routes.router)
    _add_own_routes(app)
    openapi.describe(app)
    # The last one added is the first to see a request.
    app.add_middleware(BodyLimit, limit_bytes=settings.body_limit_mb * 1_000_000)
    app.add_middleware(Metered, meters=parts.meters)
    return app


def _warm_up() -> None:
    """Import what the first filter would otherwise wait for, more than a second.

    Meanwhile chunks are taken already.
    """
    importlib.import_module("scipy.signal")


def _assemble(store: RecordingStore, settings: RecordsSettings) -> Parts:
    local = is_loopback(settings.host)
    required = not local if settings.token_required is None else settings.token_required
    if not required and not local:
        raise UsageError(
            f"host {settings.host}: other machines can reach it, so tokens are required; leave "
            f"RANVIER_RECORDS_TOKEN_REQUIRED unset, or listen on 127.0.0.1"
        )
    meters = Meters("records")
    refused = meters.counter("tokens_refused", "Requests without a valid token", "reason")
    return Parts(
        store=store,
        access=Access(store.catalog, required, refused),
        intake=Intake(store),
        followers=Followers(),
        compactor=Compactor(store, settings.seconds_between_compactions, meters),
        meters=meters,
        window_limit=settings.window_limit_samples,
    )


def _add_own_routes(app: FastAPI) -> None:
    parts: Parts = app.state.parts

    @app.get("/health", tags=["service"])
    def health() -> dict[str, str]:
        """Return ``{"status": "healthy"}`` if the catalogue answers."""
        with parts.store.catalog.reading() as connection:
            connection.exec_driver_sql("SELECT 1")
        return {"status": "healthy", "message": "the catalogue answers"}

    @app.get(
        "/metrics",
        tags=["service"],
        response_class=Response,
        responses={
            200: {"content": {"text/plain": {"schema": {"type": "string"}}}},
            **openapi.problems(401),
        },
    )
    async def metrics(caller: CallerOf) -> Response:
        """Return what is counted, in Prometheus' text form; any token will do."""
        del caller
        return parts.meters.answer()

    @app.get("/", include_in_schema=False)
    def root() -> JSONResponse:
        """Say what this is."""
        return JSONResponse({"service": "ranvier records", "documentation": "/docs"})
