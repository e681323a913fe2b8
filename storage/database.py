"""The door to the catalogue's database: a SQLite file, or PostgreSQL.

What the rest relies on:

* A transaction that has been committed survives ``kill -9`` and power loss. SQLite writes ahead
  (WAL) with ``synchronous=FULL``: each commit ends with an fsync of the log, and the log's folder
  is synced when the log is made. PostgreSQL commits synchronously; where the server's default
  says otherwise, the session overrules it. A server that does not sync is refused, whenever a
  connection to it is made.
* A writing transaction on SQLite holds the write lock from its start (``BEGIN IMMEDIATE``), so
  that what it reads stays true until it commits. Threads of one process queue for it in order.
* A reading transaction sees one state of the database, however many statements it makes.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, select
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    IntegrityError,
    StatementError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.sql import func

from storage.errors import Busy, RanvierError, StorageError, UsageError

WAIT_S = 30
CONNECTIONS = 8
_WEAK_COMMITS = ("off", "local")
# Of a PostgreSQL server; without them a power loss takes what was committed.
_NEEDED = ("fsync", "full_page_writes")


def utc_now() -> datetime:
    """Return this machine's time."""
    return datetime.now(UTC)


class Database:
    """An engine with the settings above.

    Parameters
    ----------
    url
        ``sqlite:///path``, ``postgresql://...``, or the path of a SQLite file.

    Raises
    ------
    UsageError
        If the URL is of neither kind.
    """

    def __init__(self, url: str) -> None:
        self.url = _database_url(url)
        self.name = self.url.render_as_string(hide_password=True)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self._turns = _Turns()
        if self.is_sqlite:
            self.path = Path(self.url.database or "")
            self.engine = _sqlite_engine(self.url)
            self._reading: Engine = self.engine
            self._writing: Engine = self.engine.execution_options(ranvier_begin="BEGIN IMMEDIATE")
        else:
            self.engine = _postgres_engine(self.url)
            self._reading = self.engine.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
            self._writing = self.engine

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a transaction that sees one state and writes nothing.

        Raises
        ------
        Busy
            If the database cannot be reached just now.
        """
        with self._translated("read"), self._reading.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Open a transaction that is committed at the end, or rolled back by an exception.

        Raises
        ------
        Busy
            If the database cannot be reached or written just now: locked, disk full, gone.
        """
        with self._translated("written"):
            if not self.is_sqlite:
                with self._writing.begin() as connection:
                    yield connection
                return
            with self._turns.mine(self.name), self._writing.begin() as connection:
                yield connection

    def now(self, connection: Connection) -> datetime:
        """Return the database's time, which is the same for all who use it."""
        if self.is_sqlite:
            return utc_now()
        now: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
        return now

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    @contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        try:
            yield
        except IntegrityError as error:
            raise StorageError(f"{self.name}: refused by the database: {_first(error)}") from error
        except (DBAPIError, sqlite3.Error) as error:
            if is_passing(error):
                raise Busy(
                    f"{self.name}: the catalogue cannot be {what} just now ({_first(error)}); "
                    "try again"
                ) from error
            raise StorageError(
                f"{self.name}: the catalogue cannot be {what}: {_first(error)}; "
                "check that it is a catalogue of this version"
            ) from error
        except StatementError as error:
            # What a column does not take; see ``column_types``.
            if isinstance(error.orig, RanvierError):
                raise error.orig from error
            raise
        except PoolTimeout as error:
            raise Busy(
                f"{self.name}: all {CONNECTIONS} connections were in use for {WAIT_S} s; try again"
            ) from error


