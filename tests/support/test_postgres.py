"""The PostgreSQL of the tests starts, keeps what it was told, and leaves nothing behind."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time

import psutil
import psycopg
import pytest

from tests.support.postgres import PostgresServer

HOLD = """
import time
from tests.support.postgres import PostgresServer
with PostgresServer() as server:
    print(server.pid, server.folder, flush=True)
    time.sleep(600)
"""


def test_it_serves_databases_and_goes(nothing_left_over: None) -> None:
    with PostgresServer() as server:
        url = server.new_database()
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE t AS SELECT 1 AS n")
        server.stop()
        server.start()
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT n FROM t").fetchone() == (1,)
        server.drop_database(url)
        with pytest.raises(psycopg.OperationalError, match="does not exist"):
            psycopg.connect(url)
        folder = server.folder
    assert not folder.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_it_ends_when_its_owner_is_killed() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        pid, _, folder = process.stdout.readline().strip().partition(" ")
        server = psutil.Process(int(pid))
        process.kill()
        process.wait()
    due = time.monotonic() + 30
    while server.is_running() and server.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < due
        time.sleep(0.05)
    shutil.rmtree(folder)


def test_a_wrong_setting_is_told() -> None:
    with (
        pytest.raises(RuntimeError, match="unrecognized configuration parameter"),
        PostgresServer(nonsense="1"),
    ):
        pass
