"""The job of ``ranvier ingest`` and of the flow ``edf-to-zarr``: the order of its steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from storage.errors import UsageError
from storage.naming import check_names
from tasks.callers import Caller, unheard
from tasks.finding import Found, find_files
from tasks.ingest_file import ingest_file
from tasks.requests import IngestRequest
from tasks.results import IngestResult
from tasks.stores import prepare_store

Each = Callable[[IngestResult], None]


def ingest_all(
    request: IngestRequest, caller: Caller, each: Each = unheard
) -> tuple[IngestResult, ...]:
    """Take every file of a request into the store.

    A file that fails does not stop the others. Where another try may help, it is made once, after
    all others.

    Parameters
    ----------
    request
        What to do.
    caller
        Calls the steps.
    each
        Told of every result as it comes.

    Raises
    ------
    NotFound
        If nothing could be a recording.
    UsageError
        If the request contradicts itself.
    StorageError
        If the store cannot be used at all.
    """
    check_names(patient=request.patient, recording_id=request.recording_id)
    found = caller.call(find_files, request.sources)
    if request.recording_id is not None and len(found) != 1:
        raise UsageError(
            f"--recording-id names one recording, and {len(found)} files were found; leave it out, "
            "or name one file"
        )
    caller.call(prepare_store)
    return ingest_found(request, found, caller, each)


def ingest_found(
    request: IngestRequest, found: Sequence[Found], caller: Caller, each: Each = unheard
) -> tuple[IngestResult, ...]:
    """Take some files into the store."""
    results: dict[str, IngestResult] = {}

    def note(result: IngestResult) -> None:
        results[result.source] = result
        each(result)

    def note_unless_again(result: IngestResult) -> None:
        if not result.again:
            note(result)

    for one in found:
        if one.reason is not None:
            note(
                IngestResult(
                    source=one.url,
                    outcome="failed" if one.failed else "refused",
                    reason=one.reason,
                    skipped=one.aside,
                    private=True,
                    label=one.label,
                )
            )
    _ingest(request, [one for one in found if one.reason is None], caller, note_unless_again)
    left = [one for one in found if one.url not in results]
    if left:
        _ingest(request, left, caller, note)
    return tuple(results[one.url] for one in found)


def _ingest(request: IngestRequest, found: Sequence[Found], caller: Caller, each: Each) -> None:
    if found:
        files = "1 file" if len(found) == 1 else f"{len(found):,} files"
        caller.progress.stage(f"ingesting {files}", sum(one.bytes for one in found), "bytes")
        caller.call_each(ingest_file, (request,), found, each)
