"""Fixtures of the viewer's tests in a real browser; see tests/support/viewing.py."""

from __future__ import annotations

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
