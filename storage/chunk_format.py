"""The platform's chunk format: names, payload, gzip member, channel metadata.

A chunk file is one gzip member of headerless big-endian doubles, in microvolts, of one channel. Its
name gives the channel's index and the times of its first and last sample, inclusive. Source: the
public processor ``Pennsieve/processor-post-timeseries`` and the service that reads the chunks,
``Pennsieve/pennsieve-streaming``.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from storage.errors import CorruptRecording, DigestMismatch
from storage.inflate import inflate
from storage.recording import Channel
from storage.scaling import Scaling

Buffer = bytes | bytearray | memoryview
Content = bytes  # for a class that has a field of that name

# No file name and a zero time stamp: equal samples give equal files.
GZIP_HEADER = bytes([0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255])
STORED_BLOCK = 65_535
# 4 to 16 bytes: fewer leave ISA-L without a history, more begin it in its faulty loop.
PRIMER = 8
PLATFORM_NAME = re.compile(
    r"(?:.*/)?channel-(?P<index>\d{5,})(?:_-?\d+_-?\d+\.bin\.gz|\.metadata\.json)"
)


def chunk_name(index: int, start_us: int, end_us: int) -> str:
    """Return the name of a chunk file; ``end_us`` is the time of its last sample."""
    return f"channel-{index:05d}_{start_us}_{end_us}.bin.gz"


def metadata_name(index: int) -> str:
    """Return the name of a channel's metadata file."""
    return f"channel-{index:05d}.metadata.json"


def channel_metadata(
    channel: Channel, rate_hz: float, start_us: int, end_us: int
) -> dict[str, Any]:
    """Return a channel as the platform's API takes it; times in microseconds, inclusive."""
    return {
        "name": channel.label,
        "start": start_us,
        "end": end_us,
        "unit": channel.unit,
        "rate": rate_hz,
        "type": "CONTINUOUS",
        "group": channel.group,
        "lastAnnotation": 0,
        "properties": [],
    }


def encode_metadata(metadata: dict[str, Any]) -> bytes:
    """Return the metadata file's content: one line of JSON."""
    return json.dumps(metadata).encode()


