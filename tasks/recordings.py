"""The steps of looking after recordings in the store, and the order of checking and sealing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from storage.chunk_files import Advance, silent
from tasks.callers import Caller, unheard
from tasks.requests import RecordingRequest
from tasks.results import CheckedRecording, SealedRecording
from tasks.stores import store_by_environment


@dataclass(frozen=True, slots=True)
class RecordingRef:
    """Which recording of the store is meant."""

    uuid: str
    recording_id: str
    patient_id: str


def find_recordings(request: RecordingRequest) -> tuple[RecordingRef, ...]:
    """Return the recordings that a request means.

    Raises
    ------
    NotFound
        If there is none of a name.
    """
    with store_by_environment() as store:
        if request.recordings:
            found = [store.catalog.find(name, request.patient) for name in request.recordings]
        else:
            found = store.catalog.recordings(request.patient)
        return tuple(RecordingRef(str(one.uuid), one.name, one.patient) for one in found)


def check_recording(ref: RecordingRef, advance: Advance = silent) -> CheckedRecording:
    """Recompute everything of a recording from its samples, and say what does not hold."""
    with store_by_environment() as store:
        report = store.verify(store.catalog.find(ref.uuid))
    advance(1)
    return CheckedRecording(
        recording_id=ref.recording_id,
        patient_id=ref.patient_id,
        uuid=ref.uuid,
        problems=tuple(map(str, report.problems)),
        rows=report.rows,
        chunks=report.chunks,
        samples=report.samples,
    )


def seal_recording(ref: RecordingRef, advance: Advance = silent) -> SealedRecording:
    """Close a recording for good."""
    with store_by_environment() as store:
        entry = store.catalog.find(ref.uuid)
        store.seal(entry)
    advance(1)
    return SealedRecording(
        recording_id=ref.recording_id,
        patient_id=ref.patient_id,
        uuid=ref.uuid,
        outcome="unchanged" if entry.sealed else "stored",
    )


def check_all(
    request: RecordingRequest,
    caller: Caller,
    each: Callable[[CheckedRecording], None] = unheard,
) -> tuple[CheckedRecording, ...]:
    """Prove every recording of a request, one after the other or several at once."""
    found = caller.call(find_recordings, request)
    caller.progress.stage("verifying", len(found), "recordings")
    return tuple(caller.call_each(check_recording, (), found, each))


def seal_all(request: RecordingRequest, caller: Caller) -> tuple[SealedRecording, ...]:
    """Close every recording of a request for good."""
    found = caller.call(find_recordings, request)
    caller.progress.stage("sealing", len(found), "recordings")
    return tuple(caller.call_each(seal_recording, (), found))
