"""What must never be read in a log, a message or a repr: tokens, keys and signed URLs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn


class Secret:
    """A string that does not show itself.

    It cannot be pickled either, so that no scheduler ever stores it.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the string itself, for the one line that sends it."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is never pickled")


class _QueryCut(logging.Filter):
    """Cuts the query off signed URLs: whoever reads one may write to the store."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(_without_signature(value) for value in record.args)
        return True


def _without_signature(value: object) -> object:
    if isinstance(value, str) and "signature=" in value.lower():
        return value.partition("?")[0] + "?..."
    return value


_QUERY_CUT = _QueryCut()


def cut_signatures_from_logs() -> None:
    """Keep signatures out of the debug lines that urllib3 writes for each request."""
    logging.getLogger("urllib3.connectionpool").addFilter(_QUERY_CUT)


@contextmanager
def quiet_botocore() -> Iterator[None]:
    """Keep botocore from logging: at DEBUG it writes whole requests, the password included."""
    logger = logging.getLogger("botocore")
    before = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(before)
