"""``ranvier benchmark``: measured side by side with a plain reference, in one run."""

from __future__ import annotations

from typing import Annotated

import typer

EXAMPLES = """
[bold]Examples[/bold]

ranvier benchmark convert

ranvier benchmark convert --repeat 5 --json
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    benchmarks = typer.Typer(help="Measure against plain references, side by side in one run.")
    benchmarks.command("convert", epilog=EXAMPLES)(convert)
    app.add_typer(benchmarks, name="benchmark")


def convert(
    repeat: Annotated[int, typer.Option(min=1, help="Runs of each; the best counts.")] = 3,
    folder: Annotated[
        str | None, typer.Option(help="Folder for files and outputs; default: in memory.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON result.")] = False,
) -> None:
    """Measure conversion and upload: CPU, memory and bytes against the plain reference."""
    from flows.benchmark import measure_convert

    raise typer.Exit(measure_convert(repeat, folder, as_json))
