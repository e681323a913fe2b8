"""Which failed steps are tried again: exactly those whose error says that it may help."""

from __future__ import annotations

from typing import Any

from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task

from storage.errors import RanvierError

RETRIES = 3
FIRST_DELAY_S = 2.0
JITTER = 0.5


def is_retryable(error: BaseException) -> bool:
    """Whether the step that raised an error is worth another try.

    The outermost of our own errors decides. Others are looked through: what they were raised from,
    and the members of a group, which must all be worth it.
    """
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        if isinstance(current, RanvierError):
            return current.retryable
        if isinstance(current, BaseExceptionGroup):
            return all(is_retryable(member) for member in current.exceptions)
        seen.add(id(current))
        current = current.__cause__
    return False


def retry_condition(task: Task[Any, Any], run: TaskRun, state: State[Any]) -> bool:
    """Decide for Prefect about a failed task run."""
    del task, run
    return isinstance(state.data, BaseException) and is_retryable(state.data)
