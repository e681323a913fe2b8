"""Folders whose files rest on the medium once they were written.

On this machine: written aside, flushed, renamed, and the folders flushed up to the store's root.
In a bucket a put that was answered rests; files that never change are put only where none is.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

from storage.buckets import BucketFolder
from storage.errors import AlreadyExists, NotFound, StorageError
from storage.folders import Folder, LocalFolder

ASIDE = ".part"


class DurableFolder(Folder, Protocol):
    """A folder that keeps what it took over a loss of power."""

    def read_range(self, name: str, start: int, stop: int) -> bytes:
        """Return a part of a file; shorter where the file ends.

        Raises
        ------
        NotFound
            If there is no such file.
        """
        ...

    def put(self, files: Mapping[str, bytes]) -> None:
        """Write files; when it returns, they rest on the medium.

        A file that is there with this content already is left as it is. One with another content
        is replaced: nothing refers to it yet, so it was left by a worker that died.
        """
        ...

    def leftovers(self, prefix: str = "") -> Iterator[str]:
        """Yield the names of files that were written aside and never got their name."""
        ...


class LocalDurable(LocalFolder):
    """A folder of this machine."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._flushed: set[Path] = set()

    def read_range(self, name: str, start: int, stop: int) -> bytes:
        """Return a part of a file."""
        try:
            descriptor = os.open(f"{self._root}/{name}", os.O_RDONLY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise NotFound(f"{self.path / name}: there is no such file") from error
        try:
            return os.pread(descriptor, stop - start, start)
        except OSError as error:
            raise StorageError(f"{self.path / name}: cannot be read ({error.strerror})") from error
        finally:
            os.close(descriptor)

    def put(self, files: Mapping[str, bytes]) -> None:
        """Write all aside and flush them, then rename them, then flush their folders."""
        waiting = [name for name, content in files.items() if not self._holds(name, content)]
        try:
            for name in waiting:
                self._write_aside(self.path / name, files[name])
            for name in waiting:
                os.replace(f"{self._root}/{name}{ASIDE}", f"{self._root}/{name}")  # noqa: PTH105
            for parent in sorted({(self.path / name).parent for name in files}):
                flush(parent)
        except OSError as error:
            raise StorageError(
                f"{error.filename or self.path}: cannot be written ({error.strerror}); make room "
                "or check the rights of the folder, then start again"
            ) from error

    def leftovers(self, prefix: str = "") -> Iterator[str]:
        """Yield the names of files that were written aside."""
        for place in sorted((self.path / prefix).rglob(f"*{ASIDE}")):
            yield place.relative_to(self.path).as_posix()

    def _holds(self, name: str, content: bytes) -> bool:
        place = self.path / name
        try:
            if place.stat().st_size != len(content) or place.read_bytes() != content:
                return False
            # Whoever wrote it may have died before it was flushed.
            flush(place)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def _write_aside(self, place: Path, content: bytes) -> None:
        self._make(place.parent)
        with open(f"{place}{ASIDE}", "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())

    def _make(self, folder: Path) -> None:
        """Make a folder whose own entry, and that of each above it, is flushed."""
        if folder in self._flushed and folder.is_dir():
            return
        if folder != self.path:
            self._make(folder.parent)
        else:
            for above in reversed([one for one in folder.parents if not one.is_dir()]):
                above.mkdir(exist_ok=True)
                flush(above.parent)
        folder.mkdir(exist_ok=True)
        flush(folder.parent)
        self._flushed.add(folder)


class BucketDurable(BucketFolder):
    """Objects below a prefix of a bucket."""

    def put(self, files: Mapping[str, bytes]) -> None:
        """Put each object where none is; compare it with what is there otherwise."""
        for name, content in files.items():
            try:
                self.put_new(name, content)
            except AlreadyExists:
                if self.read(name) != content:
                    self.write(name, [content])

    def leftovers(self, prefix: str = "") -> Iterator[str]:  # noqa: ARG002
        """Yield nothing: an object appears whole or not at all."""
        yield from ()


def flush(place: Path) -> None:
    """Have a file or a folder written to the medium."""
    descriptor = os.open(place, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def open_durable(url: str) -> DurableFolder:
    """Return the folder at a local path or an ``s3://`` URL; it need not exist yet."""
    if url.startswith("s3://"):
        return BucketDurable(url)
    return LocalDurable(Path(url))
