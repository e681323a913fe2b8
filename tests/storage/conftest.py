"""Fixtures for tests of what rests."""

from __future__ import annotations

from tests.support.databases import (
    catalog,
    database_kind,
    database_url,
    postgres,
    prepared_postgres,
    prepared_sqlite,
)
from tests.support.stores import local_store, store

__all__ = [
    "catalog",
    "database_kind",
    "database_url",
    "local_store",
    "postgres",
    "prepared_postgres",
    "prepared_sqlite",
    "store",
]
