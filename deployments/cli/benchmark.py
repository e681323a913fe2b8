"""``ranvier benchmark``: measured side by side with a plain reference, in one run."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from deployments.cli.report import print_json

if TYPE_CHECKING:
    from flows.benchmark import ConvertBenchmark

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

    measured = measure_convert(repeat, folder, _say)
    if as_json:
        print_json(asdict(measured))
    else:
        _print_tables(measured)
    raise typer.Exit(0 if all(each.met for each in measured.thresholds) else 1)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _print_tables(measured: ConvertBenchmark) -> None:
    from flows.benchmark import CASES

    print("| Case | Program | CPU s | conversion alone, CPU s | wall s | peak MB | output MB |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    for name, row in measured.cases.items():
        for program in ("peer", "stored", "compressed"):
            label = "plain reference" if program == "peer" else f"ranvier, {program}"
            print(
                f"| {name}: {CASES[name]} | {label} | {row[f'{program} CPU s']:.2f} "
                f"| {row[f'{program} conversion CPU s']:.2f} | {row[f'{program} wall s']:.2f} "
                f"| {row[f'{program} peak MB']:.0f} | {row[f'{program} MB']:.0f} |"
            )
    upload = measured.upload
    print(
        f"\nUpload of {upload['ours files']:.0f} files, 100 ms for each request: "
        f"{upload['ours seconds']:.1f} s; four plain workers {upload['peer seconds']:.1f} s.\n"
    )
    print("| Figure | Measured | Bound | Met |")
    print("| --- | ---: | ---: | --- |")
    for each in measured.thresholds:
        sign = "at least" if each.at_least else "at most"
        met = "yes" if each.met else "no"
        print(f"| {each.what} | {each.value:.2f} | {sign} {each.bound:g} | {met} |")
