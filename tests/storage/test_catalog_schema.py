"""The tables: made once, by whoever comes first, and unchangeable from then on."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, insert, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from storage.catalog import Catalog, ComputedResult, RecordingEntry, StoredGroup
from storage.catalog_schema import REVISIONS, VERSION_TABLE, held_revision
from storage.catalog_tables import chunk, metadata
from storage.database import Database, utc_now
from storage.errors import Busy, StorageError, UsageError
from storage.ingest import Appender
from storage.leases import lease
from storage.migrations.first_guards import KEYS
from storage.recording import Annotation
from storage.tokens import issue, revoke
from tests.support.catalogs import CHUNK, enter_block, enter_seal, made
from tests.support.catalogs import chunk as new_chunk
from tests.support.postgres import PostgresServer

MIGRATIONS = Path(__file__).parents[2] / "storage" / "migrations"
FREE = {"lease"}
APPEND_ONE = """
import sys
from storage.catalog import Catalog
from storage.ingest import Appender
from tests.support.catalogs import chunk
catalog = Catalog.open(sys.argv[1])
entry = catalog.find(sys.argv[2])
group = catalog.groups(entry)[0]
with Appender(catalog) as appender:
    appender.append([chunk(entry, group, 0)]).result()
    for number in range(1, 4):
        print("BEFORE", flush=True)
        appender.append([chunk(entry, group, number * 256)]).result()
        print("ANSWERED", flush=True)
