"""The steps of a benchmark: run a program, and what it cost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from storage.errors import RanvierError


@dataclass(frozen=True, slots=True)
class Cost:
    """What a process and its children used.

    Parameters
    ----------
    cpu_s, wall_s
        Processor and elapsed seconds of the whole process, imports included.
    peak_mb
        Largest resident memory, in units of 1,000,000 bytes.
    output
        What it printed on stdout.
    """

    cpu_s: float
    wall_s: float
    peak_mb: float
    output: str


def run_process(command: Sequence[str]) -> Cost:
    """Run a program to its end and return what it cost.

    Raises
    ------
    RanvierError
        If it failed.
    """
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if process.stdout is None or process.stderr is None:
        raise RanvierError(f"{command[0]}: could not be started with pipes")
    with process.stdout, process.stderr:
        output, complaint = process.stdout.read(), process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        lines = complaint.strip().splitlines() or ["no message"]
        raise RanvierError(f"{' '.join(command[:4])}: exit code {process.returncode}: {lines[-1]}")
    return Cost(
        cpu_s=usage.ru_utime + usage.ru_stime,
        wall_s=time.perf_counter() - began,
        peak_mb=usage.ru_maxrss * 1024 / 1e6,
        output=output,
    )


def best(costs: Sequence[Cost]) -> Cost:
    """Return the least time and the greatest memory of several runs, and the last output."""
    return Cost(
        cpu_s=min(cost.cpu_s for cost in costs),
        wall_s=min(cost.wall_s for cost in costs),
        peak_mb=max(cost.peak_mb for cost in costs),
        output=costs[-1].output,
    )


def folder_bytes(folder: str) -> int:
    """Return the bytes of all files in a folder."""
    return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())


class _Silent:
    def stage(self, what: str, total: int, unit: str) -> None: ...

    def advance(self, done: int) -> None: ...


def measured_conversion(source: str, output: str, level: str) -> dict[str, object]:
    """Convert in this process; return the cost of the conversion alone, imports aside."""
    from tasks.callers import DirectCaller
    from tasks.nwb_to_pennsieve import convert_all
    from tasks.requests import ConvertRequest

    request = ConvertRequest(
        sources=(source,),
        output=output,
        level=int(level),  # type: ignore[arg-type]  # checked where it is used
    )
    cpu_s = time.process_time()
    (result,) = convert_all(request, DirectCaller(_Silent()))
    return {"conversion_cpu_s": time.process_time() - cpu_s, "result": asdict(result)}


def measured_upload(folder: str, ready: str) -> dict[str, object]:
    """Upload an output to the API described by a JSON file; return the seconds that it took."""
    from tasks.pennsieve import file_batches, find_target, prepare_import, upload_batch
    from tasks.requests import UploadRequest

    described = json.loads(Path(ready).read_text(encoding="utf-8"))
    request = UploadRequest(
        integration_id=described["integration_id"],
        api_host=described["url"],
        api2_host=described["url"],
    )
    began = time.perf_counter()
    import_ = prepare_import(request, find_target(request), folder)
    sent = [upload_batch(request, import_, batch).sent for batch in file_batches(folder, None)]
    return {"seconds": time.perf_counter() - began, "sent": sum(sent)}


if __name__ == "__main__":
    jobs: dict[str, Callable[..., dict[str, object]]] = {
        "convert": measured_conversion,
        "upload": measured_upload,
    }
    sys.stdout.write(json.dumps(jobs[sys.argv[1]](*sys.argv[2:])) + "\n")
