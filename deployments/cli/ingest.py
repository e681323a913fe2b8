"""``ranvier ingest``: files of recordings into the store."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from deployments.cli.places import absolute
from deployments.cli.progress import shown_progress
from storage.errors import RanvierError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tasks.requests import IngestRequest
    from tasks.results import IngestResult

EXAMPLES = """
[bold]Examples[/bold]

ranvier ingest night.edf

ranvier ingest recordings/ 's3://lab/edf/*.edf' --json

ranvier ingest night.edf --patient p17 --recording-id night-1 --drop-identity

RANVIER_STORE=s3://lab/store RANVIER_DATABASE_URL=postgresql://db/ranvier ranvier ingest /data

[bold]Variables[/bold]

RANVIER_HOME, and below it unless set otherwise: RANVIER_STORE (folder or s3://),
RANVIER_DATABASE_URL (SQLite or PostgreSQL), RANVIER_IDENTITY_KEY.
"""


class Codec(StrEnum):
    """Kinds of compression."""

    BLOSC = "blosc"
    PCODEC = "pcodec"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("ingest", epilog=EXAMPLES)(ingest)


def ingest(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH...",
            help="EDF, BDF, GDF, XDF, Muse CSV and NWB files, folders of them, patterns, or s3:// "
            "URLs of either.",
        ),
    ],
    patient: Annotated[
        str | None,
        typer.Option(
            help="Pseudonym of the patient. Default: name of the folder; where a file names a "
            "person, a made one."
        ),
    ] = None,
    recording_id: Annotated[
        str | None,
        typer.Option(
            help="Name of the recording, for one file. Default: name of the file; where it names a "
            "person, a made one."
        ),
    ] = None,
    drop_identity: Annotated[
        bool,
        typer.Option(
            "--drop-identity",
            help="Forget for good who a file says that it is of, instead of sealing it apart; "
            "an export of the original is then anonymised.",
        ),
    ] = False,
    codec: Annotated[
        Codec, typer.Option(help="Compression; pcodec is smaller, and not in Zarr's specification.")
    ] = Codec.BLOSC,
    prefect: Annotated[
        bool,
        typer.Option(
            "--prefect", help="Run as a Prefect flow; so it does when PREFECT_API_URL is set."
        ),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON result and no progress.")
    ] = False,
) -> None:
    """Take recordings into the store, losslessly, once, and with a proof of every sample.

    The same file again changes nothing. A file that fails is named with its reason and does not
    stop the rest; the exit code is then 1. Seizure lists and summaries beside the files become
    annotations.
    """
    from tasks.requests import IngestRequest

    request = IngestRequest(
        sources=tuple(absolute(source) for source in sources),
        patient=patient,
        recording_id=recording_id,
        drop_identity=drop_identity,
        codec=codec.value,
    )
    if drop_identity and not as_json:
        print(
            "who the files say that they are of is not kept: recordings export --original will be "
            "anonymised",
            file=sys.stderr,
        )
    results = _run(request, as_json, prefect)
    if as_json:
        from deployments.cli.report import print_json

        print_json({"recordings": [_item(result) for result in results]})
    raise typer.Exit(_exit_code(results))


def _run(request: IngestRequest, as_json: bool, prefect: bool) -> Sequence[IngestResult]:
    each = _explain if as_json else _print
    if prefect or os.environ.get("PREFECT_API_URL"):
        from deployments.prefect_settings import prepare_environment

        prepare_environment()
        from flows.edf_to_zarr import run_flow

        results = run_flow(request)
        for result in results:
            each(result)
        return results
    from tasks.callers import DirectCaller
    from tasks.ingest import ingest_all

    try:
        with shown_progress(quiet=as_json) as progress:
            return ingest_all(request, DirectCaller(progress), each)
    except KeyboardInterrupt:
        # Caught here, since the command line's library would end without a word.
        raise RanvierError("stopped; the same command goes on where it was") from None


def _item(result: IngestResult) -> dict[str, str | None]:
    return {
        "recording_id": result.recording_id,
        "source": result.source,
        "outcome": result.outcome,
        "reason": result.reason,
    }


def _print(result: IngestResult) -> None:
    if result.outcome in ("refused", "failed"):
        _explain(result)
        return
    count = result.annotations
    more = f", {count} {'annotation' if count == 1 else 'annotations'} added" if count else ""
    named = result.source.endswith(f"/{result.recording_id}")
    origin = "" if named else f" from {result.source}"
    print(
        f"{result.outcome}: {result.recording_id} of {result.patient_id}{origin}, "
        f"{result.samples:,} samples{more}",
        flush=True,
    )
    for line in result.described if result.outcome == "stored" else ():
        print(f"  {line}")
    for note in result.notes:
        print(f"  note: {note}", flush=True)


def _explain(result: IngestResult) -> None:
    if result.outcome in ("refused", "failed"):
        reason = result.reason or "no reason was given"
        where = "" if result.source in reason else f"{result.source}: "
        outcome = "skipped" if result.skipped else result.outcome
        print(f"ranvier: {outcome}: {where}{reason}", file=sys.stderr, flush=True)


def _exit_code(results: Sequence[IngestResult]) -> int:
    failed = [result.source for result in results if result.failed]
    if failed and len(results) > 1:
        print(
            f"ranvier: {len(failed)} of {len(results)} failed: {', '.join(failed)}",
            file=sys.stderr,
        )
    return 1 if failed else 0
