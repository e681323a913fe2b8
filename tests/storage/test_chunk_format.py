"""Names, gzip members, payloads and metadata of the chunk format."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.chunk_format import (
    PLATFORM_NAME,
    FileEntry,
    channel_metadata,
    chunk_name,
    encode_metadata,
    fill_payload,
    metadata_name,
    pack,
)
from storage.recording import Channel
from storage.scaling import Scaling

LEVELS = (0, 1, 2, 3)
SIZES = (0, 8, 65_528, 65_536, 131_064, 131_072, 1 << 20)


def payload_of(size: int) -> bytes:
    """Return bytes that compress about as signals do."""
    rng = np.random.default_rng(size)
    return (rng.standard_normal(size // 8) * 50).round().astype(">f8").tobytes()


def member_of(payload: bytes, level: int, with_sha256: bool = True) -> bytes:
    """Return the gzip member as one piece."""
    return b"".join(pack(memoryview(payload), level, with_sha256)[0])


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("size", SIZES)
def test_any_gzip_reads_the_member(size: int, level: int) -> None:
    payload = payload_of(size)
    member = member_of(payload, level)
    assert gzip.decompress(member) == payload
    reader = zlib.decompressobj(wbits=31)
    assert reader.decompress(member) == payload
    assert reader.eof
    assert not reader.unused_data
    assert member[-8:] == struct.pack("<II", zlib.crc32(payload), size)


@pytest.mark.parametrize("level", LEVELS)
def test_the_header_has_no_time_and_no_name(level: int) -> None:
    member = member_of(payload_of(800), level)
    assert member[:4] == b"\x1f\x8b\x08\x00"
    assert member[4:8] == bytes(4)
    with gzip.GzipFile(fileobj=io.BytesIO(member)) as file:
        file.read()
        assert file.mtime == 0


@pytest.mark.parametrize("level", LEVELS)
def test_equal_samples_give_equal_files(level: int) -> None:
    assert member_of(payload_of(1 << 18), level) == member_of(payload_of(1 << 18), level)


def test_stored_blocks_are_as_long_as_they_may_be() -> None:
    payload = payload_of(1 << 20)
    member = member_of(payload, 0)
    assert len(member) == (1 << 20) + 10 + 17 * 5 + 8
    at, pieces = 10, []
    while True:
        last, length, complement = struct.unpack_from("<BHH", member, at)
        assert complement == length ^ 0xFFFF
        pieces.append(member[at + 5 : at + 5 + length])
        at += 5 + length
        if last:
            break
    assert at == len(member) - 8
    assert [len(piece) for piece in pieces] == [65_535] * 16 + [16]
    assert b"".join(pieces) == payload


def test_compressed_is_smaller() -> None:
    sizes = [len(member_of(payload_of(1 << 20), level)) for level in LEVELS]
    assert all(size < sizes[0] / 3 for size in sizes[1:])


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("with_sha256", [True, False])
def test_the_digest_is_of_the_member_or_of_the_samples(level: int, with_sha256: bool) -> None:
    payload = payload_of(80_000)
    buffers, digest = pack(memoryview(payload), level, with_sha256)
    if with_sha256:
        assert digest == {"sha256": hashlib.sha256(b"".join(buffers)).hexdigest()}
    else:
        assert digest == {"crc32": f"{zlib.crc32(payload):08x}"}


@given(st.lists(st.integers(-(2**15), 2**15 - 1), max_size=50), st.integers(0, 20))
def test_a_payload_is_big_endian_doubles(samples: list[int], spare: int) -> None:
    stored = np.array(samples, np.int16)
    scratch = np.full(len(samples) + spare, np.nan)
    payload = fill_payload(stored, Scaling(0.5, 1.0, 1e6), scratch)
    assert bytes(payload) == struct.pack(
        f">{len(samples)}d", *((s * 0.5 + 1) * 1e6 for s in samples)
    )
    assert np.isnan(scratch[len(samples) :]).all()


@pytest.mark.parametrize(
    ("index", "start_us", "end_us", "name"),
    [
        (1, 1_000_000, 2_000_000, "channel-00001_1000000_2000000.bin.gz"),
        (0, -2_208_988_799_500_000, -2_208_988_797_501_000,
         "channel-00000_-2208988799500000_-2208988797501000.bin.gz"),
        (123_456, 0, 0, "channel-123456_0_0.bin.gz"),
    ],
)  # fmt: skip
def test_names(index: int, start_us: int, end_us: int, name: str) -> None:
    assert chunk_name(index, start_us, end_us) == name
    assert PLATFORM_NAME.fullmatch(name)
    assert metadata_name(index) == f"channel-{index:05d}.metadata.json"
    assert PLATFORM_NAME.fullmatch(metadata_name(index))


@pytest.mark.parametrize(
    "name",
    [
        "channel-notes.txt",
        "channel-00001.json",
        "a.bin.gz",
        "xchannel-00001.metadata.json",
        "channel-00001_0_0.bin.gz.part",
    ],
)
def test_names_of_others_are_not_ours(name: str) -> None:
    assert not PLATFORM_NAME.fullmatch(name)


def test_metadata_keys_types_and_order() -> None:
    channel = Channel(label="CH063", group="shank1")
    content = channel_metadata(channel, 30_000.0, 1714979289123456, 1714979349123422)
    assert encode_metadata(content) == (
        b'{"name": "CH063", "start": 1714979289123456, "end": 1714979349123422, "unit": "uV", '
        b'"rate": 30000.0, "type": "CONTINUOUS", "group": "shank1", "lastAnnotation": 0, '
        b'"properties": []}'
    )
    assert b'"rate": 1000,' in encode_metadata(channel_metadata(channel, 1000, 0, 0))


def test_an_entry_lists_what_is_known() -> None:
    assert json.loads(FileEntry("a", 7, 3, crc32="00ff00ff").as_json()) == {
        "name": "a", "bytes": 7, "samples": 3, "crc32": "00ff00ff",
    }  # fmt: skip
    assert json.loads(FileEntry("b", 7, sha256="f").as_json()) == {
        "name": "b", "bytes": 7, "sha256": "f",
    }  # fmt: skip
