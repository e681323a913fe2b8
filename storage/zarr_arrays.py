"""The one door to zarr.

zarr itself is imported where a Zarr folder of others is opened: it takes 0.25 s and 12 MB, and our
own arrays need but the codecs.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numcodecs
import numpy as np
from numcodecs import blosc
from numpy.typing import NDArray

from storage.buckets import open_store, split_url
from storage.errors import CorruptRecording, UnsupportedRecording, UsageError
from storage.spans import Span

COMPRESSORS = ("blosc", "bz2", "gzip", "lz4", "lzma", "zlib", "zstd")
# What our own arrays are written with; pcodec is smaller, and not in the specification of Zarr.
CODECS = ("blosc", "pcodec")
BLOSC_LEVEL = 5
PCODEC_LEVEL = 8

Buffer = bytes | bytearray | memoryview


class ZarrArray:
    """An array of a Zarr folder, opened for reading.

    Parameters
    ----------
    url
        The Zarr folder, a local path or ``s3://`` URL.
    path
        The array within it.
    zarr_format
        2 or 3.

    Raises
    ------
    CorruptRecording
        If it cannot be opened.
    """

    def __init__(self, url: str, path: str, zarr_format: int) -> None:
        import zarr

        self._where = f"{url}/{path}"
        try:
            self._array = zarr.open_array(
                _store(url),
                path=path,
                zarr_format=3 if zarr_format == 3 else 2,
                mode="r",
            )
        except Exception as error:
            # zarr raises whatever its codecs and metadata parsers do: no narrower class holds them.
            raise CorruptRecording(
                f"{self._where}: the Zarr array cannot be opened ({_first_line(error)})"
            ) from error
        self.shape: tuple[int, ...] = self._array.shape
        self.chunk_shape: tuple[int, ...] = self._array.shards or self._array.chunks

    def read(self, *axes: Span) -> NDArray[np.generic]:
        """Return a block, one span for each axis.

        Raises
        ------
        CorruptRecording
            If a chunk cannot be read.
        """
        try:
            block = self._array[tuple(slice(axis.start, axis.stop) for axis in axes)]
        except Exception as error:
            raise CorruptRecording(
                f"{self._where}: elements from {[axis.start for axis in axes]} on cannot be read "
                f"({_first_line(error)})"
            ) from error
        return np.asarray(block)


def _store(url: str) -> Any:
    if url.startswith("s3://"):
        from zarr.storage import ObjectStore

        return ObjectStore(open_store(*split_url(url)), read_only=True)
    return url


def decompress(config: dict[str, Any] | None, packed: bytes) -> bytes:
    """Undo the compressor of a version 2 chunk.

    Raises
    ------
    UnsupportedRecording
        If it is none of those known to run no code of the file's.
    """
    if config is None:
        return packed
    if config.get("id") not in COMPRESSORS:
        raise UnsupportedRecording(
            f"Zarr compressor {config.get('id')!r}; expected one of {', '.join(COMPRESSORS)}"
        )
    return bytes(numcodecs.get_codec(dict(config)).decode(packed))


def codec_metadata(codec: str, dtype: np.dtype[np.generic]) -> list[dict[str, Any]]:
    """Return the codecs of a version 3 array, as its metadata names them.

    Raises
    ------
    UsageError
        If there is no such codec.
    """
    if codec == "pcodec":
        return [{"name": "numcodecs.pcodec", "configuration": {"level": PCODEC_LEVEL}}]
    if codec != "blosc":
        raise UsageError(f"codec {codec!r}; expected one of {', '.join(CODECS)}")
    little: dict[str, Any] = {"configuration": {"endian": "little"}} if dtype.itemsize > 1 else {}
    return [
        {"name": "bytes", **little},
        {
            "name": "blosc",
            "configuration": {
                "typesize": dtype.itemsize,
                "cname": "zstd",
                "clevel": BLOSC_LEVEL,
                "shuffle": "bitshuffle",
                "blocksize": 0,
            },
        },
    ]


def encode_chunk(codec: str, chunk: NDArray[np.generic]) -> bytes:
    """Compress a chunk, C-contiguous and little-endian, with what ``codec_metadata`` names."""
    return bytes(_numcodec(codec).encode(chunk))


def decode_chunk(codec: str, packed: Buffer, out: NDArray[np.generic]) -> None:
    """Decompress a chunk into a C-contiguous array.

    Raises
    ------
    CorruptRecording
        If it is not what such a chunk is compressed to.
    """
    try:
        if codec == "blosc":
            # Checked first: blosc writes as many bytes as its header says.
            if int.from_bytes(packed[4:8], "little") != out.nbytes:
                raise ValueError("it is not of the length of a chunk")
            blosc.decompress(packed, out)
        else:
            _numcodec(codec).decode(packed, out)
    except Exception as error:
        # numcodecs raises whatever its libraries do: no narrower class holds them.
        raise CorruptRecording(f"a chunk cannot be decompressed ({_first_line(error)})") from error


@cache
def _numcodec(codec: str) -> Any:
    if codec == "blosc":
        return blosc.Blosc("zstd", BLOSC_LEVEL, blosc.Blosc.BITSHUFFLE)
    try:
        from numcodecs.pcodec import PCodec
    except ImportError as error:
        raise UsageError("codec 'pcodec' needs the package pcodec; install it") from error
    return PCodec(level=PCODEC_LEVEL)


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).partition("\n")[0][:200]
