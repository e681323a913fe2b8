"""The connection of a wearable to the records service: one request, one answer or one error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import httpx
import orjson

from storage.errors import NotAuthorized, Rejected, Unreachable

TIMEOUT_S = 30.0
TRY_AGAIN = (408, 425, 429, 500, 502, 503, 504)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the service said: a status below 300, and the object in its body."""

    status: int
    content: dict[str, Any]


class Link:
    """Sends requests over one kept connection; not to be shared between threads.

    Parameters
    ----------
    url
        Address of the service.
    token
        For its authentication, if it wants any.
    """

    def __init__(self, url: str, token: str | None) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._url = url.rstrip("/")
        self._client = httpx.Client(timeout=TIMEOUT_S, headers=headers)

    def post(
        self,
        path: str,
        body: bytes,
        kind: str = "application/json",
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """Post something and return the answer.

        Raises
        ------
        Unreachable
            If no answer came, or one that says that it may come later.
        NotAuthorized
            If the token is missing, unknown, or not for this.
        Rejected
            If it was refused for good.
        """
        try:
            response = self._client.post(
                self._url + path, content=body, headers={"Content-Type": kind, **(headers or {})}
            )
        except httpx.TransportError as error:
            raise Unreachable(
                f"{self._url}: does not answer ({error}); start it with: ranvier serve records"
            ) from error
        except httpx.InvalidURL as error:
            raise Rejected(f"{self._url}: is no address ({error})") from error
        if response.is_success:
            return Answer(response.status_code, orjson.loads(response.content))
        reason = f"{self._url}{path}: {response.status_code} {_reason(response)}"
        if response.status_code in TRY_AGAIN:
            raise Unreachable(reason)
        if response.status_code in (401, 403):
            raise NotAuthorized(f"{reason}; set RANVIER_TOKEN to one that ranvier tokens add gave")
        raise Rejected(reason)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()


def _reason(response: httpx.Response) -> str:
    try:
        content = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        return response.reason_phrase
    detail = content.get("detail") if isinstance(content, dict) else None
    return str(detail or response.reason_phrase)
