"""A steady beat on a clock, that may be held, resumed and made faster or slower."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from fractions import Fraction

from realtime.runtime.clock import Clock, Timer
from realtime.runtime.schedule import Policy, Schedule, Tick, exact_speed


class Metronome:
    """Calls at each tick of a ``Schedule``.

    The first tick is due when it runs and is not paused. A pause puts all that is to come off by
    its length: nothing is caught up afterwards. What happens when ticks come too late is the
    ``Schedule``'s to say.

    Parameters
    ----------
    clock
        Whose time counts.
    period_ns
        Between two ticks at speed 1.
    policy
        What follows a tick that comes a period or more late.
    speed
        To begin with.

    Raises
    ------
    UsageError
        If the period at that speed is under a nanosecond, or the speed no number above 0.
    """

    def __init__(
        self,
        clock: Clock,
        period_ns: Fraction | int,
        *,
        policy: Policy = "shift",
        speed: Fraction | float = 1,
    ) -> None:
        self._clock = clock
        self._whole_ns = Fraction(period_ns)
        self._speed = exact_speed(speed)
        self._schedule = Schedule(0, self._whole_ns / self._speed, policy)
        self._started = False
        self._held_ns: int | None = None  # since when it is paused
        self._ended: asyncio.Future[None] | None = None
        self._timer: Timer | None = None
        self._on_tick: Callable[[Tick], object] = lambda _: None

    @property
    def paused(self) -> bool:
        """Whether it is held."""
        return self._held_ns is not None

    @property
    def speed(self) -> Fraction:
        """Ticks in the time of one at speed 1."""
        return self._speed

    @property
    def overruns(self) -> int:
        """Ticks that came a period or more late."""
        return self._schedule.overruns

    @property
    def shifted(self) -> int:
        """Whole periods by which later ticks were put off after overruns."""
        return self._schedule.shifted

    @property
    def skipped(self) -> int:
        """Ticks that were left out after overruns."""
        return self._schedule.skipped

    def pause(self) -> None:
        """Hold it; a second time changes nothing."""
        if self._held_ns is None:
            self._held_ns = self._clock.now_ns()
            self._set()

    def resume(self) -> None:
        """Go on where it was held."""
        if self._held_ns is not None:
            if self._started:
                self._schedule.put_off(self._clock.now_ns() - self._held_ns)
            self._held_ns = None
            self._set()

    def retime(self, speed: Fraction | float) -> None:
        """Change the speed from now on; the part of a period that has passed is kept.

        Raises
        ------
        UsageError
            If the speed is no number above 0, or too fast for a clock of nanoseconds.
        """
        exact = exact_speed(speed)
        now = self._clock.now_ns() if self._held_ns is None else self._held_ns
        self._schedule.retime(now, self._whole_ns / exact)
        self._speed = exact
        self._set()

    async def run(self, on_tick: Callable[[Tick], object]) -> None:
        """Call for each tick, until ``stop`` or until the call fails, whose error is passed on.

        The call is made from the clock's timer: that is about 45 us sooner, and costs as much less,
        than to wake a task for each tick. What it does must not take long: it holds up the loop.

        Raises
        ------
        RuntimeError
            If it runs already.
        """
        if self._ended is not None:
            raise RuntimeError("this metronome runs already")
        self._on_tick = on_tick
        self._ended = asyncio.get_running_loop().create_future()
        try:
            self._set()
            await self._ended
        finally:
            self._ended = None
            self._set()

    def stop(self) -> None:
        """End ``run``; it may be called again and then goes on with the same schedule."""
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)
            self._set()

    def _set(self) -> None:
        """Set the timer for the next tick, or switch it off."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._ended is None or self._ended.done() or self._held_ns is not None:
            return
        if not self._started:
            self._started = True
            self._schedule.put_off(self._clock.now_ns() - self._schedule.due_ns)
        self._timer = self._clock.call_at_ns(self._schedule.due_ns, self._beat)

    def _beat(self) -> None:
        self._timer = None
        if self._ended is None or self._ended.done():
            return
        tick = self._schedule.take(self._clock.now_ns())
        try:
            self._on_tick(tick)
        except Exception as error:  # noqa: BLE001 - it belongs to whoever awaits ``run``
            if not self._ended.done():
                self._ended.set_exception(error)
        self._set()
