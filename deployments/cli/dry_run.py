"""``ranvier convert --dry-run``: what would be written, created and sent."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Any

from deployments.cli.report import print_json, readable_bytes
from storage.errors import RanvierError
from tasks.dry_run import plan_conversion, planned_output
from tasks.requests import ConvertRequest
from tasks.sources import find_sources, is_single, output_urls


def show_plan(request: ConvertRequest, as_json: bool) -> int:
    """Print what a request would do, and return the exit code."""
    found = find_sources(request.sources)
    outputs = output_urls(found, request.output, is_single(request.sources, found))
    target = _target(request)
    results: list[dict[str, Any]] = []
    for source, output in zip(found, outputs, strict=True):
        try:
            planned = asdict(plan_conversion(request, source, output))
            if target is not None:
                planned["upload"] = _upload(request, target, source, output)
        except RanvierError as error:
            planned = {"source": source, "output": output, "reason": str(error)}
        results.append(planned)
        if not as_json:
            _print(planned)
    failed = [planned["source"] for planned in results if "reason" in planned]
    if as_json:
        outcome = "failed" if failed else "planned"
        print_json({"outcome": outcome, "failed": failed, "results": results})
    return 1 if failed else 0


def _target(request: ConvertRequest) -> Any:
    if request.upload is None:
        return None
    from tasks.pennsieve import find_target

    return find_target(request.upload)


def _upload(request: ConvertRequest, target: Any, source: str, output: str) -> dict[str, Any]:
    from tasks.pennsieve import plan_for

    if request.upload is None:
        return {}
    return asdict(plan_for(request.upload, target, planned_output(request, source, output)))


def _print(planned: dict[str, Any]) -> None:
    if "reason" in planned:
        print(f"ranvier: {planned['reason']}", file=sys.stderr)
        return
    for series in planned["series"]:
        print(f"  {series}")
    for note in planned["notes"]:
        print(f"  note: {note}")
    size = readable_bytes(planned["bytes_before_compression"])
    print(
        f"would write {planned['files']:,} files, {size} before compression, to {planned['output']}"
    )
    upload = planned.get("upload")
    if upload:
        target = upload["target"]
        print(
            f"would upload to {target['package_id']} in {target['dataset_id']}: "
            f"create {len(upload['created'])} channels, use {len(upload['matched'])}, "
            f"extend {len(upload['extended'])}; send {upload['files']:,} files in "
            f"{upload['batches']} manifest batches, {upload['uploaded']:,} are there already"
        )
        if upload["created"]:
            print(f"  channels to create: {', '.join(upload['created'])}")
