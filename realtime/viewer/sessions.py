"""Who is signed in: tokens of people, kept in memory for as long as they are used."""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

IDLE_S = 12 * 3600.0
LONGEST_S = 7 * 24 * 3600.0
MOST = 1000  # at once; what was idle the longest has to sign in again
MOST_OF_ONE = 20  # of one token, so that nobody signs all others out


@dataclass(frozen=True, slots=True)
class _Session:
    token: str
    opened: float
    used: float


class Sessions:
    """Keeps a token for each random name that a browser holds in its cookie."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._open: OrderedDict[str, _Session] = OrderedDict()  # the longest idle first

    def open(self, token: str) -> str:
        """Keep a token, and return the name of the session, which nobody can guess."""
        same = [name for name, each in self._open.items() if each.token == token]
        for name in same[: max(0, len(same) + 1 - MOST_OF_ONE)]:
            del self._open[name]
        name = secrets.token_urlsafe(32)
        self._open[name] = _Session(token, self._now(), self._now())
        while len(self._open) > MOST:
            self._open.popitem(last=False)
        return name

    def token(self, name: str | None) -> str | None:
        """Return the token of a session that is still open; it is in use from now on."""
        found = self._open.get(name) if name else None
        if name is None or found is None:
            return None
        now = self._now()
        if now - found.used > IDLE_S or now - found.opened > LONGEST_S:
            del self._open[name]
            return None
        self._open[name] = _Session(found.token, found.opened, now)
        self._open.move_to_end(name)
        return found.token

    def close(self, name: str | None) -> None:
        """Forget a session."""
        if name is not None:
            self._open.pop(name, None)
