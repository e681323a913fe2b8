"""The records service as a process of its own, on a free port, over a folder of the test."""

from __future__ import annotations

import os
import time
from pathlib import Path

from tests.support.service_process import PREFIX, ServiceProcess


class RecordsServer(ServiceProcess):
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
        variables = {"RANVIER_HOME": str(home), "RANVIER_RECORDS_PORT": "0"}
        for name, value in settings.items():
            prefix = "" if name in {"store", "database_url", "identity_key"} else "RECORDS_"
            variables[f"RANVIER_{prefix}{name.upper()}"] = str(value)
        variables |= environment or {}
        super().__init__("tests.support.records_server", home / "service.log", variables)
        self.home = home

    def cpu_s(self) -> float:
        """Return the CPU time that the process has used, in seconds."""
        assert self.process is not None
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


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
