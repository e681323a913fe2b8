"""Proving an output: against its manifest, and against the recording it was made from."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from storage.chunk_files import Advance, silent
from storage.chunk_format import PLATFORM_NAME, FileEntry, chunk_name, fill_payload, unpack
from storage.chunk_manifest import read_manifest
from storage.chunk_plan import ChunkOptions, blocks, plan_runs
from storage.chunk_sink import metadata_files
from storage.errors import DigestMismatch, NotFound, StorageError
from storage.folders import Folder
from storage.protocols import RecordingSource
from storage.spans import Span

MOST_PROBLEMS = 20


@dataclass(frozen=True, slots=True)
class Verification:
    """What a check found.

    Parameters
    ----------
    files, bytes, samples
        That were checked.
    problems
        One line each, the first twenty; empty when everything holds.
    """

    files: int
    bytes: int
    samples: int
    problems: tuple[str, ...]


def verify_files(folder: Folder, advance: Advance = silent, workers: int = 4) -> Verification:
    """Read every file of an output again and compare it with the manifest.

    Raises
    ------
    NotFound
        If there is no manifest.
    """
    files = tuple(read_manifest(folder).files)

    def check(entry: FileEntry) -> str | None:
        problem = _check_file(folder, entry)
        advance(entry.samples or 0)
        return problem

    with ThreadPoolExecutor(workers) as pool:
        problems = [problem for problem in pool.map(check, files) if problem]
    listed = {entry.name for entry in files}
    problems.extend(
        f"{folder.url}/{name}: is not listed in the manifest"
        for name in folder.names("channel-")
        if name not in listed and PLATFORM_NAME.fullmatch(name)
    )
    return Verification(
        len(files),
        sum(entry.bytes for entry in files),
        sum(entry.samples or 0 for entry in files),
        tuple(problems[:MOST_PROBLEMS]),
    )


def _check_file(folder: Folder, entry: FileEntry) -> str | None:
    try:
        content = folder.read(entry.name)
        entry.check(folder.url, content)
        if entry.samples is not None and entry.sha256 is not None:
            payload = unpack(f"{folder.url}/{entry.name}", content)
            if len(payload) != entry.samples * 8:
                return f"{entry.name}: {len(payload)} bytes, expected {entry.samples} samples of 8"
    except StorageError as error:
        return str(error)
    return None


def verify_source(
    folder: Folder, source: RecordingSource, options: ChunkOptions, advance: Advance = silent
) -> Verification:
    """Calculate every chunk again from the recording and compare it with the files.

    Parameters
    ----------
    folder
        The output.
    source
        The recording, read as it was when the output was made.
    options
        How the output was made.
    """
    manifest = read_manifest(folder)
    unseen = {entry.name: entry.bytes for entry in manifest.files}
    problems = _ProblemList()
    n_files = n_samples = n_bytes = 0
    for name, payload in _expected_files(source, options, advance):
        n_files += 1
        n_bytes += unseen.pop(name, 0)
        n_samples += len(payload) // 8 if name.endswith(".gz") else 0
        problems.add(_compare(folder, name, payload))
    for name in unseen:
        problems.add(f"{name}: is listed in the manifest, and not in the recording")
    return Verification(n_files, n_bytes, n_samples, tuple(problems.lines))


class _ProblemList:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, line: str | None) -> None:
        if line and len(self.lines) < MOST_PROBLEMS:
            self.lines.append(line)


def _expected_files(
    source: RecordingSource, options: ChunkOptions, advance: Advance
) -> Iterable[tuple[str, bytes | memoryview]]:
    scratch = np.empty(options.chunk_samples, np.float64)
    for run in plan_runs(source, options):
        group = source.recording.groups[run.group]
        for block in blocks(source, run, options):
            span = Span(block[0].start, block[-1].stop)
            stored = np.empty((len(run.channels), len(span)), group.dtype)
            source.read(run.group, span, run.channels, stored.T)
            for row, channel in enumerate(range(run.channels.start, run.channels.stop)):
                for chunk in block:
                    name = chunk_name(
                        run.first_index + channel,
                        source.time_us(run.group, chunk.start),
                        source.time_us(run.group, chunk.stop - 1),
                    )
                    piece = stored[row, chunk.start - span.start : chunk.stop - span.start]
                    yield name, fill_payload(piece, group.channels[channel].scaling, scratch)
            advance(stored.size)
    yield from metadata_files(source).items()


def _compare(folder: Folder, name: str, expected: bytes | memoryview) -> str | None:
    try:
        found = folder.read(name)
        if name.endswith(".gz"):
            found = unpack(f"{folder.url}/{name}", found)
    except NotFound:
        return f"{name}: the recording has this chunk, the output does not"
    except DigestMismatch as error:
        return str(error)
    if found == expected:
        return None
    if not name.endswith(".gz") or len(found) != len(expected):
        return f"{name}: differs from what the recording gives"
    ours, theirs = np.frombuffer(expected, ">u8"), np.frombuffer(found, ">u8")
    at = int(np.flatnonzero(ours != theirs)[0])
    value, wanted = (np.frombuffer(data, ">f8")[at] for data in (found, expected))
    return f"{name}: sample {at} is {value:g} uV, the recording gives {wanted:g} uV"
