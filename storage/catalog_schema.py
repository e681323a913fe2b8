"""Brings a database to the catalogue's present tables, and refuses one that is newer."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from storage.catalog_audit import LOCKS
from storage.catalog_tables import metadata
from storage.database import Database, make_folder
from storage.errors import StorageError

# In order; alembic itself is imported only where there is something to change.
REVISIONS = ("0001",)
VERSION_TABLE = "catalog_version"
# Of the lock under which one process at a time changes the tables.
_TABLES = -1


def prepare(database: Database) -> None:
    """Create the tables, or change older ones into the present ones.

    Any number of processes may do so at once: one of them changes the tables, the others wait.

    Raises
    ------
    StorageError
        If the database is newer than this program, or holds something else.
    """
    if database.is_sqlite:
        make_folder(database.path.parent)
    with database.reading() as connection:
        if _is_present(connection, database.name):
            return
    with database.writing() as connection:
        if not database.is_sqlite:
            connection.execute(
                text("SELECT pg_advisory_xact_lock(:space, :table)"),
                {"space": LOCKS, "table": _TABLES},
            )
        # Somebody else may have done it meanwhile.
        if not _is_present(connection, database.name):
            _upgrade(connection, database.name)


def held_revision(connection: Connection) -> str | None:
    """Return the revision of a database's tables, or None where there are none of ours."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()  # noqa: S608


def _is_present(connection: Connection, name: str) -> bool:
    held = held_revision(connection)
    if held is not None and held not in REVISIONS:
        raise StorageError(
            f"{name}: the catalogue's tables are of revision {held}, and this program knows them "
            f"up to {REVISIONS[-1]}; use the newer program"
        )
    return held == REVISIONS[-1]


def _upgrade(connection: Connection, name: str) -> None:
    from alembic import command
    from alembic.config import Config

    if held_revision(connection) is None:
        others = sorted(set(inspect(connection).get_table_names()) & set(metadata.tables))
        if others:
            raise StorageError(
                f"{name}: the database holds tables of something else ({', '.join(others[:3])}); "
                "give the catalogue another database"
            )
    config = Config()
    # A percent sign would begin a variable.
    place = str(Path(__file__).with_name("migrations")).replace("%", "%%")
    config.set_main_option("script_location", place)
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
