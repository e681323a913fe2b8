"""Nothing that a run writes holds a secret."""

from __future__ import annotations

import json
import logging
import pickle
import subprocess
import sys

import pytest

from storage.pennsieve import Credentials, Hosts
from storage.pennsieve.secrecy import Secret, cut_signatures_from_logs, quiet_botocore
from tests.support.faults import Fault
from tests.support.moto_server import MotoServer
from tests.support.pennsieve_api import PennsieveApi
from tests.support.pennsieve_cases import Connect, MakeOutput


def test_a_secret_does_not_show_itself() -> None:
    secret = Secret("s3cr3t")
    assert "s3cr3t" not in f"{secret!r} {secret} {[secret]}"
    assert secret.reveal() == "s3cr3t"
    with pytest.raises(TypeError, match="never pickled"):
        pickle.dumps(secret)


def test_credentials_do_not_show_themselves() -> None:
    credentials = Credentials("the-key", "the-secret", "the-session", "the-refresh")
    assert repr(credentials) == "Credentials()"


def test_a_client_does_not_show_its_tokens(api: PennsieveApi, connected: Connect) -> None:
    client = connected(api, Credentials(session_token="the-session", refresh_token="r-token"))
    shown = f"{client!r} {vars(client)!r} {vars(client._tokens)!r}"
    assert "the-session" not in shown
    assert "r-token" not in shown


def test_signed_urls_lose_their_query_in_logs(caplog: pytest.LogCaptureFixture) -> None:
    cut_signatures_from_logs()
    cut_signatures_from_logs()
    logger = logging.getLogger("urllib3.connectionpool")
    with caplog.at_level(logging.DEBUG, "urllib3.connectionpool"):
        logger.debug('%s "%s %s"', "http", "PUT", "/b/k?X-Amz-Credential=a&X-Amz-Signature=beef")
        logger.debug('%s "%s %s"', "http", "GET", "/packages/N:package:1?limit=100")
        logger.debug("no arguments")
    assert caplog.messages == [
        'http "PUT /b/k?..."',
        'http "GET /packages/N:package:1?limit=100"',
        "no arguments",
    ]


def test_botocore_is_quiet_only_meanwhile() -> None:
    logger = logging.getLogger("botocore")
    before = logger.level
    logger.setLevel(logging.DEBUG)
    try:
        with quiet_botocore():
            assert not logging.getLogger("botocore.endpoint").isEnabledFor(logging.DEBUG)
        assert logger.level == logging.DEBUG
    finally:
        logger.setLevel(before)


def test_a_whole_run_at_debug_writes_no_secret(
    s3_api: PennsieveApi, moto: MotoServer, make_output: MakeOutput
) -> None:
    run = s3_api.platform.add_run([s3_api.platform.add_package().id])
    s3_api.faults.add(Fault(route="presign", expire=True, skip=3))
    s3_api.faults.add(Fault(route="put", status=403, code="AccessDenied", skip=1))
    s3_api.faults.add(Fault(route="put", status=400, code="SignatureDoesNotMatch", skip=3))
    s3_api.faults.add(Fault(route="put", drop=True, skip=2))
    order = {
        "url": s3_api.url,
        "credentials": {"api_key": moto.tokens.username, "api_secret": moto.tokens.password},
        "target": {"integration_id": run},
        "folder": make_output(4, 4).url,
        "concurrency": 4,
    }
    ended = subprocess.run(
        [sys.executable, "-m", "tests.support.upload_process"],
        input=json.dumps(order),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    written = ended.stdout + ended.stderr
    assert ended.returncode == 1
    assert "Rejected: 1 of 16 files were not uploaded" in written
    assert "connectionpool" in written
    assert "trying again" in written
    assert "token renewed" in written
    assert len(s3_api.bearers.seen) == 2  # type: ignore[attr-defined]
    secrets = [moto.tokens.username, moto.tokens.password]
    secrets += s3_api.bearers.seen  # type: ignore[attr-defined]
    secrets += list(s3_api.board.signatures)
    for secret in [*secrets, "X-Amz-Signature", "X-Amz-Credential", "Bearer ey"]:
        assert secret not in written


def test_hosts_are_addresses() -> None:
    assert Hosts("https://one/", "http://two:8080") == Hosts("https://one", "http://two:8080")
    for wrong in ("api.pennsieve.net", "ftp://api.pennsieve.net", "https://", ""):
        with pytest.raises(Exception, match="expected an address like"):
            Hosts(wrong)
