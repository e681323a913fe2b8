"""Outputs: a folder of chunk files with its manifest, as the converter publishes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from storage.chunk_format import FileEntry
from storage.chunk_manifest import NAME, read_manifest
from storage.errors import CorruptRecording, UnsupportedRecording
from storage.folders import Folder


@dataclass(frozen=True, slots=True)
class Output:
    """What there is to upload.

    Parameters
    ----------
    folder
        Where the files are.
    channels
        Metadata of each channel, by its index.
    files
        The chunk files, by name.
    """

    folder: Folder
    channels: Mapping[int, Mapping[str, Any]]
    files: tuple[FileEntry, ...]


def load_output(folder: Folder) -> Output:
    """Read what the manifest of a folder lists, and nothing else that lies there.

    Raises
    ------
    NotFound
        If there is no manifest: nothing was published there.
    UnsupportedRecording
        If it is of another format, or lists no chunk files.
    CorruptRecording
        If it contradicts itself.
    DigestMismatch
        If channel metadata is not what was written.
    """
    place = f"{folder.url}/{NAME}"
    listed = sorted(read_manifest(folder).files, key=lambda file: file.name)
    chunks = tuple(file for file in listed if file.is_chunk)
    if not chunks:
        raise UnsupportedRecording(f"{place}: lists no chunk files; there is nothing to upload")
    channels = {file.channel: _metadata(folder, file) for file in listed if not file.is_chunk}
    orphans = sorted({file.channel for file in chunks} - channels.keys())
    if orphans:
        raise CorruptRecording(
            f"{place}: channel {orphans[0]} has chunk files, expected its metadata beside them"
        )
    return Output(folder, channels, chunks)


def _metadata(folder: Folder, file: FileEntry) -> Mapping[str, Any]:
    content = folder.read(file.name)
    file.check(folder.url, content)
    try:
        metadata = json.loads(content)
    except ValueError as error:
        raise CorruptRecording(f"{folder.url}/{file.name}: expected JSON") from error
    if not isinstance(metadata, dict):
        raise CorruptRecording(f"{folder.url}/{file.name}: expected a JSON object")
    return metadata
