"""Which key a catalogue's identities are sealed with, so that no other one takes its place."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, select

from storage.catalog import Catalog
from storage.catalog_events import IDENTITY_KEY, append_event, find_event, lock_events
from storage.catalog_tables import blob
from storage.database import utc_now
from storage.errors import NotFound, StorageError
from storage.identity import IdentityKey


def key_of(catalog: Catalog, path: Path) -> IdentityKey:
    """Return the key that a catalogue's identities and made names depend on.

    It is made once, before the first of them; from then on it is that one or none.

    Raises
    ------
    NotFound
        If it is not where it is expected.
    StorageError
        If another key is there, or the file holds none.
    """
    with catalog.reading() as connection:
        expected = _known(connection)
        is_needed = expected is not None or _has_sealed(connection)
    try:
        key = IdentityKey.load(path) if is_needed else IdentityKey.load_or_create(path)
    except NotFound as error:
        raise NotFound(
            f"{path}: the identity key{'' if expected is None else ' ' + expected} is expected "
            f"there, since identities in {catalog.database.name} depend on it; bring it back from "
            "where it was backed up, or drop identities (--drop-identity) and name patient and "
            "recording yourself"
        ) from error
    if expected is None:
        with catalog.writing() as connection:
            lock_events(connection)
            expected = _known(connection)
            if expected is None:
                append_event(connection, IDENTITY_KEY, key.id, {}, utc_now())
                return key
    if key.id != expected:
        raise StorageError(
            f"{path}: this is the identity key {key.id}, and identities in {catalog.database.name} "
            f"depend on {expected}; bring that one back from where it was backed up"
        )
    return key


def _known(connection: Connection) -> str | None:
    event = find_event(connection, IDENTITY_KEY)
    return None if event is None else event.subject


def _has_sealed(connection: Connection) -> bool:
    found = select(blob.c.id).where(blob.c.encrypted).limit(1)
    return connection.execute(found).first() is not None
