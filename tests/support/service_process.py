"""A live service as a process of its own, which says where it listens on its first line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

STARTS_WITHIN_S = 60.0
STOPS_WITHIN_S = 30.0
PREFIX = "listening "


class ServiceProcess:
    """Runs a service until the end of a ``with`` block; may be killed and started again.

    Parameters
    ----------
    module
        Run with ``python -m``.
    log
        The file that takes its stderr.
    variables
        Of its environment, besides those of this process.
    """

    def __init__(self, module: str, log: Path, variables: dict[str, str]) -> None:
        self._module = module
        self._variables = variables
        self.process: subprocess.Popen[str] | None = None
        self.url = ""
        self.log = log

    def start(self) -> Self:
        """Start the process and wait until it listens."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with open(self.log, "a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", self._module],
                cwd=Path(__file__).parents[2],
                env={**os.environ, **self._variables},
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        watch = threading.Timer(STARTS_WITHIN_S, self.process.kill)
        watch.start()
        try:
            assert self.process.stdout is not None
            line = self.process.stdout.readline()
        finally:
            watch.cancel()
            watch.join()
        if not line.startswith(PREFIX):
            self.kill()
            raise AssertionError(f"the service did not start: {self.log.read_text()}")
        self.url = line.removeprefix(PREFIX).strip()
        return self

    def stop(self) -> int:
        """Tell the process to stop, and return its exit code."""
        return self._end(signal.SIGTERM)

    def kill(self) -> int:
        """Kill the process at once."""
        return self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> int:
        process, self.process = self.process, None
        if process is None:
            return 0
        process.send_signal(how)
        try:
            code = process.wait(STOPS_WITHIN_S)
        finally:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
        return code

    def client(self, token: str | None = None) -> httpx.Client:
        """Return a client of the service."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=60)

    def __enter__(self) -> Self:
        return self if self.process is not None else self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        code = self.stop()
        if error is None:
            assert code == 0, f"exit code {code}: {self.log.read_text()}"
