"""The flow ``edf-to-zarr``: files of recordings into the store."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, cast

from prefect import Flow, flow
from prefect.client.schemas.objects import State

from flows.artifacts import show_table
from flows.job import calling, ended, results_of
from flows.settings import FlowSettings, settings_for
from tasks.ingest import ingest_all
from tasks.requests import IngestRequest
from tasks.results import IngestResult

log = logging.getLogger(__name__)

NAME = "edf-to-zarr"
MOST_ROWS = 1000
OUTCOMES = ("failed", "refused", "stored", "unchanged")

Results = tuple[IngestResult, ...]


def flow_with(settings: FlowSettings | None = None) -> Flow[[IngestRequest], State[Results]]:
    """Return the flow, with settings of its own or those of the environment that it runs in."""

    @flow(name=NAME, persist_result=False, log_prints=False)
    def edf_to_zarr(request: IngestRequest) -> State[Results]:
        """Take recordings into the store of the machine that runs this.

        A file that fails does not stop the others; the run fails in the end and names it.
        """
        return ended(lambda: _ingest(request, settings or settings_for()), failures, "{} taken in")

    return edf_to_zarr


edf_to_zarr = flow_with()


def run_flow(request: IngestRequest) -> Results:
    """Run the flow here and return what became of each file, of failed ones too."""
    return cast("Results", results_of(edf_to_zarr, request))


def _ingest(request: IngestRequest, settings: FlowSettings) -> Results:
    with calling(NAME, settings) as caller:
        results = ingest_all(request, caller, log_result)
    show_results(NAME, results)
    return results


def log_result(result: IngestResult) -> None:
    """Log what was taken in; failures are logged where the run ends."""
    if result.outcome == "stored":
        log.info("stored: %s of %s", result.recording_id, result.patient_id)


def failures(results: Sequence[IngestResult]) -> list[str]:
    """Return a line for every file that was not taken in."""
    return [
        reason if result.title in reason else f"{result.title}: {reason}"
        for result in results
        if result.failed
        for reason in (result.shown_reason or "no reason was given",)
    ]


def show_results(name: str, results: Sequence[IngestResult]) -> None:
    """Show what became of each file; those that need somebody's attention come first."""
    ordered = sorted(results, key=lambda result: OUTCOMES.index(result.outcome))
    rows = [_row(result) for result in ordered[:MOST_ROWS]]
    shown = f", {MOST_ROWS:,} of {len(results):,}" if len(results) > MOST_ROWS else ""
    show_table(f"{name}-results", rows, f"What became of each file{shown}")


def _row(result: IngestResult) -> dict[str, Any]:
    return {
        # The name of a file whose header names a person may carry that name, too.
        "source": result.title,
        "outcome": result.outcome,
        "patient": result.patient_id,
        "recording": result.recording_id,
        "samples": result.samples,
        "annotations": result.annotations,
        "reason": result.shown_reason,
    }
