"""Figures of the viewer beside the plain Dash application, in a real browser, in one run.

Services, peers and the browser are processes of their own. Whoever is compared takes turns in one
browser, which has no graphics card to draw with.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flows.benchmark import Say, Threshold
from flows.benchmark_processes import RANVIER, python, running, with_home
from storage.errors import NotFound, RanvierError
from tasks.measure import run_process

PATIENT = "night"
RECORDING = "night.edf"
MOST_MS = {"10": 60.0, "60": 90.0}
FIRST_PAGE_S = 1.5
NEEDED = ("playwright", "psutil", "tests.baselines.viewer_jobs")
JOBS = ("first_page", "turns", "through", "held")


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured.

    Parameters
    ----------
    hours
        Length of the night.
    turns
        Page turns of each program, by the length of a page in seconds.
    pace_ms
        How long a page is read before it is turned.
    first
        How often the recording is opened.
    through
        Page turns without reading, by the length of a page; those of 60 s are a day.
    held_s
        How long a key is held.
    browsers
        The jobs, by the browser that does them: a fresh one for each, where figures count.
    """

    hours: float = 24.0
    turns: dict[str, int] = field(default_factory=lambda: {"10": 30, "30": 15, "60": 10})
    pace_ms: int = 500
    first: int = 5
    through: dict[str, int] = field(default_factory=lambda: {"10": 500, "60": 1438})
    held_s: float = 20.0
    browsers: tuple[tuple[str, ...], ...] = tuple((job,) for job in JOBS)


QUICK = Sizes(
    hours=0.1,
    turns={"10": 1},
    pace_ms=100,
    first=1,
    through={"60": 4},
    held_s=0.5,
    browsers=(JOBS,),
)


@dataclass(frozen=True, slots=True)
class ViewerBenchmark:
    """What was measured.

    Parameters
    ----------
    machine
        Processors, load averages before and after, and the browser.
    sizes
        How much was measured.
    figures
        What each job measured, by its name.
    thresholds
        What the figures are held to.
    """

    machine: dict[str, Any]
    sizes: Sizes
    figures: dict[str, Any]
    thresholds: tuple[Threshold, ...]


def measure_viewer(sizes: Sizes, folder: str | None, say: Say) -> ViewerBenchmark:
    """Measure the viewer against its peers.

    Parameters
    ----------
    sizes
        How much.
    folder
        Where everything goes; a folder below it is made and removed. Default: the temporary
        folder.
    say
        Told what is being measured.

    Raises
    ------
    NotFound
        If the peers or the browser are not installed.
    """
    _check_installed()
    before = os.getloadavg()
    with tempfile.TemporaryDirectory(prefix="ranvier-benchmark-", dir=folder) as place:
        figures = _measure(sizes, Path(place), say)
    machine = {
        "processors": os.cpu_count(),
        "load_before": before,
        "load_after": os.getloadavg(),
        "browser": figures.pop("browser_version")["version"],
    }
    return ViewerBenchmark(machine, sizes, figures, tuple(thresholds(figures)))


def thresholds(figures: dict[str, Any]) -> Iterator[Threshold]:
    """Yield what the figures are held to."""
    for length, bound in MOST_MS.items():
        if length in figures["turns"]:
            value = figures["turns"][length]["key"]["p50_ms"]
            what = f"page turn, 23 channels x {length} s, key to pixels: median ms"
            yield Threshold(what, value, bound, at_least=False)
    seconds = figures["first_page"]["ours"]["p50_ms"] / 1e3
    what = "first page of the recording, empty browser cache: median s"
    yield Threshold(what, seconds, FIRST_PAGE_S, at_least=False)


def _check_installed() -> None:
    if any(importlib.util.find_spec(name) is None for name in NEEDED):
        raise NotFound(
            "the peers of the benchmark are not installed; run it from a checkout with "
            "uv run --group test ranvier benchmark viewer"
        )
    found = json.loads(python("tests.baselines.viewer_jobs").output)
    if found["browser"] is None:
        raise NotFound(found["absent"])


def _measure(sizes: Sizes, place: Path, say: Say) -> dict[str, Any]:
    say(f"making a night of {sizes.hours:g} h")
    made = python("tests.support.viewed_recordings", str(place / "files"), str(sizes.hours))
    path = json.loads(made.output)["path"]
    say("ingesting it")
    home = place / "home"
    names = ["--patient", PATIENT, "--recording-id", RECORDING]
    run_process(with_home(home, [*RANVIER, "ingest", path, *names]))
    Path(path).unlink()
    figures: dict[str, Any] = {}
    with (
        _ranvier(home, "records") as records,
        _ranvier(home, "viewer", "--records-url", records[0]) as viewer,
        _peer(records[0]) as peer,
    ):
        plan = {
            "viewer": viewer[0],
            "peer": peer[0],
            "services": {"viewer": [records[1], viewer[1]], "peer": [records[1], peer[1]]},
            "patient": PATIENT,
            "recording": RECORDING,
            "seconds": 3600 * sizes.hours,
            "turns": sizes.turns,
            "pace_ms": sizes.pace_ms,
            "first": sizes.first,
            "through": sizes.through,
            "held_s": sizes.held_s,
        }
        file = place / "plan.json"
        file.write_text(json.dumps(plan), encoding="utf-8")
        for jobs in sizes.browsers:
            say(f"measuring: {', '.join(jobs).replace('_', ' ')}")
            words = (str(file), "browser_version", *jobs)
            figures |= json.loads(python("tests.baselines.viewer_jobs", *words).output)
    return figures


@contextlib.contextmanager
def _ranvier(home: Path, service: str, *options: str) -> Iterator[tuple[str, int]]:
    """Run one of our services; yield its address and its process."""
    command = with_home(home, [*RANVIER, "serve", service, "--port", "0", *options])
    with running(command) as (pid, first):
        address = re.search(r"https?://[^\s\"']+", first)
        if address is None:
            raise RanvierError(f"ranvier serve {service}: no address in {first!r}")
        yield address.group().rstrip("/"), pid


@contextlib.contextmanager
def _peer(records: str) -> Iterator[tuple[str, int]]:
    command = [sys.executable, "-m", "tests.baselines.dash_scattergl", records, PATIENT, RECORDING]
    with running(command) as (pid, first):
        yield json.loads(first)["url"], pid
