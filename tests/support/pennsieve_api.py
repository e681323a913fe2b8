"""A small, strict Pennsieve API on this machine: in a thread for tests, or as a process.

``python -m tests.support.pennsieve_api --port 0 --delay 0.1 --store memory`` prints one JSON line
with its URL and what a client needs, and serves until it is terminated.
"""

from __future__ import annotations

import argparse
import json
import signal
import socket
import threading
from types import TracebackType
from typing import Self

import uvicorn

from tests.support.bearers import Bearers, CognitoBearers, PlainBearers
from tests.support.faults import Fault, Faults
from tests.support.moto_server import MotoServer
from tests.support.object_stores import MemoryStore, MotoStore, ObjectStore, Stored
from tests.support.pennsieve_platform import Platform
from tests.support.pennsieve_routes import Call, Switchboard, build_app

START_S = 30.0


class PennsieveApi:
    """The platform in a thread; both hosts of the API and the store's door at one URL.

    Parameters
    ----------
    moto
        Where identities come from, and objects go to. Without it there is one made-up token and
        the store is memory.
    store
        ``moto``, or ``memory`` for speed.
    delay_s
        Time that each request takes.
    """

    def __init__(
        self,
        moto: MotoServer | None = None,
        *,
        store: str = "memory",
        delay_s: float = 0.0,
        port: int = 0,
        seed: int = 0,
    ) -> None:
        self.platform = Platform()
        bearers: Bearers = CognitoBearers(moto) if moto else PlainBearers()
        self.bearers = bearers
        kept: ObjectStore = MotoStore(moto) if moto and store == "moto" else MemoryStore()
        self.board = Switchboard(
            self.platform,
            bearers,
            kept,
            moto.cognito_config if moto else {},
            faults=Faults(seed),
            delay_s=delay_s,
        )
        # asyncio switches Nagle's algorithm off only where the socket names its protocol; with it
        # every answer on a kept connection takes 44 ms.
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(1024)
        self.url = self.board.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self._server = uvicorn.Server(
            uvicorn.Config(
                build_app(self.board),
                log_config=None,
                access_log=False,
                lifespan="on",
                ws="none",
                timeout_keep_alive=60,
                timeout_graceful_shutdown=5,
            )
        )
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [listener]}, name="pennsieve-api"
        )
        self._thread.start()
        tick = threading.Event()
        for _ in range(int(START_S / 0.01)):
            if self._server.started:
                return
            tick.wait(0.01)
        raise TimeoutError(f"the API did not start within {START_S:g} s")

    @property
    def faults(self) -> Faults:
        """What goes wrong; empty at first."""
        return self.board.faults

    @property
    def calls(self) -> list[Call]:
        """Every request so far, in order."""
        return self.board.calls

    @property
    def routes(self) -> list[str]:
        """Names of the routes that were called, in order."""
        return [call.route for call in self.calls]

    @property
    def arrived(self) -> dict[str, list[Stored]]:
        """Objects by the path that the manifests give them; more than one means sent twice."""
        found: dict[str, list[Stored]] = {}
        for record in self.platform.imports.values():
            for key, path in record.files.items():
                stored = self.board.store.objects.get(f"{record.id}/{key}")
                if stored is not None:
                    found.setdefault(path, []).append(stored)
        return found

    def stop(self) -> None:
        """End the server and its thread."""
        self._server.should_exit = True
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--delay", type=float, default=0.0, help="seconds that a request takes")
    parser.add_argument("--store", choices=("memory", "moto"), default="memory")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="ROUTE:STATUS:PROBABILITY",
        help="for example put:503:0.01; status 0 drops the connection",
    )
    options = parser.parse_args()
    signals = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    moto = MotoServer() if options.store == "moto" else None
    api = PennsieveApi(
        moto,
        store=options.store,
        delay_s=options.delay,
        port=options.port,
        seed=options.seed,
    )
    for text in options.fault:
        route, status, probability = text.split(":")
        api.faults.add(
            Fault(
                route=route,
                status=int(status),
                drop=status == "0",
                times=None,
                probability=float(probability),
            )
        )
    package = api.platform.add_package()
    run = api.platform.add_run([package.id])
    ready = {
        "url": api.url,
        "integration_id": run,
        "dataset_id": api.platform.runs[run]["datasetId"],
        "package_id": package.id,
        "token": api.bearers.token if isinstance(api.bearers, PlainBearers) else None,
        "api_key": moto.tokens.username if moto else None,
        "api_secret": moto.tokens.password if moto else None,
        "environment": moto.environment if moto else {},
    }
    print(json.dumps(ready), flush=True)
    signal.sigwait(signals)
    api.stop()
    if moto:
        moto.stop()


if __name__ == "__main__":
    main()
