"""Prefect task runners by settings: threads, Dask on this machine, or a Dask cluster."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from flows.settings import FlowSettings
from storage.errors import Unreachable, UsageError


@dataclass(frozen=True, slots=True)
class Running:
    """A started task runner.

    Parameters
    ----------
    runner
        Takes task runs.
    workers
        How many it works on at once.
    """

    runner: TaskRunner[Any]
    workers: int


def reach_server() -> None:
    """Make sure that there is a Prefect server; where none is set, Prefect starts one.

    Raises
    ------
    Unreachable
        If it does not answer.
    """
    try:
        with get_client(sync_client=True) as client:
            problem = client.api_healthcheck()
    except RuntimeError as error:
        problem = error
    if problem is not None:
        where = PREFECT_API_URL.value() or "the Prefect server for this run"
        raise Unreachable(
            f"{where}: does not answer ({problem}); see that it runs, or leave PREFECT_API_URL "
            "unset to do without"
        ) from problem


@contextmanager
def started_runner(settings: FlowSettings) -> Iterator[Running]:
    """Run tasks as settings say while the block runs; to be used inside a flow.

    Raises
    ------
    UsageError
        If what is set as the address of a scheduler is none.
    Unreachable
        If no scheduler answers there.
    """
    if settings.task_runner == "threads":
        threads: TaskRunner[Any] = ThreadPoolTaskRunner(max_workers=settings.workers)
        with threads as runner:
            yield Running(runner, settings.workers)
        return
    # Dask's processes report to the server that this flow run belongs to, also where that is one
    # that Prefect has started for this run alone.
    with temporary_settings({PREFECT_API_URL: _server_url()}), _dask_runner(settings) as running:
        yield running


@contextmanager
def _dask_runner(settings: FlowSettings) -> Iterator[Running]:
    from prefect_dask.task_runners import DaskTaskRunner

    # It tells of every connection; what goes wrong comes as a warning.
    logging.getLogger("distributed").setLevel(logging.WARNING)
    if settings.dask_address is not None:
        dask = DaskTaskRunner(address=settings.dask_address)
    else:
        dask = DaskTaskRunner(
            cluster_kwargs={
                "n_workers": settings.workers,
                "threads_per_worker": 1,
                "dashboard_address": "127.0.0.1:0",
            }
        )
    with dask as runner:
        try:
            threads = runner.client.nthreads()
        except OSError as error:
            raise Unreachable(
                f"{settings.dask_address}: no Dask scheduler answers there ({error}); start one "
                "with: dask scheduler"
            ) from error
        except ValueError as error:
            raise UsageError(
                f"{settings.dask_address}: expected the address of a Dask scheduler, for example "
                f"tcp://10.0.0.1:8786 ({error})"
            ) from error
        if not threads:
            raise Unreachable(
                f"{settings.dask_address}: the Dask scheduler has no workers; start one with: "
                "dask worker ADDRESS --nthreads 1"
            )
        yield Running(runner, sum(threads.values()))


def _server_url() -> str:
    context = FlowRunContext.get()
    if context is None:
        raise RuntimeError("a task runner was started outside of a flow run")
    return str(context.client.api_url)
