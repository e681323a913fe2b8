"""Uploads that are killed, and uploads that meet everything that can go wrong."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from storage.folders import LocalFolder
from storage.pennsieve import (
    Client,
    Target,
    load_output,
    prepare_import,
    upload_files,
)
from storage.pennsieve.journal import Journal, journal_name
from tests.support.faults import Fault
from tests.support.moto_server import MotoServer
from tests.support.pennsieve_api import PennsieveApi
from tests.support.pennsieve_cases import (
    Connect,
    MakeOutput,
    assert_complete,
    run_target,
    wait_until,
)


@contextmanager
def uploading(
    api: PennsieveApi, moto: MotoServer, target: Target, folder: LocalFolder
) -> Iterator[subprocess.Popen[str]]:
    """Upload in a process of its own."""
    order = {
        "url": api.url,
        "credentials": {"api_key": moto.tokens.username, "api_secret": moto.tokens.password},
        "target": {"integration_id": target.integration_id},
        "folder": folder.url,
        "concurrency": 4,
    }
    with tempfile.TemporaryFile("w+") as said_to_it:
        json.dump(order, said_to_it)
        said_to_it.seek(0)
        with subprocess.Popen(
            [sys.executable, "-m", "tests.support.upload_process"],
            stdin=said_to_it,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()


def confirmed(client: Client, target: Target, folder: LocalFolder) -> set[str]:
    """Return the paths that the journal says have arrived."""
    return set(Journal(folder, journal_name(client.hosts, target)).confirmed)


@pytest.mark.parametrize("killed_at", [1, 20, 45])
def test_a_killed_upload_sends_nothing_twice(
    api: PennsieveApi,
    moto: MotoServer,
    connected: Connect,
    make_output: MakeOutput,
    killed_at: int,
) -> None:
    target = run_target(api)
    folder = make_output(5, 12)
    client = connected(api)
    api.board.delay_s = 0.01
    with uploading(api, moto, target, folder) as process:
        wait_until(
            lambda: len(confirmed(client, target, folder)) >= killed_at, "files are confirmed"
        )
        process.send_signal(signal.SIGKILL)
        assert process.wait(30) == -signal.SIGKILL
    wait_until(lambda: api.board.under_way == 0, "the server has seen all that was sent")
    arrived = confirmed(client, target, folder)
    assert killed_at <= len(arrived) < 60
    (record,) = api.platform.imports.values()
    keys = {f"{record.id}/{key}" for key, path in record.files.items() if path in arrived}
    before = len(api.calls)
    api.board.delay_s = 0.0

    with uploading(api, moto, target, folder) as process:
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert json.loads(said) == {"sent": 60 - len(arrived), "skipped": len(arrived)}
    sent = {
        call.path.removeprefix("/store/memory/")
        for call in api.calls[before:]
        if call.route == "put"
    }
    assert not sent & keys
    assert len(api.platform.imports) == 1
    assert_complete(api, target, folder)


def test_two_batches_through_a_bad_day(
    api: PennsieveApi, connected: Connect, make_output: MakeOutput
) -> None:
    client = connected(api, concurrency=16)
    target = run_target(api)
    folder = make_output(59, 90)
    output = load_output(folder)
    assert len(output.files) == 5310
    always: dict[str, Any] = {"times": None}
    for route in ("properties", "channels", "create-channels", "create-import", "add-files"):
        api.faults.add(Fault(route=route, status=503, times=1))
        api.faults.add(Fault(route=route, status=401, times=1))
    api.faults.add(Fault(route="create-channels", status=500, after=True))
    api.faults.add(Fault(route="add-files", drop=True, after=True))
    for skip in (1000, 2500, 4000):
        api.faults.add(Fault(route="presign", expire=True, skip=skip))
    api.faults.add(Fault(route="presign", status=500, probability=0.01, **always))
    api.faults.add(Fault(route="presign", status=429, probability=0.01, **always))
    api.faults.add(Fault(route="put", status=500, code="InternalError", probability=0.01, **always))
    api.faults.add(Fault(route="put", status=503, code="SlowDown", probability=0.01, **always))
    api.faults.add(Fault(route="put", status=403, code="AccessDenied", probability=0.01, **always))
    api.faults.add(Fault(route="put", drop=True, probability=0.01, **always))
    api.faults.add(Fault(route="put", drop=True, after=True, probability=0.002, **always))
    api.faults.add(Fault(route="put", delay_s=0.2, probability=0.002, **always))
    import_ = prepare_import(client, target, output)
    result = upload_files(client, import_, output.files)
    assert (result.sent, result.skipped) == (5310, 0)
    (record,) = api.platform.imports.values()
    taken = [call for call in api.calls if call.status in (200, 201)]
    first = next(call for call in taken if call.route == "create-import")
    second = next(call for call in taken if call.route == "add-files")
    assert (len(first.json["files"]), len(second.json["files"])) == (5275, 35)
    assert len(record.files) == 5310
    assert len(api.platform.packages[target.package_id].channels) == 59
    assert_complete(api, target, folder)
    assert prepare_import(client, target, output).unchanged
