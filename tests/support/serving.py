"""``ranvier serve`` as a process of its own, while a block runs."""

from __future__ import annotations

import queue
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.command_line import command, environment

SECONDS = 60.0


@dataclass
class Served:
    """A service that runs.

    Parameters
    ----------
    url
        Its address.
    process
        Its process.
    """

    url: str
    process: subprocess.Popen[str]
    log: Path
    stopped: list[int] = field(default_factory=list)

    def stop(self, how: signal.Signals = signal.SIGINT) -> int:
        """Stop it and return its exit code."""
        self.process.send_signal(how)
        return self.process.wait(SECONDS)


@contextmanager
def served(
    name: str, *words: str, log: Path, env: Mapping[str, str | None] = {}
) -> Iterator[Served]:
    """Serve on a free port, or on the one that ``words`` name."""
    port = () if "--port" in words else ("--port", "0")
    with log.open("a") as lines:
        process = subprocess.Popen(
            command("serve", name, *port, *words),
            env=environment(env),
            stdout=subprocess.PIPE,
            stderr=lines,
            text=True,
        )
    try:
        yield Served(_address(process, log), process, log)
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(SECONDS)
        if process.stdout is not None:
            process.stdout.close()


def _address(process: subprocess.Popen[str], log: Path) -> str:
    lines: queue.Queue[str] = queue.Queue()

    def read() -> None:
        if process.stdout is not None:
            lines.put(process.stdout.readline())

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    line = lines.get(timeout=SECONDS)
    reader.join(SECONDS)
    words = [word for word in line.split() if word.startswith("http")]
    assert words, f"said {line!r} instead of an address; {log.read_text()}"
    return words[0]
