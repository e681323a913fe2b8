"""The steps of issuing, listing and revoking tokens of the records service."""

from __future__ import annotations

from storage import tokens
from storage.catalog import Catalog
from storage.settings import records_settings
from tasks.results import ListedToken


def issue_token(
    name: str, scopes: tuple[str, ...], patients: tuple[str, ...] | None, days: float | None
) -> str:
    """Make a token and return its secret, which nobody can read again."""
    with _catalog() as catalog:
        return tokens.issue(catalog, name, scopes, patients, days)


def list_tokens() -> tuple[ListedToken, ...]:
    """Return all tokens without their secrets, also those that are good for nothing any more."""
    with _catalog() as catalog:
        with catalog.reading() as connection:
            now = catalog.database.now(connection)
        return tuple(
            ListedToken(
                name=one.name,
                scopes=tuple(sorted(one.scopes)),
                patients=None if one.patients is None else tuple(sorted(one.patients)),
                created_at=one.created_at.isoformat(),
                expires_at=None if one.expires_at is None else one.expires_at.isoformat(),
                state="revoked"
                if one.revoked_at is not None
                else "expired"
                if one.expires_at is not None and one.expires_at <= now
                else "valid",
            )
            for one in tokens.grants(catalog)
        )


def revoke_token(name: str) -> None:
    """Let a token be good for nothing from now on."""
    with _catalog() as catalog:
        tokens.revoke(catalog, name)


def _catalog() -> Catalog:
    return Catalog.open(records_settings().catalog_url)
