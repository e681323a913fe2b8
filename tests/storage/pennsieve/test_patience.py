"""Pauses between tries."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.pennsieve.patience import Patience, retry_after_s


@given(st.integers(1, 60), st.floats(0, 100))
def test_a_pause_is_within_its_bounds(attempt: int, asked_s: float) -> None:
    delay_s = Patience(first_delay_s=0.5, longest_delay_s=30).delay_s(attempt, asked_s)
    assert asked_s <= delay_s <= max(asked_s, min(30, 0.5 * 2 ** (attempt - 1)))


def test_pauses_differ() -> None:
    assert len({Patience().delay_s(5) for _ in range(20)}) > 1


@pytest.mark.parametrize(
    ("header", "seconds"),
    [(None, 0), ("7", 7), (" 120 ", 120), ("soon", 0), ("", 0), ("-3", 0), ("²", 0)],
)
def test_retry_after_in_seconds(header: str | None, seconds: float) -> None:
    assert retry_after_s(header) == seconds


def test_retry_after_as_a_date() -> None:
    due = datetime.now(UTC) + timedelta(seconds=60)
    assert 55 < retry_after_s(format_datetime(due, usegmt=True)) <= 60
    assert retry_after_s(format_datetime(due - timedelta(days=1), usegmt=True)) == 0
    assert retry_after_s("Wed, 21 Oct 2015 07:28:00 -0000") == 0
