"""Who may do what: bearer tokens, their scopes, and whose recordings they open.

One door for all routes, the WebSocket included. What belongs to another patient is answered as
if it did not exist.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, TypeVar

from fastapi import Depends, Query
from fastapi.openapi.models import HTTPBearer as BearerModel
from fastapi.security.base import SecurityBase
from prometheus_client import Counter
from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection

from realtime.runtime.problems import Problem
from realtime.runtime.serving import is_loopback
from storage.catalog import AmbiguousRecording, Catalog
from storage.catalog_rows import RecordingEntry
from storage.errors import NotAuthorized, NotFound
from storage.tokens import SCOPES, check

INGEST, READ, ANNOTATE, EXPORT, PHI, AUDIT, ADMIN = SCOPES
REMEMBERED_S = 1.0  # a token that is revoked works for so long at most
MOST_REMEMBERED = 1024

K = TypeVar("K")
V = TypeVar("V")
Sought = tuple[str, str | None, frozenset[str] | None]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks.

    Parameters
    ----------
    name
        Of the token; ``local`` where none is needed.
    scopes
        What it may do.
    patients
        Whose recordings it opens; None for all.
    """

    name: str
    scopes: frozenset[str]
    patients: frozenset[str] | None = None

    def may(self, scope: str) -> bool:
        """Return whether a scope is granted; ``admin`` holds all."""
        return scope in self.scopes or ADMIN in self.scopes

    def sees(self, patient: str) -> bool:
        """Return whether recordings of a patient are open to the caller."""
        return self.patients is None or patient in self.patients

    def demand(self, scope: str) -> None:
        """Refuse a caller without a scope.

        Raises
        ------
        Problem
            403.
        """
        if not self.may(scope):
            raise Problem(403, f"this token lacks the scope {scope}; ask for one that has it")


LOCAL = Caller("local", frozenset(SCOPES))


class Access:
    """Checks tokens, and remembers them for a moment.

    Parameters
    ----------
    catalog
        Where tokens are kept, as digests.
    required
        Whether each request needs one. Without, requests are taken only if they were sent to
        this machine by name and by no foreign web page.
    refused
        Counts refusals.
    """

    def __init__(self, catalog: Catalog, required: bool, refused: Counter) -> None:
        self._catalog = catalog
        self._required = required
        self._refused = refused
        self._known: OrderedDict[bytes, tuple[float, Caller]] = OrderedDict()
        self._found: OrderedDict[Sought, tuple[float, RecordingEntry]] = OrderedDict()

    async def caller(self, connection: HTTPConnection) -> Caller:
        """Return who sent a request.

        Raises
        ------
        NotAuthorized
            If there is no token where one is needed, or it is not valid.
        """
        kind, _, secret = connection.headers.get("authorization", "").partition(" ")
        if secret and kind.lower() == "bearer":
            return await self._bearer(secret.strip())
        if self._required:
            self._refused.labels("missing").inc()
            raise NotAuthorized("a token is needed: send the header Authorization: Bearer <token>")
        _from_here(connection)
        return LOCAL

    async def _bearer(self, secret: str) -> Caller:
        digest = hashlib.sha256(secret.encode()).digest()
        found = self._known.get(digest)
        if found is not None and found[0] > time.monotonic():
            return found[1]
        grant = await run_in_threadpool(check, self._catalog, secret)
        if grant is None:
            self._known.pop(digest, None)
            self._refused.labels("invalid").inc()
            log.warning("a token was refused")
            raise NotAuthorized("this token is unknown, revoked or out of date; ask for a new one")
        caller = Caller(f"token:{grant.name}", grant.scopes, grant.patients)
        _remember(self._known, digest, caller)
        return caller

    async def find(self, caller: Caller, recording: str, patient: str | None) -> RecordingEntry:
        """Return a recording that is open to a caller; see ``find``."""
        return await run_in_threadpool(find, self._catalog, caller, recording, patient)

    async def recall(self, caller: Caller, recording: str, patient: str | None) -> RecordingEntry:
        """Return the same for a writer, who asks for it with each chunk: perhaps from memory.

        Whether the recording is sealed may be out of date; every append looks at that itself.
        """
        sought = (recording, patient, caller.patients)
        found = self._found.get(sought)
        if found is not None and found[0] > time.monotonic():
            return found[1]
        entry = await self.find(caller, recording, patient)
        _remember(self._found, sought, entry)
        return entry


