"""A process that converts a file and prints the peak of its memory in bytes.

``python -m tests.support.peak_memory SOURCE OUTPUT`` prints peak and number of files as JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tasks.callers import DirectCaller
from tasks.nwb_to_pennsieve import convert_all
from tasks.requests import ConvertRequest


class NoProgress:
    """Shows nothing."""

    def stage(self, what: str, total: int, unit: str) -> None:
        """Do nothing."""

    def advance(self, done: int) -> None:
        """Do nothing."""


def main() -> None:
    """Convert and measure."""
    request = ConvertRequest(sources=(sys.argv[1],), output=sys.argv[2])
    (result,) = convert_all(request, DirectCaller(NoProgress()))
    status = Path("/proc/self/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    peak = int(line.split()[1]) * 1024
    print(json.dumps({"outcome": result.outcome, "files": result.files, "peak": peak}))


if __name__ == "__main__":
    main()
