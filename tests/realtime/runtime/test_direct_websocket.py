"""Prepared frames on real sockets: beside uvicorn's own messages, pings and goodbyes."""

from __future__ import annotations

import asyncio
import base64
import os
import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from fastapi import FastAPI
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from realtime.runtime import direct_websocket
from realtime.runtime.direct_websocket import DirectConnection, direct_connection
from realtime.runtime.hub import TOO_SLOW, Client, Hub, Policy
from realtime.runtime.serving import GracefulServer, bind, server
from realtime.runtime.websocket_frames import binary_frame, text_frame

WITHIN_S = 30.0
PACKET = 1134

pytestmark = pytest.mark.usefixtures("nothing_left_over")
Result = TypeVar("Result")


def gap(lost: int) -> bytes:
    return text_frame(f"gap {lost}")


class Service:
    """A small service with one hub, on a thread of its own."""

    def __init__(
        self,
        *,
        direct: bool = True,
        loop: str = "uvloop",
        certificate: Path | None = None,
        key: Path | None = None,
    ) -> None:
        self.hub: Hub[str] = Hub()
        self.joined: dict[str, tuple[Client[str], DirectConnection]] = {}
        self.ended: dict[str, tuple[int, str]] = {}
        self.sent = threading.Event()
        self._bound = bind("127.0.0.1", 0)
        self._bound.listen()
        self.address: tuple[str, int] = self._bound.getsockname()
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.server: GracefulServer = server(
            self._app(), certificate, key, announce=self._started, direct=direct
        )
        self.server.config.loop = loop
        self._thread = threading.Thread(target=self._run)

    def _started(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ready.set()

    def _run(self) -> None:
        self.server.run(sockets=[self._bound])

    def __enter__(self) -> Service:
        self._thread.start()
        assert self._ready.wait(WITHIN_S)
        return self

    def __exit__(self, *_: object) -> None:
        self.server.should_exit = True
        self._thread.join(WITHIN_S)
        self._bound.close()
        assert not self._thread.is_alive()

    @property
    def url(self) -> str:
        return f"ws://{self.address[0]}:{self.address[1]}/stream"

    def on_loop(self, act: Callable[[], Result]) -> Result:
        """Return what a call on the service's event loop returns."""
        done: Future[Result] = Future()

        def run() -> None:
            try:
                done.set_result(act())
            except Exception as error:  # noqa: BLE001 - raised again where it was asked for
                done.set_exception(error)

        assert self._loop is not None
        self._loop.call_soon_threadsafe(run)
        return done.result(WITHIN_S)

    def connection(self, name: str) -> DirectConnection:
        return self.joined[name][1]

    def publish(self, frame: bytes) -> None:
        self.on_loop(lambda: self.hub.publish(lambda _: frame))

    def _app(self) -> FastAPI:
        app = FastAPI()

        @app.websocket("/stream")
        async def stream(
            socket: WebSocket, name: str = "one", policy: Policy = "latest", bound: int = 1
        ) -> None:
            found = direct_connection(socket.scope)
            with pytest.raises(RuntimeError, match="must be accepted"):
                found.write(b"")
            await socket.accept()
            await socket.send_text("hello")
            client = self.hub.join(found, "json", policy=policy, bound=bound, gap=gap)
            self.joined[name] = client, found
            try:
                while True:
                    said = await socket.receive_text()
                    if said == "bye":
                        await socket.close(4000, "as you wish")
                        self.ended[name] = 4000, "as you wish"
                        return
                    await socket.send_text(f"you said {said}")
            except WebSocketDisconnect as left:
                self.ended[name] = left.code, left.reason
            finally:
                self.hub.leave(client)

        @app.websocket("/refused")
        async def refused(socket: WebSocket) -> None:
            await socket.close()

        @app.websocket("/plain")
        async def plain(socket: WebSocket) -> None:
            await socket.accept()
            try:
                direct_connection(socket.scope)
            except RuntimeError as error:
                await socket.send_text(str(error))
            await socket.close()

        return app


@pytest.fixture(params=["uvloop", "asyncio"])
def service(request: pytest.FixtureRequest) -> Iterator[Service]:
    with Service(loop=request.param) as running:
        yield running


def until(met: Callable[[], object], what: str) -> None:
    due = time.monotonic() + WITHIN_S
    while not met():
        assert time.monotonic() < due, what
        time.sleep(0.005)


def opened(service: Service, query: str = "", **how: Any) -> ClientConnection:
    one = connect(service.url + query, max_size=None, open_timeout=WITHIN_S, **how)
    assert one.recv(WITHIN_S) == "hello"
    name = query.partition("name=")[2].partition("&")[0] or "one"
    until(lambda: name in service.joined, "never joined")
    return one


class Raw:
    """A client as raw bytes that reads only when told to."""

    def __init__(self, service: Service, query: str = "") -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        self.socket.settimeout(WITHIN_S)
        self.socket.connect(service.address)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET /stream{query} HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
            "\r\n".encode()
        )
        self._held = b""
        while b"\r\n\r\n" not in self._held:
            self._held += self.socket.recv(4096)
        head, _, self._held = self._held.partition(b"\r\n\r\n")
        assert b" 101 " in head
        assert b"extensions" not in head.lower()

    def exactly(self, count: int) -> bytes:
        while len(self._held) < count:
            more = self.socket.recv(65536)
            if not more:
                raise EOFError
            self._held += more
        taken, self._held = self._held[:count], self._held[count:]
        return taken

    def frame(self) -> tuple[int, bytes]:
        first, length = self.exactly(2)
        if length == 126:
            (length,) = struct.unpack("!H", self.exactly(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", self.exactly(8))
        return first, self.exactly(length)

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()


@pytest.mark.parametrize("length", [0, 1, 125, 126, 65535, 65536, 300_000])
def test_frames_of_every_length(service: Service, length: int) -> None:
    with opened(service) as one:
        payload = os.urandom(length)
        service.publish(binary_frame(payload))
        assert one.recv(WITHIN_S) == payload
        service.publish(text_frame("x" * length))
        assert one.recv(WITHIN_S) == "x" * length


def test_beside_what_the_server_itself_sends(service: Service) -> None:
    # A client that offers compression is not given it.
    with opened(service, compression="deflate") as one:
        assert not one.protocol.extensions
        for turn in range(50):
            service.publish(text_frame(f"packet {turn}"))
            one.send(f"word {turn}")
            assert one.recv(WITHIN_S) == f"packet {turn}"
            assert one.recv(WITHIN_S) == f"you said word {turn}"
            assert one.ping().wait(WITHIN_S)


def test_the_client_says_goodbye(service: Service) -> None:
    with opened(service) as one, opened(service, "?name=two") as other:
        service.publish(text_frame("a"))
        one.close(4321, "enough")
        until(lambda: "one" in service.ended, "the endpoint never heard of it")
        assert service.ended["one"] == (4321, "enough")
        assert service.connection("one").closing
        # Whoever writes on disturbs nobody.
        service.on_loop(lambda: service.connection("one").write(text_frame("late")))
        service.publish(text_frame("b"))
        assert [other.recv(WITHIN_S), other.recv(WITHIN_S)] == ["a", "b"]
        assert len(service.hub) == 1


@pytest.mark.parametrize("who", ["endpoint", "connection", "hub"])
def test_the_service_says_goodbye(service: Service, who: str) -> None:
    with opened(service) as one:
        service.publish(text_frame("last"))
        if who == "endpoint":
            one.send("bye")
            until(lambda: service.connection("one").closing, "never closed")
        elif who == "connection":
            service.on_loop(lambda: service.connection("one").close(4000, "as you wish"))
            service.on_loop(lambda: service.connection("one").close(4001, "twice"))
        else:
            service.on_loop(lambda: service.hub.close(4000, "as you wish"))
        service.publish(text_frame("too late"))
        assert one.recv(WITHIN_S) == "last"
        with pytest.raises(ConnectionClosed) as closed:
            one.recv(WITHIN_S)
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4000, "as you wish")
        assert closed.value.rcvd_then_sent
        until(lambda: service.ended.get("one"), "the endpoint never heard of it")
        assert service.ended["one"] == (4000, "as you wish")


def test_a_reason_that_is_too_long(service: Service) -> None:
    with opened(service) as one:
        service.on_loop(lambda: service.connection("one").close(4000, "µ" * 100))
        with pytest.raises(ConnectionClosed) as closed:
            one.recv(WITHIN_S)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.reason == "µ" * 61


def test_pings_of_the_server_go_between_frames(service: Service) -> None:
    service.server.config.ws_ping_interval = 0.02
    with opened(service) as one:
        pinged = service.connection("one")._protocol
        answered: list[bytes] = []
        turn = 0
        while len(answered) < 5:
            service.publish(text_frame(str(turn)))
            assert one.recv(WITHIN_S) == str(turn)
            payload = pinged.pending_ping_payload
            if payload is not None and payload not in answered:
                until(lambda: pinged.pending_ping_payload != payload, "not answered")  # noqa: B023
                answered.append(payload)
            turn += 1


def stall(service: Service, name: str = "one") -> None:
    """Publish until the connection of a client that does not read takes no more."""
    frame = text_frame("stale".ljust(PACKET))
    for _ in range(20_000):
        service.publish(frame)
        if not service.connection(name).writable:
            return
    pytest.fail("took 22 MB for a client that does not read")


def test_a_client_that_stops_reading_gets_the_newest(service: Service) -> None:
    with Raw(service, "?name=slow") as slow, opened(service, "?name=quick") as quick:
        until(lambda: "slow" in service.joined, "never joined")
        assert slow.frame()[1] == b"hello"
        stall(service, "slow")
        client, connection = service.joined["slow"]
        # What is held for it, here and in the kernel, is a second or two of packets, not a minute.
        assert service.hub.published * PACKET < 400_000
        assert 0 < connection.buffered() <= 16 * 1024 + PACKET + 4
        for number in range(500):
            service.publish(text_frame(f"fresh {number}"))
        assert connection.buffered() <= 16 * 1024 + PACKET + 4
        assert client.waiting == 1
        assert client.dropped >= 499
        told: list[bytes] = []
        while not told or told[-1] != b"fresh 499":
            told.append(slow.frame()[1])
        stale = [each for each in told if each.startswith(b"stale")]
        assert told[len(stale) :] == [b"gap %d" % client.dropped, b"fresh 499"]
        assert len(stale) + client.dropped + 1 == service.hub.published
        # It is an ordinary client again.
        until(lambda: connection.writable, "never writable again")
        service.publish(text_frame("at once"))
        assert slow.frame()[1] == b"at once"
        received = [quick.recv(WITHIN_S) for _ in range(service.hub.published)]
        assert received[-501:] == [*(f"fresh {number}" for number in range(500)), "at once"]


def test_what_waits_goes_out_without_another_frame(service: Service) -> None:
    with Raw(service, "?bound=40") as slow:
        until(lambda: "one" in service.joined, "never joined")
        stall(service)
        for number in range(40):
            service.publish(text_frame(f"{number}"))
        client = service.joined["one"][0]
        assert (client.waiting, client.dropped) == (40, 0)
        last = b""
        while last != b"39":
            last = slow.frame()[1]
        assert client.waiting == 0


def test_a_lossless_client_that_stops_reading_is_cut(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(direct_websocket, "LINGER_S", 30.0)
    with Raw(service, "?policy=lossless&bound=10") as slow:
        until(lambda: "one" in service.joined, "never joined")
        stall(service)
        before = service.hub.published
        for number in range(11):
            service.publish(text_frame(f"fresh {number}"))
        assert service.hub.cut == 1
        assert len(service.hub) == 0
        until(lambda: "one" in service.ended, "the endpoint never heard of it")
        frames = [slow.frame() for _ in range(before + 1)]
        assert [data for _, data in frames[-10:]] != []
        first, data = slow.frame()
        while first != 0x88:
            first, data = slow.frame()
        assert struct.unpack("!H", data[:2]) == (TOO_SLOW,)
        assert data[2:] == b"too slow: 10 packets wait already"


@pytest.mark.parametrize("how", ["connection", "endpoint", "pings"])
def test_one_that_never_reads_cannot_stay(
    service: Service, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(direct_websocket, "LINGER_S", 0.2)
    if how == "pings":
        service.server.config.ws_ping_interval = 0.1
        service.server.config.ws_ping_timeout = 0.1
    with Raw(service) as slow:
        until(lambda: "one" in service.joined, "never joined")
        stall(service)
        if how == "connection":
            service.on_loop(lambda: service.connection("one").close(1000))
        elif how == "endpoint":
            slow.socket.sendall(bytes((0x81, 0x83, 0, 0, 0, 0)) + b"bye")
        until(lambda: not service.server.server_state.connections, "still connected")
        until(lambda: not service.server.server_state.tasks, "its endpoint still runs")
        with pytest.raises((EOFError, ConnectionError)):  # noqa: PT012 - some of it may come
            while True:
                slow.frame()


def test_the_server_stops_though_a_client_does_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(direct_websocket, "LINGER_S", 0.2)
    with Service() as service, Raw(service):
        until(lambda: "one" in service.joined, "never joined")
        stall(service)
        begin = time.monotonic()
        service.server.should_exit = True
        until(lambda: not service._thread.is_alive(), "still runs")
        assert time.monotonic() - begin < 9, "waited for a client that does not read"


def test_one_that_vanishes(service: Service) -> None:
    with opened(service, "?name=stays") as stays:
        with Raw(service, "?name=goes") as goes:
            until(lambda: "goes" in service.joined, "never joined")
            stall(service, "goes")
            # Closed with unread bytes, which resets the connection.
            goes.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        until(lambda: "goes" in service.ended, "the endpoint never heard of it")
        count = service.hub.published
        service.publish(text_frame("on"))
        assert [stays.recv(WITHIN_S) for _ in range(count + 1)][-1] == "on"
        assert len(service.hub) == 1


def test_a_connection_that_is_refused(service: Service) -> None:
    address = service.url.replace("/stream", "/refused")
    with pytest.raises(InvalidStatus) as refused, connect(address):
        pass
    assert refused.value.response.status_code == 403
    with pytest.raises(InvalidStatus) as refused, connect(service.url + "?bound=x"):
        pass
    assert refused.value.response.status_code == 403


def test_many_clients_and_none_misses_a_frame(service: Service) -> None:
    count, turns = 60, 100
    clients = [Raw(service, f"?name={number}") for number in range(count)]
    try:
        until(lambda: len(service.hub) == count, "not all joined")
        for turn in range(turns):
            service.publish(text_frame(f"{turn:03d}"))
        expected = [b"hello", *(f"{turn:03d}".encode() for turn in range(turns))]
        for each in clients:
            assert [each.frame()[1] for _ in expected] == expected
        assert not select.select([each.socket for each in clients], [], [], 0)[0]
    finally:
        for each in clients:
            each.socket.close()
    until(lambda: len(service.hub) == 0, "not all left")
    assert service.hub.sent == count * turns


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_over_tls(tmp_path: Path, loop: str) -> None:
    certificate, key = self_signed(tmp_path)
    trusted = ssl.create_default_context(cafile=str(certificate))
    with Service(loop=loop, certificate=certificate, key=key) as service:
        address = service.url.replace("ws://127.0.0.1", "wss://localhost")
        with connect(address, ssl=trusted, max_size=None, max_queue=4) as one:
            assert one.recv(WITHIN_S) == "hello"
            until(lambda: "one" in service.joined, "never joined")
            service.publish(binary_frame(bytes(100_000)))
            assert one.recv(WITHIN_S) == bytes(100_000)
            # The client reads on by itself until its own queue is full.
            before = service.hub.published
            due = time.monotonic() + WITHIN_S
            while service.hub.dropped < 10:
                assert time.monotonic() < due, "nothing was dropped"
                service.publish(text_frame("stale".ljust(PACKET)))
            service.publish(text_frame("fresh"))
            told = [str(one.recv(WITHIN_S))]
            while told[-1] != "fresh":
                told.append(str(one.recv(WITHIN_S)))
            gaps = [int(each.removeprefix("gap ")) for each in told if each.startswith("gap ")]
            assert sum(gaps) == service.hub.dropped
            assert len(told) - len(gaps) + sum(gaps) == service.hub.published - before
            service.on_loop(lambda: service.hub.close(1000, "the end"))
            with pytest.raises(ConnectionClosed) as closed:
                one.recv(WITHIN_S)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.reason == "the end"


def self_signed(folder: Path) -> tuple[Path, Path]:
    """Return the files of a certificate for this machine, and of its key."""
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(private, hashes.SHA256())
    )
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate, key


def test_a_server_that_was_not_asked_to() -> None:
    with Service(direct=False) as service:
        with connect(service.url.replace("/stream", "/plain")) as one:
            assert one.protocol.extensions, "compression as ever"
            said = one.recv(WITHIN_S)
        assert "direct=True" in str(said)
