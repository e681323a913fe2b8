"""The only reader of time for live services: the machine's clock, and one that tests move."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from realtime.runtime.timerfd import Timerfd

TURNS = 10  # of the event loop, in which those that were woken get to their next wait


class Timer(Protocol):
    """A call that is still to come."""

    def cancel(self) -> None:
        """Forget the call; nothing happens when it was made or cancelled before."""
        ...


class Clock(Protocol):
    """Time for one event loop, as whole nanoseconds that never step back."""

    def now_ns(self) -> int:
        """Return the time since a beginning that only the clock knows."""
        ...

    def unix_ns(self) -> int:
        """Return the time of day, as nanoseconds since 1970; this one may be set and step."""
        ...

    def call_at_ns(self, due_ns: int, act: Callable[[], object]) -> Timer:
        """Call once at that time or as soon after it as possible, never before.

        Times that have passed are served at once, but not within this call.
        """
        ...

    async def sleep_until_ns(self, due_ns: int) -> None:
        """Wait until that time; others get a turn even when it has passed."""
        ...


async def sleep_until_ns(clock: Clock, due_ns: int) -> None:
    """Wait on any clock; what the ``sleep_until_ns`` of each of them does."""
    woken = asyncio.Event()
    timer = clock.call_at_ns(due_ns, woken.set)
    try:
        await woken.wait()
    finally:
        timer.cancel()


class _Call:
    """A call that waits in a clock's heap."""

    __slots__ = ("act",)

    def __init__(self, act: Callable[[], object]) -> None:
        self.act: Callable[[], object] | None = act

    def cancel(self) -> None:
        """Forget the call; its place in the heap is given up when it comes to the top."""
        self.act = None


class _Calls:
    """Calls in the order of their times, and in the order of asking where these are equal."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, _Call]] = []
        self._number = itertools.count()

    def add(self, due_ns: int, act: Callable[[], object]) -> _Call:
        call = _Call(act)
        heapq.heappush(self._heap, (due_ns, next(self._number), call))
        return call

    def next_ns(self) -> int | None:
        """Return when the next one is due."""
        while self._heap and self._heap[0][2].act is None:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def take(self) -> Callable[[], object]:
        """Return the next one, which is not cancelled, after ``next_ns``."""
        call = heapq.heappop(self._heap)[2]
        act, call.act = call.act, None
        assert act is not None
        return act


class LoopClock:
    """The monotonic clock of the machine, with the timers of the running event loop.

    These are coarse: asyncio wakes up to a millisecond late, and uvloop counts in milliseconds.
    """

    def now_ns(self) -> int:
        """Return the monotonic time."""
        return time.monotonic_ns()

    def unix_ns(self) -> int:
        """Return the time of day."""
        return time.time_ns()

    def call_at_ns(self, due_ns: int, act: Callable[[], object]) -> Timer:
        """Call once at that time or after it."""
        return _LoopCall(due_ns, act)

    async def sleep_until_ns(self, due_ns: int) -> None:
        """Wait until that time."""
        await sleep_until_ns(self, due_ns)


class _LoopCall:
    """A timer of the event loop that is set again for as long as it goes off too early."""

    def __init__(self, due_ns: int, act: Callable[[], object]) -> None:
        self._loop = asyncio.get_running_loop()
        self._due_ns = due_ns
        self._act = act
        self._handle = self._set(due_ns - time.monotonic_ns())

    def _set(self, wait_ns: int) -> asyncio.Handle:
        if wait_ns <= 0:
            return self._loop.call_soon(self._act)
        return self._loop.call_later(wait_ns / 1e9, self._look)

    def _look(self) -> None:
        wait_ns = self._due_ns - time.monotonic_ns()
        if wait_ns > 0:
            self._handle = self._set(wait_ns)
        else:
            self._act()

    def cancel(self) -> None:
        self._handle.cancel()


class FineClock:
    """The monotonic clock of the machine, with timers as fine as the kernel's (Linux).

    One timer of the kernel serves all calls; it wakes the event loop as a socket would.

    Parameters
    ----------
    loop
        On which calls are made.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._calls = _Calls()
        self._timer = Timerfd()
        self._set_ns: int | None = None
        self._calling = False
        loop.add_reader(self._timer.number, self._due)

    def now_ns(self) -> int:
        """Return the monotonic time."""
        return time.monotonic_ns()

    def unix_ns(self) -> int:
        """Return the time of day."""
        return time.time_ns()

    def call_at_ns(self, due_ns: int, act: Callable[[], object]) -> Timer:
        """Call once at that time or after it."""
        call = self._calls.add(due_ns, act)
        if not self._calling and (self._set_ns is None or due_ns < self._set_ns):
            self._set(due_ns)
        return call

    async def sleep_until_ns(self, due_ns: int) -> None:
        """Wait until that time."""
        await sleep_until_ns(self, due_ns)

    def close(self) -> None:
        """Make no further call."""
        if self._timer.number >= 0:
            self._loop.remove_reader(self._timer.number)
            self._timer.close()

    def _set(self, due_ns: int | None) -> None:
        self._timer.set(due_ns)
        self._set_ns = due_ns

    def _due(self) -> None:
        """Make the calls that are due, then set the timer once for the next one."""
        self._calling = True
        now = time.monotonic_ns()
        try:
            while (due := self._calls.next_ns()) is not None and due <= now:
                act = self._calls.take()
                try:
                    act()
                except Exception as error:  # noqa: BLE001 - as a loop does with its own timers
                    self._loop.call_exception_handler(
                        {"message": f"a call at {due} ns failed", "exception": error}
                    )
        finally:
            self._calling = False
            if self._timer.number >= 0:
                self._set(self._calls.next_ns())


@contextmanager
def live_clock() -> Iterator[Clock]:
    """Lend the finest clock that this machine has to what runs on the present event loop."""
    if sys.platform != "linux":
        yield LoopClock()
        return
    clock = FineClock(asyncio.get_running_loop())
    try:
        yield clock
    finally:
        clock.close()


class ManualClock:
    """Stands still until a test moves it; calls are made in order, each at its own time.

    Parameters
    ----------
    now_ns
        Where it begins.
    unix_ns
        The time of day at 0.
    """

    def __init__(self, now_ns: int = 0, unix_ns: int = 1_000_000_000_000_000_000) -> None:
        self._now_ns = now_ns
        self._unix_ns = unix_ns
        self._calls = _Calls()

    def now_ns(self) -> int:
        """Return where it stands."""
        return self._now_ns

    def unix_ns(self) -> int:
        """Return the time of day."""
        return self._unix_ns + self._now_ns

    def call_at_ns(self, due_ns: int, act: Callable[[], object]) -> Timer:
        """Call once it has been moved to that time or beyond."""
        return self._calls.add(due_ns, act)

    async def sleep_until_ns(self, due_ns: int) -> None:
        """Wait until it has been moved to that time."""
        await sleep_until_ns(self, due_ns)

    async def advance_ns(self, by_ns: int) -> None:
        """Move on, with a stop at each call, so that those woken may ask for the next one."""
        await settle()
        end = self._now_ns + by_ns
        while (due := self._calls.next_ns()) is not None and due <= end:
            self._now_ns = max(self._now_ns, due)
            self._calls.take()()
            await settle()
        self._now_ns = max(self._now_ns, end)

    async def stall_ns(self, by_ns: int) -> None:
        """Jump, as if the process had been held up: all calls on the way are made at the end."""
        await settle()
        self._now_ns += by_ns
        await self.advance_ns(0)


async def settle() -> None:
    """Let everybody else run until they wait."""
    for _ in range(TURNS):
        await asyncio.sleep(0)
