"""A changed row of the database is found and named, whichever it is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Connection, insert

from storage.audit import AuditEvent, digest_of
from storage.catalog import Catalog, ComputedResult, RecordingEntry
from storage.catalog_audit import append_events
from storage.catalog_check import check_rows
from storage.catalog_tables import blob, metadata, segment
from storage.database import utc_now
from storage.ingest import Appender
from storage.migrations.first_guards import KEYS
from storage.recording import Annotation
from tests.support.catalogs import CHUNK, chunk, enter_block, enter_seal, made


@pytest.fixture
def full(catalog: Catalog) -> tuple[Catalog, RecordingEntry]:
    """A sealed recording with some of everything, and another beside it."""
    made(catalog, "beside")
    entry, group = made(catalog, "full")
    with Appender(catalog) as appender:
        places = [(n * CHUNK, 0) for n in range(6)] + [(0, 1)]
        chunks = [chunk(entry, group, start, seed=seed, shift_us=3) for start, seed in places]
        appender.append(chunks).result(60)
    catalog.add_annotation(entry, Annotation(onset_us=1, text="x"), "me")
    result = ComputedResult(
        name="power",
        source_digest="d",
        parameters={"band": [1.0, 4.0]},
        processing_version="1",
        result=[0.5],
        created_at=utc_now(),
    )
    catalog.add_result(entry, result)
    with catalog.writing() as connection:
        enter_block(connection, entry, group, 0, through=8)
        tail = {"name": "tail", "key": "t", "bytes": 4, "encrypted": False}
        connection.execute(insert(blob).values(recording_id=entry.id, sha256="t", **tail))
        stretches = [[0, 0, 6 * CHUNK, 3]]
        connection.execute(
            insert(segment).values(group_id=group.id, start=0, n_samples=6 * CHUNK, shift_us=3)
        )
        event = AuditEvent(event="blob", source="me", checksum="t", detail=tail)
        append_events(connection, entry, [event])
        enter_seal(connection, entry, digest_of(stretches))
    return catalog, entry


def test_what_nobody_changed_holds(full: tuple[Catalog, RecordingEntry]) -> None:
    catalog, entry = full
    report = check_rows(catalog, entry)
    assert report.problems == []
    rows = catalog.audit(entry)
    assert (report.rows, report.head) == (len(rows), rows[-1].hash)


CHANGES = [
    ("UPDATE audit SET num_samples = 255 WHERE sequence = 5 AND recording_id = 2", "audit row 5"),
    ("UPDATE audit SET source = 'x' WHERE sequence = 4 AND recording_id = 2", "audit row 4"),
    ("UPDATE audit SET hash = previous WHERE sequence = 6 AND recording_id = 2", "audit row 6"),
    ("DELETE FROM audit WHERE sequence = 6 AND recording_id = 2", "audit row 7"),
    ("DELETE FROM audit WHERE sequence > 12 AND recording_id = 2", "sealed in one place"),
    ("UPDATE audit SET detail = '{}' WHERE event = 'block'", "audit row 12 (block"),
    ("UPDATE patient SET name = 'p9'", "audit row 1 (created"),
    ("UPDATE recording SET name = 'x' WHERE id = 2", "audit row 1 (created"),
    ("UPDATE recording SET start_us = 5 WHERE id = 2", "created row is not what audit row 1"),
    ("UPDATE recording SET notes = '[]' WHERE id = 2", "created row is not what audit row 1"),
    ("UPDATE recording SET kind = 'edf' WHERE id = 2", "created row is not what audit row 1"),
    ("UPDATE rate_group SET codec = 'x' WHERE recording_id = 2", "group 0 is not what"),
    ("UPDATE rate_group SET rate_numerator = 128", "audit row 3 (chunk"),
    ("UPDATE channel SET factor = 7 WHERE group_id = 2 AND number = 1", "group 0 is not what"),
    ("UPDATE channel SET label = 'C' WHERE group_id = 2 AND number = 1", "group 0 is not what"),
    ("DELETE FROM channel WHERE group_id = 2 AND number = 2", "group 0 is not what"),
    ("UPDATE channel SET number = 7 WHERE group_id = 2 AND number = 2", "are numbered [0, 1, 7]"),
    ("UPDATE chunk SET sha256 = 'x' WHERE start = 256", "chunk 0/256 is not what audit row 4"),
    ("UPDATE chunk SET shift_us = 0 WHERE start = 256", "chunk 0/256 is not what audit row 4"),
    ("UPDATE chunk SET n_samples = 9 WHERE start = 256", "chunk 0/256 is not what audit row 4"),
    ("UPDATE chunk SET start = 99999 WHERE start = 512", "chunk 0/99999 is not in the chain"),
    ("DELETE FROM chunk WHERE start = 512", "chunk 0/512 of audit row 5 is missing"),
    ("UPDATE annotation SET text = 'y'", "is not what audit row 10 says"),
    ("UPDATE annotation SET voided = NOT voided", "is not what audit row 10 says"),
    ("UPDATE annotation SET channels = '{}'", "a annotation row holds what nobody wrote"),
    ("UPDATE recording SET notes = '{}' WHERE id = 2", "a created row holds what nobody wrote"),
    ("DELETE FROM annotation", "of audit row 10 is missing"),
    ("UPDATE block SET sha256 = 'x'", "block 0/0/0 is not what audit row 12 says"),
    ("UPDATE block SET through = 7", "block 0/0/0 is not what audit row 12 says"),
    ("UPDATE block SET files = '{}'", "block 0/0/0 is not what audit row 12 says"),
    ("DELETE FROM block", "block 0/0/0 of audit row 12 is missing"),
    ("UPDATE blob SET sha256 = 'x'", "blob tail is not what audit row 13 says"),
    ("UPDATE blob SET encrypted = NOT encrypted", "blob tail is not what audit row 13 says"),
    ("UPDATE segment SET n_samples = 5", "the segments are not those that audit row 14"),
    ("DELETE FROM segment", "the segments are not those that audit row 14"),
    ("UPDATE seal SET head = 'x'", "the seal is not what audit row 14 says"),
    ("DELETE FROM seal", "sealed in one place"),
    ("DELETE FROM quarantine", "of audit row 9 is missing"),
    ("UPDATE quarantine SET body = BYTES", "is not what audit row 9 says"),
    ("UPDATE quarantine SET received_at = NEXT_DAY(received_at)", "is not what audit row 9 says"),
    ("UPDATE recording SET created_at = NEXT_DAY(created_at)", "is not what audit row 1 says"),
    ("UPDATE rate_group SET created_at = NEXT_DAY(created_at)", "is not what audit row 2 says"),
    ("UPDATE block SET created_at = NEXT_DAY(created_at)", "is not what audit row 12 says"),
    ("UPDATE seal SET sealed_at = NEXT_DAY(sealed_at)", "is not what audit row 14 says"),
    ("UPDATE annotation SET created_at = NEXT_DAY(created_at)", "is not what audit row 10 says"),
    ("UPDATE computed SET result = '[0.6]'", "is not what audit row 11 says"),
    ("UPDATE audit SET detail = '[]' WHERE recording_id = 2 AND sequence = 4", "audit row 4"),
    ("UPDATE channel SET details = '[]' WHERE group_id = 2", "group 0 is not what"),
    ("UPDATE recording SET notes = '7' WHERE id = 2", "a created row holds what nobody wrote"),
    ("UPDATE rate_group SET rate_denominator = 0", "a group row holds what nobody wrote"),
    ("DELETE FROM computed", "of audit row 11 is missing"),
]


@pytest.mark.parametrize(("change", "says"), CHANGES)
def test_a_change_is_found(full: tuple[Catalog, RecordingEntry], change: str, says: str) -> None:
    catalog, entry = full
    with _unguarded(catalog) as connection:
        assert connection.exec_driver_sql(_for(catalog, change)).rowcount > 0
    report = check_rows(catalog, entry)
    assert any(says in str(one) for one in report.problems), report.problems


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("UPDATE audit SET detail = '{' WHERE recording_id = 2 AND sequence = 4", "audit row 4"),
        ("UPDATE audit SET start = 'x' WHERE recording_id = 2 AND sequence = 4", "audit row 4"),
        ("UPDATE audit SET num_samples = 'x' WHERE sequence = 4", "audit row 4"),
        ("UPDATE channel SET details = '{' WHERE group_id = 2", "group 0 is not what"),
        ("UPDATE recording SET notes = '{' WHERE id = 2", "a created row holds what nobody wrote"),
        ("UPDATE block SET created_at = 'x'", "a block row holds what nobody wrote"),
        ("UPDATE chunk SET n_samples = 'x' WHERE start = 256", "chunk 0/256 is not what"),
        ("UPDATE quarantine SET body = 'text'", "a conflict row holds what nobody wrote"),
        ("UPDATE computed SET parameters = '{'", "a computed row holds what nobody wrote"),
    ],
)
def test_nonsense_is_found(full: tuple[Catalog, RecordingEntry], change: str, says: str) -> None:
    """A file of SQLite takes anything into any column."""
    catalog, entry = full
    with _unguarded(catalog) as connection:
        connection.exec_driver_sql("PRAGMA ignore_check_constraints = ON")
        assert connection.exec_driver_sql(change).rowcount > 0
        connection.exec_driver_sql("PRAGMA ignore_check_constraints = OFF")
    report = check_rows(catalog, entry)
    assert any(says in str(one) for one in report.problems), report.problems


def test_a_recording_without_a_chain_does_not_hold(
    full: tuple[Catalog, RecordingEntry],
) -> None:
    catalog, entry = full
    with _unguarded(catalog) as connection:
        connection.exec_driver_sql("DELETE FROM audit")
    assert "has no audit rows" in str(check_rows(catalog, entry).problems[0])


def _for(catalog: Catalog, change: str) -> str:
    """Return a statement in the words of a database."""
    sqlite = catalog.database.is_sqlite
    change = change.replace("BYTES", "x'00'" if sqlite else "decode('00', 'hex')")
    later = r"replace(\1, '20', '21')" if sqlite else r"\1 + interval '1 day'"
    return re.sub(r"NEXT_DAY\((\w+)\)", later, change)


@contextmanager
def _unguarded(catalog: Catalog) -> Iterator[Connection]:
    """What an administrator of the database can do."""
    sqlite = catalog.database.is_sqlite
    if sqlite:
        with catalog.engine.connect() as connection:
            connection.exec_driver_sql("COMMIT")
            connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
            connection.exec_driver_sql("BEGIN")
    with catalog.engine.begin() as connection:
        if sqlite:
            found = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
            for name in connection.exec_driver_sql(found).scalars().all():
                connection.exec_driver_sql(f"DROP TRIGGER {name}")
        else:
            connection.exec_driver_sql("SET session_replication_role = replica")
            for table in set(metadata.tables) & set(KEYS):
                connection.exec_driver_sql(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
        yield connection
        if not sqlite:
            connection.exec_driver_sql("SET session_replication_role = DEFAULT")
