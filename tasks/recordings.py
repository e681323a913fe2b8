"""The steps of looking after recordings in the store, and the order of checking and sealing."""

from __future__ import annotations

from collections.abc import Callable, Sized
from dataclasses import dataclass

from storage.catalog_check import NONSENSE
from storage.chunk_files import Advance, silent
from storage.errors import CorruptRecording
from tasks.callers import Caller, unheard
from tasks.requests import RecordingRequest
from tasks.results import CheckedRecording, SealedRecording
from tasks.stores import store_by_environment


@dataclass(frozen=True, slots=True)
class RecordingRef:
    """Which recording of the store is meant.

    Parameters
    ----------
    problems
        What is known to be wrong with it before anything of it is read.
    lost
        Whether its row is missing or unreadable, so that nothing of it can be read at all.
    """

    uuid: str
    recording_id: str
    patient_id: str
    problems: tuple[str, ...] = ()
    lost: bool = False


def find_recordings(request: RecordingRequest) -> tuple[RecordingRef, ...]:
    """Return the recordings that a request means; of all, those that are missing as well.

    Raises
    ------
    NotFound
        If there is none of a name.
    """
    with store_by_environment() as store:
        if request.recordings:
            try:
                named = [store.catalog.find(name, request.patient) for name in request.recordings]
            except NONSENSE as error:
                raise CorruptRecording(
                    f"a row of the catalogue cannot be read ({error}); verify all recordings to "
                    "see which"
                ) from error
            return tuple(RecordingRef(str(one.uuid), one.name, one.patient) for one in named)
        return tuple(
            RecordingRef(one.uuid, one.name, one.patient, one.problems, one.entry is None)
            for one in store.survey(request.patient)
        )


def check_recording(ref: RecordingRef, advance: Advance = silent) -> CheckedRecording:
    """Recompute everything of a recording from its samples, and say what does not hold."""
    if ref.lost:
        advance(1)
        return CheckedRecording(
            recording_id=ref.recording_id,
            patient_id=ref.patient_id,
            uuid=ref.uuid,
            problems=ref.problems,
        )
    with store_by_environment() as store:
        report = store.verify(store.catalog.find(ref.uuid))
    advance(1)
    notes = [f"{name}: being written, or left by a worker that died" for name in report.unknown]
    if report.vouched < report.rows and not report.problems:
        notes.append(
            f"rows after {report.vouched} of its chain are vouched for by the catalogue alone"
        )
    return CheckedRecording(
        recording_id=ref.recording_id,
        patient_id=ref.patient_id,
        uuid=ref.uuid,
        problems=(*ref.problems, *map(str, report.problems)),
        notes=tuple(notes),
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
    caller.progress.stage("verifying", len(found), _unit(found))
    return tuple(caller.call_each(check_recording, (), found, each))


def seal_all(request: RecordingRequest, caller: Caller) -> tuple[SealedRecording, ...]:
    """Close every recording of a request for good."""
    found = caller.call(find_recordings, request)
    caller.progress.stage("sealing", len(found), _unit(found))
    return tuple(caller.call_each(seal_recording, (), found))


def _unit(found: Sized) -> str:
    return "recording" if len(found) == 1 else "recordings"
