"""Exactly the errors that say so are tried again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from prefect import flow

from flows.artifacts import ProgressArtifact
from flows.retries import is_retryable
from flows.runners import started_runner
from flows.settings import FlowSettings
from flows.task_caller import TASK_RUNS, TaskCaller, shared_out
from storage import errors
from storage.chunk_files import Advance, silent
from storage.errors import Rejected, Unreachable
from tests.flows.prefect_records import latest_run, task_names


def leaves(root: type[errors.RanvierError]) -> list[type[errors.RanvierError]]:
    below = root.__subclasses__()
    return [leaf for child in below for leaf in leaves(child)] if below else [root]


LEAVES = leaves(errors.RanvierError)


def raised_from(error: Exception, cause: Exception) -> Exception:
    try:
        raise error from cause
    except type(error) as raised:
        return raised


def test_the_tree_has_its_leaves() -> None:
    assert len(LEAVES) >= 17


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.__name__)
def test_every_leaf_is_decided_by_what_it_says_of_itself(leaf: type[errors.RanvierError]) -> None:
    expected = leaf.__name__ in ("Busy", "Unreachable", "StreamLost")
    assert leaf.retryable is expected
    assert is_retryable(leaf("x")) is expected
    assert is_retryable(raised_from(RuntimeError("wrapped"), leaf("x"))) is expected
    assert is_retryable(ExceptionGroup("several", [leaf("x"), leaf("y")])) is expected


@pytest.mark.parametrize("error", [ValueError("x"), OSError("x"), KeyError("x"), MemoryError()])
def test_an_error_that_is_not_ours_is_not_tried_again(error: Exception) -> None:
    assert not is_retryable(error)


def test_the_outermost_of_our_errors_decides() -> None:
    assert not is_retryable(raised_from(Rejected("x"), Unreachable("y")))
    assert is_retryable(raised_from(Unreachable("x"), Rejected("y")))


def test_a_group_is_tried_again_only_if_all_of_it_is_worth_it() -> None:
    assert not is_retryable(ExceptionGroup("several", [Unreachable("x"), Rejected("y")]))


def count(path: Path) -> int:
    with path.open("a") as file:
        file.write("x")
    return len(path.read_text())


def fail_once(path: Path, error: Exception) -> str:
    if count(path) == 1:
        raise error
    return "done"


def fail_at(path: Path, bad: int, item: int, advance: Advance = silent) -> int:
    count(path)
    if item == bad:
        raise Rejected(f"item {item}")
    return item


def call(
    step: Any, *arguments: Any, each: list[int] | None = None, task_runs: int = TASK_RUNS
) -> Any:
    @flow(name="retries", persist_result=False)
    def calling() -> Any:
        with started_runner(FlowSettings(workers=2)) as running:
            caller = TaskCaller(running, ProgressArtifact("retries"), 1 << 20, False, task_runs)
            if each is not None:
                return caller.call_each(step, arguments, each)
            return caller.call(step, *arguments)

    return calling()


@pytest.mark.usefixtures("prefect_server")
def test_a_step_that_could_not_reach_a_service_is_called_again(tmp_path: Path) -> None:
    assert call(fail_once, tmp_path / "calls", Unreachable("try again")) == "done"
    assert (tmp_path / "calls").read_text() == "xx"


@pytest.mark.usefixtures("prefect_server")
def test_a_step_that_was_refused_is_called_once(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="no"):
        call(fail_once, tmp_path / "calls", Rejected("no"))
    assert (tmp_path / "calls").read_text() == "x"


@pytest.mark.usefixtures("prefect_server")
def test_results_come_in_the_order_of_the_items(tmp_path: Path) -> None:
    items = list(range(20))
    assert call(fail_at, tmp_path / "calls", -1, each=items) == items


@pytest.mark.usefixtures("prefect_server")
def test_a_share_of_items_is_one_task_run(tmp_path: Path) -> None:
    items = list(range(90))
    assert call(fail_at, tmp_path / "calls", -1, each=items, task_runs=9) == items
    assert task_names(latest_run(), least=9) == ["fail_at"] * 9


@pytest.mark.usefixtures("prefect_server")
def test_after_a_failure_no_further_step_is_begun(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="item 0"):
        call(fail_at, tmp_path / "calls", 0, each=list(range(50)))
    # Those in the window of twice two workers were submitted already.
    assert 1 <= len((tmp_path / "calls").read_text()) <= 4


def test_many_items_share_few_task_runs() -> None:
    items = tuple(range(1000))
    shares = shared_out(items, TASK_RUNS)
    assert len(shares) == TASK_RUNS
    assert {len(share) for share in shares} == {5}
    assert tuple(item for share in shares for item in share) == items
    assert shared_out(items[:3], TASK_RUNS) == [(0,), (1,), (2,)]
    assert [len(share) for share in shared_out(items[:7], 3)] == [2, 2, 3]
