"""``ranvier convert``: NWB files into Pennsieve chunk files."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deployments.cli.places import absolute
from deployments.cli.progress import shown_progress
from storage.errors import RanvierError, UsageError

if TYPE_CHECKING:
    from tasks.requests import ConvertRequest, UploadRequest

EXAMPLES = """
[bold]Examples[/bold]

ranvier convert sub-01.nwb

ranvier convert sub-01.nwb --output chunks --series LFP --series acquisition/ECoG

ranvier convert recordings/ s3://lab/nwb/ --output s3://lab/chunks --json

ranvier convert sub-01.nwb --upload --dataset N:dataset:... --package N:package:...

ranvier convert --verify chunks sub-01.nwb
"""


class Digest(StrEnum):
    """Kinds of digest."""

    AUTO = "auto"
    SHA256 = "sha256"
    CRC32 = "crc32"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("convert", epilog=EXAMPLES)(convert)


def convert(
    sources: Annotated[
        list[str] | None,
        typer.Argument(help="NWB files, Zarr folders, folders of them, or s3:// URLs of either."),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            help="Folder or s3:// prefix; for several files each gets a folder of its own below "
            "it. Default: <file>-pennsieve here.",
        ),
    ] = None,
    series: Annotated[
        list[str] | None,
        typer.Option(
            help="Name or path of a series, may be repeated; 'all' for those in processing too. "
            "Default: all in acquisition."
        ),
    ] = None,
    chunk_size_mb: Annotated[
        int, typer.Option(min=1, help="Size of a chunk before compression, in MB.")
    ] = 1,
    level: Annotated[int, typer.Option(min=0, max=3, help="Compression; 0 stores.")] = 1,
    digest: Annotated[
        Digest, typer.Option(help="Digest of each file; auto: CRC-32 if stored, else SHA-256.")
    ] = Digest.AUTO,
    gap_threshold: Annotated[
        float, typer.Option(help="Periods between time stamps after which a new segment begins.")
    ] = 1.5,
    repair_timestamps: Annotated[
        bool,
        typer.Option(
            "--repair-timestamps",
            help="Begin a new segment at a missing, repeated or backward time stamp.",
        ),
    ] = False,
    timezone: Annotated[
        str | None, typer.Option(help="Zone of a start time without an offset: Europe/Vienna.")
    ] = None,
    classic: Annotated[
        bool,
        typer.Option(
            "--classic",
            help="Exactly what the existing container processor writes, faults included.",
        ),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace another output that is there.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be written, created and sent.")
    ] = False,
    verify: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="Check an output against its manifest and, given the file, against that.",
        ),
    ] = None,
    validate: Annotated[
        bool, typer.Option("--validate", help="Also report what PyNWB says of the file.")
    ] = False,
    upload: Annotated[
        bool, typer.Option("--upload", help="Upload to Pennsieve after converting.")
    ] = False,
    integration_id: Annotated[
        str | None, typer.Option(help="Upload: the workflow run that it is for.")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="Upload: data set, with --package, instead of a run.")
    ] = None,
    package: Annotated[
        str | None, typer.Option(help="Upload: the package that gets the channels.")
    ] = None,
    api_host: Annotated[
        str, typer.Option(envvar="PENNSIEVE_API_HOST", help="Address of the API.")
    ] = "https://api.pennsieve.net",
    api2_host: Annotated[
        str, typer.Option(envvar="PENNSIEVE_API_HOST2", help="Address of the newer API.")
    ] = "https://api2.pennsieve.net",
    connections: Annotated[
        int, typer.Option(min=1, max=256, help="Files on their way at once.")
    ] = 32,
    prefect: Annotated[
        bool,
        typer.Option(
            "--prefect", help="Run as a Prefect flow; so it does when PREFECT_API_URL is set."
        ),
    ] = False,
    dask: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="With --prefect: run on Dask; 'local', or the address of a scheduler.",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON result and no progress.")
    ] = False,
) -> None:
    """Convert NWB files to Pennsieve chunk files, and upload them if asked.

    Every electrical series becomes one gzip file of big-endian doubles in microvolts for each
    channel and chunk, with channel metadata and a manifest. An interrupted run goes on where it
    stopped; an output appears whole or not at all. Keys for --upload come from PENNSIEVE_API_KEY
    and PENNSIEVE_API_SECRET.
    """
    # Converting needs no linear algebra, whose idle threads cost a tenth of a second at the start.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if verify is not None:
        from deployments.cli.verify import verify_output

        raise typer.Exit(
            verify_output(absolute(verify), [absolute(source) for source in sources or []], as_json)
        )
    if not sources:
        raise typer.BadParameter("name at least one NWB file or folder", param_hint="SOURCES")
    if not upload and (integration_id or dataset or package):
        raise UsageError("--integration-id, --dataset and --package are for --upload; add it")
    request = _request(
        sources=sources,
        output=output,
        series=tuple(series or ()),
        chunk_size_mb=chunk_size_mb,
        level=level,
        digest=digest.value,
        gap_threshold=gap_threshold,
        repair_timestamps=repair_timestamps,
        timezone=timezone,
        classic=classic,
        overwrite=overwrite,
        upload=_upload(
            integration_id=integration_id,
            dataset=dataset,
            package=package,
            api_host=api_host,
            api2_host=api2_host,
            connections=connections,
        )
        if upload
        else None,
    )
    if validate:
        from deployments.cli.validate import report_validation

        report_validation(request.sources)
    if dry_run:
        from deployments.cli.dry_run import show_plan

        raise typer.Exit(show_plan(request, as_json))
    raise typer.Exit(run_request(request, as_json, prefect, dask))


def _request(sources: list[str], output: str | None, **fields: Any) -> ConvertRequest:
    from storage.nwb import recording_id
    from tasks.requests import ConvertRequest

    found = tuple(absolute(source) for source in sources)
    if output is None:
        # Here rather than beside the source: that may be a place where nothing can be written.
        stem = recording_id(found[0])
        single = len(found) == 1 and (
            stem != found[0].rpartition("/")[2] or not Path(found[0]).is_dir()
        )
        output = f"{stem}-pennsieve" if single else "pennsieve"
    return ConvertRequest(sources=found, output=absolute(output), **fields)


def _upload(**fields: Any) -> UploadRequest:
    from tasks.requests import UploadRequest

    return UploadRequest(**fields)


def run_request(request: ConvertRequest, as_json: bool, prefect: bool, dask: str | None) -> int:
    """Run a conversion, directly or as a flow, print what came of it, return the exit code."""
    from deployments.cli import report

    if prefect or dask or os.environ.get("PREFECT_API_URL"):
        from deployments.prefect_settings import prepare_environment

        prepare_environment()
        from flows.nwb_to_pennsieve import run_flow

        results = run_flow(request, dask)
        if not as_json:
            for result in results:
                report.print_result(result)
    else:
        from tasks.callers import DirectCaller
        from tasks.nwb_to_pennsieve import convert_all

        each = (lambda result: None) if as_json else report.print_result
        try:
            with shown_progress(quiet=as_json) as progress:
                results = convert_all(request, DirectCaller(progress), each)
        except KeyboardInterrupt:
            # Caught here, since the command line's library would end without a word.
            raise RanvierError("stopped; the same command goes on where it was") from None
    if as_json:
        report.print_json(report.as_json(results))
    return report.exit_code(results, reasons=as_json)
