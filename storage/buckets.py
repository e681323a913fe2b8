"""The one door to S3: buckets as folders, and objects as files that are read by ranges."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING

from storage.errors import (
    AlreadyExists,
    NotAuthorized,
    NotFound,
    RemoteError,
    Unreachable,
    UsageError,
)

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from obstore.store import S3Store

BLOCK_BYTES = 1 << 20
# How the store says that it could not be reached, or is not itself just now.
_LATER = re.compile(
    r"error sending request|timed? ?out|connect|after \d+ retries|\b5\d\d\b", re.IGNORECASE
)
BLOCKS_KEPT = 16


def split_url(url: str) -> tuple[str, str]:
    """Split ``s3://bucket/some/key`` into bucket and key (without slashes at its ends).

    Raises
    ------
    UsageError
        If there is no bucket in it.
    """
    bucket, _, key = url.removeprefix("s3://").partition("/")
    if not url.startswith("s3://") or not bucket:
        raise UsageError(f"{url}: expected an S3 URL like s3://bucket/folder")
    return bucket, key.strip("/")


def open_store(bucket: str, prefix: str = "") -> S3Store:
    """Return an obstore store; keys, region and endpoint come from the usual AWS settings."""
    from botocore.exceptions import BotoCoreError
    from obstore.auth.boto3 import Boto3CredentialProvider
    from obstore.store import S3Store

    try:
        keys = Boto3CredentialProvider()
    except (ValueError, BotoCoreError) as error:
        raise NotAuthorized(
            f"s3://{bucket}: no AWS keys were found ({error}); set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
        ) from error
    return S3Store(
        bucket,
        prefix=prefix or None,
        credential_provider=keys,
        client_options={"allow_http": True},
    )


class BucketFolder:
    """Objects below a prefix of a bucket."""

    def __init__(self, url: str) -> None:
        self._bucket, self._prefix = split_url(url)
        self._store = open_store(self._bucket, self._prefix)
        self._next_record: dict[str, int] = {}

    @property
    def url(self) -> str:
        """``s3://bucket/prefix``."""
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    def write(self, name: str, buffers: Iterable[bytes | bytearray | memoryview]) -> None:
        """Put one object."""
        import obstore

        with _named(f"{self.url}/{name}"):
            obstore.put(self._store, name, b"".join(buffers), use_multipart=False)

    def read(self, name: str) -> bytes:
        """Get one object."""
        import obstore

        with _named(f"{self.url}/{name}"):
            return bytes(obstore.get(self._store, name).bytes())

    def read_range(self, name: str, start: int, stop: int) -> bytes:
        """Get a part of an object."""
        import obstore

        with _named(f"{self.url}/{name}"):
            return bytes(obstore.get_range(self._store, name, start=start, end=stop))

    def put_new(self, name: str, content: bytes) -> None:
        """Put an object where there is none.

        Raises
        ------
        AlreadyExists
            If there is one.
        """
        import obstore
        from obstore.exceptions import AlreadyExistsError

        with _named(f"{self.url}/{name}"):
            try:
                obstore.put(self._store, name, content, mode="create", use_multipart=False)
            except AlreadyExistsError as error:
                raise AlreadyExists(f"{self.url}/{name}: there is an object already") from error

    def read_tagged(self, name: str) -> tuple[bytes, str]:
        """Get one object, and the tag that tells it from others of its name."""
        import obstore

        with _named(f"{self.url}/{name}"):
            found = obstore.get(self._store, name)
            return bytes(found.bytes()), str(found.meta["e_tag"])

    def put_over(self, name: str, content: bytes, tag: str) -> bool:
        """Put an object over the one of that tag; return whether it was still there."""
        import obstore
        from obstore.exceptions import PreconditionError

        with _named(f"{self.url}/{name}"):
            try:
                obstore.put(self._store, name, content, mode={"e_tag": tag}, use_multipart=False)
            except PreconditionError:
                return False
        return True

    def size(self, name: str) -> int | None:
        """Return an object's length in bytes, or None where there is none."""
        import obstore

        try:
            with _named(f"{self.url}/{name}"):
                return int(obstore.head(self._store, name)["size"])
        except NotFound:
            return None

    def names(self, prefix: str = "") -> Iterator[str]:
        """Yield the names of all objects below ``prefix``, in order."""
        import obstore

        folder = prefix.rpartition("/")[0]
        with _named(self.url):
            for page in obstore.list(self._store, prefix=folder or None):
                for item in page:
                    if item["path"].startswith(prefix):
                        yield item["path"]

    def delete(self, name: str) -> None:
        """Delete one object; nothing happens where there is none."""
        import obstore

        try:
            with _named(f"{self.url}/{name}"):
                obstore.delete(self._store, name)
        except NotFound:
            return

    def append(self, log: str, record: bytes) -> None:
        """Put one object for each record, since objects cannot grow."""
        if log not in self._next_record:
            names = self._log_names(log)
            self._next_record[log] = int(names[-1].rpartition("/")[2]) + 1 if names else 0
        self.write(f"{log}/{self._next_record[log]:08d}", [record])
        self._next_record[log] += 1

    def read_log(self, log: str) -> bytes:
        """Return the records, a line each, in the order of their names."""
        return b"".join(self.read(name) + b"\n" for name in self._log_names(log))

    def log_records(self, log: str) -> Iterator[bytes]:
        """Yield the records, in the order of their names, one at a time."""
        for name in self._log_names(log):
            yield self.read(name)

    def _log_names(self, log: str) -> list[str]:
        return list(self.names(f"{log}/"))

    def delete_tree(self, prefix: str) -> None:
        """Delete every object below ``prefix``."""
        import obstore

        names = list(self.names(f"{prefix.rstrip('/')}/" if prefix else ""))
        if names:
            with _named(self.url):
                obstore.delete(self._store, names)

    def signature(self) -> str:
        """Return a digest of all names, lengths and the store's tags."""
        import obstore

        digest = hashlib.sha256()
        with _named(self.url):
            for page in obstore.list(self._store):
                for item in page:
                    tag = item["e_tag"] or item["last_modified"]
                    digest.update(f"{item['path']} {item['size']} {tag}\n".encode())
        return digest.hexdigest()


