"""How a flow runs a job of several items: its caller, its final state, its result for a command."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar, cast

from prefect import Flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from flows.artifacts import ProgressArtifact
from flows.logs import let_our_logs_through
from flows.runners import reach_server, started_runner
from flows.settings import FlowSettings
from flows.task_caller import TaskCaller
from storage.errors import RanvierError

log = logging.getLogger(__name__)

NAMED_FAILURES = 20

Result = TypeVar("Result")


@contextmanager
def calling(name: str, settings: FlowSettings) -> Iterator[TaskCaller]:
    """Call steps as Prefect tasks while the block runs; to be used inside a flow."""
    let_our_logs_through()
    progress = ProgressArtifact(f"{name}-progress")
    try:
        with started_runner(settings) as running:
            yield TaskCaller(running, progress, settings.run_mb << 20, by_block=False)
    finally:
        progress.close()


def ended(
    job: Callable[[], Result], failures: Callable[[Result], Sequence[str]], done: str
) -> State[Result]:
    """Do a job and return the state that its flow run ends in.

    Parameters
    ----------
    job
        Raises what makes the whole of it impossible.
    failures
        Returns one line for every item that failed.
    done
        What to say when none did; ``{}`` stands for the number of results.
    """
    try:
        results = job()
    except RanvierError as error:
        # A state instead of the error: a request that cannot be met needs no traceback.
        return cast("State[Result]", Failed(data=error, message=str(error)))
    failed = failures(results)
    count = len(results) if isinstance(results, Sequence) else 1
    if not failed:
        return cast("State[Result]", Completed(data=results, message=done.format(count)))
    for line in failed:
        log.error("%s", line)
    more = len(failed) - NAMED_FAILURES
    rest = f"; and {more} more in the table of results" if more > 0 else ""
    named = "; ".join(failed[:NAMED_FAILURES])
    message = f"{len(failed)} of {count} failed: {named}{rest}"
    return cast("State[Result]", Failed(data=results, message=message))


def results_of(run: Flow[..., Any], *arguments: Any) -> Any:
    """Run a flow here and return its results, also those of a run in which some items failed.

    Raises
    ------
    Unreachable
        If the Prefect server does not answer.
    RanvierError
        If the run failed as a whole.
    """
    reach_server()
    start: Any = run
    state: State[Any] = start(*arguments, return_state=True)
    results: Any = state.result(raise_on_failure=False)
    if isinstance(results, BaseException):
        raise results
    return results
