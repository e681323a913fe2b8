"""Outputs: a folder of chunk files with its manifest, as the converter publishes it."""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from storage.errors import CorruptRecording, DigestMismatch, NotFound, UnsupportedRecording
from storage.folders import Folder

MANIFEST = "manifest.json"
FORMAT, VERSION = "chunked-gz", 1
CHUNK_NAME = re.compile(r"(?:.*/)?channel-(\d+)_-?\d+_-?\d+\.bin\.gz")
METADATA_NAME = re.compile(r"(?:.*/)?channel-(\d+)\.metadata\.json")
GZIP = 16 + zlib.MAX_WBITS
INFLATE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class OutputFile:
    """One file of an output.

    Parameters
    ----------
    name
        Relative to the folder.
    size
        Length in bytes.
    sha256
        Of the file, in hex; or else
    crc32
        of what the gzip member holds, in hex, as its trailer says.
    """

    name: str
    size: int
    sha256: str | None = None
    crc32: str | None = None

    @property
    def digest(self) -> str:
        """Kind and value of the digest, with the length where the digest alone is weak."""
        if self.sha256 is not None:
            return f"sha256:{self.sha256}"
        return f"crc32:{self.crc32}:{self.size}"

    @property
    def channel(self) -> int:
        """Index of the channel that a chunk file belongs to."""
        found = CHUNK_NAME.fullmatch(self.name)
        if found is None:
            raise CorruptRecording(f"{self.name}: expected channel-<index>_<start>_<end>.bin.gz")
        return int(found[1])


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
    files: tuple[OutputFile, ...]


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
    place = f"{folder.url}/{MANIFEST}"
    try:
        content = folder.read(MANIFEST)
    except NotFound as error:
        raise NotFound(f"{place}: there is no finished output here; convert first") from error
    try:
        manifest = json.loads(content)
        found = (manifest["format"], manifest["version"])
        if found != (FORMAT, VERSION):
            raise UnsupportedRecording(
                f"{place}: expected format {FORMAT} version {VERSION}, found {found[0]} {found[1]}"
            )
        listed = sorted((_entry(entry) for entry in manifest["files"]), key=lambda file: file.name)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorruptRecording(
            f"{place}: expected format, version and files with name, bytes and sha256 or crc32,"
            f" found {type(error).__name__} at {error}"
        ) from error
    channels = {}
    for file in listed:
        named = METADATA_NAME.fullmatch(file.name)
        if named:
            channels[int(named[1])] = _metadata(folder, file)
    chunks = tuple(file for file in listed if CHUNK_NAME.fullmatch(file.name))
    if not chunks:
        raise UnsupportedRecording(f"{place}: lists no chunk files; there is nothing to upload")
    orphans = sorted({file.channel for file in chunks} - channels.keys())
    if orphans:
        raise CorruptRecording(
            f"{place}: channel {orphans[0]} has chunk files, expected its metadata beside them"
        )
    return Output(folder, channels, chunks)


def _entry(entry: Mapping[str, Any]) -> OutputFile:
    sha256 = entry.get("sha256")
    crc32 = None if sha256 is not None else str(entry["crc32"]).lower()
    return OutputFile(
        name=str(entry["name"]),
        size=int(entry["bytes"]),
        sha256=None if sha256 is None else str(sha256).lower(),
        crc32=crc32,
    )


def _metadata(folder: Folder, file: OutputFile) -> Mapping[str, Any]:
    content = folder.read(file.name)
    if file.sha256 is not None:
        verify(folder.url, file, content)
    try:
        metadata = json.loads(content)
    except ValueError as error:
        raise CorruptRecording(f"{folder.url}/{file.name}: expected JSON") from error
    if not isinstance(metadata, dict):
        raise CorruptRecording(f"{folder.url}/{file.name}: expected a JSON object")
    return metadata


def verify(folder_url: str, file: OutputFile, content: bytes) -> None:
    """Make sure that a file is what the manifest says.

    Raises
    ------
    DigestMismatch
        If its length or its digest differs.
    """
    place = f"{folder_url}/{file.name}"
    if len(content) != file.size:
        raise DigestMismatch(
            f"{place}: {len(content)} bytes, expected {file.size}; convert the recording again"
        )
    if file.sha256 is not None:
        kind, expected, found = "SHA-256", file.sha256, hashlib.sha256(content).hexdigest()
    else:
        kind, expected, found = "CRC-32", str(file.crc32), _crc32(place, content)
    if found != expected:
        raise DigestMismatch(
            f"{place}: {kind} {found}, expected {expected}; convert the recording again"
        )


def _crc32(place: str, content: bytes) -> str:
    """Return the CRC-32 in a gzip member's trailer, having inflated it to see that it holds."""
    inflater = zlib.decompressobj(GZIP)
    rest = content
    try:
        while rest and not inflater.eof:
            inflater.decompress(rest, INFLATE_BYTES)
            rest = inflater.unconsumed_tail
    except zlib.error as error:
        raise DigestMismatch(
            f"{place}: damaged gzip member ({error}); convert the recording again"
        ) from error
    if not inflater.eof or inflater.unused_data:
        raise DigestMismatch(f"{place}: expected exactly one whole gzip member; convert again")
    return f"{int.from_bytes(content[-8:-4], 'little'):08x}"
