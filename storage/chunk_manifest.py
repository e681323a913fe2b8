"""The manifest of an output: what was written, from what, and the digest of every file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from storage.chunk_format import FileEntry
from storage.errors import CorruptRecording, NotFound, UnsupportedRecording
from storage.folders import Folder

NAME = "manifest.json"
FORMAT = "chunked-gz"
VERSION = 1


@dataclass(frozen=True, slots=True)
class ChunkManifest:
    """An output's manifest.

    Parameters
    ----------
    head
        All but the files: format, version, recording, source, options, series.
    files
        In the order of channels and time, metadata last.
    """

    head: dict[str, Any]
    files: tuple[FileEntry, ...]

    def encode(self) -> bytes:
        """Return the file's content: JSON, one line for each file."""
        head = json.dumps(self.head, indent=1)[:-2]
        lines = ",\n".join(entry.as_json() for entry in self.files)
        return f'{head},\n "files": [\n{lines}\n]}}\n'.encode()

    @property
    def content(self) -> set[FileEntry]:
        """What two equal outputs have in common, whenever and from wherever they were made."""
        return set(self.files)


def read_manifest(folder: Folder) -> ChunkManifest:
    """Read an output's manifest.

    Raises
    ------
    NotFound
        If there is none.
    UnsupportedRecording
        If it is of another format.
    CorruptRecording
        If it is damaged.
    """
    place = f"{folder.url}/{NAME}"
    try:
        written = folder.read(NAME)
    except NotFound as error:
        raise NotFound(f"{place}: there is no finished output here; convert first") from error
    try:
        content = json.loads(written)
        found = (content["format"], content["version"])
        if found != (FORMAT, VERSION):
            raise UnsupportedRecording(
                f"{place}: expected format {FORMAT} version {VERSION}, found {found[0]} {found[1]}"
            )
        files = tuple(_entry(entry) for entry in content.pop("files"))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorruptRecording(
            f"{place}: expected format, version and files with name, bytes and sha256 or crc32, "
            f"found {type(error).__name__} at {error}; convert again with --overwrite"
        ) from error
    return ChunkManifest(content, files)


def _entry(listed: dict[str, Any]) -> FileEntry:
    entry = FileEntry(**listed)
    if not isinstance(entry.name, str) or not isinstance(entry.bytes, int):
        raise TypeError(f"entry {listed}")
    if entry.sha256 is None and entry.crc32 is None:
        raise ValueError(f"{entry.name} without a digest")
    return entry


def logged_files(folder: Folder, logs: list[str]) -> Iterator[FileEntry]:
    """Yield the chunk files that finished runs have logged, in the order of the plan.

    ``logs`` are the names of the runs' logs.

    Raises
    ------
    CorruptRecording
        If two chunks have one name, as those of a clock that stood still or ran twice.
    """
    names: set[str] = set()
    for log in logs:
        spans: set[tuple[int, int]] = set()
        for line in folder.read_log(log).splitlines():
            record = json.loads(line)
            start, stop = record["span"]
            if (start, stop) in spans:
                continue
            spans.add((start, stop))
            for entry in record["files"]:
                if entry["name"] in names:
                    raise CorruptRecording(
                        f"{entry['name']}: two chunks would have this name, the later one in "
                        f"samples {start} to {stop}: their time stamps are the same; mend the file"
                    )
                names.add(entry["name"])
                yield FileEntry(**entry)
