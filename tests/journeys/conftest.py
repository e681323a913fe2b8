"""Fixtures for journeys: a PostgreSQL, and a browser, beside what every test has."""

from __future__ import annotations

from tests.support.databases import postgres
from tests.support.viewing import browser, pages, problems, pytest_runtest_makereport

__all__ = ["browser", "pages", "postgres", "problems", "pytest_runtest_makereport"]
