"""How results are printed: sentences for people, one JSON object for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from tasks.results import ConvertResult, worst


def readable_bytes(count: float) -> str:
    """Return a number of bytes as people write it."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 1000:
            return f"{count:.3g} {unit}" if unit != "B" else f"{count:.0f} B"
        count /= 1000
    return f"{count:.3g} TB"


def counted(count: int, what: str) -> str:
    """Return a number of things as people write it: one of them has no plural."""
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def print_json(content: object) -> None:
    """Print one result on stdout."""
    print(json.dumps(content, default=str))


def as_json(results: Sequence[ConvertResult]) -> dict[str, Any]:
    """Return the results of a conversion as one object."""
    return {
        "outcome": worst(tuple(results)),
        "failed": [r.source for r in results if r.outcome in ("refused", "failed")],
        "results": [asdict(result) for result in results],
    }


def print_result(result: ConvertResult) -> None:
    """Print what became of one source: on stdout if well, on stderr if not."""
    if result.outcome in ("refused", "failed"):
        print(f"ranvier: {result.outcome}: {result.reason}", file=sys.stderr, flush=True)
        return
    for series in result.series:
        print(f"  {series}")
    for note in result.notes:
        print(f"  note: {note}")
    resumed = f", {result.resumed} of them from an interrupted run" if result.resumed else ""
    size = readable_bytes(result.bytes)
    if result.outcome == "unchanged":
        print(f"unchanged: {result.files:,} files, {size} in {result.output}", flush=True)
    else:
        print(f"stored: {result.files:,} files, {size}{resumed} in {result.output}", flush=True)
    if result.package is not None:
        before = f", {result.already_uploaded:,} were there" if result.already_uploaded else ""
        print(f"uploaded: {result.uploaded:,} files{before}, package {result.package}", flush=True)


def exit_code(results: Sequence[ConvertResult], reasons: bool = False) -> int:
    """Return 1 if any source was refused or failed, after naming them, else 0.

    With ``reasons`` each is explained on stderr, too.
    """
    failed = [result for result in results if result.outcome in ("refused", "failed")]
    if reasons:
        for result in failed:
            print_result(result)
    if len(results) > 1 and failed:
        names = ", ".join(result.source for result in failed)
        print(f"ranvier: {len(failed)} of {len(results)} failed: {names}", file=sys.stderr)
    return 1 if failed else 0
