"""Clocks: calls in order and never early, and a clock that only tests move."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import uvloop

from realtime.runtime.clock import Clock, FineClock, LoopClock, ManualClock, live_clock

LOOPS: list[Callable[[], asyncio.AbstractEventLoop]] = [
    asyncio.new_event_loop,
    uvloop.new_event_loop,
]
MS = 1_000_000


@pytest.fixture(params=LOOPS, ids=["asyncio", "uvloop"])
def runner(request: pytest.FixtureRequest) -> Any:
    with asyncio.Runner(loop_factory=request.param) as lent:
        yield lent


def kinds() -> list[Callable[[], Clock]]:
    def fine() -> Clock:
        return FineClock(asyncio.get_running_loop())

    return [LoopClock, fine] if sys.platform == "linux" else [LoopClock]


@pytest.mark.parametrize("make", kinds(), ids=["loop", "fine"][: len(kinds())])
class TestLiveClocks:
    def test_never_early_and_in_order(
        self, runner: asyncio.Runner, make: Callable[[], Clock]
    ) -> None:
        async def main() -> None:
            clock = make()
            begin = clock.now_ns()
            dues = [begin + each * MS // 10 for each in (57, 3, 301, 3, 120, -50, 0)]
            called: list[tuple[int, int]] = []
            done = asyncio.Event()

            def act(number: int) -> None:
                called.append((number, clock.now_ns()))
                if len(called) == len(dues):
                    done.set()

            for number, due in enumerate(dues):
                clock.call_at_ns(due, partial(act, number))
            assert not called
            async with asyncio.timeout(30):
                await done.wait()
            assert all(at >= dues[number] for number, at in called)
            assert sorted(number for number, _ in called) == list(range(len(dues)))
            if isinstance(clock, FineClock):
                assert [number for number, _ in called] == [5, 6, 1, 3, 0, 4, 2]
                clock.close()

        runner.run(main())

    def test_cancelled(self, runner: asyncio.Runner, make: Callable[[], Clock]) -> None:
        async def main() -> None:
            clock = make()
            now = clock.now_ns()
            called: list[str] = []
            timers = [
                clock.call_at_ns(now + wait, lambda: called.append("cancelled"))
                for wait in (0, MS, 5 * MS)
            ]
            for timer in timers:
                timer.cancel()
                timer.cancel()
            await clock.sleep_until_ns(now + 20 * MS)
            assert clock.now_ns() >= now + 20 * MS
            assert not called
            sleeper = asyncio.create_task(clock.sleep_until_ns(now + 3600_000 * MS))
            await asyncio.sleep(0)
            sleeper.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sleeper
            if isinstance(clock, FineClock):
                clock.close()

        runner.run(main())


@pytest.mark.skipif(sys.platform != "linux", reason="a timer of the Linux kernel")
class TestFineClock:
    def test_an_earlier_call_comes_first(self, runner: asyncio.Runner) -> None:
        async def main() -> None:
            with live_clock() as clock:
                assert isinstance(clock, FineClock)
                now = clock.now_ns()
                far = asyncio.create_task(clock.sleep_until_ns(now + 3600_000 * MS))
                await asyncio.sleep(0)
                async with asyncio.timeout(30):
                    await clock.sleep_until_ns(now + 2 * MS)
                assert not far.done()
                far.cancel()

        runner.run(main())

    def test_a_call_that_fails_stops_no_other(self, runner: asyncio.Runner) -> None:
        async def main() -> None:
            said: list[dict[str, Any]] = []
            asyncio.get_running_loop().set_exception_handler(lambda _, what: said.append(what))
            with live_clock() as clock:
                now = clock.now_ns()

                def fail() -> None:
                    raise ArithmeticError("on purpose")

                clock.call_at_ns(now + MS, fail)
                async with asyncio.timeout(30):
                    await clock.sleep_until_ns(now + MS)
                    await clock.sleep_until_ns(now + 3 * MS)
            assert [str(each["exception"]) for each in said] == ["on purpose"]

        runner.run(main())

    def test_closed_by_its_own_call(self, runner: asyncio.Runner) -> None:
        async def main() -> None:
            clock = FineClock(asyncio.get_running_loop())
            clock.call_at_ns(0, clock.close)
            called: list[int] = []
            clock.call_at_ns(clock.now_ns() + MS, lambda: called.append(1))
            await asyncio.sleep(0.02)
            clock.close()
            assert not called

        runner.run(main())

    def test_descriptors_are_given_back(
        self, runner: asyncio.Runner, nothing_left_over: None
    ) -> None:
        async def main() -> None:
            for _ in range(3000):
                with live_clock() as clock:
                    clock.call_at_ns(clock.now_ns() + MS, lambda: None)

        runner.run(main())


class TestElsewhere:
    def test_where_the_kernel_has_no_such_timer(
        self, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys, "platform", "plan9")

        async def main() -> None:
            with live_clock() as clock:
                assert isinstance(clock, LoopClock)
                await clock.sleep_until_ns(clock.now_ns() + MS)
                assert abs(clock.unix_ns() - time.time_ns()) < 3600 * 10**9

        runner.run(main())


class TestManualClock:
    def test_sleepers_wake_in_order_each_at_its_time(self) -> None:
        clock = ManualClock(now_ns=1000)
        woken: list[tuple[str, int]] = []

        async def sleeper(name: str, *dues: int) -> None:
            for due in dues:
                await clock.sleep_until_ns(due)
                woken.append((name, clock.now_ns()))

        async def main() -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(sleeper("a", 1500, 1700, 3000))
                group.create_task(sleeper("b", 900, 1600, 1700))
                await clock.advance_ns(0)
                assert woken == [("b", 1000)]
                await clock.advance_ns(999)
                assert clock.now_ns() == 1999
                assert woken[1:] == [("a", 1500), ("b", 1600), ("a", 1700), ("b", 1700)]
                await clock.stall_ns(2001)
                assert woken[5:] == [("a", 4000)]
            assert clock.unix_ns() == 10**18 + 4000

        asyncio.run(main())
