"""The job of the flow ``ingest-folder``: what is new in a folder since the last look."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from storage.byte_files import fingerprint
from storage.errors import NotFound, StorageError
from storage.folders import open_folder
from storage.naming import check_names
from storage.settings import records_settings
from tasks.callers import Caller, unheard
from tasks.finding import Found, find_files
from tasks.ingest import ingest_found
from tasks.requests import FolderRequest, IngestRequest
from tasks.results import IngestResult
from tasks.stores import prepare_store


def ingest_new(
    request: FolderRequest,
    caller: Caller,
    each: Callable[[IngestResult], None] = unheard,
) -> tuple[IngestResult, ...]:
    """Take what is new or has changed in a folder into the store.

    A file that was looked at once is left alone until it changes, also when it failed, unless
    another try may help. What was looked at stands in a log of the store, as digests.
    """
    check_names(patient=request.patient)
    caller.call(prepare_store)
    new = caller.call(find_new, request)
    if not new:
        return ()
    wanted = IngestRequest(
        sources=(request.folder,),
        patient=request.patient,
        drop_identity=request.drop_identity,
        codec=request.codec,
    )
    results = ingest_found(wanted, tuple(found for found, _ in new), caller, each)
    done = [digest for (_, digest), result in zip(new, results, strict=True) if not result.again]
    caller.call(remember, request, done)
    return results


def find_new(request: FolderRequest) -> tuple[tuple[Found, str], ...]:
    """Return the files that were not looked at yet, and a digest of place, size and time of each.

    Files that changed a moment ago are left for the next time: they may still grow.

    Raises
    ------
    NotFound
        If there is no such folder.
    """
    seen = _seen(request)
    new = []
    for found in find_files((request.folder,), must_hold=False):
        if found.url == request.folder and found.reason is not None:
            # Not a file that is bad, but the folder itself that is not there.
            raise (StorageError if found.failed else NotFound)(found.reason)
        state = _state(found.url)
        if time.time() - int(state.get("modified_ns", 0)) / 1e9 < request.settle_seconds:
            continue
        digest = hashlib.sha256(
            json.dumps([found.url, found.reason, state], sort_keys=True).encode()
        ).hexdigest()
        if digest not in seen:
            new.append((found, digest))
    return tuple(new)


def _state(url: str) -> dict[str, str | int]:
    """Return what changes when a file, or a Zarr folder, does."""
    if Path(url).is_dir():
        files = [path.stat() for path in Path(url).rglob("*") if path.is_file()]
        newest = max((stat.st_mtime_ns for stat in files), default=0)
        return {"bytes": sum(stat.st_size for stat in files), "modified_ns": newest}
    try:
        return fingerprint(url)
    except NotFound:
        return {"signature": open_folder(url).signature()}


def remember(request: FolderRequest, digests: Sequence[str]) -> None:
    """Note that some files need not be looked at again."""
    if digests:
        open_folder(records_settings().store_url).append(_log(request), " ".join(digests).encode())


def _seen(request: FolderRequest) -> frozenset[str]:
    folder = open_folder(records_settings().store_url)
    return frozenset(
        digest for record in folder.log_records(_log(request)) for digest in record.decode().split()
    )


def _log(request: FolderRequest) -> str:
    return f"watched/{hashlib.sha256(request.folder.encode()).hexdigest()[:16]}.log"
