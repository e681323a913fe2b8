"""``ranvier benchmark``: measured side by side with a plain reference, in one run."""

from __future__ import annotations

import sys
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated

import typer

from deployments.cli.report import print_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flows.benchmark import ConvertBenchmark, Threshold

EXAMPLES = """
[bold]Examples[/bold]

ranvier benchmark convert

ranvier benchmark convert --repeat 5 --json
"""
RECORDS_EXAMPLES = """
[bold]Examples[/bold]

ranvier benchmark records

ranvier benchmark records --hours 2 --repeat 3 --json

ranvier benchmark records --quick
"""
VIEWER_EXAMPLES = """
[bold]Examples[/bold]

ranvier benchmark viewer

ranvier benchmark viewer --hours 2 --repeat 3 --json

ranvier benchmark viewer --quick
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    benchmarks = typer.Typer(help="Measure against plain references, side by side in one run.")
    benchmarks.command("convert", epilog=EXAMPLES)(convert)
    benchmarks.command("records", epilog=RECORDS_EXAMPLES)(records)
    benchmarks.command("viewer", epilog=VIEWER_EXAMPLES)(viewer)
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


def records(
    repeat: Annotated[
        int, typer.Option(min=1, help="So many hundred calls for each quick figure.")
    ] = 1,
    hours: Annotated[
        float | None, typer.Option(min=0.05, help="Length of the made night; default 24.")
    ] = None,
    row_hours: Annotated[
        float | None,
        typer.Option(min=0.02, help="How much of it the rows hold; default 1 (6 GB)."),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Minutes instead of hours: to see that it works.")
    ] = False,
    folder: Annotated[
        str | None,
        typer.Option(help="Where everything goes; on a disk. Default: the temporary folder."),
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="Folder of real EDF files, to give their size as well.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON result.")] = False,
) -> None:
    """Measure the record store beside rows and blobs in PostgreSQL and flat EDF files.

    Takes about 15 minutes and 15 GB.
    """
    from deployments.cli.benchmark_tables import records_tables
    from flows.benchmark_records import QUICK, Sizes, measure_records

    sizes = QUICK if quick else Sizes(calls=100 * repeat)
    sizes = replace(
        sizes,
        hours=sizes.hours if hours is None else hours,
        row_hours=sizes.row_hours if row_hours is None else row_hours,
    )
    measured = measure_records(sizes, folder, data, _say)
    if as_json:
        print_json(asdict(measured))
    else:
        for line in records_tables(measured):
            print(line)
        _print_thresholds(measured.thresholds)
    raise typer.Exit(0 if quick or all(each.met for each in measured.thresholds) else 1)


def viewer(
    repeat: Annotated[
        int, typer.Option(min=1, help="So many times the usual page turns of each program.")
    ] = 1,
    hours: Annotated[
        float | None, typer.Option(min=0.5, help="Length of the made night; default 24.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Less than a minute: to see that it works.")
    ] = False,
    folder: Annotated[
        str | None, typer.Option(help="Where everything goes. Default: the temporary folder.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON result.")] = False,
) -> None:
    """Measure page turns of the viewer beside plain Dash with Scattergl, in a real browser.

    Takes about 10 minutes and 2 GB, and a Chromium.
    """
    from deployments.cli.benchmark_tables import viewer_tables
    from flows.benchmark_viewer import QUICK, Sizes, measure_viewer

    sizes = QUICK if quick else Sizes()
    turns = {length: repeat * count for length, count in sizes.turns.items()}
    hours = sizes.hours if hours is None else hours
    # To the end of the night, and no further.
    through = {
        length: min(count, int(3600 * hours / float(length)) - 2)
        for length, count in sizes.through.items()
    }
    sizes = replace(sizes, hours=hours, turns=turns, through=through)
    measured = measure_viewer(sizes, folder, _say)
    if as_json:
        print_json(asdict(measured))
    else:
        for line in viewer_tables(measured):
            print(line)
        _print_thresholds(measured.thresholds)
    raise typer.Exit(0 if quick or all(each.met for each in measured.thresholds) else 1)


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
    _print_thresholds(measured.thresholds)


def _print_thresholds(thresholds: Iterable[Threshold]) -> None:
    print("| Figure | Measured | Bound | Met |")
    print("| --- | ---: | ---: | --- |")
    for each in thresholds:
        sign = "at least" if each.at_least else "at most"
        met = "yes" if each.met else "no"
        print(f"| {each.what} | {each.value:.2f} | {sign} {each.bound:g} | {met} |")
