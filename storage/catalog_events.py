"""The chain of what concerns no single recording: tokens, and the key that seals identities.

It is made like that of a recording: the hash of a row is the SHA-256 of the hash of the row before
it and of the row itself as canonical JSON.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, insert, select, text

from storage.audit import FIRST_PREVIOUS, row_hash, utc_text
from storage.catalog_audit import LOCKS
from storage.catalog_tables import catalog_event

TOKEN = "token"
REVOKED = "token_revoked"
IDENTITY_KEY = "identity_key"
# Of the lock under which one transaction at a time adds to the chain.
_CHAIN = -2


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogEvent:
    """One link of the chain.

    Parameters
    ----------
    event
        ``token``, ``token_revoked`` or ``identity_key``.
    subject
        Name of the token, or id of the key.
    detail
        What else is to be proven; JSON.
    at
        When, as it was hashed.
    """

    sequence: int
    event: str
    subject: str
    detail: Mapping[str, Any]
    at: str
    previous: str
    hash: str

    def follows(self, sequence: int, previous: str) -> bool:
        """Return whether the row is what it was, and follows from the one before it."""
        if not isinstance(self.detail, Mapping):
            return False
        try:
            own = _hash(
                previous, self.sequence, self.event, self.subject, dict(self.detail), self.at
            )
        except (TypeError, ValueError):
            return False
        return (self.sequence, self.previous, self.hash) == (sequence + 1, previous, own)


def lock_events(connection: Connection) -> None:
    """Keep others from adding to the chain until the transaction ends."""
    if connection.dialect.name != "sqlite":
        connection.execute(
            text("SELECT pg_advisory_xact_lock(:space, :chain)"), {"space": LOCKS, "chain": _CHAIN}
        )


def append_event(
    connection: Connection, event: str, subject: str, detail: Mapping[str, Any], at: datetime
) -> None:
    """Add an event to the chain, in a writing transaction."""
    lock_events(connection)
    last = connection.execute(_events().order_by(catalog_event.c.sequence.desc()).limit(1)).first()
    sequence = 1 if last is None else last.sequence + 1
    previous = FIRST_PREVIOUS if last is None else last.hash
    when = utc_text(at)
    connection.execute(
        insert(catalog_event).values(
            sequence=sequence,
            event=event,
            subject=subject,
            detail=dict(detail),
            at=when,
            previous=previous,
            hash=_hash(previous, sequence, event, subject, detail, when),
        )
    )


def find_event(
    connection: Connection, event: str, subject: str | None = None
) -> CatalogEvent | None:
    """Return the first event of a kind, about something if that is said."""
    query = _events().where(catalog_event.c.event == event)
    if subject is not None:
        query = query.where(catalog_event.c.subject == subject)
    row = connection.execute(query.order_by(catalog_event.c.sequence).limit(1)).first()
    return None if row is None else _event(row)


def events(connection: Connection) -> Iterator[CatalogEvent]:
    """Yield the rows of the chain, in order."""
    for row in connection.execute(_events().order_by(catalog_event.c.sequence)):
        yield _event(row)


def _events() -> Select[Any]:
    return select(catalog_event)


def _event(row: Row[Any]) -> CatalogEvent:
    return CatalogEvent(**row._asdict())


def _hash(
    previous: str, sequence: int, event: str, subject: str, detail: Mapping[str, Any], at: str
) -> str:
    fields = {
        "sequence": sequence,
        "event": event,
        "subject": subject,
        "detail": detail,
        "at": at,
    }
    return row_hash(previous, fields)
