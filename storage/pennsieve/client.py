"""The platform as we see it: two hosts, one identity, JSON in and out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import quote, urlsplit

from storage.errors import UsageError
from storage.pennsieve.answers import Answer
from storage.pennsieve.auth import Credentials, Tokens
from storage.pennsieve.patience import Patience
from storage.pennsieve.transport import Transport

CONNECTIONS = 32


@dataclass(frozen=True, slots=True)
class Hosts:
    """Where the two halves of the API are.

    Parameters
    ----------
    api
        Authentication, packages and time series.
    api2
        Workflow runs and imports.

    Raises
    ------
    UsageError
        If one is not an ``http://`` or ``https://`` address.
    """

    api: str = "https://api.pennsieve.net"
    api2: str = "https://api2.pennsieve.net"

    def __post_init__(self) -> None:
        for name in ("api", "api2"):
            host = getattr(self, name)
            place = urlsplit(host)
            if place.scheme not in ("http", "https") or not place.hostname:
                raise UsageError(f"{host}: expected an address like https://api.pennsieve.net")
            object.__setattr__(self, name, host.rstrip("/"))


class Client:
    """Authorized calls to both hosts. Threads share it; processes each connect their own."""

    def __init__(
        self, hosts: Hosts, credentials: Credentials, concurrency: int, patience: Patience
    ) -> None:
        self.hosts = hosts
        self.concurrency = concurrency
        self.transport = Transport(concurrency, patience)
        self._tokens = Tokens(self.transport, hosts.api, credentials)

    def call(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        body: object = None,
        accept: str = "application/json",
        repeatable: bool = True,
    ) -> Answer:
        """Make one authorized call; see :meth:`Transport.call` for parameters and errors."""
        return self.transport.call(
            method,
            url,
            params=params,
            body=body,
            accept=accept,
            repeatable=repeatable,
            bearer=self._tokens,
        )

    def close(self) -> None:
        """Close every connection."""
        self.transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def connect(
    hosts: Hosts,
    credentials: Credentials,
    concurrency: int = CONNECTIONS,
    patience: Patience | None = None,
) -> Client:
    """Return a client; it signs in with its first call.

    Parameters
    ----------
    hosts, credentials
        Where, and as whom.
    concurrency
        Connections to each host, and files under way at once.
    patience
        Time limits and retries, if not the usual ones.

    Raises
    ------
    UsageError
        If ``concurrency`` is not positive.
    """
    if concurrency < 1:
        raise UsageError(f"the number of connections must be at least 1, got {concurrency}")
    return Client(hosts, credentials, concurrency, patience or Patience())


def segment(identifier: str) -> str:
    """Return an id as a segment of a path: its colons stay as they are."""
    return quote(identifier, safe=":")
