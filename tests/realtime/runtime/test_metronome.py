"""The metronome on a clock that stands still: pauses, speeds, overruns, and who owns its errors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from fractions import Fraction

import pytest

from realtime.runtime.clock import ManualClock, live_clock
from realtime.runtime.metronome import Metronome
from realtime.runtime.schedule import Policy, Tick
from storage.errors import UsageError

BIN_NS = 25_000_000
SECOND_NS = 1_000_000_000


@dataclass
class Beaten:
    """A metronome that runs, and the ticks so far with the times at which they came."""

    clock: ManualClock
    metronome: Metronome
    ticks: list[Tick] = field(default_factory=list)
    at_ns: list[int] = field(default_factory=list)

    def note(self, tick: Tick) -> None:
        self.ticks.append(tick)
        self.at_ns.append(self.clock.now_ns())


@asynccontextmanager
async def beaten(
    policy: Policy = "shift", speed: Fraction | float = 1, paused: bool = False
) -> AsyncIterator[Beaten]:
    clock = ManualClock(now_ns=123_456_789)
    metronome = Metronome(clock, BIN_NS, policy=policy, speed=speed)
    if paused:
        metronome.pause()
    one = Beaten(clock, metronome)
    running = asyncio.create_task(metronome.run(one.note))
    await clock.advance_ns(0)
    yield one
    metronome.stop()
    await running
    seen = len(one.ticks)
    await clock.advance_ns(SECOND_NS)
    assert len(one.ticks) == seen


@pytest.mark.parametrize(("speed", "rate"), [(1, 40), (0.1, 4), (20, 800), (Fraction(3, 7), 120)])
def test_so_many_ticks_in_so_much_time(speed: Fraction | float, rate: int) -> None:
    seconds = 7 if speed == Fraction(3, 7) else 1

    async def main() -> None:
        async with beaten(speed=speed) as one:
            assert len(one.ticks) == 1, "the first comes at once"
            await one.clock.advance_ns(seconds * SECOND_NS)
            assert len(one.ticks) == rate + 1
            assert [tick.index for tick in one.ticks] == list(range(rate + 1))
            assert all(tick.late_ns == 0 for tick in one.ticks)
            assert one.at_ns[-1] - one.at_ns[0] == seconds * SECOND_NS

    asyncio.run(main())


def test_no_burst_after_a_pause() -> None:
    async def main() -> None:
        async with beaten() as one:
            await one.clock.advance_ns(SECOND_NS + 10_000_000)
            assert len(one.ticks) == 41
            one.metronome.pause()
            one.metronome.pause()
            assert one.metronome.paused
            await one.clock.advance_ns(5 * SECOND_NS)
            assert len(one.ticks) == 41
            one.metronome.resume()
            one.metronome.resume()
            assert not one.metronome.paused
            resumed = one.clock.now_ns()
            await one.clock.advance_ns(SECOND_NS)
            assert len(one.ticks) == 81
            # The 15 ms that were left of the period are left still.
            assert one.at_ns[41] == resumed + 15_000_000
            assert {tick.late_ns for tick in one.ticks} == {0}
            assert one.metronome.overruns == 0

    asyncio.run(main())


def test_paused_before_it_begins() -> None:
    async def main() -> None:
        async with beaten(paused=True) as one:
            await one.clock.advance_ns(SECOND_NS)
            one.metronome.retime(2)
            assert not one.ticks
            one.metronome.resume()
            await one.clock.advance_ns(0)
            assert one.ticks == [Tick(0, one.clock.now_ns(), 0)]
            await one.clock.advance_ns(SECOND_NS)
            assert len(one.ticks) == 81

    asyncio.run(main())


@pytest.mark.parametrize("policy", ["shift", "skip"])
@pytest.mark.parametrize("periods", [1.5, 100.0])
def test_overruns(policy: Policy, periods: float) -> None:
    whole = int(periods)

    async def main() -> None:
        async with beaten(policy) as one:
            await one.clock.advance_ns(10 * BIN_NS)
            due = one.ticks[-1].due_ns + BIN_NS
            # Tick 11 comes later by so many periods.
            await one.clock.stall_ns(int((1 + periods) * BIN_NS))
            late = one.clock.now_ns() - due
            if policy == "shift":
                assert one.ticks[-1] == Tick(11, due, late)
            else:
                assert one.ticks[-1] == Tick(11 + whole, due + whole * BIN_NS, late % BIN_NS)
            assert len(one.ticks) == 12, "nothing is caught up"
            await one.clock.advance_ns(SECOND_NS)
            assert len(one.ticks) == 52
            assert [tick.late_ns for tick in one.ticks[12:]] == [0] * 40
            shown = one.metronome.overruns, one.metronome.shifted, one.metronome.skipped
            assert shown == ((1, whole, 0) if policy == "shift" else (1, 0, whole))
            expected = 51 if policy == "shift" else 51 + whole
            assert one.ticks[-1].index == expected

    asyncio.run(main())


def test_a_pause_while_a_tick_is_overdue_hides_nothing() -> None:
    async def main() -> None:
        async with beaten("skip") as one:
            one.clock._now_ns += 3 * BIN_NS + BIN_NS // 2  # held up, then paused at once
            one.metronome.pause()
            await one.clock.advance_ns(SECOND_NS)
            one.metronome.resume()
            await one.clock.advance_ns(0)
            assert [tick.index for tick in one.ticks] == [0, 3]
            assert one.metronome.skipped == 2

    asyncio.run(main())


def test_a_new_speed_in_mid_stream_keeps_the_phase() -> None:
    async def main() -> None:
        async with beaten() as one:
            await one.clock.advance_ns(10 * BIN_NS + BIN_NS * 2 // 5)
            one.metronome.retime(0.1)
            assert one.metronome.speed == Fraction(1, 10)
            changed = one.clock.now_ns()
            await one.clock.advance_ns(SECOND_NS)
            # 0.6 of a period was left; periods are 250 ms now.
            assert one.at_ns[11:] == [changed + ms * 1_000_000 for ms in (150, 400, 650, 900)]
            await one.clock.advance_ns(50_000_000)  # 0.6 of a period after the last
            one.metronome.retime(20)
            changed = one.clock.now_ns()
            await one.clock.advance_ns(SECOND_NS // 10)
            assert one.at_ns[15] == changed + 500_000
            assert len(one.at_ns) == 15 + 80
            assert [tick.index for tick in one.ticks] == list(range(95))
            assert {tick.late_ns for tick in one.ticks} == {0}

    asyncio.run(main())


def test_a_new_speed_while_it_is_paused() -> None:
    async def main() -> None:
        async with beaten() as one:
            await one.clock.advance_ns(BIN_NS * 2 // 5)
            one.metronome.pause()
            await one.clock.advance_ns(SECOND_NS)
            one.metronome.retime(2)
            await one.clock.advance_ns(SECOND_NS)
            one.metronome.resume()
            resumed = one.clock.now_ns()
            await one.clock.advance_ns(BIN_NS)
            assert one.at_ns[1:] == [resumed + 7_500_000, resumed + 20_000_000]

    asyncio.run(main())


def test_the_call_may_pause_retime_and_stop() -> None:
    clock = ManualClock()
    metronome = Metronome(clock, BIN_NS)
    seen: list[int] = []

    def on_tick(tick: Tick) -> None:
        seen.append(tick.due_ns // 1_000_000)
        if tick.index == 2:
            metronome.retime(5)
        if tick.index == 4:
            metronome.pause()
        if tick.index == 6:
            metronome.stop()

    async def main() -> None:
        running = asyncio.create_task(metronome.run(on_tick))
        await clock.advance_ns(SECOND_NS)
        assert seen == [0, 25, 50, 55, 60]
        metronome.resume()
        await clock.advance_ns(SECOND_NS)
        assert seen[5:] == [1005, 1010]
        await running

    asyncio.run(main())


def test_the_error_of_a_call_goes_to_the_owner() -> None:
    clock = ManualClock()

    def fail(tick: Tick) -> None:
        raise ArithmeticError(f"at tick {tick.index}")

    async def main() -> None:
        running = asyncio.create_task(Metronome(clock, BIN_NS).run(fail))
        await clock.advance_ns(SECOND_NS)
        with pytest.raises(ArithmeticError, match="at tick 0"):
            await running

    asyncio.run(main())


def test_one_owner_who_may_be_cancelled() -> None:
    async def main() -> None:
        async with beaten() as one:
            with pytest.raises(RuntimeError, match="runs already"):
                await one.metronome.run(one.note)
        clock = ManualClock()
        ticks: list[Tick] = []
        running = asyncio.create_task(Metronome(clock, BIN_NS).run(ticks.append))
        await clock.advance_ns(BIN_NS)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await clock.advance_ns(SECOND_NS)
        assert len(ticks) == 2

    asyncio.run(main())


def test_bad_speeds_change_nothing() -> None:
    async def main() -> None:
        async with beaten() as one:
            for speed in (0, -1.0, float("nan"), 1e12):
                with pytest.raises(UsageError):
                    one.metronome.retime(speed)
            assert one.metronome.speed == 1
            await one.clock.advance_ns(SECOND_NS)
            assert len(one.ticks) == 41

    asyncio.run(main())


def test_on_the_clock_of_the_machine() -> None:
    async def main() -> list[Tick]:
        ticks: list[Tick] = []
        with live_clock() as clock:
            metronome = Metronome(clock, BIN_NS, policy="skip", speed=20)

            def note(tick: Tick) -> None:
                ticks.append(tick)
                assert tick.due_ns + tick.late_ns <= clock.now_ns()
                if tick.index >= 400:
                    metronome.stop()

            await metronome.run(note)
            assert ticks[-1].index == len(ticks) - 1 + metronome.skipped
        return ticks

    ticks = asyncio.run(main())
    first, last = ticks[0], ticks[-1]
    assert last.due_ns - first.due_ns == (last.index - first.index) * BIN_NS // 20
    assert all(tick.late_ns >= 0 for tick in ticks)
