"""The steps of saying what a conversion would do."""

from __future__ import annotations

import json
from dataclasses import dataclass

from storage.chunk_format import FileEntry, chunk_name
from storage.chunk_manifest import NAME
from storage.chunk_plan import chunks, first_indices
from storage.chunk_sink import metadata_files
from storage.folders import open_folder
from storage.nwb import NwbSource
from storage.pennsieve.outputs import Output, load_output
from storage.spans import Span
from tasks.nwb import reading_options, writing_options
from tasks.requests import ConvertRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What one source would become.

    Parameters
    ----------
    files
        Chunk and metadata files.
    bytes_before_compression
        Of all chunks.
    channels
        Names, as the platform would show them.
    """

    source: str
    output: str
    series: tuple[str, ...]
    notes: tuple[str, ...]
    channels: tuple[str, ...]
    files: int
    bytes_before_compression: int


def plan_conversion(request: ConvertRequest, source: str, output: str) -> Planned:
    """Look at a file and say what would be written, without writing."""
    options = writing_options(request)
    with NwbSource(source, reading_options(request)) as recording_source:
        groups = recording_source.recording.groups
        n_chunks = [
            sum(1 for _ in chunks(recording_source, number, options, Span(0, group.n_samples)))
            for number, group in enumerate(groups)
        ]
        return Planned(
            source=source,
            output=output,
            series=tuple(
                f"{group.name}: {len(group.channels)} channels x {group.n_samples} samples at "
                f"{group.rate_hz:.10g} Hz, {count} chunks each"
                for group, count in zip(groups, n_chunks, strict=True)
            ),
            notes=recording_source.recording.notes,
            channels=tuple(channel.label for group in groups for channel in group.channels),
            files=sum(
                len(group.channels) * (count + 1)
                for group, count in zip(groups, n_chunks, strict=True)
            ),
            bytes_before_compression=sum(
                group.n_samples * len(group.channels) * 8 for group in groups
            ),
        )


def planned_output(request: ConvertRequest, source: str, output: str) -> Output:
    """Return an output as the platform would be told of it, also before it exists."""
    finished = open_folder(output)
    if finished.size(NAME) is not None:
        return load_output(finished)
    options = writing_options(request)
    files: list[FileEntry] = []
    with NwbSource(source, reading_options(request)) as recording_source:
        recording = recording_source.recording
        for number, first in enumerate(first_indices(recording)):
            group = recording.groups[number]
            for chunk in chunks(recording_source, number, options, Span(0, group.n_samples)):
                times = (
                    recording_source.time_us(number, chunk.start),
                    recording_source.time_us(number, chunk.stop - 1),
                )
                files.extend(
                    FileEntry(chunk_name(first + index, *times), len(chunk) * 8, crc32="")
                    for index in range(len(group.channels))
                )
        channels = {
            FileEntry(name, 0).channel: json.loads(content)
            for name, content in metadata_files(recording_source).items()
        }
    return Output(open_folder(output), channels, tuple(files))
