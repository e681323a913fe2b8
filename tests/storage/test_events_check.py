"""Tokens have a chain of their own: what is done to them past the program is found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection

from storage import tokens
from storage.catalog import Catalog
from storage.catalog_events import events
from storage.events_check import check_events
from storage.identity_keys import key_of
from storage.migrations.first_guards import KEYS


@pytest.fixture
def secret(catalog: Catalog, tmp_path: Path) -> str:
    """Of a token that is good, beside one that was revoked."""
    key_of(catalog, tmp_path / "identity.key")
    tokens.issue(catalog, "old", ["admin"])
    secret = tokens.issue(catalog, "watch", ["eeg:read"], ["p1"], days=2)
    tokens.revoke(catalog, "old")
    return secret


def test_what_nobody_changed_holds(catalog: Catalog, secret: str) -> None:
    assert check_events(catalog) == []
    with catalog.reading() as connection:
        told = [(one.sequence, one.event) for one in events(connection)]
    assert told == [(1, "identity_key"), (2, "token"), (3, "token"), (4, "token_revoked")]
    grant = tokens.check(catalog, secret)
    assert grant is not None
    assert grant.name == "watch"


OF_TOKEN = [
    "UPDATE token SET scopes = '[\"admin\"]' WHERE name = 'watch'",
    "UPDATE token SET patients = 'null' WHERE name = 'watch'",
    "UPDATE token SET expires_at = NULL WHERE name = 'watch'",
    "UPDATE token SET digest = 'x' WHERE name = 'watch'",
    "UPDATE token SET name = 'other' WHERE name = 'watch'",
    "DELETE FROM token WHERE name = 'watch'",
]
CHANGES = [
    *((change, 3) for change in OF_TOKEN),
    (
        "INSERT INTO token (name, digest, scopes, created_at) "
        "VALUES ('forged', 'y', '[]', '2026-01-01 00:00:00.000000')",
        None,
    ),
    ("DELETE FROM token_revocation", 4),
    ("UPDATE token_revocation SET revoked_at = '2000-01-01 00:00:00.000000'", 4),
    ("UPDATE catalog_event SET subject = 'x' WHERE sequence = 2", 2),
    ("UPDATE catalog_event SET detail = '{}' WHERE sequence = 3", 3),
    ("UPDATE catalog_event SET detail = '7' WHERE sequence = 3", 3),
    ("UPDATE catalog_event SET at = 'x' WHERE sequence = 1", 1),
    ("DELETE FROM catalog_event WHERE sequence = 2", 3),
    ("DELETE FROM catalog_event WHERE sequence = 4", None),
]


@pytest.mark.parametrize(("change", "sequence"), CHANGES)
def test_a_changed_row_is_found(
    catalog: Catalog, secret: str, change: str, sequence: int | None
) -> None:
    with _without_guards(catalog) as connection:
        connection.exec_driver_sql(change)
    problems = check_events(catalog)
    assert problems
    assert problems[0].sequence == sequence
    assert all(str(problem).isprintable() for problem in problems)


@pytest.mark.parametrize("change", OF_TOKEN)
def test_a_token_that_was_changed_is_good_for_nothing(
    catalog: Catalog, secret: str, change: str
) -> None:
    with _without_guards(catalog) as connection:
        connection.exec_driver_sql(change)
    assert tokens.check(catalog, secret) is None


def test_a_revocation_that_was_removed_revives_nothing(catalog: Catalog) -> None:
    secret = tokens.issue(catalog, "watch", ["eeg:read"])
    tokens.revoke(catalog, "watch")
    with _without_guards(catalog) as connection:
        connection.exec_driver_sql("DELETE FROM token_revocation")
    assert tokens.check(catalog, secret) is None


@contextmanager
def _without_guards(catalog: Catalog) -> Iterator[Connection]:
    """Write as somebody does who has taken the triggers away."""
    with catalog.engine.begin() as connection:
        if catalog.database.is_sqlite:
            found = connection.exec_driver_sql(
                "SELECT name FROM sqlite_master WHERE type = 'trigger'"
            ).scalars()
            for name in found.all():
                connection.exec_driver_sql(f"DROP TRIGGER {name}")
        else:
            for table in KEYS:
                connection.exec_driver_sql(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
        yield connection
