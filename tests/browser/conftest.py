"""Fixtures of the viewer's tests in a real browser; see tests/support/viewing.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.viewing import (
    browser,
    filled_home,
    own_servers,
    page,
    pages,
    problems,
    pytest_runtest_makereport,
    shot,
    viewer,
)

HERE = Path(__file__).parent
# The first test of a worker waits until recordings are made, ingested and served.
WITHIN_S = 600


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the tests of this folder the time that a slow machine needs."""
    for item in items:
        if HERE in item.path.parents and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(WITHIN_S))


__all__ = [
    "browser",
    "filled_home",
    "own_servers",
    "page",
    "pages",
    "problems",
    "pytest_runtest_makereport",
    "shot",
    "viewer",
]
