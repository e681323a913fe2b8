"""The flow ``seal-recording``: closes live recordings for good."""

from __future__ import annotations

from typing import cast

from prefect import Flow, flow
from prefect.client.schemas.objects import State

from flows.job import calling, ended, results_of
from flows.settings import FlowSettings, settings_for
from storage.errors import UsageError
from tasks.recordings import seal_all
from tasks.requests import RecordingRequest
from tasks.results import SealedRecording

NAME = "seal-recording"

Sealed = tuple[SealedRecording, ...]


def flow_with(settings: FlowSettings | None = None) -> Flow[[RecordingRequest], State[Sealed]]:
    """Return the flow, with settings of its own or those of the environment that it runs in."""

    @flow(name=NAME, persist_result=False, log_prints=False)
    def seal_recording(request: RecordingRequest) -> State[Sealed]:
        """Close live recordings: all samples into the store, overview, checksums, the proof."""
        return ended(
            lambda: _seal(request, settings or settings_for()), lambda sealed: (), "{} sealed"
        )

    return seal_recording


seal_recording = flow_with()


def run_flow(request: RecordingRequest) -> Sealed:
    """Run the flow here and return what was sealed."""
    return cast("Sealed", results_of(seal_recording, request))


def _seal(request: RecordingRequest, settings: FlowSettings) -> Sealed:
    if not request.recordings:
        raise UsageError("name the recordings to close for good; none were named")
    with calling(NAME, settings) as caller:
        return seal_all(request, caller)