def _remember(memory: OrderedDict[K, tuple[float, V]], key: K, value: V) -> None:
    memory[key] = (time.monotonic() + REMEMBERED_S, value)
    memory.move_to_end(key)
    while len(memory) > MOST_REMEMBERED:
        memory.popitem(last=False)


def _from_here(connection: HTTPConnection) -> None:
    """Refuse what a web page of elsewhere makes a browser on this machine send."""
    host = connection.headers.get("host", "")
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
    if not is_loopback(name):
        raise Problem(
            403,
            "without tokens this service answers only requests to localhost or 127.0.0.1; start "
            "it with tokens required to use another name",
        )
    origin = connection.headers.get("origin")
    if origin is not None and not is_loopback(_host_of(origin)):
        raise Problem(403, "web pages of other origins may not use this service without a token")


def _host_of(origin: str) -> str:
    name = origin.partition("://")[2]
    return name.rpartition(":")[0] if name.rpartition(":")[2].isdecimal() else name


class Bearer(SecurityBase):
    """The dependency that tells routes who asks, and OpenAPI that a token does."""

    def __init__(self) -> None:
        self.model = BearerModel(description="`ranvier tokens add` issues them.")
        self.scheme_name = "token"

    async def __call__(self, connection: HTTPConnection) -> Caller:
        """Return who asks."""
        access: Access = connection.app.state.parts.access
        return await access.caller(connection)


bearer = Bearer()
CallerOf = Annotated[Caller, Depends(bearer)]
PatientQuery = Annotated[
    str | None,
    Query(
        max_length=200,
        description="Needed only where several patients have a recording of that name.",
    ),
]


def find(catalog: Catalog, caller: Caller, recording: str, patient: str | None) -> RecordingEntry:
    """Return a recording that is open to a caller.

    Raises
    ------
    NotFound
        If there is none, or it is another patient's: the two cannot be told apart.
    Problem
        409 if several patients have one of that name.
    """
    missing = NotFound(
        f"recording {recording!r}: there is none{f' of patient {patient!r}' if patient else ''}"
    )
    if patient is not None and not caller.sees(patient):
        raise missing
    try:
        entry = catalog.find(recording, patient)
    except NotFound:
        raise missing from None
    except AmbiguousRecording:
        return _of_his(catalog, caller, recording, missing)
    if not (caller.sees(entry.patient) and entry.finished):
        raise missing
    return entry


def _of_his(catalog: Catalog, caller: Caller, recording: str, missing: NotFound) -> RecordingEntry:
    # What is still being taken in from a file is not there yet, and makes nothing ambiguous.
    found = [
        entry
        for patient in ([None] if caller.patients is None else sorted(caller.patients))
        for entry in catalog.recordings(patient)
        if entry.name == recording
    ]
    if len(found) > 1:
        raise Problem(
            409, f"recording {recording!r}: several patients have one of that name; add patient_id"
        )
    if not found:
        raise missing
    return found[0]


@dataclass(frozen=True, slots=True)
class Opened:
    """A recording, and who opened it."""

    entry: RecordingEntry
    caller: Caller


def opened(scope: str) -> Callable[..., Awaitable[Opened]]:
    """Return the dependency of a route below ``/recordings/{recording_id}``."""

    async def dependency(
        connection: HTTPConnection,
        caller: CallerOf,
        recording_id: str,
        patient_id: PatientQuery = None,
    ) -> Opened:
        caller.demand(scope)
        access: Access = connection.app.state.parts.access
        if scope == INGEST:
            return Opened(await access.recall(caller, recording_id, patient_id), caller)
        return Opened(await access.find(caller, recording_id, patient_id), caller)

    return dependency
