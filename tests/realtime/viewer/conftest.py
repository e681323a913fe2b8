"""Fixtures: a records service that only notes what it is asked, and a viewer in front of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from starlette.types import Message, Receive, Scope, Send

from realtime.viewer.app import create_app
from storage.settings import ViewerSettings
from tests.support.app_server import serving

SECRET = "rvt_secret-of-the-server"


@dataclass
class Asked:
    """A request as the records service saw it."""

    method: str
    target: bytes
    headers: dict[str, str]
    body: bytes


@dataclass
class FakeRecords:
    """Answers everything as it is told to, and notes it."""

    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"[]"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            for done in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{done}.complete"})
            return
        body = b""
        message: Message = {"more_body": True}
        while message.get("more_body"):
            message = await receive()
            body += message.get("body", b"")
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        target = scope["raw_path"]
        if scope["query_string"]:
            target += b"?" + scope["query_string"]
        self.asked.append(Asked(scope["method"], target, headers, body))
        given = {"content-type": "application/json", **self.headers}
        sent = [(name.encode(), value.encode()) for name, value in given.items()]
        await send({"type": "http.response.start", "status": self.status, "headers": sent})
        await send({"type": "http.response.body", "body": self.body})


@pytest.fixture(scope="session")
def fake() -> Iterator[FakeRecords]:
    """Run the records service that notes."""
    service = FakeRecords()
    with serving(service) as url:
        service.url = url
        yield service


@pytest.fixture
def records(fake: FakeRecords) -> FakeRecords:
    """Return the records service, which has not been asked for anything."""
    fresh = FakeRecords(url=fake.url)
    vars(fake).update(vars(fresh))
    return fake


def settings(home: Path, records_url: str, **given: Any) -> ViewerSettings:
    """Return settings that nothing of the environment has a say in."""
    fixed: dict[str, Any] = {"home": home, "records_url": records_url, "sign_in": None}
    return ViewerSettings(**{**fixed, "token": None, "montages": None, "origin": None, **given})


@pytest.fixture(scope="session")
def lending(fake: FakeRecords, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a viewer that lends its token to this machine."""
    home = tmp_path_factory.mktemp("lending")
    with serving(create_app(settings(home, fake.url, token=SecretStr(SECRET)))) as url:
        yield url


@pytest.fixture(scope="session")
def asking(fake: FakeRecords, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a viewer where everybody signs in."""
    home = tmp_path_factory.mktemp("asking")
    app = create_app(settings(home, fake.url, token=SecretStr(SECRET), sign_in=True))
    with serving(app) as url:
        yield url


@pytest.fixture
def viewer(lending: str, records: FakeRecords) -> Iterator[httpx.Client]:
    """Return a client of the viewer that lends its token."""
    with httpx.Client(base_url=lending) as client:
        yield client


@pytest.fixture
def guarded(asking: str, records: FakeRecords) -> Iterator[httpx.Client]:
    """Return a client of the viewer where everybody signs in, as its own page would ask."""
    with httpx.Client(base_url=asking, headers={"Origin": asking}) as client:
        yield client
