"""``ranvier demo``: the main job on a sample that it makes itself."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

EXAMPLES = """
[bold]Examples[/bold]

ranvier demo

ranvier demo --output /tmp/ranvier-demo --direct
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo", epilog=EXAMPLES)(demo)


def demo(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the sample and its chunks.")
    ] = Path("ranvier-demo"),
    direct: Annotated[
        bool, typer.Option("--direct", help="Without Prefect, as ranvier convert runs.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON result and no progress.")
    ] = False,
) -> None:
    """Make a small NWB file, convert it in a Prefect flow, and check the chunks against it."""
    from deployments.cli.convert import run_request
    from deployments.cli.verify import verify_output
    from storage.nwb_sample import write_sample
    from tasks.requests import ConvertRequest

    began = time.monotonic()
    sample = output.absolute() / "sample.nwb"
    chunks = output.absolute() / "sample-pennsieve"
    if not sample.exists():
        _say(f"making a sample with two series, a gap and a late start: {sample}")
        write_sample(sample)
    if not direct:
        _say("starting Prefect for this one run; ranvier convert needs no such wait")
    request = ConvertRequest(sources=(str(sample),), output=str(chunks))
    code = run_request(request, as_json=as_json, prefect=not direct, dask=None)
    if code == 0:
        code = verify_output(str(chunks), [str(sample)], as_json=False, quiet=as_json)
        _say(f"done in {time.monotonic() - began:.0f} s; look at {chunks / 'manifest.json'}")
    raise typer.Exit(code)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
