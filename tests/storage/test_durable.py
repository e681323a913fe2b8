"""Files that rest on the medium once they were written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from storage.durable import LocalDurable, open_durable
from storage.errors import AlreadyExists, Busy, NotFound, StorageError
from tests.support.disk_calls import DiskCalls

HOLD = """
import sys
from pathlib import Path
from storage.durable import LocalDurable
with LocalDurable(Path(sys.argv[1])).alone("a"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> DiskCalls:
    return DiskCalls(monkeypatch)


def test_files_are_flushed_before_they_get_their_names_and_folders_after(
    tmp_path: Path, calls: DiskCalls
) -> None:
    LocalDurable(tmp_path / "store").put({"a/b/one": b"1", "a/two": b"2"})
    moved = [
        (what, path.parent / path.name.partition(".")[0])
        for what, path in calls.seen
        if path is not None and (path.suffix == ".part" or what == "replace")
    ]
    one, two = (tmp_path / "store" / name for name in ("a/b/one", "a/two"))
    assert moved == [("fsync", one), ("fsync", two), ("replace", one), ("replace", two)]
    at = [number for number, (what, _) in enumerate(calls.seen) if what == "replace"]
    # Every folder on the way is flushed into the one above it before anything rests in it.
    for parent, child in (("", "store"), ("store", "a"), ("store/a", "a/b")):
        assert ("fsync", tmp_path / parent) in calls.seen[: at[0]], child
    assert calls.seen[-2:] == [
        ("fsync", tmp_path / "store" / "a"),
        ("fsync", tmp_path / "store" / "a" / "b"),
    ]


def test_a_file_that_is_there_already_is_flushed_again(tmp_path: Path, calls: DiskCalls) -> None:
    # Whoever wrote it may have died before the flush.
    (tmp_path / "one").write_bytes(b"1")
    LocalDurable(tmp_path).put({"one": b"1"})
    assert calls.seen == [("fsync", tmp_path / "one"), ("fsync", tmp_path)]


@pytest.mark.parametrize("place", ["local", "s3"])
def test_files_are_put_and_read(place: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    url = str(tmp_path) if place == "local" else request.getfixturevalue("bucket_url")
    folder = open_durable(url)
    folder.put({"a/b": b"0123456789", "c": b""})
    folder.put({"a/b": b"0123456789"})
    assert folder.read("a/b") == b"0123456789"
    assert folder.read_range("a/b", 2, 5) == b"234"
    assert folder.read("c") == b""
    with pytest.raises(AlreadyExists, match="a/b: holds other bytes"):
        folder.put({"a/b": b"other"})
    asked: list[str] = []
    folder.put({"a/b": b"other", "c": b""}, asked.extend)
    assert asked == ["a/b"]
    assert folder.read("a/b") == b"other"
    assert sorted(folder.names()) == ["a/b", "c"]
    assert list(folder.leftovers()) == []
    with pytest.raises(NotFound, match="no such"):
        folder.read_range("none", 0, 1)


def test_a_bucket_is_asked_to_put_only_where_nothing_is(bucket_url: str) -> None:
    from storage.durable import BucketDurable

    folder = BucketDurable(bucket_url)
    folder.put_new("a", b"1")
    with pytest.raises(AlreadyExists, match=r"/a: there is an object"):
        folder.put_new("a", b"2")
    assert folder.read("a") == b"1"


def test_an_object_that_another_worker_wrote_meanwhile_stays(bucket_url: str) -> None:
    folder, other = open_durable(bucket_url), open_durable(bucket_url)
    folder.put({"a": b"of one that died"})

    def slow(names: Sequence[str]) -> None:
        other.put({"a": b"of another"}, lambda names: None)

    with pytest.raises(Busy, match=r"/a: another worker has written it meanwhile"):
        folder.put({"a": b"mine"}, slow)
    assert folder.read("a") == b"of another"


def test_two_workers_write_aside_under_names_of_their_own(tmp_path: Path, calls: DiskCalls) -> None:
    LocalDurable(tmp_path).put({"a": b"1"})
    LocalDurable(tmp_path).put({"a": b"2"}, lambda names: None)
    asides = {path for _, path in calls.seen if path is not None and path.suffix == ".part"}
    assert len(asides) == 2


def test_folders_that_are_there_are_flushed_as_well(tmp_path: Path, calls: DiskCalls) -> None:
    # Whoever made them may have died before the flush.
    (tmp_path / "new" / "store" / "a").mkdir(parents=True)
    LocalDurable(tmp_path / "new" / "store").put({"a/one": b"1"})
    for parent in ("", "new", "new/store"):
        assert ("fsync", tmp_path / parent) in calls.seen


def test_one_has_a_folder_for_oneself(tmp_path: Path) -> None:
    one, other = LocalDurable(tmp_path), LocalDurable(tmp_path)
    with one.alone("rec/a"):
        with pytest.raises(Busy, match=rf"rec/a: process {os.getpid()} on .* works on it"):
            other.alone("rec/a").__enter__()
        with other.alone("rec/b"):
            pass
        assert list(one.names()) == []
    with other.alone("rec/a"):
        pass


def test_one_waits_for_a_folder(tmp_path: Path) -> None:
    one, other = LocalDurable(tmp_path), LocalDurable(tmp_path)
    mine = one.alone("a")
    mine.__enter__()
    threading.Timer(0.2, mine.__exit__, (None, None, None)).start()
    with other.alone("a", waits_s=30):
        pass


def test_a_death_lets_go_of_a_folder(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        folder = LocalDurable(tmp_path)
        with pytest.raises(Busy, match=f"process {process.pid}"):
            folder.alone("a").__enter__()
        # One that sleeps keeps it, however long.
        process.send_signal(signal.SIGSTOP)
        with pytest.raises(Busy):
            folder.alone("a").__enter__()
        process.kill()
        process.wait()
        with folder.alone("a"):
            pass


def test_what_was_written_aside_is_found(tmp_path: Path) -> None:
    folder = LocalDurable(tmp_path)
    folder.put({"a/b": b"1"})
    (tmp_path / "a" / "c.part").write_bytes(b"half")
    assert list(folder.leftovers("a")) == ["a/c.part"]
    assert list(folder.leftovers("none")) == []
    assert list(folder.names()) == ["a/b"]


def test_a_full_disk_is_told_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.fsync

    def full(descriptor: Any) -> None:
        real(descriptor)
        raise OSError(28, "No space left on device")

    folder = LocalDurable(tmp_path)
    folder.put({"a": b"1"})
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left on device"):
        folder.put({"b": b"1"})
    assert not (tmp_path / "b").exists()


def test_a_folder_that_was_removed_is_made_again(tmp_path: Path) -> None:
    folder = LocalDurable(tmp_path / "store")
    folder.put({"a/b": b"1"})
    (tmp_path / "store" / "a" / "b").unlink()
    (tmp_path / "store" / "a").rmdir()
    folder.put({"a/b": b"1"})
    assert folder.read("a/b") == b"1"
