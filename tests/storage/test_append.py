"""Chunks are taken in durably and once, whoever sends them, in whatever order, however often."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import text

from storage.audit import AuditEvent, canonical_bytes, check_chain
from storage.catalog import Catalog, RecordingEntry, StoredGroup
from storage.catalog_audit import append_events
from storage.catalog_check import check_rows
from storage.errors import (
    Busy,
    ChunkConflict,
    RanvierError,
    RecordingSealed,
    StorageError,
    UsageError,
)
from storage.ingest import Answer, Appender, NewChunk, Receipt
from storage.ingest_commit import Commit
from tests.support.catalogs import CHUNK, chunk, enter_seal, made, new_recording
from tests.support.killed_appends import kill_rounds
from tests.support.postgres import PostgresServer

SOAK = bool(os.environ.get("RANVIER_SOAK"))
KILLS = 50 if SOAK else 5


def append(appender: Appender, *chunks: NewChunk) -> list[Answer]:
    return appender.append(chunks).result(60)


def received(answers: list[Answer]) -> list[Receipt]:
    for answer in answers:
        if isinstance(answer, RanvierError):
            raise answer
    return [answer for answer in answers if isinstance(answer, Receipt)]


@pytest.fixture
def recording(catalog: Catalog) -> tuple[RecordingEntry, StoredGroup]:
    return made(catalog)


@pytest.fixture
def appender(catalog: Catalog) -> Iterator[Appender]:
    with Appender(catalog) as appender:
        yield appender


Made = tuple[RecordingEntry, StoredGroup]


def test_a_chunk_is_stored_with_its_row_in_the_chain(
    catalog: Catalog, recording: Made, appender: Appender
) -> None:
    entry, group = recording
    new = chunk(entry, group, 512, shift_us=7)
    (receipt,) = received(append(appender, new))
    (row,) = catalog.audit(entry, after=2)
    digest = hashlib.sha256(
        canonical_bytes(entry.uuid, 0, ("Fp1", "T8-P8", "T8-P8#2"), "int16", 512, 256, new.body)
    ).hexdigest()
    assert receipt == Receipt(
        recording=entry.uuid,
        group=0,
        start=512,
        n_samples=256,
        checksum=digest,
        sequence=3,
        duplicate=False,
    )
    assert (row.event, row.sequence, row.checksum, row.source) == ("chunk", 3, digest, "device")
    assert (row.chunk_start_sec, row.chunk_end_sec, row.num_samples) == (2.0, 3.0, 256)
    assert row.detail == {"shift_us": 7}
    (held,) = catalog.inbox(group)
    assert held.body == new.body
    assert check_rows(catalog, entry).problems == []


def test_a_repeated_chunk_gets_the_same_receipt_and_changes_nothing(
    catalog: Catalog, recording: Made, appender: Appender
) -> None:
    entry, group = recording
    first = received(append(appender, *(chunk(entry, group, n * CHUNK) for n in range(4))))
    before = catalog.audit(entry)
    again = received(append(appender, *(chunk(entry, group, n * CHUNK) for n in (2, 0, 3, 1, 2))))
    assert [one.duplicate for one in again] == [True] * 5
    assert [dataclasses.replace(one, duplicate=False) for one in again] == [
        first[n] for n in (2, 0, 3, 1, 2)
    ]
    assert catalog.audit(entry) == before
    assert len(catalog.inbox(group)) == 4


def test_a_repetition_within_one_batch_is_one_chunk(
    catalog: Catalog, recording: Made, appender: Appender
) -> None:
    entry, group = recording
    one, two = received(append(appender, chunk(entry, group, 0), chunk(entry, group, 0)))
    assert (one.duplicate, two.duplicate) == (False, True)
    assert one.sequence == two.sequence
    assert len(catalog.audit(entry)) == 3


@pytest.mark.parametrize(
    ("start", "n_samples", "seed", "shift_us", "told"),
    [
        (1024, 256, 1, 0, True),  # other samples
        (1024, 256, 0, 5, True),  # the same, at another time
        (1024, 128, 0, 0, False),
        (1024, 512, 0, 0, False),
        (1000, 256, 0, 0, False),
        (1100, 50, 0, 0, False),
        (900, 500, 0, 0, False),
        (1279, 256, 0, 0, False),
    ],
)
def test_other_samples_for_a_span_are_refused_logged_and_kept_apart(
    catalog: Catalog,
    recording: Made,
    appender: Appender,
    start: int,
    n_samples: int,
    seed: int,
    shift_us: int,
    told: bool,
) -> None:
    entry, group = recording
    (first,) = received(append(appender, chunk(entry, group, 1024)))
    other = chunk(entry, group, start, n_samples, seed=seed, shift_us=shift_us, source="twin")
    for _ in range(2):  # the second time nothing is logged anew
        (refused,) = append(appender, other)
        assert isinstance(refused, ChunkConflict)
        assert refused.stored == (first.checksum if told else None)
        assert refused.offered is not None
        assert refused.offered in str(refused)
        assert first.checksum in str(refused)
    assert isinstance(refused, ChunkConflict)
    (row,) = catalog.audit(entry, after=3)
    assert (row.event, row.start, row.num_samples) == ("conflict", start, n_samples)
    assert row.checksum == refused.offered
    assert row.detail["stored_checksum"] == first.checksum
    (kept,) = catalog.quarantined(entry)
    assert (kept.start, kept.source, kept.body) == (start, "twin", other.body)
    assert [one.start for one in catalog.chunks(group)] == [1024]
    assert check_rows(catalog, entry).problems == []


def test_chunks_that_adjoin_do_not_conflict(
    catalog: Catalog, recording: Made, appender: Appender
) -> None:
    entry, group = recording
    sizes = [(1024, 256), (1000, 24), (1280, 1), (1281, 700)]
    received(append(appender, *(chunk(entry, group, *size) for size in sizes)))
    (segment,) = catalog.segments(group)
    assert (segment.start, segment.stop) == (1000, 1981)


def test_one_refused_chunk_does_not_stop_the_others(
    catalog: Catalog, recording: Made, appender: Appender
) -> None:
    entry, group = recording
    answers = append(
        appender,
        chunk(entry, group, 0),
        chunk(entry, group, 128),
        dataclasses.replace(chunk(entry, group, 256), body=b"short"),
        chunk(entry, group, 512),
    )
    assert [type(one) for one in answers] == [Receipt, ChunkConflict, UsageError, Receipt]
    assert [one.start for one in catalog.chunks(group)] == [0, 512]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"body": b"12"}, "2 bytes for 256 samples of 3 channels in int16; expected 1536"),
        ({"start": -1}, "expected at least one, from 0 on"),
        ({"n_samples": 0, "body": b""}, "expected at least one"),
        ({"start": 2**62}, "expected at least one, from 0 on"),
        ({"n_samples": 1025, "body": bytes(6150)}, "send at most 1024 at once"),
        ({"shift_us": 2**70}, "check the time"),
        ({"source": "a\0b"}, "expected printable"),
        ({"source": "\udc80"}, "expected printable"),
    ],
)
def test_an_impossible_chunk_is_refused(
    catalog: Catalog, recording: Made, appender: Appender, change: dict[str, Any], says: str
) -> None:
    entry, group = recording
    wrong = dataclasses.replace(chunk(entry, group, 0), **change)
    answer, good = append(appender, wrong, chunk(entry, group, 0))
    assert isinstance(answer, UsageError)
    assert says in str(answer)
    assert isinstance(good, Receipt)


def test_a_group_of_another_recording_is_refused(catalog: Catalog, appender: Appender) -> None:
    (one, _), (_, other_group) = made(catalog), made(catalog)
    (answer,) = append(appender, chunk(one, other_group, 0))
    assert isinstance(answer, UsageError)
    assert "another recording" in str(answer)


def test_a_recording_that_is_not_there_is_refused(
    catalog: Catalog, recording: Made, appender: Appender
) -> None:
    entry, group = (dataclasses.replace(recording[0], id=999), recording[1])
    (answer,) = append(appender, chunk(entry, dataclasses.replace(group, recording_id=999), 0))
    assert isinstance(answer, UsageError)
    assert "does not have it" in str(answer)


def test_a_hole_of_more_than_a_day_must_be_meant(
    catalog: Catalog, recording: Made, appender: Appender
) -> None:
    entry, group = recording
    day = 24 * 3600 * 256
    refused, first, late, beyond, meant = append(
        appender,
        chunk(entry, group, day + 1),
        chunk(entry, group, day),
        chunk(entry, group, 2 * day + CHUNK),
        chunk(entry, group, 4 * day),
        chunk(entry, group, 4 * day, allow_hole=True),
    )
    assert isinstance(refused, UsageError)
    assert "a hole of 86400 s before sample" in str(refused)
    assert isinstance(beyond, UsageError)
    assert [type(one) for one in (first, late, meant)] == [Receipt] * 3
    # A late chunk into the hole needs no permission.
    received(append(appender, chunk(entry, group, 2 * day + 10 * CHUNK)))


def test_any_order_gives_the_same_recording(catalog: Catalog, appender: Appender) -> None:
    places = [n * CHUNK for n in range(60)]
    seen = []
    for seed in range(2):
        entry, group = made(catalog)
        shuffled = places[:]
        random.Random(seed).shuffle(shuffled)
        for at in range(0, len(shuffled), 7):
            received(append(appender, *(chunk(entry, group, one) for one in shuffled[at : at + 7])))
        (segment,) = catalog.segments(group)
        assert (segment.start, segment.stop) == (0, 60 * CHUNK)
        seen.append([(one.start, one.body) for one in catalog.inbox(group)])
        assert check_chain(catalog.audit(entry)) is None
    assert seen[0] == seen[1]


def test_a_sealed_recording_takes_nothing_more_and_still_knows_its_chunks(
    catalog: Catalog, recording: Made, appender: Appender
) -> None:
    entry, group = recording
    (first,) = received(append(appender, chunk(entry, group, 0)))
    with catalog.writing() as connection:
        enter_seal(connection, entry)
    again, new, other = append(
        appender,
        chunk(entry, group, 0),
        chunk(entry, group, 256),
        chunk(entry, group, 0, seed=1),
    )
    assert again == dataclasses.replace(first, duplicate=True)
    assert isinstance(new, RecordingSealed)
    assert isinstance(other, RecordingSealed)
    assert [row.event for row in catalog.audit(entry, after=2)] == ["chunk", "sealed"]


def test_equal_chunks_at_the_same_moment_are_one_row(catalog: Catalog, recording: Made) -> None:
    entry, group = recording
    others = [Catalog.open(catalog.database.url.render_as_string(False)) for _ in range(3)]
    appenders = [Appender(one) for one in (catalog, *others)]
    try:
        for place in range(0, 30 * CHUNK, CHUNK):
            barrier = threading.Barrier(8)
            answers: list[Future[list[Answer]]] = []

            def send(
                appender: Appender,
                place: int = place,
                barrier: threading.Barrier = barrier,
                answers: list[Future[list[Answer]]] = answers,
            ) -> None:
                barrier.wait()
                answers.append(appender.append([chunk(entry, group, place)]))

            threads = [threading.Thread(target=send, args=(appenders[n % 4],)) for n in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            wait(answers)
            receipts = [one for future in answers for one in received(future.result())]
            assert sorted(one.duplicate for one in receipts) == [False] + [True] * 7
            assert len({one.sequence for one in receipts}) == 1
        assert len(catalog.chunks(group)) == 30
        assert check_rows(catalog, entry).problems == []
    finally:
        for appender in appenders:
            appender.close()
        for one in others:
            one.close()


def test_writers_of_two_processes_keep_the_chain(catalog: Catalog, recording: Made) -> None:
    entry, group = recording
    url = catalog.database.url.render_as_string(False)
    command = [sys.executable, "-m", "tests.support.killed_appends", url, str(entry.uuid)]
    writers = [
        subprocess.Popen([*command, str(first)], stdout=subprocess.PIPE, text=True)
        for first in (0, 0, 50_000)
    ]
    try:
        lines = []
        for writer in writers:
            assert writer.stdout is not None
            lines += [writer.stdout.readline() for _ in range(60)]
    finally:
        for writer in writers:
            writer.kill()
            writer.communicate()
    assert len(set(lines)) >= 60
    assert {int(line.split()[0]) for line in lines} <= {one.start for one in catalog.chunks(group)}
    assert check_rows(catalog, entry).problems == []


def test_what_waits_shares_a_commit(catalog: Catalog, recording: Made) -> None:
    entry, group = recording
    with Appender(catalog, most_chunks=64) as appender:
        with _stuck(catalog):
            futures = [appender.append([chunk(entry, group, n * CHUNK)]) for n in range(65)]
        for future in futures:
            received(future.result(60))
    times = {row.ingested_at for row in catalog.audit(entry, after=2)}
    # The first may have been taken alone.
    assert len(times) <= 3


def test_many_recordings_share_a_commit(catalog: Catalog, appender: Appender) -> None:
    held = [made(catalog) for _ in range(5)]
    received(
        append(
            appender,
            *(chunk(entry, group, n * CHUNK) for n in range(4) for entry, group in held),
        )
    )
    for entry, group in held:
        assert [one.start for one in catalog.chunks(group)] == [0, 256, 512, 768]
        assert check_rows(catalog, entry).problems == []


def test_groups_of_one_recording_share_its_chain(catalog: Catalog, appender: Appender) -> None:
    entry = catalog.create(new_recording(groups=2), "test")
    one, two = catalog.groups(entry)
    receipts = received(
        append(appender, chunk(entry, one, 0), chunk(entry, two, 0), chunk(entry, one, 256))
    )
    assert [(each.group, each.sequence) for each in receipts] == [(0, 4), (1, 5), (0, 6)]
    assert check_rows(catalog, entry).problems == []


def test_an_empty_batch_is_answered(catalog: Catalog, appender: Appender) -> None:
    assert append(appender) == []


def test_answers_come_after_the_commit(catalog: Catalog, recording: Made) -> None:
    """A second look at the database, from elsewhere, at the moment of each answer."""
    entry, group = recording
    seen = []
    with (
        Catalog.open(catalog.database.url.render_as_string(False)) as elsewhere,
        Appender(catalog) as appender,
    ):

        def look(future: Future[list[Answer]]) -> None:
            (receipt,) = received(future.result())
            seen.append(receipt.start in {one.start for one in elsewhere.inbox(group)})

        futures = [appender.append([chunk(entry, group, n * CHUNK)]) for n in range(40)]
        for future in futures:
            future.add_done_callback(look)
        wait(futures)
    assert seen == [True] * 40


def test_more_than_may_wait_is_busy(catalog: Catalog, recording: Made) -> None:
    entry, group = recording
    with _stuck(catalog) as release, Appender(catalog, waiting_chunks=4) as appender:
        appender.append([chunk(entry, group, 0)])
        _until(lambda: appender.waiting[0] == 0)
        waiting = [appender.append([chunk(entry, group, n * CHUNK)]) for n in range(1, 5)]
        assert appender.waiting == (4, 4 * 1536)
        with pytest.raises(Busy, match="4 chunks of 6144 bytes wait"):
            appender.append([chunk(entry, group, 5 * CHUNK)])
        release.set()
        for future in waiting:
            received(future.result(60))
        received(append(appender, chunk(entry, group, 5 * CHUNK)))


def test_closing_writes_what_waits_and_takes_nothing_more(
    catalog: Catalog, recording: Made, nothing_left_over: None
) -> None:
    entry, group = recording
    appender = Appender(catalog)
    futures = [appender.append([chunk(entry, group, n * CHUNK)]) for n in range(300)]
    appender.close()
    assert all(future.done() for future in futures)
    assert len(catalog.chunks(group)) == 300
    with pytest.raises(Busy, match="closing"):
        appender.append([chunk(entry, group, 0)])


def test_a_mistake_reaches_those_who_wait_and_nobody_else(
    catalog: Catalog, recording: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry, group = recording
    run = Commit.run

    def broken(self: Commit) -> list[Answer]:
        if any(offer.chunk.start == CHUNK for offer in self._offers):
            raise ZeroDivisionError("a mistake of ours")
        return run(self)

    monkeypatch.setattr(Commit, "run", broken)
    with Appender(catalog, most_chunks=1) as appender:
        bad, good = (appender.append([chunk(entry, group, n * CHUNK)]) for n in (1, 0))
        with pytest.raises(StorageError, match=r"1 chunks could not be .*a mistake of ours"):
            bad.result(60)
        received(good.result(60))
        received(append(appender, chunk(entry, group, 2 * CHUNK)))
    assert [one.start for one in catalog.chunks(group)] == [0, 2 * CHUNK]
    assert check_rows(catalog, entry).problems == []


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_a_passing_error_of_the_driver_is_tried_again(
    catalog: Catalog, recording: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry, group = recording
    near = Commit._near
    errors: list[sqlite3.Error] = []

    def failing(self: Commit, places: Any) -> Any:
        if len(errors) < 3:
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR_READ
            errors.append(error)
            raise error
        return near(self, places)

    monkeypatch.setattr(Commit, "_near", failing)
    with Appender(catalog) as appender:
        (answer,) = append(appender, chunk(entry, group, 0))
        assert isinstance(answer, Busy)
        assert "disk I/O error" in str(answer)
        received(append(appender, chunk(entry, group, 0)))
    assert len(errors) == 3


def test_the_death_of_the_thread_reaches_all_who_wait(
    catalog: Catalog, recording: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry, group = recording
    ended: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", ended.append)

    class Ended(BaseException):
        """What ends a thread."""

    def broken(self: Commit) -> list[Answer]:
        raise Ended("the end")

    monkeypatch.setattr(Commit, "run", broken)
    appender = Appender(catalog, most_chunks=1)
    with _stuck(catalog) as release:
        futures = [appender.append([chunk(entry, group, n * CHUNK)]) for n in range(5)]
        release.set()
    for future in futures:
        with pytest.raises(StorageError, match="the end"):
            future.result(60)
    with pytest.raises(StorageError, match="has ended"):
        appender.append([chunk(entry, group, 0)])
    appender.close()
    assert [one.exc_type for one in ended] == [Ended]


def test_a_recording_of_a_file_takes_no_chunks(catalog: Catalog, appender: Appender) -> None:
    entry = catalog.create(new_recording(kind="edf"), "test")
    (group,) = catalog.groups(entry)
    (answer,) = append(appender, chunk(entry, group, 0))
    assert isinstance(answer, UsageError)
    assert "is being taken in from a file (edf)" in str(answer)
    assert catalog.chunks(group) == []
    with catalog.writing() as connection:
        enter_seal(connection, entry)
    (answer,) = append(appender, chunk(entry, group, 0))
    assert isinstance(answer, RecordingSealed)


@pytest.mark.parametrize(
    ("most", "n_bytes"), [(3, 2**20), (100, 3 * CHUNK * 3 * 2), (100, 4 * CHUNK * 3 * 2 - 1)]
)
def test_so_many_refused_chunks_are_kept(
    catalog: Catalog,
    recording: Made,
    appender: Appender,
    monkeypatch: pytest.MonkeyPatch,
    most: int,
    n_bytes: int,
) -> None:
    monkeypatch.setattr("storage.ingest_commit.MOST_REFUSED", most)
    monkeypatch.setattr("storage.ingest_commit.MOST_REFUSED_BYTES", n_bytes)
    entry, group = recording
    received(append(appender, chunk(entry, group, 0)))
    for seeds in ((1, 2), (3, 4, 5), (6,)):
        answers = append(appender, *(chunk(entry, group, 0, seed=seed) for seed in seeds))
        assert {type(one) for one in answers} == {ChunkConflict}
    assert len(catalog.quarantined(entry)) == 3
    rows = [row for row in catalog.audit(entry) if row.event == "conflict"]
    assert [row.detail.get("kept", True) for row in rows] == [True] * 3 + [False] * 3
    assert check_rows(catalog, entry).problems == []
    other, other_group = made(catalog)
    received(append(appender, chunk(other, other_group, 0)))
    append(appender, chunk(other, other_group, 0, seed=1))
    assert len(catalog.quarantined(other)) == 1


def test_a_full_disk_is_said_and_survived(tmp_path: Any) -> None:
    with Catalog.open(str(tmp_path / "c.db")) as catalog, Appender(catalog) as appender:
        entry, group = made(catalog)
        received(append(appender, chunk(entry, group, 0)))
        _limit_pages(catalog, 10)
        answers = append(appender, *(chunk(entry, group, n * CHUNK) for n in range(1, 200)))
        assert {type(one) for one in answers} == {Busy}
        assert all(isinstance(one, Busy) and one.retryable for one in answers)
        assert "full" in str(answers[0])
        _limit_pages(catalog, 2**31)
        received(append(appender, *(chunk(entry, group, n * CHUNK) for n in range(200))))
        assert check_rows(catalog, entry).problems == []


def test_a_crash_of_the_server_loses_nothing_that_was_answered() -> None:
    with PostgresServer() as server, Catalog.open(server.new_database()) as catalog:
        with Appender(catalog) as appender:
            entry, group = made(catalog)
            received(append(appender, *(chunk(entry, group, n * CHUNK) for n in range(50))))
            server.stop(signal.SIGQUIT)
            (lost,) = append(appender, chunk(entry, group, 50 * CHUNK))
            assert isinstance(lost, Busy)
            server.start()
            received(append(appender, *(chunk(entry, group, n * CHUNK) for n in range(51))))
        assert len(catalog.inbox(group)) == 51
        assert check_rows(catalog, entry).problems == []


@pytest.mark.soak
@pytest.mark.timeout(1800 if SOAK else 300)
def test_kill_9_loses_nothing_that_was_answered(database_url: str) -> None:
    tally = kill_rounds(database_url, KILLS)
    print(f"{tally.answered} answered, {tally.unanswered} stored without an answer")
    assert tally.rounds == KILLS
    assert tally.answered > 20 * KILLS


def test_an_event_of_another_kind_between_chunks_keeps_the_chain(
    catalog: Catalog, recording: Made, appender: Appender
) -> None:
    entry, group = recording
    stop = threading.Event()

    def export() -> None:
        while not stop.is_set():
            with catalog.writing() as connection:
                append_events(connection, entry, [AuditEvent(event="exported", source="me")])

    thread = threading.Thread(target=export)
    thread.start()
    for n in range(30):
        received(append(appender, chunk(entry, group, n * CHUNK)))
    stop.set()
    thread.join()
    assert {row.event for row in catalog.audit(entry)} == {
        "created",
        "group",
        "chunk",
        "exported",
    }
    assert check_rows(catalog, entry).problems == []


@contextmanager
def _stuck(catalog: Catalog) -> Iterator[threading.Event]:
    """Hold what a writer of chunks needs, until the event is set."""
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with catalog.writing() as connection:
            if not catalog.database.is_sqlite:
                connection.execute(text("LOCK TABLE audit IN ACCESS EXCLUSIVE MODE"))
            held.set()
            release.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    try:
        yield release
    finally:
        release.set()
        thread.join()


def _until(true: Any) -> None:
    due = threading.Event()
    for _ in range(1000):
        if true():
            return
        due.wait(0.01)
    raise AssertionError("it did not come")


def _limit_pages(catalog: Catalog, pages: int) -> None:
    """Let the file of a catalogue grow no further than that beyond its present size."""
    connections = [catalog.engine.connect() for _ in range(8)]
    for connection in connections:
        raw = connection.connection.driver_connection
        assert isinstance(raw, sqlite3.Connection)
        used = raw.execute("PRAGMA page_count").fetchone()[0]
        raw.execute(f"PRAGMA max_page_count = {min(used + pages, 2**32 - 2)}")
    for connection in connections:
        connection.close()
