"""Registering deployments on a running Prefect server."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
from prefect import Flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.deployments.runner import DeploymentApplyError, RunnerDeployment
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.schedules import Cron
from prefect.types.entrypoint import EntrypointType
from prefect.workers.process import ProcessWorker

from deployments.prefect_settings import RUN_SETTINGS
from deployments.registry import DeploymentEntry
from storage.errors import Rejected, Unreachable

if TYPE_CHECKING:
    from prefect.client.schemas.responses import DeploymentResponse


@dataclass(frozen=True, slots=True)
class Registered:
    """A deployment on the server.

    Parameters
    ----------
    name
        ``flow/deployment``, as the server's commands take it.
    id
        Of the deployment.
    pool
        Work pool that runs it.
    created
        Whether it was not there before.
    """

    name: str
    id: str
    pool: str
    created: bool


def register_all(
    entries: Sequence[DeploymentEntry], api_url: str, pool: str | None = None
) -> tuple[Registered, ...]:
    """Register deployments, those that are there already once more.

    Parameters
    ----------
    entries
        What to register.
    api_url
        The server that this process uses, for messages.
    pool
        Work pool for all of them, instead of each one's own. A process pool is made where there is
        none of that name.

    Raises
    ------
    Unreachable
        If the server does not answer.
    Rejected
        If it refuses something.
    """
    try:
        with get_client(sync_client=True) as client:
            return tuple(_register(client, entry, pool or entry.pool) for entry in entries)
    except httpx.TransportError as error:
        raise Unreachable(
            f"{api_url}: no Prefect server answers there ({error}); start one with: "
            "prefect server start"
        ) from error
    except (PrefectHTTPStatusError, DeploymentApplyError) as error:
        raise Rejected(f"{api_url}: {error}".partition("\n")[0]) from error


def _register(client: SyncPrefectClient, entry: DeploymentEntry, pool: str) -> Registered:
    _ensure_pool(client, pool)
    flow = _load(entry.flow)
    full_name = f"{flow.name}/{entry.name}"
    existing = _existing(client, full_name)
    deployment = RunnerDeployment.from_flow(
        flow,
        name=entry.name,
        description=entry.description,
        tags=list(entry.tags),
        parameters=existing.parameters if existing else dict(entry.parameters),
        # Schedules are set only at first: afterwards they belong to the people who use them.
        schedule=_schedule(entry) if existing is None else None,
        concurrency_limit=ConcurrencyLimitConfig(
            limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW
        )
        if entry.single
        else None,
        work_pool_name=pool,
        job_variables={"env": dict(RUN_SETTINGS)},
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    identity = deployment.apply(work_pool_name=pool)
    return Registered(full_name, str(identity), pool, created=existing is None)


def _ensure_pool(client: SyncPrefectClient, name: str) -> None:
    try:
        client.read_work_pool(name)
    except ObjectNotFound:
        client.create_work_pool(
            WorkPoolCreate(
                name=name,
                type=ProcessWorker.type,
                base_job_template=ProcessWorker.get_default_base_job_template(),
            )
        )


def _load(path: str) -> Flow[..., Any]:
    module, _, name = path.rpartition(".")
    flow = getattr(importlib.import_module(module), name)
    if not isinstance(flow, Flow):
        raise TypeError(f"{path}: expected a flow, got {type(flow).__name__}")
    return flow


def _existing(client: SyncPrefectClient, full_name: str) -> DeploymentResponse | None:
    try:
        return client.read_deployment_by_name(full_name)
    except ObjectNotFound:
        return None


def _schedule(entry: DeploymentEntry) -> Any:
    if entry.cron is None:
        return None
    return Cron(entry.cron, active=entry.scheduled, slug=entry.name)
