"""The one door to S3: buckets as folders, and objects as files that are read by ranges."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, cast

from storage.errors import NotAuthorized, NotFound, RemoteError, UsageError

if TYPE_CHECKING:
    from obstore.store import S3Store

READ_AHEAD_BYTES = 1 << 20


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
    from obstore.auth.boto3 import Boto3CredentialProvider
    from obstore.store import S3Store

    return S3Store(
        bucket,
        prefix=prefix or None,
        credential_provider=Boto3CredentialProvider(),
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

    def write(self, name: str, buffers: Sequence[bytes | bytearray | memoryview]) -> None:
        """Put one object."""
        import obstore

        with _named(f"{self.url}/{name}"):
            obstore.put(self._store, name, b"".join(buffers), use_multipart=False)

    def read(self, name: str) -> bytes:
        """Get one object."""
        import obstore

        with _named(f"{self.url}/{name}"):
            return bytes(obstore.get(self._store, name).bytes())

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

    def _log_names(self, log: str) -> list[str]:
        return list(self.names(f"{log}/"))

    def delete_tree(self, prefix: str) -> None:
        """Delete every object below ``prefix``."""
        import obstore

        names = list(self.names(prefix.rstrip("/") + "/"))
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
        raise NotFound(f"{url}: there is no such object") from error
    except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError) as error:
        raise NotAuthorized(
            f"{url}: access denied; check the AWS keys and the bucket's policy"
        ) from error
    except exceptions.BaseError as error:
        reason = str(error).strip().splitlines()[0]
        raise RemoteError(f"{url}: {reason}") from error


def open_object(url: str) -> tuple[BinaryIO, int, str]:
    """Open an object for reading by ranges, without downloading it.

    Returns
    -------
    file, size, etag
        A seekable binary file, its length in bytes, and the store's tag of its content.

    Raises
    ------
    NotFound
        If there is no such object.
    """
    import obstore

    bucket, key = split_url(url)
    store = open_store(bucket)
    with _named(url):
        meta = obstore.head(store, key)
        reader = obstore.open_reader(store, key, buffer_size=READ_AHEAD_BYTES)
    return cast(BinaryIO, reader), int(meta["size"]), str(meta["e_tag"] or meta["last_modified"])


def list_objects(url: str, suffix: str) -> list[str]:
    """Return the URLs of all objects below an ``s3://`` prefix that end in ``suffix``."""
    bucket, key = split_url(url)
    folder = BucketFolder(f"s3://{bucket}/{key}")
    return sorted(f"{folder.url}/{name}" for name in folder.names() if name.endswith(suffix))
