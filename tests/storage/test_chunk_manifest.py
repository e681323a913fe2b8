"""Manifests are read as they were written, and say what is wrong with them in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.chunk_format import FileEntry
from storage.chunk_manifest import ChunkManifest, logged_files, read_manifest
from storage.errors import CorruptRecording, NotFound, RanvierError, UnsupportedRecording
from storage.folders import LocalFolder

HEAD: dict[str, Any] = {"format": "chunked-gz", "version": 1, "recording": "r\u00e9cord"}
texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
entries = st.builds(
    FileEntry, texts, st.integers(0, 10**12), st.none() | st.integers(0, 10**9), texts
)


@given(st.lists(entries, max_size=20), st.dictionaries(texts, st.integers() | texts, max_size=5))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_was_written_is_read(
    tmp_path: Path, files: list[FileEntry], more: dict[str, Any]
) -> None:
    folder = LocalFolder(tmp_path)
    more.pop("files", None)
    manifest = ChunkManifest({**more, **HEAD}, tuple(files))
    folder.write("manifest.json", [manifest.encode()])
    assert read_manifest(folder) == manifest
    lines = folder.read("manifest.json").decode().splitlines()
    assert len([line for line in lines if line.startswith('{"name"')]) == len(files)


ENTRY = {"name": "a", "bytes": 1, "sha256": "f"}
WRONG: dict[str, tuple[object, type[RanvierError]]] = {
    "a list": ([], CorruptRecording),
    "nothing in it": ({}, CorruptRecording),
    "another format": ({**HEAD, "format": "zarr", "files": []}, UnsupportedRecording),
    "another version": ({**HEAD, "version": 2, "files": []}, UnsupportedRecording),
    "no files": (HEAD, CorruptRecording),
    "files that are no list": ({**HEAD, "files": 3}, CorruptRecording),
    "files that are names": ({**HEAD, "files": ["a"]}, CorruptRecording),
    "an entry without a name": ({**HEAD, "files": [{"bytes": 1, "sha256": "f"}]}, CorruptRecording),
    "an entry without a digest": ({**HEAD, "files": [{"name": "a", "bytes": 1}]}, CorruptRecording),
    "an entry with more": ({**HEAD, "files": [{**ENTRY, "color": 1}]}, CorruptRecording),
    "a length that is text": ({**HEAD, "files": [{**ENTRY, "bytes": "1"}]}, CorruptRecording),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said(tmp_path: Path, name: str) -> None:
    content, kind = WRONG[name]
    (tmp_path / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(kind, match=r"manifest\.json") as caught:
        read_manifest(LocalFolder(tmp_path))
    assert "\n" not in str(caught.value)


def test_no_manifest_is_no_output(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"manifest\.json"):
        read_manifest(LocalFolder(tmp_path))


def record(start: int, stop: int, *names: str) -> bytes:
    """Return a line of a log."""
    files = [{"name": name, "bytes": 1, "samples": 1, "sha256": "f"} for name in names]
    return json.dumps({"span": [start, stop], "files": files}).encode()


def test_logs_are_read_in_the_order_of_the_plan(tmp_path: Path) -> None:
    folder = LocalFolder(tmp_path)
    folder.append("logs/2", record(10, 20, "c"))
    folder.append("logs/1", record(0, 5, "a"))
    folder.append("logs/1", record(5, 10, "b"))
    found = logged_files(folder, ["logs/1", "logs/2"])
    assert [entry.name for entry in found] == ["a", "b", "c"]


def test_a_block_that_two_runs_have_written_is_listed_once(tmp_path: Path) -> None:
    folder = LocalFolder(tmp_path)
    for span in ((0, 5), (5, 10), (0, 5)):
        folder.append("log", record(*span, f"a{span[0]}", f"b{span[0]}"))
    assert [entry.name for entry in logged_files(folder, ["log"])] == ["a0", "b0", "a5", "b5"]


@pytest.mark.parametrize("second", ["log", "other"])
def test_two_chunks_of_one_name_are_refused(tmp_path: Path, second: str) -> None:
    folder = LocalFolder(tmp_path)
    folder.append("log", record(0, 5, "a"))
    folder.append(second, record(5, 10, "a"))
    with pytest.raises(CorruptRecording, match=r"a: two chunks.*samples 5 to 10"):
        list(logged_files(folder, ["log", "other"]))
