"""The flow ``ingest-folder``: takes in what is new in a folder; made to be scheduled."""

from __future__ import annotations

from typing import cast

from prefect import Flow, flow
from prefect.client.schemas.objects import State

from flows.edf_to_zarr import Results, failures, log_result, show_results
from flows.job import calling, ended, results_of
from flows.settings import FlowSettings, settings_for
from tasks.ingest_folder import ingest_new
from tasks.requests import FolderRequest

NAME = "ingest-folder"


def flow_with(settings: FlowSettings | None = None) -> Flow[[FolderRequest], State[Results]]:
    """Return the flow, with settings of its own or those of the environment that it runs in."""

    @flow(name=NAME, persist_result=False, log_prints=False)
    def ingest_folder(request: FolderRequest) -> State[Results]:
        """Take what is new or has changed in a folder into the store.

        A file that fails is reported once, and looked at again when it changes.
        """
        return ended(
            lambda: _ingest(request, settings or settings_for()), failures, "{} new, taken in"
        )

    return ingest_folder


ingest_folder = flow_with()


def run_flow(request: FolderRequest) -> Results:
    """Run the flow here and return what became of each new file, of failed ones too."""
    return cast("Results", results_of(ingest_folder, request))


def _ingest(request: FolderRequest, settings: FlowSettings) -> Results:
    with calling(NAME, settings) as caller:
        results = ingest_new(request, caller, log_result)
    if results:
        show_results(NAME, results)
    return results
