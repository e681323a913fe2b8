"""Columns that refuse what one of the databases cannot hold, before any of them sees it.

PostgreSQL's text holds no NUL, neither database holds half of a surrogate pair, and integers end at
64 bits. Each driver says so in its own way, or not at all; here it is one error for both.
"""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import JSON, BigInteger, Dialect, Text, TypeDecorator

from storage.errors import UsageError

FARTHEST_INT64 = 2**63
SHOWN = 50


def check_text(text: str) -> str:
    """Return a text that can be kept.

    Raises
    ------
    UsageError
        If it has a NUL or half of a surrogate pair.
    """
    if "\0" in text:
        raise UsageError(f"text {text[:SHOWN]!r} has a NUL, which cannot be kept; leave it out")
    _check_encodable(text, text)
    return text


def check_int64(number: int) -> int:
    """Return an integer that can be kept.

    Raises
    ------
    UsageError
        If it takes more than 64 bits.
    """
    if not -FARTHEST_INT64 <= number < FARTHEST_INT64:
        raise UsageError(
            f"number {str(number)[:SHOWN]} is too great to be kept; expected one from -2**63 to "
            "2**63 - 1"
        )
    return number


def check_json(value: object) -> object:
    """Return a value that can be kept as JSON, where a NUL is no harm.

    Raises
    ------
    UsageError
        If it has half of a surrogate pair, a number that is not finite, or is no JSON.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{repr(value)[:SHOWN]} cannot be kept as JSON: {error}") from error
    _check_encodable(text, value)
    return value


def _check_encodable(text: str, value: object) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UsageError(
            f"text {repr(value)[:SHOWN]} has half of a surrogate pair, which is no character; "
            "send proper Unicode"
        ) from error


class Words(TypeDecorator[str]):
    """Text that somebody else wrote."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Refuse what cannot be kept."""
        return None if value is None else check_text(value)


class Whole(TypeDecorator[int]):
    """An integer that somebody else chose."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: Dialect) -> int | None:  # noqa: ARG002
        """Refuse what cannot be kept."""
        return None if value is None else check_int64(value)


class Document(TypeDecorator[Any]):
    """JSON that somebody else wrote."""

    impl = JSON
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:  # noqa: ARG002
        """Refuse what cannot be kept."""
        return check_json(value)
