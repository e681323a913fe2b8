"""Faults that a wearable's network would make, on request and by a seed."""

from __future__ import annotations

import random
from dataclasses import dataclass

from storage.errors import UsageError

LONGEST_DELAY_S = 0.2


@dataclass(frozen=True, slots=True)
class FaultRates:
    """How likely each fault is, for each chunk.

    Parameters
    ----------
    drop
        The chunk, or the answer to it, is lost: it is sent again, since no answer came.
    duplicate
        The chunk is sent twice.
    reorder
        The chunk is sent after later ones.
    delay
        The chunk waits a little.

    Raises
    ------
    UsageError
        If one of them is no probability, or every chunk is to be lost.
    """

    drop: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    delay: float = 0.0

    def __post_init__(self) -> None:
        for name in ("drop", "duplicate", "reorder", "delay"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise UsageError(f"--{name}: expected a probability from 0 to 1, got {value:g}")
        if self.drop == 1:
            raise UsageError("--drop: 1 loses every chunk for ever; expected less")


@dataclass(frozen=True, slots=True)
class Faults:
    """What happens to one attempt to send a chunk."""

    lost: bool = False
    answer_lost: bool = False
    twice: bool = False
    held_back: bool = False
    wait_s: float = 0.0


class FaultDice:
    """Throws the faults of one device; equal seeds give equal faults."""

    def __init__(self, rates: FaultRates, seed: int, device: int) -> None:
        self._rates = rates
        self._random = random.Random(f"{seed}/{device}")  # noqa: S311  # no secret is made of it

    def throw(self) -> Faults:
        """Return the faults of the next attempt."""
        draw = self._random.random
        dropped = draw() < self._rates.drop
        before = draw() < 0.5
        return Faults(
            lost=dropped and before,
            answer_lost=dropped and not before,
            twice=draw() < self._rates.duplicate,
            held_back=draw() < self._rates.reorder,
            wait_s=LONGEST_DELAY_S * draw() if draw() < self._rates.delay else 0.0,
        )
