"""Killed at any time, the service and the command line keep what they acknowledged, once.

SIGKILL strikes the service while devices post, the ingest of a file, compaction and sealing. A few
rounds each in an ordinary run; with RANVIER_SOAK set, fifty.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from storage.audit import chunk_digest
from storage.catalog import RecordingEntry, StoredGroup
from storage.edf_original import rebuild_source
from storage.protocols import has_original
from storage.recording_store import RecordingStore
from storage.spans import Span
from tests.support.command_line import command, environment, ranvier
from tests.support.edf_files import SignalSpec, signals, write_edf
from tests.support.killed_compaction import kill_rounds
from tests.support.record_posts import ARROW, PATIENT, batch, chunk, declare, physical
from tests.support.records_server import RecordsServer

SOAK = bool(os.environ.get("RANVIER_SOAK"))
ROUNDS = {"sqlite": 50, "postgresql": 15} if SOAK else {"sqlite": 2, "postgresql": 1}
DATABASES = ("sqlite", "postgresql")
LONG = pytest.mark.timeout(3600 if SOAK else 300)
# A rate whose blocks are as short as blocks are: 16384 samples.
RATE = 32
PIECE = 512
PIECES = 4000
KILLS_BEFORE_SEAL = 5
FULL_S = 60.0


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest) -> str:
    """Return each kind of database in turn."""
    kind: str = request.param
    return kind


@pytest.fixture
def database_url(database: str, request: pytest.FixtureRequest) -> str | None:
    """Return the URL of an empty database; None for the file below the store's home."""
    if database == "sqlite":
        return None
    url: str = request.getfixturevalue("postgres").new_database()
    return url


def opened(home: Path, database_url: str | None) -> RecordingStore:
    return RecordingStore.open(
        str(home / "store"), database_url or str(home / "catalog.db"), home / "identity.key"
    )


# --- the service -----------------------------------------------------------------------------


