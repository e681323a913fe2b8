"""One Prefect server for all flow tests, in folders of its own, and a Dask cluster beside it."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# Before Prefect is imported by any test module: it reads its settings then.
os.environ["PREFECT_HOME"] = tempfile.mkdtemp(prefix="ranvier-tests-prefect-")
atexit.register(shutil.rmtree, os.environ["PREFECT_HOME"], ignore_errors=True)
os.environ["PREFECT_LOGGING_TO_API_ENABLED"] = "false"
os.environ.pop("PREFECT_API_URL", None)

from deployments.prefect_settings import prepare_environment  # noqa: E402

prepare_environment()

from tests.support.moto_server import MotoServer  # noqa: E402

SECONDS = 60.0


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[str]:
    """Start a temporary Prefect server and return the URL of its API."""
    from prefect.settings import (
        PREFECT_API_URL,
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
        temporary_settings,
    )
    from prefect.testing.utilities import prefect_test_harness

    quiet = temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None})
    with prefect_test_harness(server_startup_timeout=120), quiet:
        yield str(PREFECT_API_URL.value())


@pytest.fixture(scope="session")
def dask_cluster(moto: MotoServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start a Dask scheduler and two workers as processes, and return the address."""
    folder = tmp_path_factory.mktemp("dask")
    contact = folder / "scheduler.json"
    environment = {**os.environ, **moto.environment}
    environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    dask = [sys.executable, "-m", "dask"]
    scheduler = ["scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
    worker = ["worker", "--nthreads", "1", "--no-dashboard", "--local-directory", str(folder)]
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for words in (scheduler, worker, worker):
            command = [*dask, *words, "--scheduler-file", str(contact)]
            with (folder / f"{len(processes)}.log").open("wb") as log:
                processes.append(
                    subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=folder)
                )
        yield _address(contact, workers=2)
    finally:
        for process in reversed(processes):
            process.terminate()
        for process in processes:
            process.wait(30)


def _address(contact: Path, workers: int) -> str:
    from distributed import Client

    due = time.monotonic() + SECONDS
    while not contact.exists():
        assert time.monotonic() < due, "the Dask scheduler did not start"
        time.sleep(0.05)
    connected: Any = Client
    with connected(scheduler_file=str(contact), set_as_default=False) as client:
        client.wait_for_workers(workers, timeout=SECONDS)
        return str(client.scheduler.address)
