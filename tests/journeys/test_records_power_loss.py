"""When the power goes, what was acknowledged is there: the order of writes and flushes.

The calls of a live recording and of ``ranvier ingest`` are recorded, those of SQLite among them.
A disk that keeps only what was flushed, or any part of the rest besides, is then cut off at many
points.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from sqlalchemy import text

from storage.edf import EdfSource
from storage.edf_original import rebuild_source
from storage.protocols import has_original
from storage.recording_store import RecordingStore
from storage.spans import Span
from tests.support.command_line import command, environment
from tests.support.disk_trace import Call, SimulatedDisk, chances, traced
from tests.support.edf_files import SignalSpec, signals, write_edf
from tests.support.live_writer import LATE, SPANS, finish, open_home
from tests.support.postgres import PostgresServer
from tests.support.stores import append, check_window, chunk, numbers

SOAK = bool(os.environ.get("RANVIER_SOAK"))
CUTS = 200 if SOAK else 12
LONG = pytest.mark.timeout(3600 if SOAK else 300)
KINDS = ["none", "some", "all"]


@dataclass(frozen=True)
class Traced:
    """A program that ran to its end: its calls, and the store that it left."""

    calls: tuple[Call, ...]
    home: Path


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Traced:
    """Trace a live recording from its first chunk to its seal."""
    folder = tmp_path_factory.mktemp("live")
    words = [sys.executable, "-m", "tests.support.live_writer", str(folder / "home")]
    (folder / "home").mkdir()
    return Traced(traced(words, environment(), folder / "home", folder / "log"), folder / "home")


@pytest.fixture(scope="module")
def edf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a file of several blocks, which names a person."""
    return write_edf(
        tmp_path_factory.mktemp("in") / "many.edf",
        signals=(*signals(2, samples=32), SignalSpec(label="Resp", samples=8, dimension="mV")),
        records=2500,
        plus="C",
        annotations=[(2.5, 1.25, "eyes closed")],
        patient="17 F 01-JAN-1980 Jane_Doe",
        tail=b"what follows",
    )


@pytest.fixture(scope="module")
def ingested(edf: Path, tmp_path_factory: pytest.TempPathFactory) -> Traced:
    """Trace the ingest of a file."""
    folder = tmp_path_factory.mktemp("ingested")
    home = folder / "home"
    home.mkdir()
    places = {
        "RANVIER_HOME": str(home),
        "RANVIER_STORE": str(home / "new" / "deep" / "store"),
        "RANVIER_DATABASE_URL": f"sqlite:///{home / 'made' / 'for' / 'it' / 'catalog.db'}",
        "RANVIER_IDENTITY_KEY": str(home / "keys" / "of" / "it" / "identity.key"),
    }
    words = command("ingest", str(edf), "--patient", "p1", "--recording-id", "many")
    return Traced(traced(words, environment(places), home, folder / "log"), home)


@pytest.fixture(params=["live", "ingested"])
def run(request: pytest.FixtureRequest) -> Traced:
    """Return each of them in turn."""
    found: Traced = request.getfixturevalue(request.param)
    return found


def test_files_rest_before_they_get_their_names(run: Traced) -> None:
    disk = SimulatedDisk()
    renamed = 0
    for call in run.calls:
        if call.what in ("rename", "link"):
            assert disk.is_flushed(call.path), f"{call.path} was renamed before it was flushed"
            renamed += 1
        disk.do(call)
    assert renamed > 20


def test_files_and_folders_rest_before_the_catalogue_names_them(run: Traced) -> None:
    with open_home(run.home) as store:
        (entry,) = store.catalog.recordings()
        blocks = [block for group in store.groups(entry) for block in store.catalog.blocks(group)]
        named = {key for block in blocks for key in (block.key, *block.files)}
        named |= {blob.key for blob in store.catalog.blobs(entry)}
        (seal,) = (row for row in store.catalog.audit(entry) if row.event == "sealed")
        named |= set(seal.detail["files"])
        report = store.verify(entry)
        assert report.ok, report.problems
    root = PurePosixPath("new/deep/store/rec", str(entry.uuid))
    disk = SimulatedDisk()
    # As the chain tells of them, in JSON.
    waiting = {f'"{key}"'.encode(): root / key for key in named}
    for call in run.calls:
        if call.what == "write" and call.path.name == "catalog.db-wal":
            for told in [each for each in waiting if each in call.content]:
                place = waiting.pop(told)
                rests = disk.kept(place)
                assert rests is not None, f"{place} is named before its folders were flushed"
                if place.name != "zarr.json" or b'"sealed"' in call.content:
                    assert rests == (run.home / place).read_bytes(), f"{place} was not flushed"
        disk.do(call)
    # A name may lie across two pages of the database.
    assert len(waiting) < len(named) / 10, waiting


def test_an_answer_comes_after_the_log_was_flushed(live: Traced) -> None:
    disk = SimulatedDisk()
    lines = 0
    for call in live.calls:
        if call.what == "told":
            lines += call.content.count(b"\n")
            log = PurePosixPath("made/for/it/catalog.db-wal")
            assert disk.is_flushed(log), f"{call.content!r} was told before the log was flushed"
        disk.do(call)
    assert lines == len(SPANS) + 2


