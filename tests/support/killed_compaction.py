"""A process that compacts or seals a recording and is killed while it does.

``python -m tests.support.killed_compaction FOLDER [DATABASE]`` reads lines ``RECORDING WORK CALL``
and starts a child for each, which kills itself at the CALL-th call of the disk or the database.
``kill_rounds`` has it do so on one recording after the other, and looks whether all samples are
there and the chain holds.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from sqlalchemy import event

from storage.recording_store import RecordingStore
from storage.spans import Span
from tests.support.stores import (
    BLOCK,
    append,
    check_overview,
    check_window,
    chunk,
    live,
    open_store,
)

STEP = 3000


@dataclass
class Tally:
    """What was seen over all rounds."""

    rounds: int = 0
    killed: int = 0


def kill_rounds(
    folder: Path, work: str, rounds: int, seed: int = 0, database_url: str | None = None
) -> Tally:
    """Kill processes that compact or seal, again and again.

    Raises
    ------
    AssertionError
        If a sample is missing or other, or the chain does not hold.
    """
    rng = random.Random(seed)
    tally = Tally()
    with (
        open_store(folder, database_url=database_url) as store,
        _Children(folder, database_url) as children,
    ):
        _prepare(store, "counted", 0)
        code, calls = children.run("counted", work, 10**9)
        assert code == 0
        for number in range(rounds):
            name = f"{work}-{number}"
            held = _prepare(store, name, number)
            code, _ = children.run(name, work, rng.randrange(calls))
            assert code in (0, -signal.SIGKILL)
            tally.rounds += 1
            tally.killed += code != 0
            _check(store, name, held)
            if work == "compact":
                store.compact(store.catalog.find(name))
            entry = store.seal(store.catalog.find(name))
            assert entry.sealed
            _check(store, name, held)
            assert not list(store.folder.leftovers(f"rec/{entry.uuid}"))
    return tally


def _prepare(store: RecordingStore, name: str, seed: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Make a recording with gaps, stored blocks, late chunks and a tail."""
    entry, group = live(store, name=name, channels=2)
    rng = random.Random(seed)
    spans = [Span(at, at + STEP) for at in range(0, 5 * BLOCK, STEP) if rng.random() < 0.9]
    late = [span for span in spans if rng.random() < 0.1]
    append(store, [chunk(entry, group, span) for span in spans[:12] if span not in late])
    store.compact(entry)
    append(store, [chunk(entry, group, span) for span in spans[12:] if span not in late])
    append(store, [chunk(entry, group, span) for span in late])
    held = np.zeros(spans[-1].stop, np.bool_)
    for span in spans:
        held[span.start : span.stop] = True
    return held


def _check(store: RecordingStore, name: str, held: np.ndarray[Any, np.dtype[np.bool_]]) -> None:
    entry = store.catalog.find(name)
    (group,) = store.groups(entry)
    check_window(store, entry, group, Span(0, len(held)), held)
    check_overview(store, entry, group, Span(0, len(held)), 40, held)
    report = store.verify(entry)
    assert report.ok, report.problems


class _Children:
    """The process that starts the ones that die."""

    def __init__(self, folder: Path, database_url: str | None) -> None:
        self._words = [str(folder)] if database_url is None else [str(folder), database_url]

    def __enter__(self) -> Self:
        module = "tests.support.killed_compaction"
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *self._words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def run(self, name: str, work: str, call: int) -> tuple[int, int]:
        """Return how a child ended, and how many calls it made if it lived."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{name} {work} {call}\n")
        self._process.stdin.flush()
        code, calls = self._process.stdout.readline().split()
        return int(code), int(calls)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.communicate(timeout=60)


def main() -> None:
    """Start a child for each line."""
    folder, database_url = Path(sys.argv[1]), (*sys.argv, None)[2]
    for line in sys.stdin:
        name, work, call = line.split()
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            try:
                os.write(writing, str(_work(folder, database_url, name, work, int(call))).encode())
            except BaseException:  # noqa: BLE001
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as calls:
            made = calls.read() or "0"
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(code, made, flush=True)


def _work(folder: Path, database_url: str | None, name: str, work: str, fatal: int) -> int:
    """Work until death, or return how many calls there were."""
    made = 0

    def pass_by(*given: Any) -> None:
        nonlocal made
        made += 1
        if made > fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    def watched(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            pass_by()
            result = real(*given, **named)
            pass_by()
            return result

        return call

    with open_store(folder, database_url=database_url) as store:
        entry = store.catalog.find(name)
        for each in ("fsync", "replace", "unlink"):
            setattr(os, each, watched(getattr(os, each)))
        for moment in ("before_cursor_execute", "after_cursor_execute", "commit"):
            event.listen(store.catalog.engine, moment, pass_by)
        (store.compact if work == "compact" else store.seal)(entry)
    return made


if __name__ == "__main__":
    main()
