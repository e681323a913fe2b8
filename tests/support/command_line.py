"""Running ``ranvier`` as people do: a process of its own, with exit code, stdout and stderr."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SECONDS = 120


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed with ``--json``."""
        return json.loads(self.out)


def command(*arguments: str) -> list[str]:
    """Return the words that start ``ranvier`` with some arguments."""
    return [sys.executable, "-m", "deployments.cli", *arguments]


def environment(extra: Mapping[str, str | None] = {}) -> dict[str, str]:
    """Return this process's environment without anyone's credentials, with some variables set."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PENNSIEVE_", "PREFECT_", "RANVIER_"))
        and name not in ("SESSION_TOKEN", "REFRESH_TOKEN", "INPUT_DIR", "OUTPUT_DIR", "TZ")
    }
    root = str(Path(__file__).parents[2])
    changed = {"COLUMNS": "100", "PYTHONPATH": root, **extra}
    return {**kept, **{name: value for name, value in changed.items() if value is not None}}


def ranvier(*arguments: str, env: Mapping[str, str | None] = {}, cwd: Path | None = None) -> Ran:
    """Run ``ranvier`` to its end."""
    done = subprocess.run(
        command(*arguments),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        env=environment(env),
        cwd=cwd,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)
