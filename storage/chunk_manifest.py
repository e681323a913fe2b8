"""The manifest of an output: what was written, from what, and the digest of every file."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from storage.chunk_format import FileEntry
from storage.errors import CorruptRecording, NotFound, UnsupportedRecording
from storage.folders import Folder

NAME = "manifest.json"
FORMAT = "chunked-gz"
VERSION = 1
FILES_BEGIN, FILES_END = '\n "files": [\n', "\n]}\n"


@dataclass(frozen=True, slots=True)
class ChunkManifest:
    """An output's manifest.

    Parameters
    ----------
    head
        All but the files: format, version, recording, source, options, series.
    files
        Series by series, in the order of time and then of channels, metadata last. Of an output
        that is being made they are read from its logs whenever they are looked at, so that their
        number costs no memory.
    """

    head: dict[str, Any]
    files: Iterable[FileEntry]

    def lines(self) -> Iterator[bytes]:
        """Yield the file's content: JSON, one line for each file."""
        yield f"{json.dumps(self.head, indent=1)[:-2]},{FILES_BEGIN}".encode()
        separator = ""
        for entry in self.files:
            yield f"{separator}{entry.as_json()}".encode()
            separator = ",\n"
        yield FILES_END.encode()

    def encode(self) -> bytes:
        """Return the file's whole content."""
        return b"".join(self.lines())

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
        content, entries = _split(written)
        found = (content["format"], content["version"])
        if found != (FORMAT, VERSION):
            raise UnsupportedRecording(
                f"{place}: expected format {FORMAT} version {VERSION}, found {found[0]} {found[1]}"
            )
        files = tuple(_entry(entry) for entry in entries)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorruptRecording(
            f"{place}: expected format, version and files with name, bytes and sha256 or crc32, "
            f"found {type(error).__name__} at {error}; convert again with --overwrite"
        ) from error
    return ChunkManifest(content, files)


def _split(written: bytes) -> tuple[dict[str, Any], Iterable[dict[str, Any]]]:
    """Return head and entries; line by line where the lines are as we write them."""
    begin = written.find(FILES_BEGIN.encode())
    if begin < 0 or not written.endswith(FILES_END.encode()):
        content = json.loads(written)
        return content, content.pop("files")
    lines = io.BytesIO(written)
    lines.seek(begin + len(FILES_BEGIN))
    head = json.loads(written[:begin].rstrip(b",") + b"}")
    return head, (json.loads(line.rstrip(b",\n")) for line in lines if line[:1] == b"{")


def _entry(listed: dict[str, Any]) -> FileEntry:
    entry = FileEntry(**listed)
    if not isinstance(entry.name, str) or not isinstance(entry.bytes, int):
        raise TypeError(f"entry {listed}")
    if entry.sha256 is None and entry.crc32 is None:
        raise ValueError(f"{entry.name} without a digest")
    return entry


class LoggedFiles:
    """The files of an output that is being made, read anew each time that they are iterated.

    Parameters
    ----------
    folder
        Where the output is made.
    logs
        Names of the runs' logs, in the order of the plan.
    metadata
        The metadata files.
    """

    def __init__(self, folder: Folder, logs: list[str], metadata: Iterable[FileEntry]) -> None:
        self._folder = folder
        self._logs = logs
        self._metadata = tuple(metadata)

    def __iter__(self) -> Iterator[FileEntry]:
        yield from logged_files(self._folder, self._logs)
        yield from self._metadata


def logged_files(folder: Folder, logs: list[str]) -> Iterator[FileEntry]:
    """Yield the chunk files that finished runs have logged, in the order of the plan.

    ``logs`` are the names of the runs' logs.

    Raises
    ------
    CorruptRecording
        If two chunks have one name, as those of a clock that stood still or ran twice.
    """
    # Channels of one series have the same times, so that the names of the first tell.
    names: set[str] = set()
    for log in logs:
        spans: set[tuple[int, int]] = set()
        for line in folder.log_records(log):
            record = json.loads(line)
            start, stop = record["span"]
            if (start, stop) in spans:
                continue
            spans.add((start, stop))
            first = record["files"][0]["name"].partition("_")[0]
            for entry in record["files"]:
                is_first = entry["name"].partition("_")[0] == first
                if is_first and entry["name"] in names:
                    raise CorruptRecording(
                        f"{entry['name']}: two chunks would have this name, the later one in "
                        f"samples {start} to {stop}: their time stamps are the same; mend the file"
                    )
                if is_first:
                    names.add(entry["name"])
                yield FileEntry(**entry)
