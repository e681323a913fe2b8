"""Folders whose files rest on the medium once they were written.

On this machine: written aside, flushed, renamed, and the folders flushed up to the root.
In a bucket a put that was answered rests.

A file that is there is replaced only if whoever writes may do so (``Replacing``), and nobody else
has written it meanwhile: on this machine a worker has the folder for itself (``alone``) until it
ends or dies, however long it sleeps; in a bucket an object is put only where none is, or over the
very one that was read before.
"""

from __future__ import annotations

import fcntl
import os
import platform
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Protocol

from storage.buckets import BucketFolder
from storage.errors import AlreadyExists, Busy, NotFound, StorageError
from storage.folders import Folder, LocalFolder, unreadable

ASIDE = ".part"
LOCK = ".lock"
_ASKS_EVERY_S = 0.05
# Told which files are to be replaced by other bytes; raises unless they may be.
Replacing = Callable[[Sequence[str]], None]


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

    def put(self, files: Mapping[str, bytes], replacing: Replacing | None = None) -> None:
        """Write files; when it returns, they rest on the medium.

        A file that is there with this content already is left as it is.

        Parameters
        ----------
        replacing
            Asked before files with another content are replaced; None: they never are.

        Raises
        ------
        AlreadyExists
            If there is a file with another content, and nobody to ask.
        Busy
            If another worker has written one meanwhile.
        """
        ...

    def alone(self, name: str, waits_s: float = 0) -> AbstractContextManager[None]:
        """Have a folder for oneself, as far as that can be had; a death ends it.

        Parameters
        ----------
        waits_s
            How long to wait for whoever has it now.

        Raises
        ------
        Busy
            If another worker has it.
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
        except OSError as error:
            raise unreadable(self.path / name, error) from error
        try:
            return os.pread(descriptor, stop - start, start)
        except OSError as error:
            raise unreadable(self.path / name, error) from error
        finally:
            os.close(descriptor)

    def put(self, files: Mapping[str, bytes], replacing: Replacing | None = None) -> None:
        """Write all aside and flush them, then rename them, then flush their folders."""
        waiting = [name for name, content in files.items() if not self._holds(name, content)]
        others = [name for name in waiting if (self.path / name).exists()]
        if others:
            _ask(replacing, others, self.url)
        aside = f".{secrets.token_hex(8)}{ASIDE}"
        with self._writing():
            for name in waiting:
                self._write_aside(self.path / f"{name}{aside}", files[name])
            for name in waiting:
                os.replace(f"{self._root}/{name}{aside}", f"{self._root}/{name}")  # noqa: PTH105
            for parent in sorted({(self.path / name).parent for name in files}):
                flush(parent)

    @contextmanager
    def alone(self, name: str, waits_s: float = 0) -> Iterator[None]:
        """Lock a file of the folder; the system lets go of it when the process ends."""
        place = self.path / name / LOCK
        with self._writing():
            self._make(place.parent)
            descriptor = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            _lock(descriptor, place, waits_s)
            try:
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"process {os.getpid()} on {platform.node()}".encode(), 0)
                yield
            finally:
                # A child that was forked meanwhile has the file open, too.
                fcntl.flock(descriptor, fcntl.LOCK_UN)
        finally:
            os.close(descriptor)

    def names(self, prefix: str = "") -> Iterator[str]:
        """Yield the names of all whole files below ``prefix``, but for those of locks."""
        return (name for name in super().names(prefix) if name.rpartition("/")[2] != LOCK)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
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
        with open(place, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())

    def _make(self, folder: Path) -> None:
        """Make a folder whose own entry, and that of each above it, is flushed.

        Those that are there as well: whoever made them may have died before that.
        """
        if folder in self._flushed and folder.is_dir():
            return
        if not folder.is_mount():
            self._make(folder.parent)
            folder.mkdir(exist_ok=True)
            try:
                flush(folder.parent)
            except PermissionError:
                # Above the store: where we may not look, we made nothing.
                if self.path in folder.parents:
                    raise
        self._flushed.add(folder)


class BucketDurable(BucketFolder):
    """Objects below a prefix of a bucket."""

    def put(self, files: Mapping[str, bytes], replacing: Replacing | None = None) -> None:
        """Put each object where none is, or over the one that was there before it was asked."""
        others: dict[str, str] = {}
        for name, content in files.items():
            try:
                self.put_new(name, content)
            except AlreadyExists:
                there, tag = self.read_tagged(name)
                if there != content:
                    others[name] = tag
        if others:
            _ask(replacing, list(others), self.url)
        for name, tag in others.items():
            # Where the answer to a first try was lost, the second one finds what it wrote.
            if not self.put_over(name, files[name], tag) and self.read(name) != files[name]:
                raise Busy(f"{self.url}/{name}: another worker has written it meanwhile; try again")

    def alone(
        self,
        name: str,  # noqa: ARG002
        waits_s: float = 0,  # noqa: ARG002
    ) -> AbstractContextManager[None]:
        """Do nothing: no object can be locked, and none need be."""
        return nullcontext()

    def leftovers(self, prefix: str = "") -> Iterator[str]:  # noqa: ARG002
        """Yield nothing: an object appears whole or not at all."""
        yield from ()


def _ask(replacing: Replacing | None, names: Sequence[str], url: str) -> None:
    if replacing is None:
        raise AlreadyExists(f"{url}/{names[0]}: holds other bytes, and is not to be replaced")
    replacing(names)


def _lock(descriptor: int, place: Path, waits_s: float) -> None:
    due = time.monotonic() + waits_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() >= due:
                who = os.pread(descriptor, 200, 0).decode(errors="replace") or "another process"
                raise Busy(
                    f"{place.parent}: {who} works on it; try again when it is done"
                ) from error
            time.sleep(_ASKS_EVERY_S)
        else:
            return


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