def is_passing(error: DBAPIError | sqlite3.Error) -> bool:
    """Return whether the same transaction may succeed when it is made again."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    original = _original(error)
    if isinstance(original, sqlite3.OperationalError):
        # Locked, busy, full, input or output failed, cannot be opened. A wrong statement has the
        # plain code "error", and no second try mends it; what Python itself finds has none.
        code = getattr(original, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
        return code & 0xFF != sqlite3.SQLITE_ERROR
    state = getattr(original, "sqlstate", None)
    if state is None:
        # psycopg gives none where the server was never reached.
        return type(original).__name__ == "OperationalError"
    # Connection, transaction rollback, resources (disk full), operator intervention, lock.
    return state[:2] in ("08", "40", "53", "57") or state == "55P03"


def _original(error: DBAPIError | sqlite3.Error) -> BaseException | None:
    return error.orig if isinstance(error, DBAPIError) else error


def _first(error: DBAPIError | sqlite3.Error) -> str:
    original = _original(error)
    lines = str(original).strip().splitlines()
    return lines[0] if lines else type(original).__name__


def _database_url(text: str) -> URL:
    if "://" not in text:
        if not text or text == ":memory:":
            raise UsageError(f"database {text!r}: a catalogue needs a file; give a path or a URL")
        return URL.create("sqlite", database=str(Path(text).absolute()))
    try:
        url = make_url(text)
    except (ArgumentError, ValueError) as error:
        raise UsageError(f"the database's URL cannot be understood: {error}") from error
    backend = url.get_backend_name()
    if backend in ("postgresql", "postgres"):
        return url.set(drivername="postgresql+psycopg")
    if backend != "sqlite":
        raise UsageError(
            f"database {url.render_as_string()}: expected sqlite:///PATH or postgresql://..."
        )
    if not url.database or url.database == ":memory:":
        raise UsageError(f"database {text}: a catalogue needs a file; give sqlite:///PATH")
    return url.set(drivername="sqlite", database=str(Path(url.database).absolute()))


def _sqlite_engine(url: URL) -> Engine:
    engine = create_engine(
        url,
        pool_size=CONNECTIONS,
        max_overflow=0,
        pool_timeout=WAIT_S,
        pool_use_lifo=True,
        connect_args={"timeout": WAIT_S, "check_same_thread": False, "isolation_level": None},
        json_deserializer=_read_json,
    )

    @event.listens_for(engine, "connect")
    def _connected(connection: sqlite3.Connection, _record: Any) -> None:
        for pragma in ("synchronous=FULL", "foreign_keys=ON", "recursive_triggers=ON"):
            connection.execute(f"PRAGMA {pragma}")
        write_ahead(connection)

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        connection.exec_driver_sql(options.get("ranvier_begin", "BEGIN"))

    return engine


def _read_json(text: str) -> object:
    """Return what JSON says; text that is none, which nobody of us wrote, stays as it is.

    So that the row in which it stands can be named: its hash will not be that of any text.
    """
    try:
        return json.loads(text)
    except ValueError:
        return text


def write_ahead(connection: sqlite3.Connection) -> None:
    """Switch a SQLite file to write-ahead logging, where it is not."""
    due = time.monotonic() + WAIT_S
    while True:
        try:
            # Asked first: changing the mode needs the file for oneself, without any waiting.
            if connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal":
                return
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > due:
                raise
            time.sleep(0.01)


def _postgres_engine(url: URL) -> Engine:
    engine = create_engine(
        url,
        pool_size=CONNECTIONS,
        max_overflow=0,
        pool_timeout=WAIT_S,
        pool_use_lifo=True,
        connect_args={} if "connect_timeout" in url.query else {"connect_timeout": 10},
    )

    @event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: Any) -> None:
        name = url.render_as_string(hide_password=True)
        with connection.cursor() as cursor:
            for setting in _NEEDED:
                value = cursor.execute(f"SHOW {setting}").fetchone()[0]
                if value != "on":
                    connection.close()
                    raise StorageError(
                        f"{name}: the server runs with {setting} = {value}, so that a power loss "
                        "could take what was acknowledged; switch it on"
                    )
            if cursor.execute("SHOW synchronous_commit").fetchone()[0] in _WEAK_COMMITS:
                cursor.execute("SET synchronous_commit TO on")
        connection.commit()

    return engine


class _Turns:
    """A lock that threads get in the order in which they asked for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken = False
        self._waiting: deque[threading.Event] = deque()

    @contextmanager
    def mine(self, name: str) -> Iterator[None]:
        turn = threading.Event()
        with self._lock:
            if not self._taken:
                self._taken = True
                turn.set()
            else:
                self._waiting.append(turn)
        if not turn.wait(WAIT_S):
            with self._lock:
                if not turn.is_set():
                    self._waiting.remove(turn)
                    raise Busy(f"{name}: others have been writing for {WAIT_S} s; try again")
        try:
            yield
        finally:
            with self._lock:
                if self._waiting:
                    self._waiting.popleft().set()
                else:
                    self._taken = False


def sync_folder(path: Path) -> None:
    """Make what was created in a folder survive a power loss."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Make a folder so that it survives a power loss."""
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    for one in reversed(missing):
        one.mkdir(exist_ok=True)
        sync_folder(one.parent)
