"""Fixtures: running services, and recordings to ask them for."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.records_server import RecordsServer

_numbers = itertools.count()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RecordsServer]:
    """Run a records service without tokens, which compacts often."""
    home = tmp_path_factory.mktemp("records")
    with RecordsServer(home, body_limit_mb=4, seconds_between_compactions=0.2) as running:
        yield running


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RecordsServer]:
    """Run a records service that requires tokens."""
    home = tmp_path_factory.mktemp("guarded")
    with RecordsServer(home, token_required=True) as running:
        yield running


@pytest.fixture
def client(server: RecordsServer) -> Iterator[httpx.Client]:
    """Return a client of the service without tokens."""
    with server.client() as client:
        yield client


@pytest.fixture
def name() -> str:
    """Return a recording id that nobody else uses."""
    return f"recording-{next(_numbers)}.edf"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return an empty folder."""
    return tmp_path
