"""Following a live recording over a WebSocket."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosedOK, InvalidStatus
from websockets.sync.client import connect
from websockets.sync.connection import Connection

from storage.catalog import Catalog
from tests.support.record_posts import RATE, chunk, digital, physical
from tests.support.records_server import RecordsServer

SECOND = physical(digital(RATE))


def follow(server: RecordsServer, name: str, **options: Any) -> Connection:
    return connect(f"ws{server.url.removeprefix('http')}/recordings/{name}/follow", **options)


def told(socket: Connection) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(socket.recv(timeout=10))
    return message


def test_a_follower_is_told_at_once(server: RecordsServer, client: httpx.Client, name: str) -> None:
    client.post("/ingest", json=chunk(name, SECOND))
    with follow(server, name) as socket:
        assert told(socket) == {"type": "appended", "end": 1.0}
        for second in range(1, 5):
            began = time.monotonic()
            client.post("/ingest", json=chunk(name, SECOND, float(second)))
            assert told(socket) == {"type": "appended", "end": second + 1.0}
            assert time.monotonic() - began < 5
        # A duplicate is nothing new.
        client.post("/ingest", json=chunk(name, SECOND, 4.0))
        client.post(f"/recordings/{name}/seal")
        assert told(socket) == {"type": "sealed", "end": 5.0}
        with pytest.raises(ConnectionClosedOK):
            socket.recv(timeout=10)


def test_what_another_process_does_is_seen(
    server: RecordsServer, client: httpx.Client, name: str
) -> None:
    client.post("/ingest", json=chunk(name, SECOND))
    with follow(server, name) as socket:
        assert told(socket)["end"] == 1.0
        from storage.ingest import Appender, NewChunk

        with Catalog.open(f"sqlite:///{server.home / 'catalog.db'}") as catalog:
            entry = catalog.find(name)
            (group,) = catalog.groups(entry)
            body = SECOND.astype("<f8").tobytes()
            new = NewChunk(
                entry=entry, group=group, start=RATE, n_samples=RATE, body=body, source="test"
            )
            with Appender(catalog) as appender:
                appender.append([new]).result(10)
        assert told(socket) == {"type": "appended", "end": 2.0}


def test_several_follow_and_leave(server: RecordsServer, client: httpx.Client, name: str) -> None:
    client.post("/ingest", json=chunk(name, SECOND))
    sockets = [follow(server, name) for _ in range(5)]
    assert [told(socket)["end"] for socket in sockets] == [1.0] * 5
    for socket in sockets[:4]:
        socket.close()
    client.post("/ingest", json=chunk(name, SECOND, 1.0))
    assert told(sockets[4])["end"] == 2.0
    sockets[4].send("what a follower says is not heard")
    client.post("/ingest", json=chunk(name, SECOND, 2.0))
    assert told(sockets[4])["end"] == 3.0
    sockets[4].close()


def test_an_unknown_recording_cannot_be_followed(server: RecordsServer) -> None:
    with pytest.raises(InvalidStatus) as caught, follow(server, "nobody"):
        pass
    assert caught.value.response.status_code == 404
    assert json.loads(caught.value.response.body)["status"] == 404
