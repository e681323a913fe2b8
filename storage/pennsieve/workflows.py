"""Workflow runs: which packages a run of the platform's orchestrator works on."""

from __future__ import annotations

from dataclasses import dataclass

from storage.errors import NotFound, Rejected
from storage.pennsieve.client import Client, segment


@dataclass(frozen=True, slots=True)
class WorkflowRun:
    """One run: its id, its dataset and its packages."""

    id: str
    dataset_id: str
    package_ids: tuple[str, ...]


def find_run(client: Client, run_id: str) -> WorkflowRun:
    """Look up a workflow run.

    Raises
    ------
    NotFound
        If the platform does not know it; it says so with 200 and an empty body.
    Rejected
        If the answer names no dataset.
    """
    host = client.hosts.api2
    unknown = f"workflow run {run_id}: {host} does not know it; check the integration id"
    try:
        answer = client.call("GET", f"{host}/compute/workflows/runs/{segment(run_id)}")
    except NotFound as error:
        raise NotFound(unknown) from error
    if not answer.body.strip():
        raise NotFound(unknown)
    run = answer.json()
    if not run:
        raise NotFound(unknown)
    if not isinstance(run, dict) or not run.get("datasetId"):
        raise Rejected(f"workflow run {run_id}: expected a datasetId in the answer, found none")
    sources = run.get("dataSources") or {}
    try:
        packages = tuple(
            str(package)
            for source in sources.values()
            for package in source.get("packageIds") or ()
        )
    except (AttributeError, TypeError) as error:
        raise Rejected(
            f"workflow run {run_id}: expected dataSources to map names to lists of packageIds"
        ) from error
    return WorkflowRun(str(run.get("uuid") or run_id), str(run["datasetId"]), packages)
