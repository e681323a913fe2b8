"""Where the test platform lets files be put: the memory of the server, or moto's S3."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import parse_qs, urlsplit

import httpx

from tests.support.moto_server import MotoServer


@dataclass(frozen=True, slots=True)
class Stored:
    """An object, as far as it is remembered."""

    length: int
    md5: str


class ObjectStore(Protocol):
    """Signs URLs and takes what is put there."""

    objects: dict[str, Stored]

    def sign(self, key: str) -> tuple[str, str]:
        """Return path with query, and signature, of a URL that takes an object."""
        ...

    async def put(self, path: str, query: str, key: str, content: bytes) -> str:
        """Keep an object and return its tag."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class MemoryStore:
    """Remembers length and MD5 only."""

    def __init__(self) -> None:
        self.objects: dict[str, Stored] = {}

    def sign(self, key: str) -> tuple[str, str]:
        """Return path with query, and signature, of a URL that takes an object."""
        signature = secrets.token_hex(32)
        return f"/memory/{key}?X-Amz-Expires=3600&X-Amz-Signature={signature}", signature

    async def put(self, path: str, query: str, key: str, content: bytes) -> str:
        """Keep length and MD5 of an object and return its tag."""
        md5 = hashlib.md5(content).hexdigest()
        self.objects[key] = Stored(len(content), md5)
        return f'"{md5}"'

    async def close(self) -> None:
        """Nothing to let go of."""


class MotoStore:
    """Hands everything on to moto's S3."""

    def __init__(self, moto: MotoServer) -> None:
        self.objects: dict[str, Stored] = {}
        self._moto = moto
        self._http: httpx.AsyncClient | None = None

    def sign(self, key: str) -> tuple[str, str]:
        """Return path with query, and signature, of a URL that boto3 signed for moto."""
        url = urlsplit(
            self._moto.s3.generate_presigned_url(
                "put_object", Params={"Bucket": self._moto.bucket, "Key": key}, ExpiresIn=3600
            )
        )
        return f"{url.path}?{url.query}", parse_qs(url.query)["X-Amz-Signature"][0]

    async def put(self, path: str, query: str, key: str, content: bytes) -> str:
        """Put the object into the bucket and return the tag that S3 gives it."""
        if self._http is None:
            self._http = httpx.AsyncClient(base_url=self._moto.url, timeout=60, trust_env=False)
        answer = await self._http.put(f"{path}?{query}", content=content)
        answer.raise_for_status()
        self.objects[key] = Stored(len(content), hashlib.md5(content).hexdigest())
        return answer.headers["ETag"]

    async def close(self) -> None:
        """Close the connections to moto."""
        if self._http is not None:
            await self._http.aclose()