def test_commits_are_waited_for(tmp_path: Path, postgres: PostgresServer) -> None:
    with open_home(tmp_path) as store, store.catalog.engine.connect() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar_one() == "wal"
        assert connection.execute(text("PRAGMA synchronous")).scalar_one() == 2  # FULL
    url = postgres.new_database()
    with (
        RecordingStore.open(str(tmp_path / "store"), url) as store,
        store.catalog.engine.connect() as connection,
    ):
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            assert connection.execute(text(f"SHOW {setting}")).scalar_one() == "on"


def told(calls: Sequence[Call]) -> list[str]:
    """Return the lines that came out of a program, those that are whole."""
    text = b"".join(call.content for call in calls if call.what == "told").decode()
    return text[: text.rfind("\n") + 1].splitlines()


def cuts(run: Traced, seed: int) -> Iterator[tuple[int, str, SimulatedDisk]]:
    """Yield points at which the power goes, how much of the rest survives, and the disk then."""
    rng = random.Random(seed)
    changing = [at for at, call in enumerate(run.calls) if call.what != "told"]
    # Just before and after a flush, a rename or an answer things are at their most delicate.
    delicate = [
        at + after
        for at, call in enumerate(run.calls)
        if call.what in ("flush", "rename", "link", "remove", "told")
        for after in (0, 1)
    ]
    chosen = {*rng.choices(changing, k=CUTS // 2), *rng.choices(delicate, k=CUTS // 2)}
    disk, done = SimulatedDisk(), 0
    for at in sorted(chosen):
        for call in run.calls[done:at]:
            disk.do(call)
        done = at
        for kind in KINDS if SOAK else [rng.choice(KINDS)]:
            yield at, kind, disk


@LONG
@pytest.mark.soak
def test_what_was_answered_outlives_any_loss_of_power(live: Traced, tmp_path: Path) -> None:
    rng = random.Random(1)
    losses = held_chunks = 0
    held = np.ones(SPANS[-1].stop, np.bool_)
    for at, kind, disk in cuts(live, 8):
        home = tmp_path / f"{losses}"
        disk.lose_power(home, chances(kind, rng))
        lines = [line.split() for line in told(live.calls[:at])]
        answered = {int(line[0]): (line[1], int(line[2])) for line in lines if len(line) == 3}
        with open_home(home) as store:
            found = store.catalog.recordings()
            assert found or not answered, f"call {at}, {kind}: the recording is gone"
            if not found:
                continue
            (entry,) = found
            (group,) = store.groups(entry)
            stored = {one.start: (one.sha256, one.sequence) for one in store.catalog.chunks(group)}
            assert answered.items() <= stored.items(), f"call {at}, {kind}"
            assert entry.sealed or ["sealed"] not in lines
            report = store.verify(entry)
            assert report.ok, (at, kind, report.problems)
            for segment in store.segments(entry, 0):
                span = Span(segment.start, segment.stop)
                window = store.window(entry, 0, span)
                np.testing.assert_array_equal(window.data.T, numbers(group, span))
            if not entry.sealed:
                append(store, [chunk(entry, group, span) for span in (*SPANS, *LATE)])
                entry = finish(store, entry)
            check_window(store, entry, group, Span(0, len(held)), held)
            report = store.verify(entry)
            assert report.ok, (at, kind, report.problems)
            assert not list(store.folder.leftovers())
        losses += 1
        held_chunks += len(answered)
    print(f"\nlive: {losses} losses of power, {held_chunks} acknowledged chunks were there")


@LONG
@pytest.mark.soak
def test_an_ingest_goes_on_after_any_loss_of_power(
    ingested: Traced, edf: Path, tmp_path: Path
) -> None:
    rng = random.Random(2)
    losses = went_on = 0
    for at, kind, disk in cuts(ingested, 9):
        home = tmp_path / f"{losses}"
        disk.lose_power(home, chances(kind, rng))
        with open_home(home) as store:
            found = store.catalog.recordings(unfinished=True)
            before = {}
            for entry in found:
                report = store.verify(entry)
                assert report.ok, (at, kind, report.problems)
                before = {
                    (group.number, one.start): (one.sha256, one.sequence)
                    for group in store.groups(entry)
                    for one in store.catalog.chunks(group)
                }
            assert not told(ingested.calls[:at]) or found[0].sealed
            with EdfSource(str(edf)) as source:
                result = store.sink(patient="p1", name="many", kind="edf").store(source)
            assert result.entry is not None, result.reason
            after = {
                (group.number, one.start): (one.sha256, one.sequence)
                for group in store.groups(result.entry)
                for one in store.catalog.chunks(group)
            }
            assert before.items() <= after.items()
            report = store.verify(result.entry)
            assert report.ok, (at, kind, report.problems)
            again = store.source(result.entry)
            assert has_original(again)
            assert b"".join(rebuild_source(again)) == edf.read_bytes()
            assert not list(store.folder.leftovers())
        losses += 1
        went_on += bool(before)
    print(f"\ningest: {losses} losses of power, {went_on} of them with blocks in the store")
