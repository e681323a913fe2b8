"""Files that rest on the medium once they were written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from storage.durable import LocalDurable, open_durable
from storage.errors import AlreadyExists, NotFound, StorageError
from tests.support.disk_calls import DiskCalls


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> DiskCalls:
    return DiskCalls(monkeypatch)


def test_files_are_flushed_before_they_get_their_names_and_folders_after(
    tmp_path: Path, calls: DiskCalls
) -> None:
    LocalDurable(tmp_path / "store").put({"a/b/one": b"1", "a/two": b"2"})
    asides = [("fsync", tmp_path / "store" / name) for name in ("a/b/one.part", "a/two.part")]
    renames = [("replace", tmp_path / "store" / name) for name in ("a/b/one", "a/two")]
    at = [calls.seen.index(each) for each in (*asides, *renames)]
    assert at == sorted(at)
    # Every folder on the way is flushed into the one above it before anything rests in it.
    for parent, child in (("", "store"), ("store", "a"), ("store/a", "a/b")):
        assert ("fsync", tmp_path / parent) in calls.seen[: at[2]], child
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
    folder.put({"a/b": b"other"})
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
