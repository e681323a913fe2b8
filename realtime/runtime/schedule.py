"""When each tick of a steady beat is due: whole numbers throughout, and no clock."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from storage.errors import UsageError

Policy = Literal["shift", "skip"]
FINEST = 1_000_000  # denominator of a speed: 0.1 means a tenth, not the nearest binary number


@dataclass(frozen=True, slots=True)
class Tick:
    """One beat.

    Parameters
    ----------
    index
        Counts from 0; ticks that were skipped are left out.
    due_ns
        When it should have come.
    late_ns
        How much later it came.
    """

    index: int
    due_ns: int
    late_ns: int


def exact_speed(speed: Fraction | float) -> Fraction:
    """Return a speed as the fraction that was meant.

    Raises
    ------
    UsageError
        If it is not a number above 0.
    """
    if not math.isfinite(speed) or speed <= 0:
        raise UsageError(f"speed {speed}: it must be a number above 0")
    exact = speed if isinstance(speed, Fraction) else Fraction(speed).limit_denominator(FINEST)
    if exact <= 0:
        raise UsageError(f"speed {speed}: the slowest is {1 / FINEST}")
    return exact


class Schedule:
    """Deadlines that are reckoned from an origin, never from one another, so that none drifts.

    A tick that comes less than one period late changes nothing: the next is due where it was. One
    that comes later is an overrun. Then ``shift`` moves all later ticks by the whole periods that
    were lost, so that none is left out; ``skip`` leaves out the ticks whose time has passed.
    Either way ticks stay on the same grid, and two are never closer than the rest of one period.

    Parameters
    ----------
    origin_ns
        When the first tick is due.
    period_ns
        Between two ticks; need not be whole.
    policy
        What follows an overrun.

    Attributes
    ----------
    overruns : int
        Ticks that came a period or more late.
    shifted : int
        Whole periods by which the rest was put off.
    skipped : int
        Ticks that were left out.

    Raises
    ------
    UsageError
        If the period is under a nanosecond.
    """

    def __init__(self, origin_ns: int, period_ns: Fraction | int, policy: Policy = "shift") -> None:
        self._period = _checked(period_ns)
        self._policy = policy
        # The tick ``_base`` is due at ``_base_ns``; all others follow from it.
        self._base = 0
        self._base_ns = origin_ns
        self.index = 0
        self.overruns = 0
        self.shifted = 0
        self.skipped = 0

    @property
    def period_ns(self) -> Fraction:
        """Time between two ticks."""
        return self._period

    @property
    def due_ns(self) -> int:
        """When the next tick is due."""
        return self._due(self.index)

    def take(self, now_ns: int) -> Tick:
        """Return the tick that is due now, and go on to the next.

        Raises
        ------
        ValueError
            If none is due yet.
        """
        due = self.due_ns
        late = now_ns - due
        if late < 0:
            raise ValueError(f"tick {self.index} is due in {-late} ns")
        lost = self._reached(now_ns) - self.index
        tick = Tick(self.index, due, late)
        if lost:
            self.overruns += 1
            if self._policy == "shift":
                self._base -= lost
                self.shifted += lost
            else:
                self.index += lost
                self.skipped += lost
                due = self.due_ns
                tick = Tick(self.index, due, now_ns - due)
        self.index += 1
        return tick

    def put_off(self, by_ns: int) -> None:
        """Let all ticks to come be due later by the same time."""
        self._base_ns += by_ns

    def retime(self, now_ns: int, period_ns: Fraction | int) -> None:
        """Change the period from now on.

        The fraction of a period that has passed since the last tick is kept. A tick that is
        overdue stays so.

        Raises
        ------
        UsageError
            If the period is under a nanosecond.
        """
        period = _checked(period_ns)
        due = self.due_ns
        left = due - now_ns
        self._base = self.index
        self._base_ns = due if left <= 0 else now_ns + math.floor(left * period / self._period)
        self._period = period

    def _due(self, index: int) -> int:
        period = self._period
        return self._base_ns + (index - self._base) * period.numerator // period.denominator

    def _reached(self, now_ns: int) -> int:
        """Return the last tick whose time has come."""
        period = self._period
        past = (now_ns - self._base_ns + 1) * period.denominator - 1
        return self._base + past // period.numerator


def _checked(period_ns: Fraction | int) -> Fraction:
    period = Fraction(period_ns)
    if period < 1:
        raise UsageError(f"a period of {period} ns; it must be 1 ns at least")
    return period
