"""Processes of a benchmark: services that run for a while, and what our store then takes."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from storage.errors import RanvierError
from tasks.measure import Cost, folder_bytes, run_process

START_S = 60
RANVIER = (sys.executable, "-m", "deployments.cli")


def with_home(home: Path, command: Sequence[str]) -> list[str]:
    """Return a command that keeps everything in a folder, whatever the environment says."""
    others = [name for name in os.environ if name.startswith("RANVIER_")]
    others += ["DATABASE_URL", "PREFECT_API_URL"]
    unset = [word for name in others for word in ("-u", name)]
    return ["env", *unset, f"RANVIER_HOME={home}", *command]


def python(module: str, *arguments: str) -> Cost:
    """Run a module of Python to its end."""
    return run_process([sys.executable, "-m", module, *arguments])


@contextlib.contextmanager
def running(command: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Run a service for as long as the block lasts; yield its process and its first line."""
    with tempfile.TemporaryFile("w+") as complaints:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=complaints, text=True, start_new_session=True
        )
        try:
            first = process.stdout.readline() if process.stdout else ""
            if not first:
                process.wait(START_S)
                complaints.seek(0)
                lines = complaints.read().strip().splitlines() or ["no message"]
                raise RanvierError(f"{' '.join(command[-4:])}: did not start: {lines[-1]}")
            yield process.pid, first
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(START_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout:
                process.stdout.close()


def parts_of_store(home: Path) -> dict[str, int]:
    """Return the bytes of our store by what they are for."""
    parts = {"signals": 0, "overview": 0, "density": 0, "others": 0}
    kinds = {"sig": "signals", "mm": "overview", "dsa": "density"}
    for path in (home / "store").rglob("*"):
        if path.is_file():
            found = {
                part
                for folder in path.relative_to(home).parts
                for kind, part in kinds.items()
                if re.fullmatch(rf"{kind}\d*", folder)
            }
            parts[found.pop() if found else "others"] += path.stat().st_size
    parts["catalogue"] = folder_bytes(str(home)) - folder_bytes(str(home / "store"))
    return parts


def samples_of(path: Path) -> int:
    """Return the samples of a plain EDF file, by its header."""
    with path.open("rb") as file:
        header = file.read(256)
    return (path.stat().st_size - int(header[184:192])) // 2
