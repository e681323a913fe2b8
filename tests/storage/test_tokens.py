"""Tokens: what they allow, to whom, until when."""

from __future__ import annotations

import time
from typing import Any

import pytest
from sqlalchemy import select

from storage import tokens
from storage.catalog import Catalog
from storage.catalog_tables import token
from storage.errors import AlreadyExists, NotFound, UsageError


def test_a_token_allows_what_it_says(catalog: Catalog) -> None:
    secret = tokens.issue(catalog, "watch", ["ingest:write", "eeg:read"], ["p1"], days=1)
    grant = tokens.check(catalog, secret)
    assert grant is not None
    assert grant.name == "watch"
    assert grant.scopes == {"ingest:write", "eeg:read"}
    assert grant.allows("eeg:read")
    assert grant.allows("eeg:read", "p1")
    assert not grant.allows("eeg:read", "p2")
    assert not grant.allows("annotate", "p1")


def test_an_administrator_may_do_everything_of_its_patients(catalog: Catalog) -> None:
    everybody = tokens.check(catalog, tokens.issue(catalog, "a", ["admin"]))
    some = tokens.check(catalog, tokens.issue(catalog, "b", ["admin"], ["p1"]))
    assert everybody is not None
    assert some is not None
    assert all(everybody.allows(scope, "p9") for scope in tokens.SCOPES)
    assert all(some.allows(scope, "p1") for scope in tokens.SCOPES)
    assert not any(some.allows(scope, "p9") for scope in tokens.SCOPES)


def test_the_secret_is_long_random_and_not_kept(catalog: Catalog) -> None:
    secrets = {tokens.issue(catalog, str(number), ["eeg:read"]) for number in range(5)}
    assert len(secrets) == 5
    assert all(len(one) >= 43 for one in secrets)
    with catalog.reading() as connection:
        rows = repr(connection.execute(select(token)).all())
    assert not any(one in rows or one[4:] in rows for one in secrets)


@pytest.mark.parametrize("secret", ["", "rvt_", "rvt_" + "A" * 43, "ü", "watch"])
def test_an_unknown_secret_allows_nothing(catalog: Catalog, secret: str) -> None:
    tokens.issue(catalog, "watch", ["eeg:read"])
    assert tokens.check(catalog, secret) is None


def test_a_revoked_token_allows_nothing(catalog: Catalog) -> None:
    secret = tokens.issue(catalog, "watch", ["eeg:read"])
    for _ in range(2):
        tokens.revoke(catalog, "watch")
    assert tokens.check(catalog, secret) is None
    (grant,) = tokens.grants(catalog)
    assert grant.revoked_at is not None
    with pytest.raises(NotFound):
        tokens.revoke(catalog, "other")


def test_a_token_ends_on_its_day(catalog: Catalog) -> None:
    secret = tokens.issue(catalog, "watch", ["eeg:read"], days=1 / 86400)
    assert tokens.check(catalog, secret) is not None
    time.sleep(1.1)
    assert tokens.check(catalog, secret) is None


def test_tokens_are_listed_by_name(catalog: Catalog) -> None:
    for name in ("b", "a"):
        tokens.issue(catalog, name, ["eeg:read", "eeg:read"], ["p2", "p1"], days=2)
    found = tokens.grants(catalog)
    assert [one.name for one in found] == ["a", "b"]
    assert found[0].patients == frozenset({"p1", "p2"})
    assert found[0].expires_at is not None
    assert found[0].revoked_at is None
    assert (found[0].expires_at - found[0].created_at).days == 2


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"scopes": ["eeg:write"]}, r"scopes \['eeg:write'\]; expected some of"),
        ({"scopes": []}, "expected some of"),
        ({"name": ""}, "expected some text"),
        ({"patients": []}, "no patients"),
        ({"days": 0}, "expected more than 0"),
    ],
)
def test_a_token_that_makes_no_sense_is_refused(
    catalog: Catalog, change: dict[str, Any], says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        tokens.issue(catalog, **({"name": "watch", "scopes": ["eeg:read"]} | change))


def test_a_name_is_given_once(catalog: Catalog) -> None:
    tokens.issue(catalog, "watch", ["eeg:read"])
    tokens.revoke(catalog, "watch")
    with pytest.raises(AlreadyExists, match="choose another"):
        tokens.issue(catalog, "watch", ["eeg:read"])
