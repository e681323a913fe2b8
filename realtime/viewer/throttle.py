"""How often tokens are tried: whoever fails often is slowed down, and nobody is locked out."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

TRIES = 10  # that fail within a minute
WITHIN_S = 60.0
APART_S = 1.0  # between the tries of an address where more have failed
PATIENCE_S = 10.0
AT_ONCE = 4  # of all addresses, so that signing in cannot take the connections of pages
MOST_ADDRESSES = 1024


class TooMany(Exception):
    """There are so many tries before this one that its turn does not come."""


@dataclass
class _Address:
    tries: deque[float] = field(default_factory=lambda: deque(maxlen=TRIES))
    line: asyncio.Lock = field(default_factory=asyncio.Lock)


class Try:
    """A try that counts as failed until it is known to be none."""

    def __init__(self) -> None:
        self.failed = True


class Throttle:
    """Gives each try its turn.

    A hospital may come from one address. So a token that works gets in behind any number that do
    not, only later.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._addresses: OrderedDict[str, _Address] = OrderedDict()
        self._checks = asyncio.Semaphore(AT_ONCE)

    @asynccontextmanager
    async def turn(self, address: str) -> AsyncIterator[Try]:
        """Wait for one's turn.

        Raises
        ------
        TooMany
            If it does not come in time.
        """
        known = self._known(address)
        slowed = self.slowed(address)
        began = self._now()
        known.tries.append(began)  # before it has failed: those side by side count as well
        try:
            async with asyncio.timeout(PATIENCE_S):
                if slowed:
                    async with known.line:
                        await asyncio.sleep(APART_S)
                await self._checks.acquire()
        except TimeoutError:
            raise TooMany from None
        this = Try()
        try:
            yield this
        finally:
            self._checks.release()
            if not this.failed and began in known.tries:
                known.tries.remove(began)

    def slowed(self, address: str) -> bool:
        """Return whether so much failed lately that an address has to take its time."""
        known = self._addresses.get(address)
        if known is None or len(known.tries) < TRIES:
            return False
        return known.tries[0] + WITHIN_S > self._now()

    def _known(self, address: str) -> _Address:
        known = self._addresses.setdefault(address, _Address())
        self._addresses.move_to_end(address)
        while len(self._addresses) > MOST_ADDRESSES:
            self._addresses.popitem(last=False)
        return known
