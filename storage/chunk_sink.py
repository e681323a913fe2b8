"""Recordings into chunk files: the steps of one output, and all of them as a sink."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from storage.chunk_files import Advance, Written, silent, write_run
from storage.chunk_format import FileEntry, channel_metadata, encode_metadata, metadata_name
from storage.chunk_manifest import FORMAT, VERSION, ChunkManifest, LoggedFiles
from storage.chunk_output import (
    Output,
    begin_staging,
    check_free,
    drop_staging,
    existing_manifest,
    is_intact,
    only_writer,
    place_output,
    publish,
)
from storage.chunk_plan import ChunkOptions, Run, first_indices, plan_runs
from storage.errors import AlreadyExists
from storage.folders import Folder, open_folder
from storage.protocols import RecordingSource
from storage.spans import Span

Plan = dict[str, Any]


def make_plan(
    source: RecordingSource,
    options: ChunkOptions,
    reading: Mapping[str, Any],
    run_bytes: int | None = None,
) -> Plan:
    """Return what decides the bytes of an output, as JSON: equal plans give equal outputs.

    Parameters
    ----------
    source
        What is to be written.
    options
        How it is to be written.
    reading
        How it was read.
    run_bytes
        How it is divided into runs.
    """
    recording = source.recording
    plan = {
        "format": FORMAT,
        "version": VERSION,
        "recording": recording.id,
        "source": dict(source.fingerprint),
        "options": {**reading, **asdict(options)},
        "run_bytes": run_bytes,
    }
    # As it comes back from a file: lists, not tuples.
    restored: Plan = json.loads(json.dumps(plan))
    return restored


def write_metadata(source: RecordingSource, folder: Folder) -> list[FileEntry]:
    """Write the metadata file of every channel."""
    entries = []
    for name, content in metadata_files(source).items():
        folder.write(name, [content])
        entries.append(FileEntry(name, len(content), sha256=hashlib.sha256(content).hexdigest()))
    return entries


def metadata_files(source: RecordingSource) -> dict[str, bytes]:
    """Return name and content of every channel's metadata file."""
    files = {}
    groups = source.recording.groups
    for number, (group, first) in enumerate(
        zip(groups, first_indices(source.recording), strict=True)
    ):
        bounds = source.bounds_us(number)
        for index, channel in enumerate(group.channels, first):
            metadata = channel_metadata(channel, group.rate_hz, *bounds)
            files[metadata_name(index)] = encode_metadata(metadata)
    return files


@dataclass(frozen=True, slots=True)
class Begun:
    """An output that is ready to be written.

    Parameters
    ----------
    unchanged
        The same output is there already: nothing is to be done.
    resumed
        An earlier attempt goes on.
    """

    output: Output
    plan: Plan
    unchanged: bool
    resumed: bool


@dataclass(frozen=True, slots=True)
class Finished:
    """An output that has appeared, or was there already; its files and their bytes."""

    unchanged: bool
    files: int
    bytes: int


def begin(output: Output, plan: Plan, overwrite: bool) -> Begun:
    """Make an output's place ready.

    Raises
    ------
    AlreadyExists
        If something else rests there.
    """
    manifest = None if overwrite else existing_manifest(output)
    if manifest is not None and _made_by(manifest, plan):
        folder = open_folder(output.url)
        if is_intact(folder, manifest.files):
            # Left by a run that was stopped in its last step.
            drop_staging(output)
            return Begun(output, plan, unchanged=True, resumed=False)
        return Begun(output, plan, unchanged=False, resumed=begin_staging(output, plan))
    check_free(output, plan, overwrite)
    return Begun(output, plan, unchanged=False, resumed=begin_staging(output, plan))


def _made_by(manifest: ChunkManifest, plan: Plan) -> bool:
    return all(manifest.head.get(key) == plan[key] for key in ("source", "options"))


def finish(begun: Begun, source: RecordingSource, runs: Sequence[Run], overwrite: bool) -> Finished:
    """Write metadata and manifest, and make the output appear.

    Raises
    ------
    AlreadyExists
        If another one was, and it was not to be replaced.
    """
    output = begun.output
    logs = [run.log for run in runs]
    metadata = write_metadata(source, output.data())
    head = {key: value for key, value in begun.plan.items() if key != "run_bytes"}
    head["series"] = [_describe(source, number) for number in range(len(source.recording.groups))]
    head["notes"] = list(source.recording.notes)
    # However the work was divided, equal outputs have equal manifests.
    manifest = ChunkManifest(head, LoggedFiles(output.data(), logs, metadata))
    earlier = None if overwrite else existing_manifest(output)
    if earlier is not None:
        if earlier.content != manifest.content:
            drop_staging(output)
            raise AlreadyExists(
                f"{output.url}: holds the output of another recording; choose another folder, or "
                "replace it with --overwrite"
            )
        if is_intact(open_folder(output.url), earlier.files):
            drop_staging(output)
            return counted(earlier, unchanged=True)
    # Counted before the logs go.
    finished = counted(manifest, unchanged=False)
    publish(output, manifest, overwrite)
    return finished


def counted(manifest: ChunkManifest, *, unchanged: bool) -> Finished:
    """Return what an output holds."""
    n_files = n_bytes = 0
    for entry in manifest.files:
        n_files += 1
        n_bytes += entry.bytes
    return Finished(unchanged, n_files, n_bytes)


def _describe(source: RecordingSource, number: int) -> dict[str, Any]:
    group = source.recording.groups[number]
    first = first_indices(source.recording)[number]
    start_us, end_us = source.bounds_us(number)
    return {
        "path": group.name,
        "channels": [first, first + len(group.channels)],
        "rate_hz": group.rate_hz,
        "samples": group.n_samples,
        "dtype": group.dtype.name,
        "start_us": start_us,
        "end_us": end_us,
        "segments": sum(1 for _ in source.segments(number, Span(0, group.n_samples))),
    }


class ChunkFilesSink:
    """Writes any recording as chunk files.

    Parameters
    ----------
    url
        Local folder, or ``s3://`` prefix.
    options
        Size of chunks, compression, digests.
    overwrite
        Replace another output that rests there.
    advance
        Called with the number of samples (of all channels) that were finished.
    """

    def __init__(
        self,
        url: str,
        options: ChunkOptions = ChunkOptions(),
        *,
        overwrite: bool = False,
        advance: Advance = silent,
    ) -> None:
        self._output = place_output(url)
        self._options = options
        self._overwrite = overwrite
        self._advance = advance

    def write(self, source: RecordingSource) -> str:
        """Write a whole recording and return the URL of the output."""
        plan = make_plan(source, self._options, {})
        with only_writer(self._output):
            begun = begin(self._output, plan, self._overwrite)
            if not begun.unchanged:
                runs = plan_runs(source, self._options)
                folder = self._output.data()
                done = Written()
                for run in runs:
                    done += write_run(source, folder, run, self._options, self._advance)
                finish(begun, source, runs, self._overwrite)
        return self._output.url
