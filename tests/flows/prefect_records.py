"""What a Prefect server has recorded of the latest run, and running the flow as tests need it."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    FlowRunFilter,
    FlowRunFilterId,
)
from prefect.client.schemas.objects import Artifact, FlowRun, State
from prefect.client.schemas.sorting import FlowRunSort

from flows.nwb_to_pennsieve import flow_with
from flows.settings import FlowSettings
from tasks.requests import ConvertRequest
from tasks.results import ConvertResult

SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Ended:
    """How a flow run ended."""

    state: State[Any]

    @property
    def results(self) -> tuple[ConvertResult, ...]:
        """What became of each source."""
        results = self.state.result(raise_on_failure=False)
        assert isinstance(results, tuple), results
        return results

    @property
    def outcomes(self) -> dict[str, str]:
        """Outcome by the last part of each source."""
        return {one.source.rpartition("/")[2]: one.outcome for one in self.results}


def run(request: ConvertRequest, **settings: Any) -> Ended:
    """Run the flow with one chunk in each run of chunks."""
    chosen = FlowSettings(run_mb=1, **settings)
    return Ended(flow_with(chosen)(request, return_state=True))


def latest_run() -> FlowRun:
    """Return the flow run that began last."""
    with get_client(sync_client=True) as client:
        (found,) = client.read_flow_runs(sort=FlowRunSort.START_TIME_DESC, limit=1)
    return found


def artifacts_of(flow_run: FlowRun) -> dict[str, Artifact]:
    """Return the artifacts of a run by key."""
    of_run = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[flow_run.id]))
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(artifact_filter=of_run)
    return {str(artifact.key): artifact for artifact in found}


def rows_of(table: Artifact) -> list[dict[str, Any]]:
    """Return the rows of a table artifact."""
    assert isinstance(table.data, str)
    rows: list[dict[str, Any]] = json.loads(table.data)
    return rows


def task_names(flow_run: FlowRun, least: int) -> list[str]:
    """Return the names of a run's task runs, once the server has written so many down."""
    chosen = FlowRunFilter(id=FlowRunFilterId(any_=[flow_run.id]))
    due = time.monotonic() + SECONDS
    while True:
        with get_client(sync_client=True) as client:
            found = sorted(one.name for one in client.read_task_runs(flow_run_filter=chosen))
        if len(found) >= least:
            return found
        assert time.monotonic() < due, f"fewer than {least} task runs: {found}"
        time.sleep(0.2)


def everything_recorded(flow_run: FlowRun, once: str) -> str:
    """Return all that the server knows about a run, as text, once a word is in it.

    The server writes task runs down some seconds after they happened.
    """
    due = time.monotonic() + SECONDS
    while once not in (text := _recorded(flow_run)):
        assert time.monotonic() < due, f"no {once} in: {text}"
        time.sleep(0.2)
    return text


def _recorded(flow_run: FlowRun) -> str:
    chosen = FlowRunFilter(id=FlowRunFilterId(any_=[flow_run.id]))
    with get_client(sync_client=True) as client:
        task_runs = client.read_task_runs(flow_run_filter=chosen)
    parts = [flow_run, *task_runs, *artifacts_of(flow_run).values()]
    return "\n".join(part.model_dump_json() for part in parts)
