"""The flow ``export-recording``: a recording of the store into a file."""

from __future__ import annotations

import logging
from typing import cast

from prefect import Flow, flow
from prefect.client.schemas.objects import State

from flows.artifacts import show_link
from flows.job import calling, ended, results_of
from flows.settings import FlowSettings, settings_for
from tasks.export import export_recording as export
from tasks.requests import ExportRequest
from tasks.results import ExportResult

log = logging.getLogger(__name__)

NAME = "export-recording"


def flow_with(settings: FlowSettings | None = None) -> Flow[[ExportRequest], State[ExportResult]]:
    """Return the flow, with settings of its own or those of the environment that it runs in."""

    @flow(name=NAME, persist_result=False, log_prints=False)
    def export_recording(request: ExportRequest) -> State[ExportResult]:
        """Write a recording, or a stretch of it, as EDF+, BDF+, NWB, CSV or Pennsieve chunks."""
        return ended(
            lambda: _export(request, settings or settings_for()), lambda result: (), "exported"
        )

    return export_recording


export_recording = flow_with()


def run_flow(request: ExportRequest) -> ExportResult:
    """Run the flow here and return what was written."""
    return cast("ExportResult", results_of(export_recording, request))


def _export(request: ExportRequest, settings: FlowSettings) -> ExportResult:
    with calling(NAME, settings) as caller:
        result: ExportResult = caller.call(export, request)
    log.info("exported: %s of %s", result.recording_id, result.patient_id)
    show_link(f"{NAME}-output", result.output, "The exported file")
    return result
