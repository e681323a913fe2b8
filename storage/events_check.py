"""Compares the tokens of a catalogue with the chain that tells of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, select

from storage.audit import FIRST_PREVIOUS, utc_text
from storage.catalog import Catalog
from storage.catalog_check import NONSENSE, RowProblem
from storage.catalog_events import IDENTITY_KEY, REVOKED, TOKEN, CatalogEvent, events
from storage.catalog_tables import blob, token, token_revocation
from storage.tokens import token_facts


def check_events(catalog: Catalog) -> list[RowProblem]:
    """Recompute the chain of what concerns no single recording, and compare tokens with it."""
    with catalog.reading() as connection:
        problems: list[RowProblem] = []
        told: dict[tuple[str, str], CatalogEvent] = {}
        sequence, previous = 0, FIRST_PREVIOUS
        for event in events(connection):
            if not problems and not event.follows(sequence, previous):
                text = (
                    f"row {event.sequence} of the catalogue's chain ({event.event} "
                    f"{event.subject!r}, {event.at}) does not hold: it was changed, or a row "
                    "before it is missing"
                )
                problems.append(RowProblem(event.sequence, text))
            told.setdefault((event.event, event.subject), event)
            sequence, previous = event.sequence, event.hash
        try:
            problems.extend(_compare(connection, told))
        except NONSENSE as error:
            text = f"a token holds what nobody wrote and cannot be read: {error!r}"
            problems.append(RowProblem(None, text))
        return problems


def _compare(
    connection: Connection, told: Mapping[tuple[str, str], CatalogEvent]
) -> Iterator[RowProblem]:
    held: dict[tuple[str, str], Any] = {
        (TOKEN, row.name): token_facts(row._asdict()) for row in connection.execute(select(token))
    }
    revoked = select(token.c.name, token_revocation.c.revoked_at).join(
        token_revocation, token_revocation.c.token_id == token.c.id
    )
    held |= {(REVOKED, name): utc_text(at) for name, at in connection.execute(revoked)}
    for key, event in told.items():
        if event.event == IDENTITY_KEY:
            continue
        facts = held.pop(key, None)
        said = dict(event.detail) if event.event == TOKEN else event.at
        if facts != said:
            what = "is missing" if facts is None else f"is {facts}, not {said}"
            text = f"{event.event} {event.subject!r} of row {event.sequence} {what}"
            yield RowProblem(event.sequence, text)
    for event_name, name in held:
        text = f"{event_name} {name!r} is not in the catalogue's chain: it was added or changed"
        yield RowProblem(None, text)
    sealed = select(blob.c.id).where(blob.c.encrypted).limit(1)
    if connection.execute(sealed).first() and not any(kind == IDENTITY_KEY for kind, _ in told):
        text = "identities are sealed, and the catalogue's chain does not say with which key"
        yield RowProblem(None, text)
