"""Memory does not grow with the length of a recording, neither in the command line nor the service.

An hour in an ordinary run; with RANVIER_SOAK set, a night of 24 hours as well.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from storage.recording_store import RecordingStore
from storage.spans import Span
from tests.support.command_line import environment, ranvier
from tests.support.night import CHANNELS, RATE, digital, night_file
from tests.support.records_server import RecordsServer

MB = 1_000_000
MOST = 300 * MB
SERVICE_MOST = 260 * MB
GROWTH = 30 * MB
SERVICE_GROWTH = 50 * MB
SHORT_H = 1 / 6
# The command line as people start it; then it tells its peak, since it came to be, of all memory
# that it held. (What wait4 tells includes its parent's.)
PROGRAM = """
import atexit
import sys
from pathlib import Path

from deployments.cli import main

atexit.register(lambda: print(Path("/proc/self/status").read_text(), file=sys.stderr))
main()
"""


def peak_of(status: str) -> int:
    """Return the most memory that a process ever held, in bytes."""
    found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    assert found is not None, status
    return int(found[1]) * 1024


def ingest(path: Path, home: Path) -> int:
    """Ingest a file and return the peak of the memory that it took."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "ingest", str(path), "--patient", "made", "--json"],
        env=environment({"RANVIER_HOME": str(home)}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return peak_of(done.stderr)


def check(home: Path, path: Path, hours: float) -> None:
    """Compare some of a stored night with its file."""
    with RecordingStore.open(str(home / "store"), str(home / "catalog.db")) as store:
        (entry,) = store.catalog.recordings()
        assert store.stop(entry, 0) == round(hours * 3600) * RATE
        for start in np.linspace(0, round(hours * 3600) - 10, 20, dtype=int).tolist():
            window = store.window(entry, 0, Span(start * RATE, (start + 10) * RATE))
            np.testing.assert_array_equal(window.data.T, digital(path, start, start + 10))


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("nights")


@pytest.mark.timeout(3600)
@pytest.mark.soak
def test_an_ingest_takes_as_much_memory_for_a_night_as_for_minutes(
    nights: Path, tmp_path: Path
) -> None:
    lengths = [SHORT_H, 1, *([24] if os.environ.get("RANVIER_SOAK") else [])]
    peaks = []
    for hours in lengths:
        path = night_file(nights, hours)
        home = tmp_path / f"{hours:.2f}"
        peaks.append(ingest(path, home))
        print(f"\ningest of {hours:.2f} h, {CHANNELS} channels: peak {peaks[-1] / MB:.0f} MB")
        check(home, path, hours)
    assert max(peaks) < MOST
    assert max(peaks) - peaks[0] < GROWTH


@pytest.mark.soak
def test_the_service_takes_as_much_memory_for_an_hour_as_for_minutes(
    nights: Path, tmp_path: Path
) -> None:
    peaks = []
    with RecordsServer(tmp_path, seconds_between_compactions=0.2) as server:
        for hours in (SHORT_H, 1):
            ran = ranvier(
                *("simulate", "wearable", str(night_file(nights, hours)), "--url", server.url),
                *("--speed", "max", "--patient", "made", "--seal", "--json"),
            )
            assert ran.code == 0, ran.err
            assert server.process is not None
            status = Path(f"/proc/{server.process.pid}/status").read_text()
            peaks.append(peak_of(status))
            print(f"\nservice after {hours:.2f} h came in: peak {peaks[-1] / MB:.0f} MB")
    assert peaks[-1] < SERVICE_MOST
    assert peaks[-1] - peaks[0] < SERVICE_GROWTH
