"""Targets: which package of which dataset an output goes to."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from storage.errors import NotFound, UsageError
from storage.pennsieve.client import Client
from storage.pennsieve.packages import find_parent, require_time_series
from storage.pennsieve.workflows import WorkflowRun, find_run

PACKAGE_PREFIX = "N:package:"


@dataclass(frozen=True, slots=True)
class Target:
    """Where to.

    Parameters
    ----------
    integration_id
        The workflow run that the import belongs to.
    dataset_id, package_id
        Node ids.
    made_up
        Whether the integration id is a fresh one, since no workflow run asks for the import.
    """

    integration_id: str
    dataset_id: str
    package_id: str
    made_up: bool = False


def find_target(
    client: Client,
    *,
    integration_id: str | None = None,
    dataset: str | None = None,
    package: str | None = None,
) -> Target:
    """Find out where an output goes, before any work is put into it.

    Parameters
    ----------
    client
        Connection to the platform.
    integration_id
        A workflow run. Its only package is the target; of several, the collection that holds
        the first one.
    dataset, package
        Node ids, instead of a workflow run.

    Raises
    ------
    UsageError
        If neither or both ways are used.
    NotFound
        If the run, its packages, the collection or the package do not exist; names which.
    Rejected
        If the package cannot hold channels.
    """
    if integration_id and not dataset and not package:
        run = find_run(client, integration_id)
        return Target(run.id, run.dataset_id, _package_of(client, run))
    if dataset and package and not integration_id:
        require_time_series(client, package, dataset)
        return Target(str(uuid.uuid4()), dataset, package, made_up=True)
    raise UsageError(
        "the target of an upload is either an integration id, or a dataset with a package;"
        f" got integration id {integration_id}, dataset {dataset}, package {package}"
    )


def _package_of(client: Client, run: WorkflowRun) -> str:
    if not run.package_ids:
        raise NotFound(
            f"workflow run {run.id}: it names no package of dataset {run.dataset_id};"
            " expected at least one"
        )
    if len(run.package_ids) == 1:
        return run.package_ids[0]
    for package_id in run.package_ids:
        if package_id.startswith(PACKAGE_PREFIX):
            return find_parent(client, package_id)
    raise NotFound(
        f"workflow run {run.id}: none of its {len(run.package_ids)} ids of dataset"
        f" {run.dataset_id} begins with {PACKAGE_PREFIX}; found {run.package_ids[0]} first"
    )
