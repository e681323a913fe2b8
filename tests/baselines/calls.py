"""Timing calls that take turns: elapsed time, processor time of everyone involved, bytes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import numpy as np

# Services end connections that are idle for five seconds.
LONGEST_IDLE_S = 2.0


@dataclass
class Timed:
    """Calls of one kind.

    Parameters
    ----------
    wall_ms
        Elapsed time of each.
    cpu_ms
        Processor time of all of them together, of this process or of the services asked.
    size
        Bytes of the last answer, or of the last body sent.
    """

    wall_ms: list[float] = field(default_factory=list)
    cpu_ms: float = 0.0
    size: int = 0

    def figures(self) -> dict[str, float]:
        """Return p50, p99 and least elapsed time, processor time of one call, bytes, calls."""
        return {
            "p50_ms": float(np.percentile(self.wall_ms, 50)),
            "p99_ms": float(np.percentile(self.wall_ms, 99)),
            "min_ms": min(self.wall_ms),
            "cpu_ms": self.cpu_ms / len(self.wall_ms),
            "bytes": self.size,
            "calls": len(self.wall_ms),
        }


class ProcessorTime:
    """What processes use from now on, with all their threads and children.

    What a thread used that ends in between is lost; it is never counted below zero.
    """

    def __init__(self, pids: Iterable[int]) -> None:
        self._pids = tuple(pids)
        self._before = _used_ns(self._pids)

    def seconds(self) -> float:
        """Return the processor time since the beginning."""
        now = _used_ns(self._pids)
        return sum(used - self._before.get(task, 0) for task, used in now.items()) / 1e9


def _used_ns(pids: Iterable[int]) -> dict[str, int]:
    used: dict[str, int] = {}
    waiting = list(pids)
    while waiting:
        tasks = Path(f"/proc/{waiting.pop()}/task")
        for task in tasks.iterdir():
            try:
                used[task.name] = int((task / "schedstat").read_text().split()[0])
                waiting.extend(map(int, (task / "children").read_text().split()))
            except (FileNotFoundError, ProcessLookupError):
                continue  # a thread that has just ended
    return used


def take_turns(
    calls: Mapping[str, Callable[[int], int]],
    turns: Mapping[str, int],
    pids: Mapping[str, Sequence[int]],
    own: bool,
    prepare: Callable[[], None] = lambda: None,
) -> dict[str, Timed]:
    """Call everyone in turn.

    Parameters
    ----------
    calls
        By name: given the number of its turn, returns the bytes that it moved. Turns count from 1;
        number 0 comes before the clock runs.
    turns
        How often each is called; those called less often are spread over the whole time.
    pids
        Processes that work for each.
    own
        Whether this process's own time counts as well.
    prepare
        Called before each, outside the time.
    """
    timed = {name: Timed() for name in calls}
    for name, call in calls.items():
        if turns[name] > 1:
            prepare()
            call(0)  # once beside the count, so that nobody starts cold
    most = max(turns.values())
    for turn in range(most):
        for name, call in calls.items():
            number = turn * turns[name] // most
            if turn and (turn - 1) * turns[name] // most == number:
                continue
            prepare()
            one = timed[name]
            theirs = ProcessorTime(pids[name])
            mine, began = time.process_time(), time.perf_counter()
            one.size = call(number + 1)
            one.wall_ms.append(1e3 * (time.perf_counter() - began))
            spent = theirs.seconds() + (time.process_time() - mine if own else 0)
            one.cpu_ms += 1e3 * spent
    return timed


class Client:
    """One kept-alive connection: as little client as possible, and the same for everyone."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._connection = HTTPConnection(parts.hostname or "", parts.port, timeout=600)
        self._used_s = 0.0

    def connect(self) -> None:
        """Connect anew where the service may have ended a connection that was idle."""
        if time.monotonic() - self._used_s > LONGEST_IDLE_S:
            self._connection.close()
            self._connection.connect()
            self._used_s = time.monotonic()

    def get(self, path: str, **parameters: Any) -> bytes:
        """Return the body of a 200."""
        return self._answer("GET", f"{path}?{urlencode(parameters)}", None, {}, 200)

    def post(self, path: str, body: bytes, kind: str = "application/json", **headers: str) -> bytes:
        """Return the body of a 200 or 201."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self._answer("POST", path, body, {"Content-Type": kind, **named}, 200, 201)

    def _answer(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str], *expected: int
    ) -> bytes:
        self.connect()
        self._connection.request(method, path, body, headers)
        answer = self._connection.getresponse()
        content = answer.read()
        self._used_s = time.monotonic()
        if answer.status not in expected:
            raise AssertionError(f"{method} {path}: {answer.status} {content[:500]!r}")
        return content

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
