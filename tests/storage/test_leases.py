"""Leases: one works on a recording at a time, and nobody is locked out for ever."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from storage import database
from storage.catalog import Catalog, RecordingEntry
from storage.catalog_tables import lease as table
from storage.errors import Busy
from storage.leases import lease
from tests.support.catalogs import made

HOLD = """
import sys
from storage.catalog import Catalog
from storage.leases import lease
catalog = Catalog.open(sys.argv[1])
with lease(catalog, catalog.find(sys.argv[2]), "compaction"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_one_works_at_a_time(catalog: Catalog) -> None:
    entry, _ = made(catalog)
    other, _ = made(catalog)
    with lease(catalog, entry, "compaction"):
        with pytest.raises(Busy) as caught, lease(catalog, entry, "sealing", waits_s=0):
            pass
        assert re.search(
            rf"process {os.getpid()} on .* works on it \(compaction\); try .* 2\d{{3}}-.* UTC",
            str(caught.value),
        )
        with lease(catalog, other, "compaction"):
            pass
    with lease(catalog, entry, "sealing"):
        pass
    assert _row(catalog, entry) is None


def test_an_exception_gives_it_back(catalog: Catalog) -> None:
    entry, _ = made(catalog)
    with pytest.raises(KeyError), lease(catalog, entry, "a"):
        raise KeyError
    with lease(catalog, entry, "b"):
        pass


def test_one_that_ran_out_is_taken_and_its_holder_is_told(catalog: Catalog) -> None:
    entry, _ = made(catalog)
    with lease(catalog, entry, "slow", lasts_s=0.05) as slow:
        time.sleep(0.1)
        with catalog.writing() as connection:
            slow.check(connection)  # nobody has taken it
        with lease(catalog, entry, "fast"):
            with pytest.raises(Busy, match=r"slow ran out after 0.05 s and was taken by .* fast"):
                slow.renew()
            with pytest.raises(Busy), catalog.writing() as connection:
                slow.check(connection)
        with pytest.raises(Busy, match=r"slow ran out after 0.05 s and was taken; try again"):
            slow.keep()
    # The one that lost it does not give back what is not its own.
    with lease(catalog, entry, "late", lasts_s=0.0) as late, lease(catalog, entry, "next"):
        late._release()
        assert _row(catalog, entry) is not None


def test_renewing_lets_it_last(catalog: Catalog) -> None:
    entry, _ = made(catalog)
    with lease(catalog, entry, "long", lasts_s=2) as held:
        until = [_row(catalog, entry)]
        for _ in range(3):
            held.keep()  # not yet due
        until.append(_row(catalog, entry))
        held.renew()
        until.append(_row(catalog, entry))
        assert until[0] == until[1] != until[2]
        held._renewed -= 1.0
        held.keep()
        assert _row(catalog, entry) != until[2]


@pytest.mark.parametrize("step_s", [180, -3600])
def test_a_clock_that_steps_is_noticed(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch, step_s: int
) -> None:
    entry, _ = made(catalog)
    real = database.utc_now
    with lease(catalog, entry, "long") as held:
        monkeypatch.setattr(database, "utc_now", lambda: real() + timedelta(seconds=step_s))
        held.keep()
        with pytest.raises(Busy), lease(catalog, entry, "other", waits_s=0):
            pass


def test_one_of_many_gets_it(catalog: Catalog) -> None:
    entry, _ = made(catalog)
    inside: list[int] = []
    most: list[int] = []
    barrier = threading.Barrier(6)

    def work(number: int) -> None:
        barrier.wait()
        try:
            with lease(catalog, entry, "work", waits_s=0):
                inside.append(number)
                most.append(len(inside))
                time.sleep(0.2)
                inside.remove(number)
        except Busy:
            pass

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(most) == {1}


def test_the_lease_of_a_killed_process_is_taken_over_at_once(catalog: Catalog) -> None:
    entry, _ = made(catalog)
    url = catalog.database.url.render_as_string(False)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, url, str(entry.uuid)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with (
            pytest.raises(Busy, match=f"process {process.pid}"),
            lease(catalog, entry, "mine", waits_s=0),
        ):
            pass
        process.kill()
        process.wait()
        with lease(catalog, entry, "mine"):
            pass


def test_the_lease_of_another_machine_lasts_until_its_end(catalog: Catalog) -> None:
    entry, _ = made(catalog)
    with lease(catalog, entry, "there"):
        with catalog.writing() as connection:
            holder = json.loads(connection.execute(select(table.c.holder)).scalar_one())
            holder |= {"place": "elsewhere", "pid": 2**22 + 1, "host": "other"}
            connection.execute(update(table).values(holder=json.dumps(holder)))
        with (
            pytest.raises(Busy, match=r"process 4194305 on other works on it \(there\)"),
            lease(catalog, entry, "here", waits_s=0),
        ):
            pass


def test_a_number_that_was_given_anew_is_another_process(catalog: Catalog) -> None:
    entry, _ = made(catalog)
    with lease(catalog, entry, "before"):
        with catalog.writing() as connection:
            holder = json.loads(connection.execute(select(table.c.holder)).scalar_one())
            holder |= {"started": 1}
            connection.execute(update(table).values(holder=json.dumps(holder)))
        with lease(catalog, entry, "after"):
            pass


def test_whoever_needs_it_for_a_moment_is_waited_for(catalog: Catalog) -> None:
    entry, _ = made(catalog)
    held = threading.Event()

    def hold() -> None:
        with lease(catalog, entry, "a moment"):
            held.set()
            time.sleep(0.3)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    began = time.monotonic()
    with lease(catalog, entry, "next"):
        assert time.monotonic() - began > 0.2
    thread.join()
    with lease(catalog, entry, "long"):
        began = time.monotonic()
        with pytest.raises(Busy), lease(catalog, entry, "next", waits_s=0.2):
            pass
        assert 0.2 <= time.monotonic() - began < 3


def _row(catalog: Catalog, entry: RecordingEntry) -> object:
    with catalog.reading() as connection:
        found = select(table.c.until).where(table.c.recording_id == entry.id)
        return connection.execute(found).scalar()
