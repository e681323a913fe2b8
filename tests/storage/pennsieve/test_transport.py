"""The transport against a server that misbehaves on demand."""

from __future__ import annotations

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from storage.errors import NotAuthorized, NotFound, RanvierError, Rejected, Unreachable, UsageError
from storage.pennsieve import Client, Credentials, Hosts, Patience, connect
from storage.pennsieve.answers import Answer
from storage.pennsieve.transport import Transport
from tests.support.faults import Fault
from tests.support.moto_server import MotoServer
from tests.support.pennsieve_api import PennsieveApi
from tests.support.pennsieve_cases import QUICK, Connect


def fetch(client: Client) -> Answer:
    """Make a call that needs a bearer."""
    package_id = "N:package:absent"
    return client.call("GET", f"{client.hosts.api}/timeseries/{package_id}/channels")


@pytest.fixture
def package_client(api: PennsieveApi, connected: Connect) -> Client:
    package = api.platform.add_package()
    api.platform.packages["N:package:absent"] = package
    return connected(api)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 599])
def test_passing_failures_are_tried_again(
    api: PennsieveApi, package_client: Client, status: int
) -> None:
    api.faults.add(Fault(route="channels", status=status, times=3))
    assert fetch(package_client).json() == []
    assert api.routes.count("channels") == 4


def test_patience_ends(api: PennsieveApi, package_client: Client) -> None:
    api.faults.add(Fault(route="channels", status=503, times=None))
    with pytest.raises(Unreachable) as caught:
        fetch(package_client)
    assert api.routes.count("channels") == QUICK.attempts
    assert str(caught.value) == (
        "GET 127.0.0.1/timeseries/N:package:absent/channels: answered 503 (as the test asked),"
        " expected 2xx; try again later"
    )
    assert caught.value.retryable


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, Rejected), (404, NotFound), (409, Rejected), (413, Rejected), (302, Rejected)],
)
def test_other_failures_are_final(
    api: PennsieveApi, package_client: Client, status: int, error: type[RanvierError]
) -> None:
    api.faults.add(Fault(route="channels", status=status))
    with pytest.raises(error, match=str(status)) as caught:
        fetch(package_client)
    assert api.routes.count("channels") == 1
    assert not caught.value.retryable
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_nobody_is_followed_elsewhere(
    api: PennsieveApi, package_client: Client, status: int
) -> None:
    api.faults.add(Fault(route="channels", status=status, location=f"{api.url}/_test/summary"))
    with pytest.raises(Rejected, match=f"answered {status}"):
        fetch(package_client)


def test_a_body_has_its_time_limit_for_each_block() -> None:
    content = bytes(16 << 20)
    pause = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def take_slowly() -> int:
            connection, _ = listener.accept()
            taken = 0
            with connection:
                while taken < len(content):
                    pause.wait(0.05)
                    taken += len(connection.recv(1 << 20))
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            return taken

        transport = Transport(1, Patience(connect_s=0.4, read_s=30))
        with ThreadPoolExecutor(1) as pool:
            taking = pool.submit(take_slowly)
            begun = time.monotonic()
            answer = transport.put(f"http://127.0.0.1:{listener.getsockname()[1]}/x", content)
            assert time.monotonic() - begun > 0.4
            assert taking.result(30) >= len(content)
        transport.close()
    assert answer.ok


def test_a_call_that_must_not_be_made_twice_is_not(
    api: PennsieveApi, package_client: Client
) -> None:
    url = f"{package_client.hosts.api}/timeseries/N:package:absent/channels"
    api.faults.add(Fault(route="channels", status=429, times=2))
    package_client.call("GET", url, repeatable=False)
    assert api.routes.count("channels") == 3
    for fault in (Fault(route="channels", status=503), Fault(route="channels", drop=True)):
        api.faults.add(fault)
        with pytest.raises(Unreachable):
            package_client.call("GET", url, repeatable=False)
    assert api.routes.count("channels") == 5


def test_retry_after_is_honoured(api: PennsieveApi, package_client: Client) -> None:
    fetch(package_client)
    api.faults.add(Fault(route="channels", status=429, retry_after="1"))
    begun = time.monotonic()
    fetch(package_client)
    assert time.monotonic() - begun >= 1.0


def test_too_long_a_pause_is_not_waited_for(api: PennsieveApi, package_client: Client) -> None:
    api.faults.add(Fault(route="channels", status=503, retry_after="86400"))
    with pytest.raises(Unreachable, match="asks to wait 86400 s, and we wait at most 300 s"):
        fetch(package_client)
    assert api.routes.count("channels") == 1


