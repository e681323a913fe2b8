"""Fixtures for all tests: the test data, a bucket, and proof that a test leaves nothing running."""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.moto_server import MotoServer

REPOSITORY = Path(__file__).parents[1]
ENDS_WITHIN_S = 5.0
# Threads that libraries start once for the whole process.
OTHERS_THREADS = ("zarr", "asyncio_")


@pytest.fixture(scope="session")
def data() -> Path:
    """Return the folder of recorded and published files, or skip the test without it."""
    folder = Path(os.environ.get("RANVIER_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no test data in {folder}; set RANVIER_TEST_DATA")
    return folder


@pytest.fixture(scope="session")
def moto() -> Iterator[MotoServer]:
    """Run an S3 on this machine."""
    with MotoServer() as server:
        yield server


@pytest.fixture
def bucket_url(moto: MotoServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return an ``s3://`` prefix of its own, for this process and its children."""
    for name, value in moto.environment.items():
        monkeypatch.setenv(name, value)
    return f"s3://{moto.bucket}/{uuid.uuid4().hex}"


@pytest.fixture
def nothing_left_over() -> Iterator[None]:
    """Fail a test that leaves a thread, a child process or an open file behind."""
    process = psutil.Process()
    threads = set(threading.enumerate())
    children = set(process.children(recursive=True))
    files = {file.path for file in process.open_files()}
    yield
    due = time.monotonic() + ENDS_WITHIN_S
    while left := _left_over(process, threads, children, files):
        # Threads end, and children are reaped, a moment after they were told to.
        assert time.monotonic() < due, f"left behind: {left}"
        time.sleep(0.01)


def _left_over(
    process: psutil.Process,
    threads: set[threading.Thread],
    children: set[psutil.Process],
    files: set[str],
) -> list[str]:
    left = [
        f"thread {thread.name}"
        for thread in set(threading.enumerate()) - threads
        if not thread.name.startswith(OTHERS_THREADS)
    ]
    for child in set(process.children(recursive=True)) - children:
        if child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
            left.append(f"process {child.pid}")
    left.extend(
        f"open file {file.path}"
        for file in process.open_files()
        if file.path not in files and not file.path.startswith(str(REPOSITORY))
    )
    return left
