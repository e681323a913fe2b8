"""Fixtures: a database of each kind that the catalogue can live in, and a catalogue in it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.catalog import Catalog
from tests.support.postgres import PostgresServer


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """Run a PostgreSQL on this machine."""
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="session")
def prepared_postgres(postgres: PostgresServer) -> str:
    """Return a database of the server that holds the catalogue's tables, to be copied."""
    url = postgres.new_database()
    Catalog.open(url).close()
    return url


@pytest.fixture(scope="session")
def prepared_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file that holds the catalogue's tables, to be copied."""
    path = tmp_path_factory.mktemp("prepared") / "catalog.db"
    Catalog.open(str(path)).close()
    return path


@pytest.fixture(params=["sqlite", "postgres"])
def database_kind(request: pytest.FixtureRequest) -> str:
    """Return each kind of database in turn."""
    return str(request.param)


@pytest.fixture
def database_url(
    database_kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[str]:
    """Return the URL of an empty database."""
    if database_kind == "sqlite":
        yield f"sqlite:///{tmp_path / 'catalog.db'}"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    url = server.new_database()
    yield url
    server.drop_database(url)


@pytest.fixture
def catalog(
    database_kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Catalog]:
    """Return an empty catalogue."""
    if database_kind == "sqlite":
        path = tmp_path / "catalog.db"
        shutil.copy(request.getfixturevalue("prepared_sqlite"), path)
        with Catalog.open(str(path)) as catalog:
            yield catalog
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    url = server.new_database(template=request.getfixturevalue("prepared_postgres"))
    with Catalog.open(url) as catalog:
        yield catalog
    server.drop_database(url)
