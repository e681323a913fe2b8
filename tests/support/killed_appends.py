"""Processes that append chunks to one recording and are killed while they do.

``python -m tests.support.killed_appends URL RECORDING FIRST``: appends chunk after chunk from
number FIRST on, in batches and from several threads, until it is killed. It prints
``start sha256`` of each chunk once its answer is there. ``kill_rounds`` starts two of them at a
time, which offer the same chunks, kills them, and looks whether everything that was answered is
stored once.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
import traceback
from dataclasses import dataclass
from itertools import count

from storage import catalog_chunks
from storage.audit import chunk_digest
from storage.catalog import Catalog, RecordingEntry, StoredGroup
from storage.catalog_check import check_rows
from storage.ingest import Appender, Receipt
from tests.support.catalogs import CHUNK, chunk, made

WRITERS = 2
BATCHES = (1, 3, 8)


@dataclass
class Tally:
    """What was seen over all rounds."""

    rounds: int = 0
    answered: int = 0
    stored: int = 0

    @property
    def unanswered(self) -> int:
        """Chunks that are stored though nobody was told so."""
        return self.stored - self.answered


def kill_rounds(url: str, rounds: int, seed: int = 0) -> Tally:
    """Kill appending processes again and again.

    Raises
    ------
    AssertionError
        If an answered chunk is missing or other, or the chain does not hold.
    """
    rng = random.Random(seed)
    tally = Tally()
    answered: dict[int, str] = {}
    with Catalog.open(url) as catalog:
        entry, group = made(catalog, f"killed-{seed}")
        for _ in range(rounds):
            first = max((one.stop for one in catalog.chunks(group)), default=0) // CHUNK
            answered |= _one_round(url, entry, max(0, first - 20), rng)
            tally.rounds += 1
            _check(catalog, entry, group, answered)
        tally.answered = len(answered)
        tally.stored = len(catalog.chunks(group))
    return tally


def _one_round(url: str, entry: RecordingEntry, first: int, rng: random.Random) -> dict[int, str]:
    command = [sys.executable, "-m", "tests.support.killed_appends", url, str(entry.uuid)]
    writers = [
        subprocess.Popen([*command, str(first)], stdout=subprocess.PIPE, text=True)
        for _ in range(WRITERS)
    ]
    answered: dict[int, str] = {}
    for writer in writers:
        assert writer.stdout is not None
        # The first answer: from here on it is in the middle of its work.
        start, _, digest = writer.stdout.readline().strip().partition(" ")
        answered[int(start)] = digest
    for writer in writers:
        time.sleep(rng.uniform(0, 0.15))
        writer.kill()
    for writer in writers:
        text = writer.communicate()[0]
        # The last line may be cut short.
        for line in text[: text.rfind("\n") + 1].splitlines():
            start, _, digest = line.partition(" ")
            answered[int(start)] = digest
    return answered


def _check(
    catalog: Catalog, entry: RecordingEntry, group: StoredGroup, answered: dict[int, str]
) -> None:
    with catalog.reading() as connection:
        # At one moment: a PostgreSQL may still be at the last commit of a client that is dead.
        stored = {one.start: one for one in catalog_chunks.inbox(connection, group)}
        chunks = catalog_chunks.chunks(connection, group)
    missing = sorted(set(answered) - set(stored))
    assert not missing, f"answered and not stored: {missing}"
    for start, one in stored.items():
        digest = chunk_digest(
            entry.uuid, group.number, group.keys, "int16", start, one.n_samples, one.body
        )
        assert digest == one.sha256
        assert answered.get(start, digest) == digest
    assert [one.start for one in chunks] == sorted(stored)
    report = check_rows(catalog, entry)
    assert not report.problems, report.problems


def _end(error: threading.ExceptHookArgs) -> None:
    traceback.print_exception(error.exc_value)
    os._exit(1)


def main() -> None:
    """Append until death."""
    url, recording, first = sys.argv[1], sys.argv[2], int(sys.argv[3])
    catalog = Catalog.open(url)
    entry = catalog.find(recording)
    group = catalog.groups(entry)[0]
    appender = Appender(catalog)
    threading.excepthook = _end
    numbers, lock = count(first), threading.Lock()

    def work(batch: int) -> None:
        while True:
            with lock:
                places = [next(numbers) * CHUNK for _ in range(batch)]
            answers = appender.append([chunk(entry, group, place) for place in places]).result()
            for answer in answers:
                if not isinstance(answer, Receipt):
                    raise answer
                sys.stdout.write(f"{answer.start} {answer.checksum}\n")
            sys.stdout.flush()

    for batch in BATCHES:
        threading.Thread(target=work, args=(batch,), daemon=True).start()
    threading.Event().wait()


if __name__ == "__main__":
    main()
