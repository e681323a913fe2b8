"""Zarr v3 arrays that grow by whole shards along their last axis, as bytes: metadata and shards.

A shard is one file: its chunks, compressed and each with a CRC-32C, then their index. The bytes
are those of the specification (``sharding_indexed``), so any reader of Zarr v3 reads them; they are
made here so that a file is written by whoever has to know that it rests on disk.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from storage.errors import CorruptRecording
from storage.spans import Span
from storage.zarr_arrays import Buffer, codec_metadata, decode_chunk, encode_chunk

MISSING = np.uint64(2**64 - 1)
ENTRY_BYTES = 16
CRC_BYTES = 4

GROUP_METADATA = b'{"zarr_format":3,"node_type":"group","attributes":{}}\n'


@dataclass(frozen=True, slots=True)
class ShardLayout:
    """How an array rests: shape of its chunks and shards, type and codec.

    Parameters
    ----------
    leading
        Its axes but the last; each chunk holds all of them.
    shard, chunk
        Elements along the last axis; a chunk divides a shard.
    dtype
        Type of the elements, native.
    codec
        ``blosc`` or ``pcodec``.
    axes
        Names of all axes.
    """

    leading: tuple[int, ...]
    shard: int
    chunk: int
    dtype: np.dtype[np.generic]
    codec: str
    axes: tuple[str, ...]

    @property
    def chunks(self) -> int:
        """Chunks of a shard."""
        return self.shard // self.chunk

    @property
    def index_bytes(self) -> int:
        """Length of the index at the end of a shard."""
        return self.chunks * ENTRY_BYTES + CRC_BYTES

    def key(self, number: int) -> str:
        """Return the name of a shard, below the folder of its array."""
        return "/".join(["c", *("0" for _ in self.leading), str(number)])

    def metadata(self, length: int, attributes: Mapping[str, Any]) -> bytes:
        """Return ``zarr.json`` of the array at a length; equal arguments give equal bytes."""
        little = {"name": "bytes", "configuration": {"endian": "little"}}
        checked = {"name": "crc32c"}
        document = {
            "zarr_format": 3,
            "node_type": "array",
            "shape": [*self.leading, length],
            "data_type": self.dtype.name,
            "chunk_grid": {
                "name": "regular",
                "configuration": {"chunk_shape": [*self.leading, self.shard]},
            },
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
            "fill_value": 0,
            "codecs": [
                {
                    "name": "sharding_indexed",
                    "configuration": {
                        "chunk_shape": [*self.leading, self.chunk],
                        "codecs": [*codec_metadata(self.codec, self.dtype), checked],
                        "index_codecs": [little, checked],
                        "index_location": "end",
                    },
                }
            ],
            "dimension_names": list(self.axes),
            "attributes": dict(attributes),
        }
        return (json.dumps(document, separators=(",", ":")) + "\n").encode()

    def encode(self, shard: NDArray[np.generic], held: NDArray[np.bool_] | None = None) -> bytes:
        """Return the file of a shard.

        Parameters
        ----------
        shard
            Its elements, shape ``(*leading, shard)``.
        held
            Which chunks hold anything; the others are left out, and read as zeros.
        """
        index = np.full((self.chunks, 2), MISSING, "<u8")
        parts: list[bytes] = []
        at = 0
        little = shard.astype(shard.dtype.newbyteorder("<"), copy=False)
        for number in range(self.chunks):
            if held is not None and not held[number]:
                continue
            chunk = little[..., number * self.chunk : (number + 1) * self.chunk]
            packed = encode_chunk(self.codec, np.ascontiguousarray(chunk))
            packed += _crc(packed)
            index[number] = at, len(packed)
            parts.append(packed)
            at += len(packed)
        entries = index.tobytes()
        return b"".join([*parts, entries, _crc(entries)])

    def read_index(self, tail: Buffer, size: int, where: str) -> NDArray[np.uint64]:
        """Return offset and length of each chunk, from the end of a shard's file.

        Raises
        ------
        CorruptRecording
            If its checksum does not hold, or if it points beyond the file.
        """
        entries = bytes(tail[:-CRC_BYTES])
        if len(tail) != self.index_bytes or _crc(entries) != bytes(tail[-CRC_BYTES:]):
            raise CorruptRecording(
                f"{where}: the index at its end does not match its CRC-32C; the file was changed "
                "or cut short, restore it from a copy"
            )
        index = np.frombuffer(entries, "<u8").astype(np.uint64).reshape(self.chunks, 2)
        there = index[index[:, 0] != MISSING]
        # Each by itself first, so that their sum cannot pass the range of the type.
        if len(there) and (there.max() > size or (there[:, 0] + there[:, 1]).max() > size):
            raise CorruptRecording(f"{where}: its index points beyond its {size} bytes")
        return index

    def decode(self, packed: Buffer, out: NDArray[np.generic], where: str) -> None:
        """Decode one chunk into an array of its shape.

        Raises
        ------
        CorruptRecording
            If its checksum does not hold, or if it cannot be decompressed.
        """
        body = packed[:-CRC_BYTES]
        if _crc(body) != bytes(packed[-CRC_BYTES:]):
            raise CorruptRecording(
                f"{where}: does not match its CRC-32C; the file was changed or cut short, restore "
                "it from a copy"
            )
        try:
            decode_chunk(self.codec, body, out)
        except CorruptRecording as error:
            raise CorruptRecording(f"{where}: {error}") from error

    def decode_all(self, content: Buffer, where: str, span: Span | None = None) -> NDArray[Any]:
        """Return the elements of a shard, or a span of them along the last axis.

        Raises
        ------
        CorruptRecording
            If a checksum does not hold.
        """
        span = Span(0, self.shard) if span is None else span
        index = self.read_index(content[-self.index_bytes :], len(content), where)
        elements = np.zeros((*self.leading, len(span)), self.dtype)
        spare = np.empty((*self.leading, self.chunk), self.dtype)
        for number in self.chunk_numbers(span):
            offset, length = index[number].tolist()
            if offset == MISSING:
                continue
            packed = memoryview(content)[offset : offset + length]
            self.decode(packed, spare, f"{where}, chunk {number}")
            first = number * self.chunk
            inside = Span(first, first + self.chunk).intersect(span)
            elements[..., inside.start - span.start : inside.stop - span.start] = spare[
                ..., inside.start - first : inside.stop - first
            ]
        return elements

    def chunk_numbers(self, span: Span) -> range:
        """Return which chunks of a shard a span of it touches."""
        return range(span.start // self.chunk, -(-span.stop // self.chunk))


def _crc(content: Buffer) -> bytes:
    return int(google_crc32c.value(bytes(content))).to_bytes(CRC_BYTES, "little")
