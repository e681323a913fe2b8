"""Bearer tokens: who may do what, to which patients, until when.

The secret is shown once. The catalogue keeps its SHA-256, which is enough: the secret is random,
so that there is nothing to guess. Issuing and revoking enter the catalogue's own chain, and a
token allows nothing unless the chain says the same of it as its row.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, Select, insert, select

from storage.audit import utc_text
from storage.catalog import Catalog
from storage.catalog_events import REVOKED, TOKEN, append_event, find_event, lock_events
from storage.catalog_tables import token, token_revocation
from storage.errors import AlreadyExists, NotFound, UsageError

SCOPES = ("ingest:write", "eeg:read", "annotate", "export", "phi", "audit", "admin")
PREFIX = "rvt_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a token allows.

    Parameters
    ----------
    patients
        Names; None for all patients.
    expires_at
        None for never.
    """

    name: str
    scopes: frozenset[str]
    patients: frozenset[str] | None
    expires_at: datetime | None
    created_at: datetime
    revoked_at: datetime | None = None

    def allows(self, scope: str, patient: str | None = None) -> bool:
        """Return whether it allows a thing, of that patient if one is named.

        ``admin`` allows everything of its patients.
        """
        if scope not in self.scopes and "admin" not in self.scopes:
            return False
        return patient is None or self.patients is None or patient in self.patients


def issue(
    catalog: Catalog,
    name: str,
    scopes: Collection[str],
    patients: Collection[str] | None = None,
    days: float | None = None,
) -> str:
    """Make a token and return its secret, which nobody can read again.

    Raises
    ------
    UsageError
        If there are no such scopes, or nothing would be allowed.
    AlreadyExists
        If there is a token of that name, revoked or not.
    """
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown or not scopes:
        raise UsageError(f"token {name!r}: scopes {unknown or '(none)'}; expected some of {SCOPES}")
    if not name or "\0" in name:
        raise UsageError(f"token name {name!r}: expected some text")
    if patients is not None and not patients:
        raise UsageError(f"token {name!r}: no patients; name some, or none at all for all of them")
    if days is not None and days <= 0:
        raise UsageError(f"token {name!r}: {days} days; expected more than 0")
    secret = PREFIX + secrets.token_urlsafe(32)
    with catalog.writing() as connection:
        lock_events(connection)
        now = catalog.database.now(connection)
        if connection.execute(select(token.c.id).where(token.c.name == name)).first() is not None:
            raise AlreadyExists(f"token {name!r}: there is one of that name; choose another")
        values: dict[str, Any] = {
            "name": name,
            "digest": _digest(secret),
            "scopes": sorted(set(scopes)),
            "patients": None if patients is None else sorted(set(patients)),
            "expires_at": None if days is None else now + timedelta(days=days),
            "created_at": now,
        }
        append_event(connection, TOKEN, name, token_facts(values), now)
        connection.execute(insert(token).values(**values))
    return secret


def token_facts(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the chain says of a token, given the columns of its row."""
    expires_at, created_at = row["expires_at"], row["created_at"]
    return {
        "digest": row["digest"],
        "scopes": row["scopes"],
        "patients": row["patients"],
        "expires_at": None if expires_at is None else utc_text(expires_at),
        "created_at": utc_text(created_at),
    }


def check(catalog: Catalog, secret: str) -> Grant | None:
    """Return what a secret allows; None where it is unknown, revoked or out of date.

    A token whose row is not what the chain says counts as unknown.
    """
    with catalog.reading() as connection:
        row = connection.execute(_tokens().where(token.c.digest == _digest(secret))).first()
        if row is None or not _is_told(connection, row):
            return None
        grant = _grant(row)
        late = grant.expires_at is not None and grant.expires_at <= catalog.database.now(connection)
    return None if late or grant.revoked_at is not None else grant


def revoke(catalog: Catalog, name: str) -> None:
    """Let a token be good for nothing from now on; a second time changes nothing.

    Raises
    ------
    NotFound
        If there is no token of that name.
    """
    with catalog.writing() as connection:
        lock_events(connection)
        row = connection.execute(_tokens().where(token.c.name == name)).first()
        if row is None:
            raise NotFound(f"token {name!r}: there is none of that name")
        if row.revoked_at is None:
            now = catalog.database.now(connection)
            append_event(connection, REVOKED, name, {}, now)
            connection.execute(insert(token_revocation).values(token_id=row.id, revoked_at=now))


def grants(catalog: Catalog) -> list[Grant]:
    """Return all tokens, revoked and expired ones as well, in the order of their names."""
    with catalog.reading() as connection:
        return [_grant(row) for row in connection.execute(_tokens().order_by(token.c.name))]


def _is_told(connection: Connection, row: Row[Any]) -> bool:
    """Return whether the chain says the same of a token as its row, and nothing of its end."""
    told = find_event(connection, TOKEN, row.name)
    if told is None or dict(told.detail) != token_facts(row._asdict()):
        return False
    return find_event(connection, REVOKED, row.name) is None


def _digest(secret: str) -> str:
    # Whatever was sent is looked up; half a surrogate pair is part of no secret.
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()


def _tokens() -> Select[Any]:
    return select(token, token_revocation.c.revoked_at).outerjoin(
        token_revocation, token_revocation.c.token_id == token.c.id
    )


def _grant(row: Row[Any]) -> Grant:
    return Grant(
        name=row.name,
        scopes=frozenset(row.scopes),
        patients=None if row.patients is None else frozenset(row.patients),
        expires_at=row.expires_at,
        created_at=row.created_at,
        revoked_at=row.revoked_at,
    )
