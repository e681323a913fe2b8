"""Fixtures for tests of what rests."""

from __future__ import annotations

from tests.support.databases import catalog, database_url, postgres
from tests.support.stores import local_store, store

__all__ = ["catalog", "database_url", "local_store", "postgres", "store"]
