"""The one door to zarr."""

from __future__ import annotations

from typing import Any

import numcodecs
import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.storage import ObjectStore

from storage.buckets import open_store, split_url
from storage.errors import CorruptRecording, UnsupportedRecording
from storage.spans import Span

COMPRESSORS = ("blosc", "bz2", "gzip", "lz4", "lzma", "zlib", "zstd")


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


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).partition("\n")[0][:200]
