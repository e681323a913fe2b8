"""The peers of the record store as a service: PostgreSQL, and one uvicorn process in front of it.

``python -m tests.baselines.peer_service`` prints where it listens as a line of JSON, serves
until it is told to stop, and stops PostgreSQL.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI
from sqlalchemy import Engine, create_engine

from tests.baselines import blob_store, row_store
from tests.support.postgres import PostgresServer

SETTINGS = {"shared_buffers": "2GB", "max_wal_size": "8GB"}


def application(engine: Engine) -> FastAPI:
    """Return the service over tables that are there."""
    app = FastAPI()
    app.state.engine = engine
    app.include_router(row_store.router)
    app.include_router(blob_store.router)
    return app


def serve() -> None:
    """Serve until a signal."""
    # What uvicorn hands on when it has stopped: PostgreSQL is to be stopped as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with (
        PostgresServer(**SETTINGS) as postgres,
        closing(socket.create_server(("127.0.0.1", 0))) as listening,
    ):
        url = postgres.url().replace("postgresql:", "postgresql+psycopg:")
        engine = create_engine(url)
        row_store.init_db(engine)
        blob_store.create(engine)
        config = uvicorn.Config(application(engine), log_level="warning", access_log=False)
        ready = {
            "url": f"http://127.0.0.1:{listening.getsockname()[1]}",
            "database_url": url,
            "pid": os.getpid(),
            "postgres_pid": postgres.pid,
        }
        print(json.dumps(ready), flush=True)
        # Without it each answer waits for the delayed acknowledgement of its own header.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        uvicorn.Server(config).run([listening])
        engine.dispose()


@contextmanager
def running() -> Iterator[dict[str, Any]]:
    """Run the service as a process for as long as the block lasts; yield where it listens."""
    command = [sys.executable, "-m", "tests.baselines.peer_service"]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        assert process.stdout is not None
        try:
            ready: dict[str, Any] = json.loads(process.stdout.readline())
            yield ready
        finally:
            process.terminate()


if __name__ == "__main__":
    serve()
