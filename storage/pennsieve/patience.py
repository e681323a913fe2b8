"""How long to wait for an answer, and between one try and the next."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

RETRYABLE_STATUSES = frozenset({408, 429, *range(500, 600)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Limits of one HTTP exchange, in seconds.

    Parameters
    ----------
    connect_s
        For opening a connection, and for each block of a body to be taken.
    read_s
        For each part of an answer to arrive.
    attempts
        Tries in all, the first included.
    first_delay_s, longest_delay_s
        Before the n-th repetition passes a random time between zero and
        ``first_delay_s * 2 ** (n - 1)``, at most ``longest_delay_s``: full jitter, so that many
        workers that failed together do not come back together.
    longest_retry_after_s
        A server that asks for a longer pause than this is taken as unreachable.
    """

    connect_s: float = 10.0
    read_s: float = 60.0
    attempts: int = 6
    first_delay_s: float = 0.5
    longest_delay_s: float = 30.0
    longest_retry_after_s: float = 300.0

    def delay_s(self, attempt: int, retry_after_s: float = 0.0) -> float:
        """Return the pause after failed try number ``attempt`` (1 is the first)."""
        bound = min(self.longest_delay_s, self.first_delay_s * 2.0 ** (attempt - 1))
        return max(retry_after_s, random.uniform(0.0, bound))  # noqa: S311 - no secret


def retry_after_s(value: str | None) -> float:
    """Return the seconds that a ``Retry-After`` header asks for; 0 where it asks for nothing.

    Both forms of RFC 9110 section 10.2.3 are read: a number of seconds, and a date.
    """
    if value is None:
        return 0.0
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        due = parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    if due.tzinfo is None:
        due = due.replace(tzinfo=UTC)
    return max(0.0, (due - datetime.now(UTC)).total_seconds())
