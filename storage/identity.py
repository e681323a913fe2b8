"""The key that seals what names a person, apart from everything else."""

from __future__ import annotations

import hashlib
import hmac
import os
from contextlib import suppress
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from storage.database import make_folder, sync_folder
from storage.errors import NotFound, StorageError

KEY_BYTES = 32
NONCE_BYTES = 12
ID_BYTES = 8
MAGIC = b"RVI1"
_PSEUDONYMS = b"ranvier pseudonyms v1"
_KEY_ID = b"ranvier key id v1"
_BEFORE_TEXT = ID_BYTES + NONCE_BYTES


class IdentityKey:
    """Seals and opens identities with AES-256-GCM.

    A sealed text is ``RVI1``, 8 bytes that tell which key it is, a random nonce of 12 bytes, and
    the ciphertext with its tag.
    """

    def __init__(self, key: bytes, place: str) -> None:
        self._cipher = AESGCM(key)
        # Keys for two purposes are never the same.
        self._pseudonyms = hmac.digest(key, _PSEUDONYMS, hashlib.sha256)
        self._id = hmac.digest(key, _KEY_ID, hashlib.sha256)[:ID_BYTES]
        self.place = place

    @property
    def id(self) -> str:
        """16 hexadecimal digits that tell which key it is, and nothing of it."""
        return self._id.hex()

    @classmethod
    def load_or_create(cls, path: Path) -> Self:
        """Read the key, or make one that only the owner of the file can read.

        Of several processes that make it at once, one does, and all use that one.
        """
        try:
            return cls.load(path)
        except NotFound:
            pass
        make_folder(path.parent)
        aside = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(os.urandom(KEY_BYTES).hex() + "\n")
                file.flush()
                os.fsync(file.fileno())
            # Unlike a rename, a link never replaces the key of somebody who was faster.
            with suppress(FileExistsError):
                os.link(aside, path)
        finally:
            aside.unlink()
        sync_folder(path.parent)
        return cls.load(path)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the key.

        Raises
        ------
        NotFound
            If there is no such file.
        StorageError
            If the file holds no key, or others can read it.
        """
        try:
            mode = path.stat().st_mode
            text = path.read_text().strip()
        except FileNotFoundError as error:
            raise NotFound(
                f"{path}: there is no identity key; bring it back from where it was backed up"
            ) from error
        except OSError as error:
            raise StorageError(f"{path}: the identity key cannot be read: {error}") from error
        except UnicodeDecodeError:
            text = ""
        if mode & 0o077:
            raise StorageError(
                f"{path}: the identity key has the mode {mode & 0o777:o}, so that others can get "
                "at it; run chmod 600 on it"
            )
        try:
            key = bytes.fromhex(text)
        except ValueError:
            key = b""
        if len(key) != KEY_BYTES:
            raise StorageError(
                f"{path}: this is no identity key; expected {2 * KEY_BYTES} hexadecimal digits"
            )
        return cls(key, str(path))

    def seal(self, content: bytes, context: str) -> bytes:
        """Return a content sealed for a context: ``<uuid of the recording>/<name of the blob>``."""
        nonce = os.urandom(NONCE_BYTES)
        return MAGIC + self._id + nonce + self._cipher.encrypt(nonce, content, context.encode())

    def open(self, sealed: bytes, context: str) -> bytes:
        """Return what was sealed for a context.

        Raises
        ------
        StorageError
            If it was sealed with another key, for another context, or was changed since.
        """
        if not sealed.startswith(MAGIC):
            raise StorageError(
                f"{context}: this is no sealed identity; it begins with "
                f"{sealed[: len(MAGIC)]!r}, expected {MAGIC!r}"
            )
        rest = memoryview(sealed)[len(MAGIC) :]
        key_id, nonce, text = rest[:ID_BYTES], rest[ID_BYTES:][:NONCE_BYTES], rest[_BEFORE_TEXT:]
        if key_id != self._id:
            raise StorageError(
                f"{context}: the identity was sealed with the key {key_id.hex()}, and {self.place} "
                f"holds {self.id}; bring the other key back from where it was backed up"
            )
        try:
            return self._cipher.decrypt(bytes(nonce), bytes(text), context.encode())
        except (InvalidTag, ValueError) as error:
            raise StorageError(
                f"{context}: the identity cannot be opened with {self.place}; it was sealed for "
                "another recording, or it was changed; restore it from a copy"
            ) from error

    def pseudonym(self, data: bytes) -> str:
        """Return 16 hexadecimal digits for a person, the same each time, that tell nothing."""
        return hmac.digest(self._pseudonyms, data, hashlib.sha256).hex()[:16]
