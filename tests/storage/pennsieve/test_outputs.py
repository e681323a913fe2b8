"""Outputs as the converter publishes them, whole and damaged."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import Any

import pytest

from storage.chunk_format import FileEntry
from storage.errors import CorruptRecording, DigestMismatch, NotFound, UnsupportedRecording
from storage.folders import LocalFolder
from storage.pennsieve import load_output
from tests.support.pennsieve_cases import MakeOutput, chunk


def rewrite(folder: LocalFolder, **changes: Any) -> None:
    """Change the manifest."""
    manifest = json.loads(folder.read("manifest.json")) | changes
    folder.write("manifest.json", [json.dumps(manifest).encode()])


def test_an_output_is_what_its_manifest_lists(make_output: MakeOutput) -> None:
    folder = make_output(2, 3)
    folder.write("channel-00009_1_2.bin.gz", [b"stale"])
    folder.write("stray.metadata.json", [b"{"])
    output = load_output(folder)
    assert sorted(output.channels) == [0, 1]
    assert output.channels[1]["name"] == "CH001"
    assert len(output.files) == 6
    assert [file.name for file in output.files] == sorted(file.name for file in output.files)
    assert {file.channel for file in output.files} == {0, 1}


@pytest.mark.parametrize("digest", ["sha256", "crc32"])
def test_every_file_is_verified(make_output: MakeOutput, digest: str) -> None:
    folder = make_output(1, 2, digest=digest)
    file = load_output(folder).files[0]
    good = folder.read(file.name)
    file.check(folder.url, good)
    with pytest.raises(DigestMismatch, match=rf"{len(good) + 1} bytes, expected {len(good)}"):
        file.check(folder.url, good + b"x")
    for position in range(11, len(good)):
        damaged = bytearray(good)
        damaged[position] ^= 1
        with pytest.raises(DigestMismatch, match="channel-00000_"):
            file.check(folder.url, bytes(damaged))


def test_a_checksum_is_of_what_the_member_holds() -> None:
    payload = bytes(range(256)) * 9000
    content = gzip.compress(payload, 0, mtime=0)
    file = FileEntry("channel-00000_0_1.bin.gz", len(content), crc32=f"{zlib.crc32(payload):08x}")
    file.check("folder", content)
    other = gzip.compress(payload[::-1], 0, mtime=0)
    with pytest.raises(DigestMismatch, match=f"CRC-32 .*, expected {file.crc32}"):
        file.check("folder", other)


def test_a_member_is_whole_and_alone() -> None:
    content = chunk(1.0)
    for wrong in (content + content, content[:-4], b"", b"not gzip at all"):
        file = FileEntry("channel-00000_0_1.bin.gz", len(wrong), crc32="00000000")
        with pytest.raises(DigestMismatch, match="gzip member"):
            file.check("folder", wrong)


def test_nothing_published_is_said_so(make_output: MakeOutput) -> None:
    folder = make_output()
    folder.delete("manifest.json")
    with pytest.raises(NotFound, match="no finished output here; convert first"):
        load_output(folder)


@pytest.mark.parametrize("changes", [{"format": "zarr-bundle"}, {"version": 2}])
def test_another_format_is_refused(make_output: MakeOutput, changes: dict[str, Any]) -> None:
    folder = make_output()
    rewrite(folder, **changes)
    with pytest.raises(UnsupportedRecording, match="expected format chunked-gz version 1"):
        load_output(folder)


@pytest.mark.parametrize(
    "files", [None, [1], [{"name": "x"}], [{"name": "x", "bytes": "many", "sha256": "0"}]]
)
def test_a_broken_manifest_is_refused(make_output: MakeOutput, files: Any) -> None:
    folder = make_output()
    rewrite(folder, files=files)
    with pytest.raises(CorruptRecording, match="expected format, version and files"):
        load_output(folder)


def test_an_output_without_chunks_is_refused(make_output: MakeOutput) -> None:
    folder = make_output()
    rewrite(folder, files=[])
    with pytest.raises(UnsupportedRecording, match="nothing to upload"):
        load_output(folder)


def test_chunks_without_metadata_are_refused(make_output: MakeOutput) -> None:
    folder = make_output(2)
    listed = json.loads(folder.read("manifest.json"))["files"]
    rewrite(folder, files=[entry for entry in listed if "00001.metadata" not in entry["name"]])
    with pytest.raises(CorruptRecording, match="channel 1 has chunk files, expected its metadata"):
        load_output(folder)


def test_damaged_metadata_is_refused(make_output: MakeOutput) -> None:
    folder = make_output(1)
    folder.write("channel-00000.metadata.json", [b"{}"])
    with pytest.raises(DigestMismatch, match=r"channel-00000.metadata.json"):
        load_output(folder)


def test_a_name_without_a_channel_is_refused() -> None:
    with pytest.raises(CorruptRecording, match="expected channel-<index>_<start>_<end>"):
        _ = FileEntry("x.bin.gz", 1, sha256="0").channel


def test_negative_times_and_folders_are_names_too() -> None:
    name = "a/channel-00012_-2208988799500000_-2208988797501000.bin.gz"
    assert FileEntry(name, 1, sha256="0").channel == 12
