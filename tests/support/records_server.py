"""The records service as a process of its own, on a free port, over a folder of the test."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

STARTS_WITHIN_S = 60.0
STOPS_WITHIN_S = 30.0
PREFIX = "listening "


class RecordsServer:
    """Runs the service until the end of a ``with`` block; may be killed and started again.

    Parameters
    ----------
    home
        Where everything rests, unless ``settings`` say otherwise.
    environment
        Further variables of the process, for example those of an S3.
    **settings
        Fields of ``RecordsSettings``.
    """

    def __init__(
        self, home: Path, environment: dict[str, str] | None = None, **settings: object
    ) -> None:
        self.home = home
        self._environment = environment or {}
        self._settings = settings
        self.process: subprocess.Popen[str] | None = None
        self.url = ""
        self.log = home / "service.log"

    def start(self) -> Self:
        """Start the process and wait until it listens."""
        self.home.mkdir(parents=True, exist_ok=True)
        variables = {"RANVIER_HOME": str(self.home), "RANVIER_RECORDS_PORT": "0"}
        for name, value in self._settings.items():
            prefix = "" if name in {"store", "database_url", "identity_key"} else "RECORDS_"
            variables[f"RANVIER_{prefix}{name.upper()}"] = str(value)
        with open(self.log, "a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.records_server"],
                cwd=Path(__file__).parents[2],
                env={**os.environ, **variables, **self._environment},
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

    def cpu_s(self) -> float:
        """Return the CPU time that the process has used, in seconds."""
        assert self.process is not None
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

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


def wait_for(condition: object, within_s: float = 20.0) -> None:
    """Wait until a function returns something true."""
    assert callable(condition)
    due = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < due, f"not within {within_s} s"
        time.sleep(0.02)


if __name__ == "__main__":
    from realtime.records.service import run
    from storage.settings import records_settings

    run(records_settings(), announce=lambda url: print(PREFIX + url, flush=True))