def fill_payload(
    stored: NDArray[np.generic], scaling: Scaling, scratch: NDArray[np.float64]
) -> memoryview:
    """Scale one channel's samples into big-endian doubles.

    Parameters
    ----------
    stored
        Stored numbers, shape ``(n_samples,)``.
    scratch
        At least as long; holds the result, and is overwritten by the next call.

    Returns
    -------
    memoryview
        ``n_samples * 8`` bytes within ``scratch``.
    """
    payload = scaling.apply(stored, scratch[: len(stored)])
    payload.byteswap(inplace=True)
    return payload.data.cast("B")


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file of an output, as its manifest lists it.

    Parameters
    ----------
    samples
        Number of samples; None for metadata.
    bytes
        Length of the file.
    sha256
        Of the file; or None, then ``crc32`` is that of the decompressed payload, which the gzip
        member also carries.
    """

    name: str
    bytes: int
    samples: int | None = None
    sha256: str | None = None
    crc32: str | None = None

    @property
    def digest(self) -> str:
        """Kind and value of the digest, with the length where the digest alone is weak."""
        if self.sha256 is not None:
            return f"sha256:{self.sha256}"
        return f"crc32:{self.crc32}:{self.bytes}"

    @property
    def channel(self) -> int:
        """Index of the channel that the file belongs to.

        Raises
        ------
        CorruptRecording
            If the name is neither that of a chunk nor of metadata.
        """
        found = PLATFORM_NAME.fullmatch(self.name)
        if found is None:
            raise CorruptRecording(f"{self.name}: expected channel-<index>_<start>_<end>.bin.gz")
        return int(found["index"])

    @property
    def is_chunk(self) -> bool:
        """Whether it holds samples."""
        return self.name.endswith(".gz") and PLATFORM_NAME.fullmatch(self.name) is not None

    def check(self, place: str, content: Content) -> None:
        """Make sure that a file's content is what the entry says.

        Parameters
        ----------
        place
            URL of the folder, for the error.
        content
            As it was read.

        Raises
        ------
        DigestMismatch
            If its length, its digest or its number of samples differs.
        """
        where = f"{place}/{self.name}"
        if len(content) != self.bytes:
            raise DigestMismatch(f"{where}: {len(content)} bytes, expected {self.bytes}")
        if self.sha256 is not None:
            found = hashlib.sha256(content).hexdigest()
            if found != self.sha256:
                raise DigestMismatch(f"{where}: SHA-256 {found}, expected {self.sha256}")
            return
        if content[:4] != GZIP_HEADER[:4]:
            # A CRC-32 does not cover the header: some readers stumble over flags, others do not.
            start = bytes(content[:4]).hex()
            raise DigestMismatch(f"{where}: no gzip member of ours, it begins with {start!r}")
        payload = unpack(where, content)
        found = f"{isal_zlib.crc32(payload):08x}"
        if found != self.crc32:
            raise DigestMismatch(f"{where}: CRC-32 {found}, expected {self.crc32}")
        if self.samples is not None and len(payload) != self.samples * 8:
            raise DigestMismatch(
                f"{where}: {len(payload)} bytes of samples, expected {self.samples * 8}"
            )

    def as_json(self) -> str:
        """Return one line of JSON, without what is not known."""
        # Twice as fast as asdict, which copies every value, and a manifest may list 100,000 files.
        listed = ((name, getattr(self, name)) for name in self.__slots__)
        return json.dumps({name: value for name, value in listed if value is not None})


def unpack(where: str, content: bytes) -> bytes:
    """Return what a chunk file's gzip member holds.

    Raises
    ------
    DigestMismatch
        If it is not exactly one whole gzip member.
    """
    try:
        return inflate(content, gzip=True)
    except ValueError as error:
        raise DigestMismatch(f"{where}: no whole gzip member ({error})") from error


def pack(payload: memoryview, level: int, with_sha256: bool) -> tuple[list[Buffer], dict[str, str]]:
    """Return the gzip member as consecutive buffers, and its digest.

    Parameters
    ----------
    payload
        What to pack.
    level
        0 stores; 1 to 3 compress with ISA-L.
    with_sha256
        Digest by SHA-256 of the member; else by the member's own CRC-32.
    """
    crc32 = isal_zlib.crc32(payload)
    buffers = _compressed_member(payload, level, crc32) if level else _stored_member(payload, crc32)
    if not with_sha256:
        return buffers, {"crc32": f"{crc32:08x}"}
    digest = hashlib.sha256()
    for buffer in buffers:
        digest.update(buffer)
    return buffers, {"sha256": digest.hexdigest()}


def _compressed_member(payload: memoryview, level: int, crc32: int) -> list[Buffer]:
    # Where a stream begins, ISA-L's loop for levels 1 and 2 hashes the address of its own state in
    # place of samples (igzip_icf_body_h1_gr_bt.asm, .write_first_byte: it shifts a register that it
    # never loaded), and finds other matches in about one process of fifty. So the stream begins
    # with a flushed primer, which another loop reads. Its place in the file takes a stored block:
    # a flush would end at some bit, and leave bits that no reader looks at. Costs 6 bytes, 3 us.
    primer, rest = payload[:PRIMER], payload[PRIMER:]
    packer = isal_zlib.compressobj(level, wbits=-15)
    packer.compress(primer)
    packer.flush(isal_zlib.Z_SYNC_FLUSH)
    return [
        GZIP_HEADER + _block_header(primer, last=False) + primer,
        packer.compress(rest),
        packer.flush(),
        _trailer(payload, crc32),
    ]


def _stored_member(payload: memoryview, crc32: int) -> list[Buffer]:
    buffers: list[Buffer] = [GZIP_HEADER]
    for start in range(0, len(payload), STORED_BLOCK):
        block = payload[start : start + STORED_BLOCK]
        last = start + STORED_BLOCK >= len(payload)
        buffers.append(_block_header(block, last))
        buffers.append(block)
    if not payload:
        buffers.append(_block_header(payload, last=True))
    buffers.append(_trailer(payload, crc32))
    return buffers


def _block_header(block: memoryview, last: bool) -> bytes:
    return struct.pack("<BHH", last, len(block), len(block) ^ 0xFFFF)


def _trailer(payload: memoryview, crc32: int) -> bytes:
    return struct.pack("<II", crc32, len(payload) & 0xFFFFFFFF)
