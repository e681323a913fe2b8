"""Fixtures for journeys: a PostgreSQL beside what every test has."""

from __future__ import annotations

from tests.support.databases import postgres

__all__ = ["postgres"]