"""


def test_the_tables_are_those_of_the_program(catalog: Catalog) -> None:
    with catalog.reading() as connection:
        assert held_revision(connection) == REVISIONS[-1]
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        assert compare_metadata(context, metadata) == []


def test_every_revision_is_known() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    scripts = ScriptDirectory.from_config(config)
    assert scripts.get_current_head() == REVISIONS[-1]
    assert [one.revision for one in scripts.walk_revisions()][::-1] == list(REVISIONS)


def test_every_table_is_guarded() -> None:
    assert set(KEYS) == set(metadata.tables) - FREE


def test_a_second_start_changes_nothing(database_url: str) -> None:
    for _ in range(2):
        with Catalog.open(database_url) as catalog:
            entry, _ = made(catalog, "night")
    assert entry.id == 1


def test_many_may_start_at_once(database_url: str) -> None:
    started: list[str] = []
    barrier = threading.Barrier(8)

    def start() -> None:
        barrier.wait()
        Catalog.open(database_url).close()
        started.append(database_url)

    command = "import sys; from storage.catalog import Catalog; Catalog.open(sys.argv[1]).close()"
    processes = [subprocess.Popen([sys.executable, "-c", command, database_url]) for _ in range(2)]
    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [process.wait(60) for process in processes] == [0, 0]
    assert len(started) == 8
    with Catalog.open(database_url) as catalog:
        made(catalog)


def test_a_newer_database_is_refused_and_left_alone(database_url: str) -> None:
    with Catalog.open(database_url) as catalog, catalog.writing() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    with pytest.raises(StorageError, match=r"of revision 9999.*use the newer program"):
        Catalog.open(database_url)


def test_a_database_of_something_else_is_refused(database_url: str) -> None:
    database = Database(database_url)
    with database.writing() as connection:
        connection.execute(text("CREATE TABLE channel (id INTEGER)"))
    with pytest.raises(StorageError, match=r"tables of something else \(channel\)"):
        Catalog.open(database_url)
    with database.reading() as connection:
        assert connection.execute(text("SELECT count(*) FROM channel")).scalar() == 0
    database.close()


def test_a_database_may_be_shared_with_others(database_url: str) -> None:
    database = Database(database_url)
    with database.writing() as connection:
        connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32))"))
        connection.execute(text("INSERT INTO alembic_version VALUES ('theirs')"))
    database.close()
    with Catalog.open(database_url) as catalog:
        made(catalog)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "c.db").write_bytes(b"something else" * 1000)
    with pytest.raises(StorageError, match="file is not a database"):
        Catalog.open(str(tmp_path / "c.db"))


def test_folders_are_made_and_signs_in_paths_mean_nothing(tmp_path: Path) -> None:
    place = tmp_path / "100% of it" / "a?b" / "c.db"
    with Catalog.open(str(place)) as catalog:
        made(catalog)
    assert place.is_file()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("mysql://h/d", "expected sqlite:///PATH or postgresql"),
        ("sqlite://", "a catalogue needs a file"),
        ("sqlite:///:memory:", "a catalogue needs a file"),
        (":memory:", "a catalogue needs a file"),
        ("", "a catalogue needs a file"),
        ("postgresql://h:port/d", "cannot be understood"),
    ],
)
def test_a_wrong_url_is_refused(url: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        Catalog.open(url)


def test_a_password_is_never_shown(tmp_path: Path) -> None:
    with pytest.raises(Busy) as caught:
        Catalog.open(f"postgres://me:s3cret@/db?host={tmp_path}")
    assert "s3cret" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.retryable


def test_a_server_that_does_not_sync_is_refused() -> None:
    with (
        PostgresServer(fsync="off") as server,
        pytest.raises(StorageError, match="fsync = off"),
    ):
        Catalog.open(server.new_database())


def test_a_server_that_ceased_to_sync_is_refused() -> None:
    with PostgresServer() as server:
        url = server.new_database()
        with Catalog.open(url) as catalog:
            made(catalog)
        server.stop()
        server._settings = {"full_page_writes": "off"}
        server.start()
        with pytest.raises(StorageError, match=r"full_page_writes = off.*switch it on"):
            Catalog.open(url)


def test_every_connection_is_set_to_be_durable(catalog: Catalog) -> None:
    connections = [catalog.engine.connect() for _ in range(8)]
    for connection in connections:
        if catalog.database.is_sqlite:
            found = {
                name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
                for name in ("journal_mode", "synchronous", "foreign_keys", "recursive_triggers")
            }
            assert found == {
                "journal_mode": "wal",
                "synchronous": 2,
                "foreign_keys": 1,
                "recursive_triggers": 1,
            }
        else:
            assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"
        connection.close()


def test_a_weaker_default_of_the_server_is_overruled(postgres: PostgresServer) -> None:
    url = postgres.new_database()
    with Catalog.open(url) as catalog, catalog.writing() as connection:
        name = connection.execute(text("SELECT current_database()")).scalar()
        connection.execute(text(f"ALTER DATABASE {name} SET synchronous_commit = off"))
    with Catalog.open(url) as catalog, catalog.reading() as connection:
        assert connection.execute(text("SHOW synchronous_commit")).scalar() == "on"
    postgres.drop_database(url)


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace shows the calls of a process")
def test_an_answer_comes_after_the_log_was_synced(tmp_path: Path) -> None:
    """Between the last write to SQLite's log and each answer there is an fsync of it."""
    url = str(tmp_path / "c.db")
    with Catalog.open(url) as catalog:
        entry, _ = made(catalog)
    calls = tmp_path / "calls"
    subprocess.run(
        [
            *("strace", "-f", "-y", "-o", calls, "-e", "trace=pwrite64,write,fsync,fdatasync"),
            *(sys.executable, "-c", APPEND_ONE, url, str(entry.uuid)),
        ],
        check=True,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    seen = []
    for line in calls.read_text().splitlines():
        if re.search(r"write(64)?\(\d+<[^>]*c\.db-wal>", line):
            seen.append("write")
        elif re.search(r"f(data)?sync\(\d+<[^>]*c\.db-wal>", line):
            seen.append("sync")
        elif marker := re.search(r'write\(1<.*"(BEFORE|ANSWERED)', line):
            seen.append(marker[1])
    order = " ".join(seen)
    answered = re.findall(r"BEFORE (?:write )+sync (?:sync )*ANSWERED", order)
    assert len(answered) == 3, order


# --- nothing is changed --------------------------------------------------------------------------


@pytest.fixture
def full(catalog: Catalog) -> Iterator[Catalog]:
    """A catalogue with at least a row in each table."""
    entry, group = made(catalog)
    with Appender(catalog) as appender:
        places = [(n * CHUNK, 0) for n in range(6)] + [(0, 1)]
        chunks = [new_chunk(entry, group, start, seed=seed) for start, seed in places]
        appender.append(chunks).result(60)
    catalog.add_annotation(entry, Annotation(onset_us=1, text="x"), "me")
    catalog.add_result(
        entry,
        ComputedResult(
            name="n",
            source_digest="d",
            parameters={},
            processing_version="1",
            result=[1],
            created_at=utc_now(),
        ),
    )
    issue(catalog, "t", ["eeg:read"])
    revoke(catalog, "t")
    other, other_group = made(catalog)
    with catalog.writing() as connection:
        _enter(connection, "blob", recording_id=entry.id, name="tail", key="k", bytes=1)
        _enter(connection, "segment", group_id=other_group.id, start=0, n_samples=1, shift_us=0)
        enter_block(connection, entry, group, 0, through=3)
        enter_seal(connection, other)
    with lease(catalog, entry, "test"):
        yield catalog


@pytest.mark.parametrize("table", sorted(KEYS))
def test_no_row_is_changed_or_removed(full: Catalog, table: str) -> None:
    before = _rows(full, table)
    assert before
    column = next(one.name for one in metadata.tables[table].columns if not one.primary_key)
    everything = f"INSERT INTO {table} SELECT * FROM {table} WHERE true"
    attempts = [f'UPDATE {table} SET "{column}" = "{column}"']
    if table != "chunk_body":
        attempts.append(f"DELETE FROM {table}")
    attempts.append(everything)
    if full.database.is_sqlite:
        attempts.append(everything.replace("INSERT", "INSERT OR REPLACE"))
        attempts.append(everything.replace("INSERT", "REPLACE"))
    else:
        keys = ", ".join(f'"{key}"' for key in KEYS[table][0])
        attempts.append(f"TRUNCATE {table} CASCADE")
        attempts.append(
            f'{everything} ON CONFLICT ({keys}) DO UPDATE SET "{column}" = EXCLUDED."{column}"'
        )
    for attempt in attempts:
        with pytest.raises(DBAPIError) as caught, full.engine.begin() as connection:
            connection.exec_driver_sql(attempt)
        assert isinstance(caught.value, IntegrityError), (attempt, caught.value)
        assert table in str(caught.value.orig), attempt
    assert _rows(full, table) == before


@pytest.mark.parametrize("table", sorted(KEYS))
@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_replacing_is_refused_without_any_setting(full: Catalog, table: str) -> None:
    """By a program that opens the file without ``recursive_triggers``."""
    before = _rows(full, table)
    with closing(sqlite3.connect(full.database.path)) as raw:
        assert raw.execute("PRAGMA recursive_triggers").fetchone() == (0,)
        for form in ("INSERT OR REPLACE INTO", "REPLACE INTO", "INSERT OR IGNORE INTO"):
            with pytest.raises(sqlite3.IntegrityError):
                raw.execute(f"{form} {table} SELECT * FROM {table}")
            raw.rollback()
    assert _rows(full, table) == before


def test_samples_go_only_when_blocks_hold_them(full: Catalog) -> None:
    # Blocks of 4 chunks; block 0 holds what came up to row 3 of the chain: the first chunk.
    (entry, *_) = full.recordings()
    entry = next(one for one in full.recordings() if not one.sealed)
    (group,) = full.groups(entry)
    assert [one.sequence for one in full.chunks(group)] == [3, 4, 5, 6, 7, 8]
    assert _delete_body(full, group, 0)
    assert not _delete_body(full, group, CHUNK)
    with full.writing() as connection:
        enter_block(connection, entry, group, 0, through=6, generation=1)
    assert all(_delete_body(full, group, n * CHUNK) for n in (1, 2, 3))
    assert not _delete_body(full, group, 4 * CHUNK)
    assert [one.start for one in full.inbox(group)] == [4 * CHUNK, 5 * CHUNK]


def test_samples_across_two_blocks_need_both(catalog: Catalog) -> None:
    entry, group = made(catalog)
    with Appender(catalog) as appender:
        appender.append([new_chunk(entry, group, 1000, 100)]).result(60)
    for number in (0, 1):
        assert not _delete_body(catalog, group, 1000)
        with catalog.writing() as connection:
            enter_block(connection, entry, group, number, through=3)
    assert _delete_body(catalog, group, 1000)


@pytest.mark.parametrize(
    ("start", "n_samples"), [(0, 256), (0, 1), (255, 1), (128, 64), (0, 300), (500, 20), (767, 2)]
)
def test_the_database_itself_refuses_overlaps(catalog: Catalog, start: int, n_samples: int) -> None:
    entry, group = made(catalog)
    with Appender(catalog) as appender:
        chunks = [new_chunk(entry, group, place) for place in (0, 512)]
        appender.append(chunks).result(60)
    with (
        pytest.raises(IntegrityError, match=r"other samples are stored|such a row is there"),
        catalog.engine.begin() as connection,
    ):
        _enter_chunk(connection, group, start, n_samples)
    with catalog.engine.begin() as connection:
        _enter_chunk(connection, group, 256, 256)


@pytest.mark.parametrize(("start", "n_samples"), [(-1, 5), (0, 0), (0, -1)])
def test_the_database_itself_refuses_impossible_spans(
    catalog: Catalog, start: int, n_samples: int
) -> None:
    _, group = made(catalog)
    with pytest.raises(IntegrityError, match="no such span"), catalog.engine.begin() as connection:
        _enter_chunk(connection, group, start, n_samples)


def test_the_database_itself_refuses_a_row_that_does_not_follow(catalog: Catalog) -> None:
    entry, _ = made(catalog)
    last = catalog.audit(entry)[-1]
    for sequence, previous in ((3, "0" * 64), (4, last.hash), (9, "f" * 64), (0, "0" * 64)):
        with pytest.raises(IntegrityError), catalog.engine.begin() as connection:
            _enter_audit(connection, entry, sequence, previous)
    with catalog.engine.begin() as connection:
        _enter_audit(connection, entry, 3, last.hash)


def test_the_database_itself_refuses_samples_of_a_sealed_recording(catalog: Catalog) -> None:
    entry, group = made(catalog)
    with Appender(catalog) as appender:
        appender.append([new_chunk(entry, group, 0)]).result(60)
    with catalog.writing() as connection:
        _enter_chunk(connection, group, 256, 256)
        enter_seal(connection, entry)
    attempts: list[tuple[str, dict[str, Any]]] = [
        ("chunk_body", {"group_id": group.id, "start": 256, "body": b""}),
        ("segment", {"group_id": group.id, "start": 0, "n_samples": 1, "shift_us": 0}),
        ("blob", {"recording_id": entry.id, "name": "n", "key": "k", "bytes": 1}),
        ("rate_group", {"recording_id": entry.id, "number": 1}),
        ("channel", {"group_id": group.id, "number": 9}),
    ]
    for table, values in attempts:
        with (
            pytest.raises(IntegrityError, match=f"{table}: the recording is sealed"),
            catalog.engine.begin() as connection,
        ):
            _enter(connection, table, **values)
    with pytest.raises(IntegrityError, match="sealed"), catalog.engine.begin() as connection:
        _enter_chunk(connection, group, 512, 256)
    with pytest.raises(IntegrityError, match="sealed"), catalog.engine.begin() as connection:
        enter_block(connection, entry, group, 0, through=3)


def test_samples_that_blocks_hold_are_not_taken_again(catalog: Catalog) -> None:
    entry, group = made(catalog)
    with Appender(catalog) as appender:
        appender.append([new_chunk(entry, group, 1000, 100)]).result(60)
    with catalog.writing() as connection:
        connection.exec_driver_sql("CREATE TABLE kept AS SELECT * FROM chunk_body")
        for number in (0, 1):
            enter_block(connection, entry, group, number, through=3)
    assert _delete_body(catalog, group, 1000)
    for attempt in (
        "INSERT INTO chunk_body SELECT * FROM kept",
        "INSERT INTO chunk_body SELECT group_id, start + 1, body FROM kept",
    ):
        with (
            pytest.raises(IntegrityError, match="blocks hold these samples, or there is no such"),
            catalog.engine.begin() as connection,
        ):
            connection.exec_driver_sql(attempt)
    assert catalog.inbox(group) == []


def test_blocks_and_seals_out_of_nothing_are_refused(catalog: Catalog) -> None:
    entry, group = made(catalog)
    with catalog.writing() as connection:
        enter_block(connection, entry, group, 0, through=3)
    last = catalog.audit(entry)[-1]
    facts = {"group_id": group.id, "number": 0, "generation": 1, "through": 3, "sha256": "f"}
    for change in ({}, {"number": 1}, {"through": 4}, {"sha256": "x"}, {"group_id": 9}):
        with (
            pytest.raises(IntegrityError, match=r"block: .*does not tell of it"),
            catalog.engine.begin() as connection,
        ):
            _enter(connection, "block", key="k", bytes=1, **facts | change)
    for sequence, head in ((last.sequence, last.hash), (last.sequence - 1, last.previous)):
        with (
            pytest.raises(IntegrityError, match="seal: the last row of the chain does not tell"),
            catalog.engine.begin() as connection,
        ):
            _enter(connection, "seal", recording_id=entry.id, sequence=sequence, head=head)
    assert not catalog.refresh(entry).sealed
    assert len(catalog.blocks(group)) == 1


def test_tokens_out_of_nothing_are_refused(catalog: Catalog) -> None:
    issue(catalog, "t", ["eeg:read"])
    for table, values in (("token", {"name": "u"}), ("token_revocation", {"token_id": 1})):
        with (
            pytest.raises(IntegrityError, match=f"{table}: the last row of the chain does not"),
            catalog.engine.begin() as connection,
        ):
            _enter(connection, table, **values)


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_switching_checks_off_opens_nothing(full: Catalog) -> None:
    with closing(sqlite3.connect(full.database.path)) as raw:
        raw.execute("PRAGMA ignore_check_constraints = ON")
        for attempt in (
            "INSERT OR REPLACE INTO chunk SELECT group_id, start, 0, 0, 'x', 1 FROM chunk",
            "INSERT INTO chunk SELECT group_id, start + 90000, 0, 0, 'x', 1 FROM chunk",
            "INSERT INTO chunk SELECT group_id, -start - 1, 1, 0, 'x', 1 FROM chunk",
            "INSERT INTO audit SELECT recording_id, 0, event, 0, 0, 0, '', '', '{}', '', "
            f"'{'0' * 64}', '' FROM audit WHERE sequence = 1",
        ):
            with pytest.raises(sqlite3.IntegrityError, match=r"^(chunk|audit): "):
                raw.execute(attempt)


@pytest.mark.parametrize("database_kind", ["postgres"], indirect=True)
def test_two_who_write_past_the_program_do_not_overlap(catalog: Catalog) -> None:
    _, group = made(catalog)
    failed: list[IntegrityError] = []

    def enter(start: int) -> None:
        try:
            with catalog.engine.begin() as connection:
                _enter_chunk(connection, group, start, 100)
        except IntegrityError as error:
            failed.append(error)

    with catalog.engine.begin() as connection:
        _enter_chunk(connection, group, 1000, 100)
        thread = threading.Thread(target=enter, args=(1050,))
        thread.start()
        thread.join(0.3)
        assert thread.is_alive()
    thread.join(60)
    assert "other samples are stored" in str(failed[0])
    assert [one.start for one in catalog.chunks(group)] == [1000]
    with (
        pytest.raises(IntegrityError, match="REPEATABLE READ"),
        catalog.engine.execution_options(isolation_level="REPEATABLE READ").begin() as connection,
    ):
        _enter_chunk(connection, group, 2000, 100)


def _rows(catalog: Catalog, table: str) -> list[Any]:
    with catalog.reading() as connection:
        rows = connection.execute(select(metadata.tables[table])).all()
    return sorted(map(repr, rows))


def _delete_body(catalog: Catalog, group: StoredGroup, start: int) -> bool:
    try:
        with catalog.engine.begin() as connection:
            found = connection.exec_driver_sql(
                f"DELETE FROM chunk_body WHERE group_id = {group.id} AND start = {start}"
            )
            assert found.rowcount == 1
    except IntegrityError as error:
        if "no block holds these samples" not in str(error):
            raise
        return False
    return True


def _enter(connection: Connection, table: str, **values: Any) -> None:
    """Insert a row, with something in each column that is not said."""
    something = {"TEXT": "x", "JSON": {}, "BOOLEAN": False, "DOUBLE": 1.0}
    full = dict(values)
    for column in metadata.tables[table].columns:
        if not column.nullable and column.name not in full and not column.primary_key:
            kind = str(column.type).split("(")[0]
            full[column.name] = utc_now() if kind == "DATETIME" else something.get(kind, 1)
    connection.execute(insert(metadata.tables[table]).values(**full))


def _enter_chunk(connection: Connection, group: StoredGroup, start: int, n_samples: int) -> None:
    connection.execute(
        insert(chunk).values(
            group_id=group.id,
            start=start,
            n_samples=n_samples,
            shift_us=0,
            sha256="x",
            sequence=1,
        )
    )


def _enter_audit(
    connection: Connection, entry: RecordingEntry, sequence: int, previous: str
) -> None:
    _enter(connection, "audit", recording_id=entry.id, sequence=sequence, previous=previous)
