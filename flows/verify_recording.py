"""The flow ``verify-recording``: proves recordings of the store from their samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from prefect import Flow, flow
from prefect.client.schemas.objects import State

from flows.artifacts import show_table
from flows.job import calling, ended, results_of
from flows.settings import FlowSettings, settings_for
from tasks.recordings import check_all
from tasks.requests import RecordingRequest
from tasks.results import CheckedRecording

NAME = "verify-recording"
MOST_ROWS = 1000

Checked = tuple[CheckedRecording, ...]


def flow_with(settings: FlowSettings | None = None) -> Flow[[RecordingRequest], State[Checked]]:
    """Return the flow, with settings of its own or those of the environment that it runs in."""

    @flow(name=NAME, persist_result=False, log_prints=False)
    def verify_recording(request: RecordingRequest = RecordingRequest()) -> State[Checked]:
        """Recompute every checksum and the chain of recordings, of all unless some are named.

        The run fails if anything does not hold, and names the first row of the chain that does not.
        """
        return ended(lambda: _verify(request, settings or settings_for()), _failures, "{} hold")

    return verify_recording


verify_recording = flow_with()


def run_flow(request: RecordingRequest) -> Checked:
    """Run the flow here and return what was found, of recordings that do not hold, too."""
    return cast("Checked", results_of(verify_recording, request))


def _verify(request: RecordingRequest, settings: FlowSettings) -> Checked:
    with calling(NAME, settings) as caller:
        checked = check_all(request, caller)
    ordered = sorted(checked, key=lambda one: not one.problems)
    rows = [
        {
            "patient": one.patient_id,
            "recording": one.recording_id,
            "holds": "no" if one.problems else "yes",
            "rows": one.rows,
            "chunks": one.chunks,
            "samples": one.samples,
            "problem": one.problems[0] if one.problems else None,
        }
        for one in ordered[:MOST_ROWS]
    ]
    show_table(f"{NAME}-results", rows, "What was found about each recording")
    return checked


def _failures(checked: Sequence[CheckedRecording]) -> list[str]:
    return [f"{one.title}: {one.problems[0]}" for one in checked if one.problems]
