"""Faults on demand: what a test server does wrong, where, how often, and in which order."""

from __future__ import annotations

import random
from dataclasses import dataclass, field


@dataclass(slots=True, kw_only=True)
class Fault:
    """One thing that goes wrong.

    Parameters
    ----------
    route
        Name of the route, or ``*``.
    status
        Answer with this status.
    code
        Error code of the store's answer.
    retry_after, location
        Values of the headers of these names.
    drop
        Cut the connection instead of answering; a PUT after the first part of its body.
    delay_s
        Wait before anything else.
    expire
        From now on refuse every token that was seen so far.
    after
        Let the request take effect first, so that the client cannot know whether it did.
    damage
        Keep other bytes than those that were sent.
    times
        How often; None for always.
    probability
        Of each call to be hit.
    skip
        Calls to leave alone first.
    """

    route: str
    status: int = 0
    code: str = ""
    retry_after: str | None = None
    location: str | None = None
    drop: bool = False
    delay_s: float = 0.0
    expire: bool = False
    after: bool = False
    damage: bool = False
    times: int | None = 1
    probability: float = 1.0
    skip: int = 0
    hits: int = field(default=0, init=False)


class Faults:
    """The faults of a server, asked once for each request."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> Fault:
        """Add a fault and return it; its ``hits`` tell how often it struck."""
        self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """Do everything right from now on."""
        self._faults.clear()

    def strike(self, route: str) -> Fault | None:
        """Return the fault that this request meets, if any."""
        for fault in self._faults:
            if fault.route not in (route, "*"):
                continue
            if fault.times is not None and fault.hits >= fault.times:
                continue
            if fault.skip > 0:
                fault.skip -= 1
                continue
            if self._random.random() < fault.probability:
                fault.hits += 1
                return fault
        return None
