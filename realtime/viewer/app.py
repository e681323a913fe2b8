"""The viewer as a web application: its document, its modules, and a way to the records API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.types import ASGIApp

from realtime.runtime import problems
from realtime.runtime.limits import BodyLimit
from realtime.runtime.serving import is_loopback
from realtime.viewer import follow, health, montage_routes, page_files, proxy, sign_in
from realtime.viewer.callers import Callers
from realtime.viewer.departures import Departures, told_to_stop
from realtime.viewer.guard import Guard
from realtime.viewer.montage_files import MontageFiles
from realtime.viewer.records_api import RecordsApi
from realtime.viewer.sessions import Sessions
from realtime.viewer.shell import shell
from realtime.viewer.throttle import Throttle
from storage.errors import UsageError
from storage.settings import ViewerSettings

LONGEST_BODY = 64_000  # of a mark, or a form


def create_app(settings: ViewerSettings) -> ASGIApp:
    """Return the application; it needs no records service to start.

    Raises
    ------
    UsageError
        If other machines could use it without signing in, or TLS lacks one of its files.
    """
    required = _required(settings)
    records = RecordsApi(settings.records_url, named=not required)
    departures = Departures()
    document, scripts = shell()

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        async with records:
            with told_to_stop(departures):
                yield

    app = FastAPI(
        lifespan=life, openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False
    )
    app.state.records = records
    app.state.departures = departures
    app.state.callers = Callers(Sessions(), settings.token, required, settings.origin)
    app.state.throttle = Throttle()
    app.state.montages = MontageFiles(settings.montages_path, settings.montages is not None)
    problems.install(app)
    app.mount("/page", page_files.files())
    for routes in (proxy, follow, montage_routes, sign_in, health):
        app.include_router(routes.router)
    app.mount("/", sign_in.Door(document, app.state.callers))
    app.add_middleware(BodyLimit, limit_bytes=LONGEST_BODY)
    return Guard(app, local=not required, scripts=scripts, origin=settings.origin)


def in_clear(settings: ViewerSettings) -> bool:
    """Return whether people elsewhere send tokens, and get recordings, without TLS."""
    behind = settings.origin is not None and settings.origin.startswith("https:")
    return not (is_loopback(settings.host) or settings.certificate is not None or behind)


def _required(settings: ViewerSettings) -> bool:
    local = is_loopback(settings.host)
    reached = not local or settings.origin is not None
    required = reached if settings.sign_in is None else settings.sign_in
    if not required and local and reached:
        raise UsageError(
            "RANVIER_VIEWER_ORIGIN says that a proxy lets others in, so people sign in; leave "
            "RANVIER_VIEWER_SIGN_IN unset"
        )
    if not required and not local:
        raise UsageError(
            f"host {settings.host}: other machines can reach it, so people sign in; leave "
            f"RANVIER_VIEWER_SIGN_IN unset, or listen on 127.0.0.1"
        )
    if (settings.certificate is None) != (settings.private_key is None):
        raise UsageError("TLS needs both RANVIER_VIEWER_CERTIFICATE and RANVIER_VIEWER_PRIVATE_KEY")
    for path in (settings.certificate, settings.private_key):
        if path is not None and not path.is_file():
            raise UsageError(f"{path}: there is no such file; TLS needs it")
    return required
