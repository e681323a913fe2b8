"""The flow ``nwb-to-pennsieve``: NWB files into chunk files, and onto the platform."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from prefect import Flow, flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from flows.artifacts import ProgressArtifact, show_link, show_table
from flows.logs import let_our_logs_through
from flows.runners import reach_server, started_runner
from flows.settings import FlowSettings, settings_for
from flows.task_caller import TaskCaller
from storage.errors import RanvierError
from tasks.nwb_to_pennsieve import convert_all
from tasks.requests import ConvertRequest
from tasks.results import ConvertResult

log = logging.getLogger(__name__)

NAME = "nwb-to-pennsieve"
NAMED_FAILURES = 20
MOST_ROWS = 1000
OUTCOMES = ("failed", "refused", "stored", "unchanged")
COLUMNS = ("source", "outcome", "files", "bytes", "uploaded", "package", "reason")

ConvertFlow = Flow[[ConvertRequest], State[tuple[ConvertResult, ...]]]


def flow_with(settings: FlowSettings | None = None) -> ConvertFlow:
    """Return the flow, with settings of its own or those of the environment that it runs in."""

    @flow(name=NAME, persist_result=False, log_prints=False)
    def nwb_to_pennsieve(request: ConvertRequest) -> State[tuple[ConvertResult, ...]]:
        """Convert NWB files to Pennsieve chunk files, and upload them if the request says so.

        A file that fails does not stop the others; the run fails in the end and names it.
        """
        return _convert(request, settings or settings_for())

    return nwb_to_pennsieve


nwb_to_pennsieve = flow_with()


def run_flow(request: ConvertRequest, dask: str | None = None) -> tuple[ConvertResult, ...]:
    """Run the flow here and return what became of each source, of failed ones too.

    Parameters
    ----------
    request
        What to do.
    dask
        ``local`` for Dask on this machine, or the address of a scheduler; None for what the
        environment says.

    Raises
    ------
    Unreachable
        If the Prefect server does not answer.
    RanvierError
        If the run failed before any source was looked at.
    """
    reach_server()
    state: State[Any] = flow_with(settings_for(dask))(request, return_state=True)
    results: tuple[ConvertResult, ...] | BaseException = state.result(raise_on_failure=False)
    if isinstance(results, BaseException):
        raise results
    return results


def _convert(request: ConvertRequest, settings: FlowSettings) -> State[tuple[ConvertResult, ...]]:
    let_our_logs_through()
    by_block = request.upload is not None and request.upload.credentials_block is not None
    progress = ProgressArtifact(f"{NAME}-progress")
    try:
        with started_runner(settings) as running:
            caller = TaskCaller(running, progress, settings.run_mb << 20, by_block)
            results = convert_all(request, caller, _log_result)
    except RanvierError as error:
        # A state instead of the error: a request that cannot be met needs no traceback.
        return Failed(data=error, message=str(error))
    finally:
        progress.close()
    _show(results)
    return _final_state(results)


def _log_result(result: ConvertResult) -> None:
    if result.outcome == "stored":
        log.info("%s: stored in %s", result.source, result.output)
    elif result.outcome != "unchanged":
        log.error("%s: %s", result.outcome, _reason(result))


def _reason(result: ConvertResult) -> str:
    reason = result.reason or "no reason was given"
    return reason if result.source in reason else f"{result.source}: {reason}"


def _final_state(results: tuple[ConvertResult, ...]) -> State[tuple[ConvertResult, ...]]:
    failed = [result for result in results if result.outcome in ("refused", "failed")]
    if not failed:
        return Completed(data=results, message=f"{len(results)} converted")
    named = "; ".join(map(_reason, failed[:NAMED_FAILURES]))
    more = len(failed) - NAMED_FAILURES
    rest = f"; and {more} more in the table of results" if more > 0 else ""
    return Failed(data=results, message=f"{len(failed)} of {len(results)} failed: {named}{rest}")


def _show(results: Sequence[ConvertResult]) -> None:
    # Those that need somebody's attention come first.
    ordered = sorted(results, key=lambda result: OUTCOMES.index(result.outcome))
    rows = [{name: getattr(result, name) for name in COLUMNS} for result in ordered[:MOST_ROWS]]
    shown = f", {MOST_ROWS:,} of {len(results):,}" if len(results) > MOST_ROWS else ""
    show_table(f"{NAME}-results", rows, f"What became of each source{shown}")
    stored = [result.output for result in results if result.outcome in ("stored", "unchanged")]
    if stored:
        output = stored[0] if len(results) == 1 else stored[0].rpartition("/")[0]
        show_link(f"{NAME}-output", output, "The chunk files")