@dataclass
class Device:
    """Posts pieces of a recording until the service dies, and those without an answer again."""

    recording: str
    form: str
    seed: int
    samples: NDArray[np.int16] = field(init=False)
    answered: dict[int, tuple[str, int]] = field(default_factory=dict)
    waiting: list[int] = field(default_factory=list)
    given: int = 0
    repeated: int = 0

    def __post_init__(self) -> None:
        self._rng = random.Random(self.seed)
        numbers = np.random.default_rng(self.seed)
        shape = (4, PIECES * PIECE)
        self.samples = numbers.integers(-2048, 2048, shape).astype(np.int16)

    @property
    def answers(self) -> int:
        """How many there were."""
        return len(self.answered) + self.repeated

    def post_until_it_dies(self, url: str) -> None:
        """Post; runs in a thread of its own."""
        with suppress(httpx.TransportError), httpx.Client(base_url=url, timeout=FULL_S) as client:
            while True:
                self._step(client)

    def post_what_waits(self, url: str) -> None:
        """Post what has no answer yet."""
        with httpx.Client(base_url=url, timeout=FULL_S) as client:
            while self.waiting:
                self._step(client, more=False)

    def _step(self, client: httpx.Client, more: bool = True) -> None:
        if not self.waiting and more:
            # Out of order, so that some come late into a block that was stored meanwhile.
            stop = min(self.given + 96, PIECES)
            assert stop > self.given, "more pieces are needed"
            self.waiting = list(range(self.given, stop))
            self._rng.shuffle(self.waiting)
            self.given = stop
        pieces = self.waiting[: 48 if self.form == "batch" else 1]
        if self.answered and self._rng.random() < 0.2:
            again = self._rng.choice(sorted(self.answered))
            (receipt,) = self._post(client, [again])
            assert (receipt["checksum"], receipt["sequence"]) == self.answered[again]
            assert receipt["status"] == "duplicate"
            self.repeated += 1
        for piece, receipt in zip(pieces, self._post(client, pieces), strict=True):
            assert receipt["status"] in ("stored", "duplicate"), receipt
            assert receipt["num_samples"] == PIECE
            self.answered[piece] = (receipt["checksum"], receipt["sequence"])
        self.waiting = self.waiting[len(pieces) :]

    def _post(self, client: httpx.Client, pieces: list[int]) -> list[dict[str, Any]]:
        held = [self.piece(piece) for piece in pieces]
        if self.form == "batch":
            answer = client.post(
                f"/recordings/{self.recording}/chunks",
                content=batch(
                    [piece * PIECE for piece in pieces], [each.tobytes() for each in held]
                ),
                headers={"content-type": ARROW},
            )
            assert answer.status_code in (200, 201), answer.text
            receipts: list[dict[str, Any]] = answer.json()["receipts"]
            return receipts
        start = pieces[0] * PIECE / RATE
        body = chunk(self.recording, physical(held[0]), start, start + PIECE / RATE)
        answer = client.post("/ingest", json=body)
        assert answer.status_code in (200, 201), answer.text
        return [answer.json()]

    def piece(self, number: int) -> NDArray[np.int16]:
        """Return a piece, shape ``(n_channels, n_samples)``."""
        return np.ascontiguousarray(self.samples[:, number * PIECE : (number + 1) * PIECE])

    def check(self, store: RecordingStore) -> None:
        """Compare the store with what was answered, and all that it holds with what was sent."""
        entry = store.catalog.find(self.recording, PATIENT)
        (group,) = store.groups(entry)
        held = {each.start: each for each in store.catalog.chunks(group)}
        for piece, (checksum, sequence) in self.answered.items():
            one = held[piece * PIECE]
            assert (one.sha256, one.sequence, one.n_samples) == (checksum, sequence, PIECE)
            assert checksum == self._digest(entry, group, piece)
        rows = Counter(row.start for row in store.catalog.audit(entry) if row.event == "chunk")
        assert rows == Counter(held.keys()), "a chunk is double, or in one place only"
        assert {start // PIECE for start in held} <= set(range(self.given))
        there = np.zeros(self.given * PIECE, np.bool_)
        for segment in store.segments(entry, 0):
            assert not there[segment.start : segment.stop].any()
            there[segment.start : segment.stop] = True
        expected = np.zeros_like(there)
        for start in held:
            expected[start : start + PIECE] = True
        np.testing.assert_array_equal(there, expected)
        window = store.window(entry, 0, Span(0, len(there)))
        inside = there[: len(window.data)]
        np.testing.assert_array_equal(
            window.data[inside].T, self.samples[:, : len(window.data)][:, inside]
        )
        report = store.verify(entry)
        assert report.ok, report.problems

    def check_whole(self, store: RecordingStore) -> None:
        """Compare a sealed recording with the source, sample for sample."""
        entry = store.catalog.find(self.recording, PATIENT)
        assert entry.sealed
        assert len(self.answered) == self.given
        (segment,) = store.segments(entry, 0)
        assert (segment.start, segment.stop) == (0, self.given * PIECE)
        self.check(store)
        assert list(store.folder.leftovers(f"rec/{entry.uuid}")) == []

    def _digest(self, entry: RecordingEntry, group: StoredGroup, piece: int) -> str:
        body = self.piece(piece).tobytes()
        return chunk_digest(entry.uuid, 0, group.keys, "int16", piece * PIECE, PIECE, body)


@LONG
@pytest.mark.soak
def test_the_service_loses_nothing_that_it_answered(
    tmp_path: Path, database: str, database_url: str | None
) -> None:
    rng = random.Random(4)
    rounds = ROUNDS[database]
    settings: dict[str, Any] = {"seconds_between_compactions": 0.05}
    if database_url is not None:
        settings["database_url"] = database_url
    server = RecordsServer(tmp_path, **settings)
    kills = seals = answered = stored = repeated = blocks = 0
    try:
        while kills < rounds:
            devices = [
                Device(f"{form}-{kills}", form, seed=kills * 2 + number)
                for number, form in enumerate(("json", "batch"))
            ]
            server.start()
            with server.client() as client:
                for device in devices:
                    declare(client, device.recording, rate=RATE)
            for _ in range(min(KILLS_BEFORE_SEAL, rounds - kills)):
                if server.process is None:
                    server.start()
                strike(server, devices, rng.uniform(0.0, 0.8))
                kills += 1
                with opened(tmp_path, database_url) as store:
                    for device in devices:
                        device.check(store)
            server.start()
            for device in devices:
                device.post_what_waits(server.url)
            seal = [f"/recordings/{device.recording}/seal" for device in devices]
            with ThreadPoolExecutor() as threads:
                asked = threads.submit(ask, server.url, seal)
                time.sleep(rng.uniform(0.01, 0.4))
                assert server.kill() == -signal.SIGKILL
                asked.result()
            seals += 1
            with opened(tmp_path, database_url) as store:
                for device in devices:
                    device.check(store)
            server.start()
            assert ask(server.url, seal) == [200, 200]
            server.kill()
            with opened(tmp_path, database_url) as store:
                for device in devices:
                    device.check_whole(store)
                    (group,) = store.groups(store.catalog.find(device.recording, PATIENT))
                    blocks += len(store.catalog.blocks(group))
                    stored += len(store.catalog.chunks(group))
                    answered += len(device.answered)
                    repeated += device.repeated
    finally:
        server.kill()
    print(
        f"\n{database}: service killed {kills} times while devices posted and {seals} times while "
        f"it sealed; {answered} chunks acknowledged, {stored} stored in {blocks} blocks, "
        f"{repeated} sent again after their answer"
    )
    assert stored == answered


def strike(server: RecordsServer, devices: list[Device], after_s: float) -> None:
    """Let devices post, and kill the service some time after each of them had an answer."""
    before = [device.answers for device in devices]
    with ThreadPoolExecutor() as threads:
        posting = [threads.submit(device.post_until_it_dies, server.url) for device in devices]
        due = time.monotonic() + FULL_S
        for device, count, thread in zip(devices, before, posting, strict=True):
            while device.answers == count and not thread.done():
                assert time.monotonic() < due, "no answer came"
                time.sleep(0.002)
        time.sleep(after_s)
        assert server.kill() == -signal.SIGKILL
        for thread in posting:
            thread.result()


def ask(url: str, paths: list[str]) -> list[int]:
    """Post to paths one after the other, until the service is gone; return the answers."""
    found: list[int] = []
    with suppress(httpx.TransportError), httpx.Client(base_url=url, timeout=FULL_S) as client:
        for path in paths:
            found.append(client.post(path).status_code)
    return found


# --- the ingest of a file --------------------------------------------------------------------


@LONG
@pytest.mark.soak
def test_an_ingest_goes_on_where_it_was_killed(
    tmp_path: Path, database: str, database_url: str | None, request: pytest.FixtureRequest
) -> None:
    rng = random.Random(5)
    rounds = ROUNDS[database]
    specs = (*signals(6, samples=RATE), SignalSpec(label="Resp", samples=8, dimension="mV"))
    path = write_edf(
        tmp_path / "many.edf",
        signals=specs,
        records=20_000,
        plus="C",
        annotations=[(2.5, 1.25, "eyes closed"), (19_000, None, "spike")],
        patient="17 F 01-JAN-1980 Jane_Doe",
    )
    whole_s, _ = ingest(path, tmp_path / "calibrating", database_url, None)
    kills = finished = kept = 0
    while kills < rounds:
        home = tmp_path / f"home-{finished}"
        url = None
        if database_url is not None:
            url = request.getfixturevalue("postgres").new_database()
        before: dict[tuple[int, int], tuple[str, int]] = {}
        while True:
            wait_s = rng.uniform(0, whole_s) if kills < rounds else None
            _, code = ingest(path, home, url, wait_s)
            if code == 0:
                break
            kills += 1
            before = survivors(home, url, before)
            kept += len(before)
        finished += 1
        check_ingested(path, home, url, before, specs)
    print(
        f"\n{database}: ingest killed {kills} times on the way to {finished} finished recordings; "
        f"{kept} stored chunks found again after a kill"
    )


def ingest(
    path: Path, home: Path, database_url: str | None, wait_s: float | None
) -> tuple[float, int]:
    """Ingest; return how long it took from when it began to write, and the exit code.

    Parameters
    ----------
    wait_s
        It is killed so long after it began to write; None: never.
    """
    words = ["ingest", str(path), "--patient", "p1", "--recording-id", "many", "--json"]
    started = time.time()
    with subprocess.Popen(
        command(*words),
        env=environment(places(home, database_url)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            while process.poll() is None and not touched(home / "store", started):
                time.sleep(0.002)
            begun = time.monotonic()
            out, _ = process.communicate(timeout=wait_s)
        except subprocess.TimeoutExpired:
            process.kill()
            out, _ = process.communicate()
        assert process.returncode in (0, -signal.SIGKILL), out
        return time.monotonic() - begun, process.returncode


def touched(store: Path, since: float) -> bool:
    """Return whether a block was written since a time."""
    return any(place.stat().st_mtime >= since for place in store.glob("rec/*/g0/sig/*/c/*"))


def places(home: Path, database_url: str | None) -> dict[str, str | None]:
    return {"RANVIER_HOME": str(home), "RANVIER_DATABASE_URL": database_url}


def survivors(
    home: Path, database_url: str | None, before: dict[tuple[int, int], tuple[str, int]]
) -> dict[tuple[int, int], tuple[str, int]]:
    """Return the chunks that are stored; those that were are still there, and all are proven."""
    with opened(home, database_url) as store:
        found: dict[tuple[int, int], tuple[str, int]] = {}
        for entry in store.catalog.recordings(unfinished=True):
            report = store.verify(entry)
            assert report.ok, report.problems
            for group in store.groups(entry):
                for each in store.catalog.chunks(group):
                    found[group.number, each.start] = (each.sha256, each.sequence)
        assert before.items() <= found.items()
        return found


def check_ingested(
    path: Path,
    home: Path,
    database_url: str | None,
    before: dict[tuple[int, int], tuple[str, int]],
    specs: tuple[SignalSpec, ...],
) -> None:
    """Compare a finished recording with its file."""
    survivors(home, database_url, before)
    with opened(home, database_url) as store:
        (entry,) = store.catalog.recordings()
        assert entry.sealed
        expected = [spec.numbers(place, 20_000, 16) for place, spec in enumerate(specs)]
        for group in store.groups(entry):
            numbers = [each for each in expected if len(each) == store.stop(entry, group.number)]
            window = store.window(entry, group.number, Span(0, len(numbers[0])))
            assert [(each.start, each.stop) for each in window.segments] == [(0, len(numbers[0]))]
            np.testing.assert_array_equal(window.data.T, numbers)
        assert [one.annotation.text for one in store.catalog.annotations(entry)] == [
            "eyes closed",
            "spike",
        ]
        assert list(store.folder.leftovers()) == []
        assert store.verify(entry).unknown == ()
        source = store.source(entry)
        assert has_original(source)
        assert b"".join(rebuild_source(source)) == path.read_bytes()
        rows = store.catalog.audit(entry)
    again = ranvier(
        "ingest", str(path), "--patient", "p1", "--json", env=places(home, database_url)
    )
    assert again.code == 0, again.err
    assert [each["outcome"] for each in again.json["recordings"]] == ["unchanged"]
    with opened(home, database_url) as store:
        assert store.catalog.audit(entry) == rows


# --- compaction and sealing ------------------------------------------------------------------


@LONG
@pytest.mark.soak
@pytest.mark.parametrize("work", ["compact", "seal"])
def test_a_killed_worker_leaves_nothing_undone(
    work: str, tmp_path: Path, database: str, database_url: str | None
) -> None:
    rounds = ROUNDS[database]
    tally = kill_rounds(tmp_path, work, rounds=rounds, seed=6, database_url=database_url)
    print(f"\n{database}: {work} killed {tally.killed} times in {tally.rounds} rounds")
    assert tally.rounds == rounds
    assert tally.killed > 0
