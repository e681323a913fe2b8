"""Calls the steps of a job as Prefect tasks."""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import islice, pairwise
from typing import Any, TypeVar, cast

from prefect import Task, task
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture
from prefect.tasks import exponential_backoff

from flows.artifacts import ProgressArtifact
from flows.logs import let_our_logs_through
from flows.retries import FIRST_DELAY_S, JITTER, RETRIES, retry_condition
from flows.runners import Running
from storage.chunk_files import silent
from storage.chunk_plan import Run
from storage.pennsieve.imports import Import
from tasks.callers import unheard
from tasks.finding import Found
from tasks.nwb import Conversion

Result = TypeVar("Result")

# Every task run costs the server about 8 ms of processor time and 15 to 20 KB for good.
TASK_RUNS = 200
UPLOAD_BATCH_FILES = 500


class StepCall:
    """What one task run does.

    It is no dataclass, since Prefect searches those for futures, every plan and run in them too.

    Parameters
    ----------
    step
        Which step.
    arguments
        Those of every call.
    items
        Call the step for each of these, and return all results; None calls it once, without one.
    by_block
        Whether a step that signs in somewhere takes its keys from a Secret block.
    """

    def __init__(
        self,
        step: Callable[..., Any],
        arguments: tuple[Any, ...],
        items: tuple[Any, ...] | None,
        by_block: bool,
    ) -> None:
        self.step = step
        self.arguments = arguments
        self.items = items
        self.by_block = by_block

    def run(self) -> Any:
        """Call the step."""
        connection: dict[str, Any] = {}
        if self.by_block and connects(self.step):
            from flows.credentials import connect_by_block

            connection["connect"] = connect_by_block
        if self.items is None:
            return self.step(*self.arguments, **connection)
        return [
            self.step(*self.arguments, item, advance=silent, **connection) for item in self.items
        ]


def connects(step: Callable[..., Any]) -> bool:
    """Whether a step signs in somewhere."""
    return "connect" in inspect.signature(step).parameters


@task(
    retries=RETRIES,
    retry_delay_seconds=exponential_backoff(backoff_factor=FIRST_DELAY_S),
    retry_jitter_factor=JITTER,
    retry_condition_fn=retry_condition,
    cache_policy=NO_CACHE,
    persist_result=False,
    log_prints=False,
)
def run_step(call: StepCall) -> Any:
    """Do what a task run is for."""
    let_our_logs_through()
    return call.run()


class TaskCaller:
    """Calls every step as a Prefect task; the steps for items at once, as far as they go.

    Parameters
    ----------
    running
        Takes the task runs of steps for items.
    progress
        Where progress is shown.
    run_bytes
        Stored bytes that one call should write at least.
    by_block
        Whether steps that sign in somewhere take their keys from a Secret block.
    task_runs
        About how many task runs may be made.
    """

    batch_files: int | None = UPLOAD_BATCH_FILES

    def __init__(
        self,
        running: Running,
        progress: ProgressArtifact,
        run_bytes: int,
        by_block: bool,
        task_runs: int = TASK_RUNS,
    ) -> None:
        self.progress = progress
        self.run_bytes: int | None = run_bytes
        self._running = running
        self._by_block = by_block
        self._left = task_runs

    def call(self, step: Callable[..., Result], *arguments: Any) -> Result:
        """Call one step, here, as a task run while not too many were made."""
        call = StepCall(step, arguments, None, self._by_block)
        if not self._left:
            # A folder of thousands of files: these steps are short, and what went wrong with a
            # file stands in the table of results.
            return cast("Result", call.run())
        self._left -= 1
        return cast("Result", _named(step, subject_of(arguments))(call))

    def call_each(
        self,
        step: Callable[..., Result],
        shared: Sequence[Any],
        items: Iterable[Any],
        each: Callable[[Result], None] = unheard,
    ) -> list[Result]:
        """Call a step for every item as task runs, and return the results in order.

        No more than a few task runs wait at a time. After a failure no more are begun, and those
        under way are waited for, since they write to an output that is about to be let go.
        """
        items = tuple(items)
        if not items:
            return []
        # An upload uses all the connections that it may, so that two at once were too many.
        window = 1 if connects(step) else 2 * self._running.workers
        shares = shared_out(items, max(window, self._left))
        self._left = max(0, self._left - len(shares))
        results: list[Result] = []
        waiting: deque[PrefectFuture[list[Result]]] = deque()
        submitted = (self._submit(step, tuple(shared), share) for share in shares)
        shown = 0
        try:
            waiting.extend(islice(submitted, window))
            while waiting:
                come = waiting.popleft().result()
                waiting.extend(islice(submitted, 1))
                results.extend(come)
                for result in come:
                    each(result)
                done = self.progress.total * len(results) // len(items)
                self.progress.advance(done - shown)
                shown = done
        except Exception:
            # Raised again below: whatever it was, what is under way must not outlive the output.
            for future in waiting:
                future.wait()
            raise
        return results

    def _submit(
        self, step: Callable[..., Result], shared: tuple[Any, ...], share: tuple[Any, ...]
    ) -> PrefectFuture[list[Result]]:
        call = StepCall(step, shared, share, self._by_block)
        named = _named(step, subject_of(shared), name_of(shared, share))
        future: PrefectFuture[list[Result]] = self._running.runner.submit(named, {"call": call})
        return future


def _named(step: Callable[..., Any], *about: str) -> Task[[StepCall], Any]:
    name = " ".join(part for part in (step.__name__, *about) if part)
    # Prefect takes braces in a name for places to fill in.
    literal = name.replace("{", "{{").replace("}", "}}")
    return run_step.with_options(name=step.__name__, task_run_name=literal)


def shared_out(items: tuple[Any, ...], most: int) -> list[tuple[Any, ...]]:
    """Divide items into at most ``most`` consecutive shares of almost the same size."""
    count = min(most, len(items))
    edges = [len(items) * number // count for number in range(count + 1)]
    return [items[start:stop] for start, stop in pairwise(edges)]


def subject_of(arguments: Sequence[Any]) -> str:
    """Return the name of the file or folder that a step is about."""
    for argument in arguments:
        if isinstance(argument, Conversion):
            return _last_part(argument.source)
        if isinstance(argument, str):
            return _last_part(argument)
        if isinstance(argument, Import):
            return _last_part(argument.folder)
    return ""


def name_of(shared: Sequence[Any], share: tuple[Any, ...]) -> str:
    """Return what a share of the items of a step is called."""
    first, last = share[0], share[-1]
    if isinstance(first, Run) and isinstance(last, Run):
        names = [tuple(one.rates_hz) for one in shared if isinstance(one, Conversion)]
        series = names[0][first.group] if names else str(first.group)
        if first.group != last.group:
            return f"{series} from {first.span.start} and {len(share) - 1} further runs"
        return f"{series} {first.span.start} to {last.span.stop}"
    if isinstance(first, Found):
        more = f" and {len(share) - 1} further files" if len(share) > 1 else ""
        return f"{first.label}{more}"
    if isinstance(first, tuple):
        return f"{first[0]} and {sum(map(len, share)) - 1} further files"
    return ""


def _last_part(url: str) -> str:
    return url.rstrip("/").rpartition("/")[2]
