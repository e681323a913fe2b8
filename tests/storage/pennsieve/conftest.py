"""Servers, outputs and clients for the tests of the Pennsieve client."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.folders import LocalFolder
from storage.pennsieve import Client, Credentials, Hosts, Patience, connect
from tests.support.moto_server import MotoServer
from tests.support.pennsieve_api import PennsieveApi
from tests.support.pennsieve_cases import QUICK, Connect, MakeOutput, wait_until, write_output


@pytest.fixture(autouse=True)
def no_thread_stays() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    # Servers end the thread of a connection a moment after the connection was closed.
    wait_until(
        lambda: not {thread for thread in threading.enumerate() if thread not in before},
        "the threads of this test end",
    )


@pytest.fixture(scope="session")
def moto() -> Iterator[MotoServer]:
    with MotoServer() as server:
        yield server


@pytest.fixture
def api(
    no_thread_stays: None, moto: MotoServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[PennsieveApi]:
    """Start the platform with real Cognito tokens, and objects in memory."""
    for name, value in moto.environment.items():
        monkeypatch.setenv(name, value)
    with PennsieveApi(moto) as server:
        yield server


@pytest.fixture
def s3_api(
    no_thread_stays: None, moto: MotoServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[PennsieveApi]:
    """Start the platform with real Cognito tokens, and objects in moto's S3."""
    for name, value in moto.environment.items():
        monkeypatch.setenv(name, value)
    with PennsieveApi(moto, store="moto") as server:
        yield server


@pytest.fixture
def key(moto: MotoServer) -> Credentials:
    return Credentials(api_key=moto.tokens.username, api_secret=moto.tokens.password)


@pytest.fixture
def connected(key: Credentials) -> Iterator[Connect]:
    """Return what connects clients, and close them in the end."""
    clients = []

    def make(
        server: PennsieveApi,
        credentials: Credentials | None = None,
        concurrency: int = 8,
        patience: Patience = QUICK,
    ) -> Client:
        hosts = Hosts(server.url, server.url)
        clients.append(connect(hosts, credentials or key, concurrency, patience))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def make_output(tmp_path: Path) -> MakeOutput:
    """Return what writes outputs as the converter does."""

    def make(
        channels: int = 2,
        chunks: int = 2,
        folder: str = "output",
        digest: str = "sha256",
        salt: float = 0.0,
    ) -> LocalFolder:
        return write_output(tmp_path / folder, channels, chunks, digest=digest, salt=salt)

    return make
