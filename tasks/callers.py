"""Who calls the steps of a job: here directly; the flows call them as Prefect tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, TypeVar

Result = TypeVar("Result")


def unheard(result: object) -> None:
    """Take note of a result by doing nothing."""


class Progress(Protocol):
    """Shows how far a job is."""

    def stage(self, what: str, total: int, unit: str) -> None:
        """Begin a stage of ``total`` units, for example samples or files."""
        ...

    def advance(self, done: int) -> None:
        """Note that some more units are done; may be called from any thread."""
        ...


class Caller(Protocol):
    """Calls the steps of a job."""

    @property
    def run_bytes(self) -> int | None:
        """Stored bytes that one call should write at least; None for no division."""
        ...

    @property
    def batch_files(self) -> int | None:
        """Files that one call should upload at most; None for no division."""
        ...

    @property
    def progress(self) -> Progress:
        """Where progress is shown."""
        ...

    def call(self, step: Callable[..., Result], *arguments: Any) -> Result:
        """Call one step and return its result."""
        ...

    def call_each(
        self,
        step: Callable[..., Result],
        shared: Sequence[Any],
        items: Iterable[Any],
        each: Callable[[Result], None] = unheard,
    ) -> list[Result]:
        """Call a step for every item, perhaps several at once, and return the results in order.

        The step takes the shared arguments, an item, and ``advance``. ``each`` is told of every
        result as it comes, in order, too.
        """
        ...


class DirectCaller:
    """Calls every step at once, in this process; the steps themselves use all processors."""

    run_bytes: int | None = None
    batch_files: int | None = None

    def __init__(self, progress: Progress) -> None:
        self.progress = progress

    def call(self, step: Callable[..., Result], *arguments: Any) -> Result:
        """Call one step and return its result."""
        return step(*arguments)

    def call_each(
        self,
        step: Callable[..., Result],
        shared: Sequence[Any],
        items: Iterable[Any],
        each: Callable[[Result], None] = unheard,
    ) -> list[Result]:
        """Call a step for one item after the other."""
        results = []
        for item in items:
            results.append(step(*shared, item, advance=self.progress.advance))
            each(results[-1])
        return results
