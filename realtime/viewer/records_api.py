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
MAX_EXPORTS = 8  # of their own, or a few nights on their way would keep all pages waiting
KEPT = 32
# The service drops a connection after 5 s; one that is asked at that very moment gets no answer.
KEPT_S = 2.0
DROPPED = (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError)

log = logging.getLogger(__name__)


class Unanswered(Problem):
    """The records service cannot be reached, or does not answer in time."""


class RecordsApi:
    """Sends requests on; open between ``async with`` and its end.

    Parameters
    ----------
    url
        Of the service, with whatever path it lies under; without a name or password.
    named
        Whether who asks is told where the service is; strangers are not.
    """

    def __init__(self, url: str, named: bool = True) -> None:
        self.url = url
        self._named = named
        self._base = httpx.URL(url)
        self._path = self._base.raw_path.rstrip(b"/")
        self._client: httpx.AsyncClient | None = None
        self._exports: httpx.AsyncClient | None = None
        self._reached = True

    async def send(
        self,
        method: str,
        target: bytes,
        headers: Mapping[str, str],
        content: bytes | None = None,
        answer_s: float = ANSWER_S,
        *,
        export: bool = False,
    ) -> httpx.Response:
        """Return the head of an answer, whose body is still to be read, and closed.

        Parameters
        ----------
        target
            Path and query as they go onto the wire.
        export
            Whether it may take long, and so has one of a few connections of its own.

        Raises
        ------
        Unanswered
            502 if the service cannot be reached, 503 if all connections are taken, 504 if it does
            not answer in time.
        """
        client = self._exports if export else self._client
        assert client is not None
        request = client.build_request(
            method,
            self._base,
            headers={"Accept-Encoding": "identity", **headers},
            content=content,
            timeout=httpx.Timeout(ANSWER_S, connect=CONNECT_S, read=answer_s, pool=CONNECT_S),
            # Written as it is, so that ids of any letters survive.
            extensions={"target": self._path + target},
        )
        try:
            try:
                answer = await client.send(request, stream=True)
            except DROPPED:
                if method != "GET":  # a mark would be written twice
                    raise
                answer = await client.send(request, stream=True)
        except httpx.TransportError as error:
            raise self.unanswered(error) from error
        self.note(reached=True)
        return answer

    def unanswered(self, error: Exception) -> Unanswered:
        """Return what to say of a service that did not answer."""
        if isinstance(error, httpx.PoolTimeout):
            return Unanswered(503, "the viewer is busy; try again")
        if isinstance(error, httpx.TimeoutException | TimeoutError):
            return Unanswered(504, f"{self._name()} does not answer in time; try again")
        self.note(reached=False)
        if not self._named:
            return Unanswered(
                502,
                f"{self._name()} cannot be reached; the log of the viewer says where it should be",
            )
        return Unanswered(
            502,
            f"{self._name()} cannot be reached; start it with `ranvier serve records`, or set "
            f"RANVIER_RECORDS_URL to where it runs",
        )

    def _name(self) -> str:
        return f"the records service at {self.url}" if self._named else "the records service"

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
        verify = self.tls() or False
        self._client = _client(verify, MAX_CONNECTIONS, KEPT)
        self._exports = _client(verify, MAX_EXPORTS, 0)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        clients = (self._client, self._exports)
        self._client = self._exports = None
        for client in clients:
            if client is not None:
                await client.aclose()


def _client(verify: ssl.SSLContext | bool, most: int, kept: int) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        verify=verify,
        follow_redirects=False,
        trust_env=False,
        limits=httpx.Limits(
            max_connections=most, max_keepalive_connections=kept, keepalive_expiry=KEPT_S
        ),
    )
