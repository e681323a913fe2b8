"""The records service as the viewer's server reaches it: one pool of kept connections."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Mapping
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import httpx

from realtime.runtime.problems import Problem

CONNECT_S = 5.0
ANSWER_S = 60.0
LONG_ANSWER_S = 1800.0  # a night is written to a file before its first byte comes
MAX_CONNECTIONS = 128
KEPT = 32

log = logging.getLogger(__name__)


class Unanswered(Problem):
    """The records service cannot be reached, or does not answer in time."""


class RecordsApi:
    """Sends requests on; open between ``async with`` and its end.

    Parameters
    ----------
    url
        Of the service, with whatever path it lies under; without a name or password.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._base = httpx.URL(url)
        self._path = self._base.raw_path.rstrip(b"/")
        self._client: httpx.AsyncClient | None = None
        self._reached = True

    async def send(
        self,
        method: str,
        target: bytes,
        headers: Mapping[str, str],
        content: bytes | None = None,
        answer_s: float = ANSWER_S,
    ) -> httpx.Response:
        """Return the head of an answer, whose body is still to be read, and closed.

        Parameters
        ----------
        target
            Path and query as they go onto the wire.

        Raises
        ------
        Unanswered
            502 if the service cannot be reached, 504 if it does not answer in time.
        """
        assert self._client is not None
        request = self._client.build_request(
            method,
            self._base,
            headers={"Accept-Encoding": "identity", **headers},
            content=content,
            timeout=httpx.Timeout(ANSWER_S, connect=CONNECT_S, read=answer_s, pool=CONNECT_S),
            # Written as it is, so that ids of any letters survive.
            extensions={"target": self._path + target},
        )
        try:
            answer = await self._client.send(request, stream=True)
        except httpx.TransportError as error:
            raise self.unanswered(error) from error
        self.note(reached=True)
        return answer

    def unanswered(self, error: Exception) -> Unanswered:
        """Return what to say of a service that did not answer."""
        if isinstance(error, httpx.PoolTimeout):
            return Unanswered(503, "the viewer is busy; try again")
        if isinstance(error, httpx.TimeoutException | TimeoutError):
            return Unanswered(
                504, f"the records service at {self.url} does not answer in time; try again"
            )
        self.note(reached=False)
        return Unanswered(
            502,
            f"the records service at {self.url} cannot be reached; start it with `ranvier serve "
            f"records`, or set RANVIER_RECORDS_URL to where it runs",
        )

    def note(self, reached: bool) -> None:
        """Log that the service has gone, or is back; once, however many ask for it."""
        if reached != self._reached:
            self._reached = reached
            if reached:
                log.info("the records service at %s answers again", self.url)
            else:
                log.warning("the records service at %s cannot be reached", self.url)

    def socket_url(self, target: bytes) -> str:
        """Return the address of a WebSocket of the service."""
        parts = urlsplit(self.url)
        scheme = "wss" if parts.scheme == "https" else "ws"
        return f"{scheme}://{parts.netloc}{(self._path + target).decode('ascii')}"

    def tls(self) -> ssl.SSLContext | None:
        """Return how a secure service is checked: by what this machine trusts."""
        return ssl.create_default_context() if self.url.startswith("https:") else None

    async def __aenter__(self) -> Self:
        self._client = httpx.AsyncClient(
            verify=self.tls() or False,
            follow_redirects=False,
            trust_env=False,
            limits=httpx.Limits(max_connections=MAX_CONNECTIONS, max_keepalive_connections=KEPT),
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()
