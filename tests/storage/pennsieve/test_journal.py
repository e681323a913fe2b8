"""The journal: what it keeps, through crashes and threads."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from storage.folders import Buffer, LocalFolder, open_folder
from storage.pennsieve import Hosts, Target
from storage.pennsieve.journal import Journal, journal_name
from tests.support.moto_server import MotoServer

NAME = ".upload/target.jsonl"


@pytest.fixture
def folder(tmp_path: Path) -> LocalFolder:
    return LocalFolder(tmp_path)


def entries(folder: LocalFolder) -> list[dict[str, object]]:
    """Return every entry of the log."""
    return [entry for line in folder.read_log(NAME).splitlines() for entry in json.loads(line)]


def test_a_journal_that_is_only_read_is_not_made(folder: LocalFolder) -> None:
    journal = Journal(folder, NAME)
    assert journal.last is None
    assert journal.confirmed == {}
    assert list(folder.names()) == []


def test_what_was_noted_is_found_again(folder: LocalFolder) -> None:
    journal = Journal(folder, NAME)
    begun = journal.begin("run", "content", 3)
    journal.created("import-1")
    journal.accepted(1)
    journal.confirm("a", "sha256:1", 10, "md5", "tag")
    assert begun.id == "import-1"
    again = Journal(folder, NAME)
    assert again.confirmed == {"a": "sha256:1"}
    assert again.last is not None
    assert (again.last.nonce, again.last.id) == (begun.nonce, "import-1")
    assert (again.last.integration_id, again.last.content) == ("run", "content")
    assert again.last.accepted == {0, 1}
    assert again.last.before == {}
    assert entries(folder)[-1] == {
        "file": "a",
        "digest": "sha256:1",
        "bytes": 10,
        "confirmed_by": "md5",
        "etag": "tag",
    }


def test_a_further_import_knows_what_was_before_it(folder: LocalFolder) -> None:
    journal = Journal(folder, NAME)
    first = journal.begin("run", "content", 1)
    journal.created("import-1")
    journal.confirm("a", "old", 1, "md5", "")
    second = journal.begin("run", "other", 1)
    journal.confirm("a", "new", 1, "md5", "")
    assert first.nonce != second.nonce
    again = Journal(folder, NAME)
    assert again.last is not None
    assert (again.last.id, again.last.before) == (None, {"a": "old"})
    assert again.confirmed == {"a": "new"}


def test_half_a_line_of_a_crash_costs_nothing_else(folder: LocalFolder) -> None:
    journal = Journal(folder, NAME)
    journal.confirm("a", "1", 1, "md5", "")
    with (folder.path / NAME).open("ab") as log:
        log.write(b'[{"file":"b","dig')
    again = Journal(folder, NAME)
    assert again.confirmed == {"a": "1"}
    again.confirm("c", "3", 1, "md5", "")
    again.confirm("d", "4", 1, "md5", "")
    assert Journal(folder, NAME).confirmed == {"a": "1", "c": "3", "d": "4"}


def test_threads_lose_no_entry(folder: LocalFolder) -> None:
    journal = Journal(folder, NAME)
    barrier = threading.Barrier(16)

    def note(thread: int) -> None:
        barrier.wait()
        for number in range(50):
            journal.confirm(f"{thread}-{number}", "d", 1, "length", "")

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(note, range(16)))
    assert len(Journal(folder, NAME).confirmed) == 800
    assert len(entries(folder)) == 800


class FullFolder(LocalFolder):
    """Has no room for some time."""

    full = True

    def append(self, log: str, record: bytes) -> None:
        if self.full:
            raise OSError(28, "no space left on device")
        super().append(log, record)

    def write(self, name: str, buffers: Iterable[Buffer]) -> None:
        raise AssertionError("a journal only appends")


def test_an_entry_that_could_not_be_kept_is_an_error(tmp_path: Path) -> None:
    folder = FullFolder(tmp_path)
    journal = Journal(folder, NAME)
    with pytest.raises(OSError, match="no space left"):
        journal.confirm("a", "1", 1, "md5", "")
    assert journal.confirmed == {}
    folder.full = False
    journal.confirm("b", "2", 1, "md5", "")
    assert Journal(folder, NAME).confirmed == {"a": "1", "b": "2"}


def test_a_journal_rests_in_a_bucket_too(moto: MotoServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in moto.environment.items():
        monkeypatch.setenv(name, value)
    url = f"s3://{moto.bucket}/journals"
    journal = Journal(open_folder(url), NAME)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: journal.confirm(f"f{n}", "d", 1, "md5", ""), range(40)))
    again = Journal(open_folder(url), NAME)
    assert len(again.confirmed) == 40
    again.created("ignored without an import")
    assert again.last is None


def test_each_target_has_a_journal_of_its_own() -> None:
    hosts = Hosts()
    one = Target("run-1", "d", "p")
    names = {
        journal_name(hosts, one),
        journal_name(hosts, Target("run-2", "d", "p")),
        journal_name(hosts, Target("run-1", "e", "p")),
        journal_name(hosts, Target("run-1", "d", "q")),
        journal_name(Hosts(api2="https://api2.example"), one),
        journal_name(hosts, Target("fresh-1", "d", "p", made_up=True)),
    }
    assert len(names) == 6
    again = journal_name(hosts, Target("fresh-2", "d", "p", made_up=True))
    assert again in names
