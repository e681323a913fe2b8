"""Progress on stderr: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tasks.callers import Progress

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

SECONDS_BETWEEN_LINES = 5.0


class BarProgress:
    """A bar for each stage."""

    def __init__(self, bars: RichProgress) -> None:
        self._bars = bars
        self._task: TaskID | None = None

    def stage(self, what: str, total: int, unit: str) -> None:
        """Begin a new bar; the one before is left as it is."""
        self._task = self._bars.add_task(what, total=total, unit=unit)

    def advance(self, done: int) -> None:
        """Move the bar."""
        if self._task is not None:
            self._bars.advance(self._task, done)


class LineProgress:
    """A line for each stage, and one more every few seconds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._what, self._unit = "", ""
        self._total = self._done = 0
        self._next_line_s = 0.0

    def stage(self, what: str, total: int, unit: str) -> None:
        """Say what begins."""
        with self._lock:
            self._what, self._total, self._unit, self._done = what, total, unit, 0
            self._next_line_s = time.monotonic() + SECONDS_BETWEEN_LINES
        print(f"{what}: {total:,} {unit}", file=sys.stderr, flush=True)

    def advance(self, done: int) -> None:
        """Say how far it is, if the last line is some seconds old."""
        with self._lock:
            self._done += done
            if time.monotonic() < self._next_line_s:
                return
            self._next_line_s = time.monotonic() + SECONDS_BETWEEN_LINES
            percent = 100 * self._done // max(1, self._total)
        print(f"{self._what}: {percent} %", file=sys.stderr, flush=True)


class NoProgress:
    """Shows nothing."""

    def stage(self, what: str, total: int, unit: str) -> None:
        """Do nothing."""

    def advance(self, done: int) -> None:
        """Do nothing."""


@contextmanager
def shown_progress(quiet: bool = False) -> Iterator[Progress]:
    """Show progress while the block runs, in the way that fits stderr."""
    if quiet:
        yield NoProgress()
        return
    if not sys.stderr.isatty():
        yield LineProgress()
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[unit]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=Console(stderr=True)) as bars:
        yield BarProgress(bars)