def test_a_dropped_connection_is_tried_again(api: PennsieveApi, package_client: Client) -> None:
    api.faults.add(Fault(route="channels", drop=True, times=2))
    assert fetch(package_client).ok
    assert api.routes.count("channels") == 3


def test_a_slow_answer_is_tried_again(api: PennsieveApi, connected: Connect) -> None:
    api.platform.packages["N:package:absent"] = api.platform.add_package()
    impatient = Patience(read_s=0.2, attempts=3, first_delay_s=0.001)
    client = connected(api, patience=impatient)
    api.faults.add(Fault(route="channels", delay_s=2))
    assert fetch(client).ok
    assert api.routes.count("channels") == 2
    api.faults.add(Fault(route="channels", delay_s=2, times=None))
    with pytest.raises(Unreachable, match=r"no answer within 0\.2 s; check the network"):
        fetch(client)


def test_nobody_listening_is_said_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    host = f"http://127.0.0.1:{port}"
    credentials = Credentials(session_token="the-session")
    with (
        connect(Hosts(host, host), credentials, patience=QUICK) as client,
        pytest.raises(Unreachable, match="connection refused") as caught,
    ):
        fetch(client)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_at_least_one_connection_is_needed() -> None:
    with pytest.raises(UsageError, match="must be at least 1, got 0"):
        connect(Hosts(), Credentials(session_token="the-session"), 0)


def test_an_address_that_leads_nowhere_is_said_so() -> None:
    transport = Transport(1, QUICK)
    with pytest.raises(Rejected, match=r"PUT a\.\.b/key: \w+; check the address"):
        transport.put("http://a..b/key?X-Amz-Signature=beef", b"content")
    transport.close()


def test_an_answer_that_is_not_json(api: PennsieveApi) -> None:
    answer = Answer("GET host/path", 200, {"Content-Type": "text/html"}, b"<html>")
    with pytest.raises(Rejected, match="GET host/path: expected JSON, found 6 bytes of text/html"):
        answer.json()


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_token_is_renewed_once_then_given_up(
    api: PennsieveApi, package_client: Client, status: int
) -> None:
    api.faults.add(Fault(route="channels", status=status))
    assert fetch(package_client).ok
    assert api.routes.count("channels") == 2
    api.faults.add(Fault(route="channels", status=status, times=None))
    with pytest.raises(NotAuthorized, match=f"answered {status}.*check the credentials"):
        fetch(package_client)
    assert api.routes.count("channels") == 4


def test_thirty_threads_refused_at_once_renew_once(
    api: PennsieveApi, connected: Connect, moto: MotoServer
) -> None:
    api.platform.packages["N:package:absent"] = api.platform.add_package()
    client = connected(api, concurrency=30)
    fetch(client)
    api.bearers.expire_all()
    barrier = threading.Barrier(30)

    def together(_: int) -> bool:
        barrier.wait()
        return fetch(client).ok

    with ThreadPoolExecutor(30) as pool:
        assert all(pool.map(together, range(30)))
    assert client._tokens._generation == 1
    assert len(api.bearers.seen) == 2  # type: ignore[attr-defined]


def test_the_message_of_a_server_is_quoted_without_the_token(
    api: PennsieveApi, package_client: Client
) -> None:
    # No route takes this: the answer is Starlette's own plain text.
    with pytest.raises(NotFound, match=r"DELETE 127.0.0.1/nowhere: answered 404 \(Not Found\)"):
        package_client.call("DELETE", f"{package_client.hosts.api}/nowhere")


def test_no_password_is_taken_from_netrc(
    api: PennsieveApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password mine\n")
    monkeypatch.setenv("NETRC", str(netrc))
    transport = Transport(1, QUICK)
    try:
        # The store's door answers 403 to an unsigned URL, and 400 to a password.
        answer = transport.put(f"{api.url}/store/memory/key", b"content")
    finally:
        transport.close()
    assert answer.status == 403


def test_stopping_ends_a_pause_at_once(api: PennsieveApi, connected: Connect) -> None:
    api.platform.packages["N:package:absent"] = api.platform.add_package()
    client = connected(api)
    api.faults.add(Fault(route="channels", status=503, retry_after="250", times=None))
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(fetch, client)
        pause = threading.Event()
        while "channels" not in api.routes:
            pause.wait(0.005)
        client.transport.stop()
        with pytest.raises(Unreachable, match="given up, since the work was stopped"):
            waiting.result(timeout=30)
