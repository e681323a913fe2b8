"""Folders of plain files: on this machine, or under a prefix of an S3 bucket.

Both kinds promise the same: a file appears whole or not at all, and a log keeps each record that
was added to it once ``append`` has returned.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Protocol

from storage.buckets import BucketFolder
from storage.errors import NotFound, StorageError

Buffer = bytes | bytearray | memoryview


class Folder(Protocol):
    """Where files are written to and read from, by names that may contain slashes."""

    @property
    def url(self) -> str:
        """Absolute path or ``s3://bucket/prefix``."""
        ...

    def write(self, name: str, buffers: Iterable[Buffer]) -> None:
        """Write a file from consecutive buffers, replacing what was there."""
        ...

    def read(self, name: str) -> bytes:
        """Return a file's content.

        Raises
        ------
        NotFound
            If there is no such file.
        """
        ...

    def size(self, name: str) -> int | None:
        """Return a file's length in bytes, or None where there is none."""
        ...

    def names(self, prefix: str = "") -> Iterator[str]:
        """Yield the names of all files below ``prefix``, in order."""
        ...

    def delete(self, name: str) -> None:
        """Remove a file; nothing happens where there is none."""
        ...

    def append(self, log: str, record: bytes) -> None:
        """Add one record to a log. One writer at a time."""
        ...

    def read_log(self, log: str) -> bytes:
        """Return the whole records of a log, in order; empty where there is none."""
        ...

    def log_records(self, log: str) -> Iterator[bytes]:
        """Yield the whole records of a log, in order, one at a time."""
        ...

    def delete_tree(self, prefix: str) -> None:
        """Remove everything below ``prefix``."""
        ...

    def signature(self) -> str:
        """Return a digest of all names, lengths and times of change."""
        ...


class LocalFolder:
    """A folder of this machine; it is made when something is first written."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._root = str(self.path)
        self._known: set[str] = set()

    @property
    def url(self) -> str:
        """Absolute path."""
        return str(self.path)

    def _place(self, name: str) -> str:
        # Text rather than Path objects: thousands of small files pass here.
        place = os.path.join(self._root, name)
        parent = os.path.dirname(place)  # noqa: PTH120
        if parent not in self._known:
            os.makedirs(parent, exist_ok=True)  # noqa: PTH103
            self._known.add(parent)
        return place

    def write(self, name: str, buffers: Iterable[Buffer]) -> None:
        """Write aside, then rename."""
        place = self._place(name)
        aside = place + ".part"
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        try:
            _write_all(descriptor, buffers)
        except BaseException:
            os.unlink(aside)  # noqa: PTH108
            raise
        finally:
            os.close(descriptor)
        os.replace(aside, place)  # noqa: PTH105

    def read(self, name: str) -> bytes:
        """Return a file's content."""
        try:
            return (self.path / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError) as error:
            raise NotFound(f"{self.path / name}: there is no such file") from error
        except OSError as error:
            raise unreadable(self.path / name, error) from error

    def size(self, name: str) -> int | None:
        """Return a file's length in bytes, or None where there is none."""
        try:
            return (self.path / name).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise unreadable(self.path / name, error) from error

    def names(self, prefix: str = "") -> Iterator[str]:
        """Yield the names of all whole files below ``prefix``, in order."""
        for folder, folders, files in os.walk(self.path / prefix.rpartition("/")[0]):
            folders.sort()
            for name in sorted(files):
                relative = (Path(folder) / name).relative_to(self.path).as_posix()
                if relative.startswith(prefix) and not relative.endswith(".part"):
                    yield relative

    def delete(self, name: str) -> None:
        """Remove a file; nothing happens where there is none."""
        (self.path / name).unlink(missing_ok=True)

    def append(self, log: str, record: bytes) -> None:
        """Add one line to a file."""
        if b"\n" in record:
            raise ValueError("a record of a log is one line")
        with open(self._place(log), "a+b") as file:
            end = file.seek(0, os.SEEK_END)
            if end and os.pread(file.fileno(), 1, end - 1) != b"\n":
                # A crash cut the last record short; a new one must not be joined to it.
                file.truncate(len(self.read_log(log)))
            file.write(record + b"\n")

    def read_log(self, log: str) -> bytes:
        """Return the whole lines; a last one that was cut short by a crash is left out."""
        try:
            content = (self.path / log).read_bytes()
        except FileNotFoundError:
            return b""
        return content[: content.rfind(b"\n") + 1]

    def log_records(self, log: str) -> Iterator[bytes]:
        """Yield the whole lines, one at a time, without their ends."""
        try:
            with open(self.path / log, "rb") as file:
                for line in file:
                    if line.endswith(b"\n"):
                        yield line[:-1]
        except FileNotFoundError:
            return

    def delete_tree(self, prefix: str) -> None:
        """Remove a folder with all that is in it."""
        try:
            shutil.rmtree(self.path / prefix)
        except FileNotFoundError:
            return
        except OSError as error:
            raise StorageError(
                f"{self.path / prefix}: cannot be removed ({error.strerror}); remove it by hand"
            ) from error
        self._known.clear()

    def signature(self) -> str:
        """Return a digest of all names, lengths and times of change."""
        digest = hashlib.sha256()
        for name in self.names():
            stat = (self.path / name).stat()
            digest.update(f"{name} {stat.st_size} {stat.st_mtime_ns}\n".encode())
        return digest.hexdigest()


def unreadable(place: Path, error: OSError) -> StorageError:
    """Return what to say of a file or a folder that is there and cannot be read."""
    return StorageError(
        f"{place}: cannot be read ({error.strerror}); check the medium and the rights of the folder"
    )


def _write_all(descriptor: int, buffers: Iterable[Buffer]) -> None:
    at_once = os.sysconf("SC_IOV_MAX")
    waiting = iter(buffers)
    while batch := [memoryview(buffer).cast("B") for buffer in islice(waiting, at_once)]:
        while batch:
            written = os.writev(descriptor, batch)
            while batch and written >= len(batch[0]):
                written -= len(batch.pop(0))
            if written:
                batch[0] = batch[0][written:]


def open_folder(url: str) -> Folder:
    """Return the folder at a local path or an ``s3://`` URL; it need not exist yet."""
    if url.startswith("s3://"):
        return BucketFolder(url)
    return LocalFolder(Path(url))
