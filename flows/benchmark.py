"""Figures for the README: each program as a process of its own, side by side in one run.

Machines are shared and noisy, so each figure is the best of several runs that take turns, and what
counts is processor time, bytes and ratios within the run.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from storage.errors import NotFound
from tasks.measure import Cost, best, folder_bytes, run_process

Row = dict[str, float]
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Threshold:
    """A figure and the bound that it is to keep.

    Parameters
    ----------
    what
        In words.
    value
        As measured.
    bound
        Least ratio if ``at_least``, else the largest value.
    """

    what: str
    value: float
    bound: float
    at_least: bool

    @property
    def met(self) -> bool:
        """Whether the bound is kept."""
        return self.value >= self.bound if self.at_least else self.value <= self.bound


PEER = ("-m", "tests.baselines.plain_converter")
OURS = ("-m", "deployments.cli", "convert", "--json")
# Measured on case A with the existing processor itself, on a machine of this kind.
EXISTING_PROCESSOR_CPU_S = 5.2
CASES = {
    "A": "64 channels x 30 kHz x 60 s, contiguous",
    "B": "64 channels x 30 kHz x 60 s, gzip",
    "E": "128 channels x 1 kHz x 30 min, contiguous",
}


@dataclass(frozen=True, slots=True)
class ConvertBenchmark:
    """What was measured.

    Parameters
    ----------
    cases
        Figures of each case, by name.
    others
        Peak memory of the large cases in MB, and seconds for the smallest.
    upload
        Seconds and files, of the plain reference and ours.
    thresholds
        What the figures are held to.
    """

    cases: dict[str, Row]
    others: Row
    upload: Row
    thresholds: tuple[Threshold, ...]


def measure_convert(repeat: int, folder: str | None, say: Say) -> ConvertBenchmark:
    """Measure conversion and upload against plain references.

    Parameters
    ----------
    repeat
        Runs of each program and case; the best counts.
    folder
        Where files and outputs go; default a folder in memory, so that no disk is measured.
    say
        Told what is being measured.

    Raises
    ------
    NotFound
        If the references are not installed.
    """
    if importlib.util.find_spec("tests.baselines.plain_converter") is None or (
        importlib.util.find_spec("moto") is None
    ):
        raise NotFound(
            "the references of the benchmark are not installed; run it from a checkout with "
            "uv run --group test ranvier benchmark convert"
        )
    with _workplace(folder) as place:
        rows = {name: _measure_case(name, place, repeat, say) for name in CASES}
        others = _measure_others(place, repeat, say)
        upload = _measure_upload(place, say)
    return ConvertBenchmark(rows, others, upload, tuple(_thresholds(rows, others, upload)))


@contextmanager
def _workplace(folder: str | None) -> Iterator[Path]:
    in_memory = Path("/dev/shm")  # noqa: S108  # a name of our own is made in it
    parent = folder or (str(in_memory) if in_memory.is_dir() else None)
    with tempfile.TemporaryDirectory(prefix="ranvier-benchmark-", dir=parent) as place:
        yield Path(place)


def _made(case: str, place: Path, say: Say) -> Path:
    path = place / f"{case}.nwb"
    if not path.exists():
        say(f"making {path.name}")
        run_process(
            [sys.executable, "-m", "tests.baselines.benchmark_files", case, "--folder", str(place)]
        )
    return path


def _measure_case(name: str, place: Path, repeat: int, say: Say) -> Row:
    source, output = _made(name, place, say), place / "out"
    programs: dict[str, Callable[[], list[str]]] = {
        "peer": lambda: [sys.executable, *PEER, str(source), str(output)],
        "stored": lambda: _ours(source, output, 0),
        "compressed": lambda: _ours(source, output, 1),
        "stored alone": lambda: _alone(source, output, 0),
        "compressed alone": lambda: _alone(source, output, 1),
    }
    costs: dict[str, list[Cost]] = {program: [] for program in programs}
    sizes: Row = {}
    for turn in range(repeat):
        say(f"case {name}, run {turn + 1} of {repeat}")
        for program, command in programs.items():
            shutil.rmtree(output, ignore_errors=True)
            output.parent.mkdir(exist_ok=True)
            if program == "peer":
                output.mkdir()
            costs[program].append(run_process(command()))
            sizes[f"{program} MB"] = folder_bytes(str(output)) / 1e6
    shutil.rmtree(output, ignore_errors=True)
    source.unlink()
    row: Row = {}
    for program in ("peer", "stored", "compressed"):
        row[f"{program} CPU s"] = best(costs[program]).cpu_s
        row[f"{program} wall s"] = best(costs[program]).wall_s
        row[f"{program} peak MB"] = best(costs[program]).peak_mb
        row[f"{program} MB"] = sizes[f"{program} MB"]
        alone = costs["peer" if program == "peer" else f"{program} alone"]
        row[f"{program} conversion CPU s"] = min(
            json.loads(cost.output)["conversion_cpu_s"] for cost in alone
        )
    return row


def _ours(source: Path, output: Path, level: int) -> list[str]:
    options = ["--level", str(level), "--output", str(output)]
    return [sys.executable, *OURS, str(source), *options]


def _alone(source: Path, output: Path, level: int) -> list[str]:
    return [
        sys.executable, "-m", "tasks.measure", "convert", str(source), str(output), str(level)
    ]  # fmt: skip


def _measure_others(place: Path, repeat: int, say: Say) -> Row:
    figures: Row = {}
    output = place / "out"
    for name in ("I", "A10"):
        source = _made(name, place, say)
        say(f"case {name}")
        figures[f"{name} peak MB"] = run_process(_ours(source, output, 1)).peak_mb
        shutil.rmtree(output)
        source.unlink()
    source = _made("one_second", place, say)
    walls = []
    for _ in range(max(5, repeat)):
        walls.append(run_process(_ours(source, output, 1)).wall_s)
        shutil.rmtree(output)
    source.unlink()
    figures["one second, wall s"] = min(walls)
    return figures


def _measure_upload(place: Path, say: Say) -> Row:
    source, output = _made("A", place, say), place / "upload"
    say("upload, 896 files, 100 ms for each request")
    run_process(_ours(source, output, 1))
    source.unlink()
    figures: Row = {}
    for program, command in (
        ("peer", ["-m", "tests.baselines.plain_uploader"]),
        ("ours", ["-m", "tasks.measure", "upload"]),
    ):
        ready = place / "api.json"
        with _test_api(ready):
            cost = run_process([sys.executable, *command, str(output), str(ready)])
        figures[f"{program} seconds"] = json.loads(cost.output)["seconds"]
        figures[f"{program} files"] = json.loads(cost.output)["sent"]
    shutil.rmtree(output)
    return figures


@contextmanager
def _test_api(ready: Path) -> Iterator[None]:
    command = [sys.executable, "-m", "tests.support.pennsieve_api", "--delay", "0.1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as api:
        line = api.stdout.readline() if api.stdout else ""
        ready.write_text(line, encoding="utf-8")
        os.environ["SESSION_TOKEN"] = json.loads(line)["token"]
        try:
            yield
        finally:
            del os.environ["SESSION_TOKEN"]
            api.send_signal(signal.SIGTERM)


def _thresholds(rows: dict[str, Row], others: Row, upload: Row) -> Iterator[Threshold]:
    bounds = {"A": (4.0, 6.0), "B": (2.3, 3.0), "E": (4.0, 6.0)}
    distance = 100 * abs(rows["A"]["peer CPU s"] / EXISTING_PROCESSOR_CPU_S - 1)
    yield Threshold(
        "plain reference, A: CPU away from the existing processor, %", distance, 25.0, False
    )
    for name, row in rows.items():
        whole, alone = bounds[name]
        yield Threshold(
            f"{name}, stored: CPU of the reference over ours",
            row["peer CPU s"] / row["stored CPU s"], whole, True,
        )  # fmt: skip
        yield Threshold(
            f"{name}, stored, conversion alone: CPU of the reference over ours",
            row["peer conversion CPU s"] / row["stored conversion CPU s"], alone, True,
        )  # fmt: skip
        yield Threshold(
            f"{name}, compressed: CPU of the reference over ours",
            row["peer CPU s"] / row["compressed CPU s"], 1.6, True,
        )  # fmt: skip
        yield Threshold(
            f"{name}, compressed: bytes of the reference over ours",
            row["peer MB"] / row["compressed MB"], 3.0, True,
        )  # fmt: skip
        peak = max(row["stored peak MB"], row["compressed peak MB"])
        yield Threshold(f"{name}: peak memory, MB", peak, 160.0, False)
    yield Threshold("384 channels: peak memory, MB", others["I peak MB"], 400.0, False)
    yield Threshold("A, ten times as long: peak memory, MB", others["A10 peak MB"], 160.0, False)
    yield Threshold("one-second file: wall s", others["one second, wall s"], 0.6, False)
    yield Threshold(
        "upload of 896 files: seconds of four plain workers over ours",
        upload["peer seconds"] / upload["ours seconds"], 5.0, True,
    )  # fmt: skip
