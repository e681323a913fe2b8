"""Who is signed in: tokens of people, kept in memory for as long as they are used."""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict, deque
from collections.abc import Callable

IDLE_S = 12 * 3600.0
MOST = 1000  # people at once; who was idle the longest has to sign in again
TRIES = 10  # that fail within a minute
WITHIN_S = 60.0
MOST_ADDRESSES = 1024


class Sessions:
    """Keeps a token for each random name that a browser holds in its cookie."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._open: OrderedDict[str, tuple[float, str]] = OrderedDict()  # the longest idle first

    def open(self, token: str) -> str:
        """Keep a token, and return the name of the session, which nobody can guess."""
        name = secrets.token_urlsafe(32)
        self._open[name] = (self._now(), token)
        while len(self._open) > MOST:
            self._open.popitem(last=False)
        return name

    def token(self, name: str | None) -> str | None:
        """Return the token of a session that is still open; it is in use from now on."""
        found = self._open.get(name) if name else None
        if name is None or found is None:
            return None
        used, token = found
        if self._now() - used > IDLE_S:
            del self._open[name]
            return None
        self._open[name] = (self._now(), token)
        self._open.move_to_end(name)
        return token

    def close(self, name: str | None) -> None:
        """Forget a session."""
        if name is not None:
            self._open.pop(name, None)


class Throttle:
    """Counts what failed for each address, and says how long it has to wait."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._failed: OrderedDict[str, deque[float]] = OrderedDict()

    def wait_s(self, address: str) -> float:
        """Return how long an address has to wait; 0 if it may try."""
        failed = self._failed.get(address)
        if failed is None or len(failed) < TRIES:
            return 0.0
        return max(0.0, failed[0] + WITHIN_S - self._now())

    def note(self, address: str) -> None:
        """Count a try that failed."""
        self._failed.setdefault(address, deque(maxlen=TRIES)).append(self._now())
        self._failed.move_to_end(address)
        while len(self._failed) > MOST_ADDRESSES:
            self._failed.popitem(last=False)
