"""Uploads through the flow: keys from a Secret block, which stay where they are used."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect.blocks.system import Secret
from prefect.settings import PREFECT_SERVER_DATABASE_CONNECTION_URL

from flows.credentials import load_keys
from storage.errors import NotFound, UsageError
from tasks.requests import ConvertRequest, UploadRequest
from tests.flows.prefect_records import everything_recorded, latest_run, run
from tests.support.moto_server import MotoServer
from tests.support.nwb_files import SeriesSpec, write_nwb
from tests.support.pennsieve_api import PennsieveApi

pytestmark = pytest.mark.usefixtures("prefect_server")

FOREIGN = {
    "PENNSIEVE_API_KEY": "the-key-of-somebody-else",
    "PENNSIEVE_API_SECRET": "the-secret-of-somebody-else",
    "SESSION_TOKEN": "the-token-of-somebody-else",
}


@pytest.fixture
def api(moto: MotoServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[PennsieveApi]:
    """Start the platform, while the environment holds the keys of somebody else."""
    for name, value in {**moto.environment, **FOREIGN}.items():
        monkeypatch.setenv(name, value)
    with PennsieveApi(moto) as server:
        yield server


def saved(name: str, value: Any) -> str:
    Secret(value=value).save(name, overwrite=True)
    return name


@pytest.mark.parametrize("task_runner", ["threads", "dask"])
def test_an_upload_takes_its_keys_from_the_block_and_shows_them_nowhere(
    task_runner: str,
    dask_cluster: str,
    api: PennsieveApi,
    moto: MotoServer,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    source = write_nwb(tmp_path / "a.nwb", SeriesSpec(samples=300_000, channels=3))
    key, secret = moto.tokens.username, moto.tokens.password
    block = saved("pennsieve-keys", json.dumps({"api_key": key, "api_secret": secret}))
    workflow_run = api.platform.add_run([api.platform.add_package().id])
    upload = UploadRequest(
        integration_id=workflow_run,
        api_host=api.url,
        api2_host=api.url,
        connections=4,
        credentials_block=block,
    )
    request = ConvertRequest(sources=(str(source),), output=str(tmp_path / "out"), upload=upload)
    caplog.set_level("DEBUG")

    ended = run(request, task_runner=task_runner, dask_address=dask_cluster)

    assert ended.state.is_completed(), ended.state.message
    (result,) = ended.results
    assert result.uploaded == len(api.arrived) == 9
    assert all(len(copies) == 1 for copies in api.arrived.values())
    told = capfd.readouterr()
    recorded = everything_recorded(latest_run(), once="upload_batch")
    for text in (caplog.text, told.out, told.err, recorded, _database()):
        assert key not in text
        assert secret not in text
    assert run(request).results[0].already_uploaded == 9


def _database() -> str:
    url = PREFECT_SERVER_DATABASE_CONNECTION_URL.value()
    assert url is not None
    raw = url.get_secret_value() if hasattr(url, "get_secret_value") else str(url)
    connection = sqlite3.connect(raw.partition("///")[2])
    try:
        text = "\n".join(connection.iterdump())
    finally:
        connection.close()
    assert "pennsieve-keys" in text
    return text


def test_a_block_that_is_not_there_is_named(tmp_path: Path) -> None:
    upload = UploadRequest(integration_id="x", credentials_block="no-such-block")
    ended = run(ConvertRequest(sources=(str(tmp_path / "a.nwb"),), upload=upload))
    assert ended.state.is_failed()
    assert "no-such-block: is not on this Prefect server" in str(ended.state.message)


@pytest.mark.parametrize(
    "value", ["only-a-password", {"key": "k"}, {"api_key": 7, "api_secret": "s3cret"}]
)
def test_a_block_of_another_kind_is_refused_without_showing_it(value: Any) -> None:
    block = saved("of-another-kind", value)
    with pytest.raises(UsageError, match="expected a JSON object") as caught:
        load_keys(block)
    assert "password" not in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("as_text", [True, False])
def test_a_block_holds_text_or_an_object(as_text: bool) -> None:
    content = {"api_key": "one", "api_secret": "two"}
    keys = load_keys(saved("either", json.dumps(content) if as_text else content))
    assert keys.pennsieve_api_key is not None
    assert keys.pennsieve_api_secret is not None
    assert keys.pennsieve_api_key.get_secret_value() == "one"
    assert keys.pennsieve_api_secret.get_secret_value() == "two"
    assert "two" not in repr(keys)


def test_a_missing_block_is_not_found() -> None:
    with pytest.raises(NotFound, match="no-such-block"):
        load_keys("no-such-block")