@contextmanager
def _named(url: str) -> Iterator[None]:
    """Turn obstore's errors into ours, with the URL that they are about."""
    from obstore import exceptions

    try:
        yield
    except (exceptions.NotFoundError, FileNotFoundError) as error:
        if "NoSuchBucket" in str(error):
            raise NotFound(f"{url}: there is no such bucket") from error
        raise NotFound(f"{url}: there is no such object") from error
    except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError) as error:
        raise NotAuthorized(
            f"{url}: access denied; check the AWS keys and the bucket's policy"
        ) from error
    except exceptions.BaseError as error:
        text = " ".join(str(error).split())
        if "NoSuchBucket" in text:
            raise NotFound(f"{url}: there is no such bucket; check its name") from error
        reason = text.partition("<?xml")[0][:300]
        if isinstance(error, exceptions.GenericError) and _LATER.search(text):
            raise Unreachable(f"{url}: {reason}; try again later") from error
        raise RemoteError(f"{url}: {reason}") from error


class ObjectFile(io.RawIOBase):
    """An object as a seekable file that is read by ranges, without downloading it.

    Small reads fetch whole blocks, the last of which are kept; large ones fetch just their range.

    Parameters
    ----------
    url
        ``s3://bucket/key``.

    Raises
    ------
    NotFound
        If there is no such object.
    """

    def __init__(self, url: str) -> None:
        import obstore

        super().__init__()
        self._url = url
        bucket, self._key = split_url(url)
        self._store = open_store(bucket)
        with _named(url):
            meta = obstore.head(self._store, self._key)
        self.size = int(meta["size"])
        self.tag = str(meta["e_tag"] or meta["last_modified"])
        self._at = 0
        self._block = lru_cache(maxsize=BLOCKS_KEPT)(self._fetch_block)

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position of the next read."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move the position of the next read and return it."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill a buffer as far as the object goes, and return the number of bytes."""
        view = memoryview(buffer).cast("B")
        start, stop = self._at, min(self._at + len(view), self.size)
        if stop <= start:
            return 0
        if stop - start >= BLOCK_BYTES:
            view[: stop - start] = self._fetch(start, stop)
        else:
            for number in range(start // BLOCK_BYTES, -(-stop // BLOCK_BYTES)):
                first = number * BLOCK_BYTES
                low, high = max(start, first), min(stop, first + BLOCK_BYTES)
                view[low - start : high - start] = self._block(number)[low - first : high - first]
        self._at = stop
        return stop - start

    def _fetch_block(self, number: int) -> memoryview:
        first = number * BLOCK_BYTES
        return self._fetch(first, min(first + BLOCK_BYTES, self.size))

    def _fetch(self, start: int, stop: int) -> memoryview:
        import obstore

        with _named(self._url):
            return memoryview(obstore.get_range(self._store, self._key, start=start, end=stop))
