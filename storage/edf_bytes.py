"""Ranges of bytes of a file, on this machine or in a bucket, read into memory that is there."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from storage.buckets import ObjectFile
from storage.errors import CorruptRecording, NotFound

PIECE_BYTES = 1 << 20


class FileBytes(Protocol):
    """A file that several threads may read from."""

    size: int

    @property
    def fingerprint(self) -> dict[str, str | int]:
        """Size, and time of change or tag."""
        ...

    @property
    def near(self) -> bool:
        """Whether many small reads cost no more than a few large ones."""
        ...

    def fill(self, view: memoryview, offset: int) -> None:
        """Fill a view with the bytes from an offset on.

        Raises
        ------
        CorruptRecording
            If the file ends before.
        """
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...


class LocalBytes:
    """A file of this machine."""

    near = True

    def __init__(self, path: str) -> None:
        try:
            self._file = open(path, "rb", buffering=0)  # noqa: SIM115
        except (FileNotFoundError, NotADirectoryError) as error:
            raise NotFound(f"{path}: there is no such file") from error
        except IsADirectoryError as error:
            raise NotFound(f"{path}: is a folder, expected a file") from error
        except PermissionError as error:
            raise NotFound(f"{path}: may not be read by this user") from error
        self._path = path
        stat = os.fstat(self._file.fileno())
        self.size = stat.st_size
        self._changed_ns = stat.st_mtime_ns

    @property
    def fingerprint(self) -> dict[str, str | int]:
        """Size and time of change."""
        return {"bytes": self.size, "modified_ns": self._changed_ns}

    def fill(self, view: memoryview, offset: int) -> None:
        """Fill a view with the bytes from an offset on."""
        at = 0
        while at < len(view):
            count = os.preadv(self._file.fileno(), [view[at:]], offset + at)
            if not count:
                raise CorruptRecording(
                    f"{Path(self._path).name}: ends at byte {offset + at}, had {self.size} when "
                    "it was opened; read it again when nobody writes to it"
                )
            at += count

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


class ObjectBytes:
    """An object in a bucket."""

    near = False

    def __init__(self, url: str) -> None:
        self._object = ObjectFile(url)
        self._lock = threading.Lock()
        self._url = url
        self.size = self._object.size

    @property
    def fingerprint(self) -> dict[str, str | int]:
        """Size and the store's tag."""
        return {"bytes": self.size, "etag": self._object.tag}

    def fill(self, view: memoryview, offset: int) -> None:
        """Fill a view with the bytes from an offset on."""
        if self._object.closed:
            raise ValueError(f"{self._url}: is closed")
        with self._lock:
            self._object.seek(offset)
            if self._object.readinto(view) != len(view):
                raise CorruptRecording(f"{self._url}: ends before byte {offset + len(view)}")

    def close(self) -> None:
        """Let go of the object."""
        self._object.close()


def open_file_bytes(url: str) -> FileBytes:
    """Open a local path or an ``s3://`` URL.

    Raises
    ------
    NotFound
        If there is no such file.
    """
    return ObjectBytes(url) if url.startswith("s3://") else LocalBytes(url)


def read_bytes(file: FileBytes, start: int, stop: int) -> bytes:
    """Return the bytes of a range, as far as the file goes."""
    content = bytearray(max(0, min(stop, file.size) - start))
    file.fill(memoryview(content), start)
    return bytes(content)


def pieces(file: FileBytes, start: int, stop: int) -> Iterator[bytes]:
    """Yield the bytes of a range, piece by piece."""
    for at in range(start, stop, PIECE_BYTES):
        yield read_bytes(file, at, min(at + PIECE_BYTES, stop))


def sha256_of(file: FileBytes) -> str:
    """Return the digest of a file."""
    digest, buffer = hashlib.sha256(), bytearray(PIECE_BYTES)
    for at in range(0, file.size, PIECE_BYTES):
        view = memoryview(buffer)[: min(PIECE_BYTES, file.size - at)]
        file.fill(view, at)
        digest.update(view)
    return digest.hexdigest()
