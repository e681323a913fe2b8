"""Files as bytes, on this machine or in a bucket: opening, fingerprints, local copies."""

from __future__ import annotations

import io
import shutil
import tempfile
from pathlib import Path
from typing import BinaryIO, cast

from storage.buckets import ObjectFile
from storage.errors import NotFound

BUFFER_BYTES = 1 << 20


def file_name(url: str) -> str:
    """Return the last part of a path or URL."""
    return url.rstrip("/").rpartition("/")[2]


def open_bytes(url: str) -> BinaryIO:
    """Open a file for reading.

    Raises
    ------
    NotFound
        If there is none, or this user may not read it.
    """
    if url.startswith("s3://"):
        return cast(BinaryIO, io.BufferedReader(ObjectFile(url), BUFFER_BYTES))
    try:
        return open(url, "rb")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFound(f"{url}: there is no such file") from error
    except IsADirectoryError as error:
        raise NotFound(f"{url}: is a folder, expected a file") from error
    except PermissionError as error:
        raise NotFound(f"{url}: may not be read by this user") from error


def fingerprint(url: str) -> dict[str, str | int]:
    """Return size, and time of change or tag, of a file."""
    if url.startswith("s3://"):
        with ObjectFile(url) as found:
            return {"bytes": found.size, "etag": found.tag}
    try:
        stat = Path(url).stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFound(f"{url}: there is no such file") from error
    return {"bytes": stat.st_size, "modified_ns": stat.st_mtime_ns}


class LocalCopy:
    """A file's path on this machine: its own, or that of a copy or link that ``close`` removes.

    Parameters
    ----------
    url
        The file.
    suffix
        What the path has to end in, for readers that go by the name.
    """

    def __init__(self, url: str, suffix: str) -> None:
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        local = not url.startswith("s3://")
        with open_bytes(url) as source:
            if local and url.endswith(suffix):
                self.path = Path(url)
                return
            self._folder = tempfile.TemporaryDirectory(prefix="ranvier-")
            self.path = Path(self._folder.name) / f"copy{suffix}"
            try:
                if local:
                    self.path.symlink_to(Path(url).absolute())
                else:
                    with open(self.path, "wb") as target:
                        shutil.copyfileobj(source, target, BUFFER_BYTES)
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        """Remove the copy or link, if there is one."""
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None
