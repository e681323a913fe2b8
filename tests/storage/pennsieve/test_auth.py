"""Signing in: which pool, which flow, and what happens when it is refused."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from storage.errors import NotAuthorized, Rejected, Unreachable, UsageError
from storage.pennsieve import Client, Credentials
from storage.pennsieve.cognito import Pool, Pools, claims, fetch_pools, sign_in
from tests.support.faults import Fault
from tests.support.moto_server import MotoServer
from tests.support.pennsieve_api import PennsieveApi
from tests.support.pennsieve_cases import Connect


def ask(api: PennsieveApi, client: Client) -> None:
    """Make a call that needs a bearer."""
    run = api.platform.add_run([])
    client.call("GET", f"{client.hosts.api2}/compute/workflows/runs/{run}")


def unsigned_token(payload: dict[str, Any]) -> str:
    """Return something of the form of a JSON web token."""
    parts = [{"alg": "none"}, payload]
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode() for part in parts]
    return ".".join([*(part.rstrip("=") for part in encoded), "signature"])


def test_a_key_signs_in_to_the_token_pool(
    api: PennsieveApi, connected: Connect, moto: MotoServer
) -> None:
    ask(api, connected(api))
    assert api.routes == ["cognito-config", "run"]
    (token,) = api.bearers.seen  # type: ignore[attr-defined]
    assert claims(token)["client_id"] == moto.tokens.client_id


def test_a_refused_key_renews_by_its_refresh_token(api: PennsieveApi, connected: Connect) -> None:
    client = connected(api)
    for _ in range(3):
        ask(api, client)
        api.bearers.expire_all()
    ask(api, client)
    assert client._tokens._generation == 3
    assert api.routes.count("cognito-config") == 1


def test_a_key_signs_in_again_when_refreshing_fails(
    api: PennsieveApi, connected: Connect, moto: MotoServer
) -> None:
    client = connected(api)
    ask(api, client)
    moto.cognito.admin_user_global_sign_out(
        UserPoolId=moto.tokens.id, Username=moto.tokens.username
    )
    api.bearers.expire_all()
    ask(api, client)
    assert client._tokens._generation == 1


def test_a_wrong_secret_is_refused_and_asked_for_once(
    api: PennsieveApi, connected: Connect, moto: MotoServer
) -> None:
    client = connected(api, Credentials(moto.tokens.username, "not the secret"))
    for _ in range(3):
        with pytest.raises(NotAuthorized, match=r"refused the API key and its secret \(NotAuth"):
            ask(api, client)
    assert api.routes == ["cognito-config"]


def test_a_person_is_not_in_the_token_pool(
    api: PennsieveApi, connected: Connect, moto: MotoServer
) -> None:
    client = connected(api, Credentials(moto.people.username, moto.people.password))
    with pytest.raises(NotAuthorized, match="UserNotFoundException") as caught:
        ask(api, client)
    assert moto.people.username not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize("pool", ["people", "tokens"])
def test_a_session_token_is_renewed_in_the_pool_that_issued_it(
    api: PennsieveApi, connected: Connect, moto: MotoServer, pool: str
) -> None:
    granted = moto.sign_in(getattr(moto, pool))
    # A key pair beside it is not used: the session wins.
    client = connected(
        api, Credentials("key", "secret", granted["AccessToken"], granted["RefreshToken"])
    )
    ask(api, client)
    assert "cognito-config" not in api.routes
    api.bearers.expire_all()
    ask(api, client)
    used = [claims(token)["client_id"] for token in api.bearers.seen]  # type: ignore[attr-defined]
    assert used == [getattr(moto, pool).client_id] * 2


def test_a_session_without_a_refresh_token_ends(
    api: PennsieveApi, connected: Connect, moto: MotoServer
) -> None:
    client = connected(api, Credentials(session_token=moto.sign_in(moto.people)["AccessToken"]))
    ask(api, client)
    api.bearers.expire_all()
    with pytest.raises(NotAuthorized, match="no refresh token; start again with a new SESSION"):
        ask(api, client)


def test_a_bad_refresh_token_is_refused(
    api: PennsieveApi, connected: Connect, moto: MotoServer
) -> None:
    client = connected(api, Credentials(session_token="opaque", refresh_token="wrong"))
    with pytest.raises(NotAuthorized, match="refused the refresh token"):
        ask(api, client)


@pytest.mark.parametrize(
    "given", [(), ("key",), (None, "secret"), ("", ""), ("key", "", None, "refresh")]
)
def test_incomplete_credentials_are_wrong_usage(given: tuple[str | None, ...]) -> None:
    with pytest.raises(UsageError, match="expected SESSION_TOKEN, or PENNSIEVE_API_KEY with"):
        Credentials(*given)


def test_the_pool_of_a_token() -> None:
    pools = Pools(Pool("r", "people-client"), Pool("r", "keys-client"))
    assert pools.of_token(unsigned_token({"client_id": "keys-client"})) == pools.keys
    assert pools.of_token(unsigned_token({"client_id": "people-client"})) == pools.people
    assert pools.of_token(unsigned_token({"client_id": "other"})) == pools.people
    for opaque in ("opaque", "a.b.c", "", unsigned_token([]), "é.é.é"):  # type: ignore[arg-type]
        assert pools.of_token(opaque) == pools.people


def test_the_pools_are_asked_for_patiently(api: PennsieveApi, connected: Connect) -> None:
    transport = connected(api).transport
    api.faults.add(Fault(route="cognito-config", status=503, times=2))
    assert fetch_pools(transport, api.url).keys.region == "us-east-1"
    api.board.cognito_config = {"region": "us-east-1"}
    with pytest.raises(Rejected, match="expected region, userPool and tokenPool"):
        fetch_pools(transport, api.url)


class CognitoStandIn:
    """Notes what it is asked, and answers what it was given."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.answers: list[tuple[int, dict[str, Any]]] = []
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                asked = json.loads(self.rfile.read(length))
                stand_in.asked.append(asked | {"headers": dict(self.headers)})
                status, body = stand_in.answers[min(len(stand_in.asked), len(stand_in.answers)) - 1]
                content = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *args: Any) -> None: ...

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def cognito(no_thread_stays: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[CognitoStandIn]:
    server = CognitoStandIn()
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    yield server
    server.stop()


def test_a_token_of_a_device_is_renewed_with_its_key(
    api: PennsieveApi, connected: Connect, moto: MotoServer, cognito: CognitoStandIn
) -> None:
    old = unsigned_token({"client_id": moto.people.client_id, "device_key": "dev-1"})
    cognito.answers = [
        (200, {"AuthenticationResult": {"AccessToken": "new", "RefreshToken": "rotated"}})
    ]
    client = connected(api, Credentials(session_token=old, refresh_token="refresh"))
    client._tokens.renew(0)
    client._tokens.renew(0)
    assert client._tokens.current() == ("new", 1)
    client._tokens.renew(1)
    assert [asked["AuthParameters"] for asked in cognito.asked] == [
        {"REFRESH_TOKEN": "refresh", "DEVICE_KEY": "dev-1"},
        {"REFRESH_TOKEN": "rotated"},
    ]
    assert cognito.asked[0]["AuthFlow"] == "REFRESH_TOKEN_AUTH"
    assert cognito.asked[0]["ClientId"] == moto.people.client_id
    assert "Authorization" not in cognito.asked[0]["headers"]


def test_a_challenge_is_not_a_grant(cognito: CognitoStandIn) -> None:
    cognito.answers = [(200, {"ChallengeName": "NEW_PASSWORD_REQUIRED"})]
    with pytest.raises(NotAuthorized, match="asks for NEW_PASSWORD_REQUIRED"):
        sign_in(Pool("us-east-1", "client"), "USER_PASSWORD_AUTH", {}, "the key")


def test_a_busy_cognito_is_worth_another_try(cognito: CognitoStandIn) -> None:
    cognito.answers = [(400, {"__type": "TooManyRequestsException", "message": "slow down"})]
    with pytest.raises(Unreachable, match="answered TooManyRequestsException"):
        sign_in(Pool("us-east-1", "client"), "USER_PASSWORD_AUTH", {}, "the key")


def test_an_absent_cognito_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(Unreachable, match="no answer from Cognito in us-east-1"):
        sign_in(Pool("us-east-1", "client"), "USER_PASSWORD_AUTH", {}, "the key")


def test_broken_aws_settings_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "no-such-profile")
    with pytest.raises(NotAuthorized, match="ProfileNotFound"):
        sign_in(Pool("us-east-1", "client"), "USER_PASSWORD_AUTH", {}, "the key")
