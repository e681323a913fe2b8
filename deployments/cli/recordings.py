"""``ranvier recordings``: what the store holds, its proof, and its way out."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from deployments.cli.places import absolute
from deployments.cli.progress import shown_progress
from storage.errors import RanvierError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tasks.requests import ExportRequest, RecordingRequest
    from tasks.results import CheckedRecording, ExportResult, SealedRecording

LIST_EXAMPLES = """
[bold]Examples[/bold]

ranvier recordings list

ranvier recordings list --patient chb01 --json
"""
SHOW_EXAMPLES = """
[bold]Examples[/bold]

ranvier recordings show chb01_03.edf

ranvier recordings show chb01_03.edf --patient chb01 --json
"""
VERIFY_EXAMPLES = """
[bold]Examples[/bold]

ranvier recordings verify chb01_03.edf

ranvier recordings verify --all --json
"""
SEAL_EXAMPLES = """
[bold]Examples[/bold]

ranvier recordings seal night-17
"""
EXPORT_EXAMPLES = """
[bold]Examples[/bold]

ranvier recordings export chb01_03.edf --original --output chb01_03.edf

ranvier recordings export chb01_03.edf --format edf --start 2990 --end 3040 --output seizure.edf

ranvier recordings export chb01_03.edf --format pennsieve --output chunks/
"""

RecordingArgument = Annotated[str, typer.Argument(metavar="ID", help="Its name or UUID.")]
PatientOption = Annotated[
    str | None, typer.Option(help="Whose it is; needed only where the name is not unique.")
]
PrefectOption = Annotated[
    bool,
    typer.Option(
        "--prefect", help="Run as a Prefect flow; so it does when PREFECT_API_URL is set."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON result and no progress.")]


class Format(StrEnum):
    """What is written."""

    EDF = "edf"
    BDF = "bdf"
    NWB = "nwb"
    CSV = "csv"
    PENNSIEVE = "pennsieve"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    recordings = typer.Typer(help="List, show, prove, close and export what the store holds.")
    recordings.command("list", epilog=LIST_EXAMPLES)(list_all)
    recordings.command("show", epilog=SHOW_EXAMPLES)(show)
    recordings.command("verify", epilog=VERIFY_EXAMPLES)(verify)
    recordings.command("seal", epilog=SEAL_EXAMPLES)(seal)
    recordings.command("export", epilog=EXPORT_EXAMPLES)(export)
    app.add_typer(recordings, name="recordings", no_args_is_help=True)


def list_all(
    patient: Annotated[str | None, typer.Option(help="Only those of this patient.")] = None,
    unfinished: Annotated[
        bool, typer.Option("--unfinished", help="Also those that an ingest has not finished.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """List recordings: whose, how long, how many channels, how large."""
    from tasks.describe import list_recordings

    found = list_recordings(patient, unfinished)
    if as_json:
        from deployments.cli.report import print_json

        print_json({"recordings": [asdict(one) for one in found]})
        return
    from deployments.cli.tables import print_recordings

    print_recordings(found)


def show(
    recording: RecordingArgument,
    patient: PatientOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one recording: channels with their range and course, gaps, annotations, its proof."""
    from tasks.describe import describe_recording

    described = describe_recording(recording, patient)
    if as_json:
        from deployments.cli.report import print_json

        print_json(asdict(described))
        return
    from deployments.cli.tables import print_recording

    print_recording(described)


def verify(
    recordings: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="Names or UUIDs.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All recordings.")] = False,
    patient: PatientOption = None,
    prefect: PrefectOption = False,
    as_json: JsonOption = False,
) -> None:
    """Recompute every checksum and the chain from the samples; name what does not hold."""
    if bool(recordings) == everything:
        raise UsageError("recordings verify: name recordings, or say --all")
    from tasks.requests import RecordingRequest

    checked = _verify(
        RecordingRequest(recordings=tuple(recordings or ()), patient=patient), as_json, prefect
    )
    failed = [one for one in checked if one.problems]
    if as_json:
        from deployments.cli.report import print_json

        print_json(
            {
                "outcome": "failed" if failed else "verified",
                "failed": [one.recording_id or one.title for one in failed],
                "recordings": [asdict(one) for one in checked],
            }
        )
    if len(checked) > 1:
        print(
            f"{len(checked) - len(failed)} of {len(checked)} recordings hold",
            file=sys.stderr,
        )
    raise typer.Exit(1 if failed else 0)


def _verify(request: RecordingRequest, as_json: bool, prefect: bool) -> Sequence[CheckedRecording]:
    from deployments.cli.report import counted

    def tell(one: CheckedRecording) -> None:
        for problem in one.problems:
            print(f"ranvier: {one.title}: {problem}", file=sys.stderr)
        if not one.problems and not as_json:
            print(
                f"verified: {one.title}: {counted(one.rows, 'row')} of the chain, "
                f"{counted(one.chunks, 'chunk')}, {counted(one.samples, 'sample')}",
                flush=True,
            )
            for note in one.notes:
                print(f"  note: {note}", flush=True)

    if _through_prefect(prefect):
        from flows.verify_recording import run_flow

        checked = run_flow(request)
        for one in checked:
            tell(one)
        return checked
    from tasks.callers import DirectCaller
    from tasks.recordings import check_all

    with shown_progress(quiet=as_json) as progress:
        return check_all(request, DirectCaller(progress), tell)


def seal(
    recording: RecordingArgument,
    patient: PatientOption = None,
    prefect: PrefectOption = False,
    as_json: JsonOption = False,
) -> None:
    """Close a live recording for good: all samples into the store, overview, and the proof."""
    from tasks.requests import RecordingRequest

    request = RecordingRequest(recordings=(recording,), patient=patient)
    (sealed,) = _seal(request, as_json, prefect)
    if as_json:
        from deployments.cli.report import print_json

        print_json(asdict(sealed))
    elif sealed.outcome == "unchanged":
        print(f"unchanged: {sealed.recording_id} of {sealed.patient_id} was sealed before")
    else:
        print(f"sealed: {sealed.recording_id} of {sealed.patient_id}; it takes nothing more")


def _seal(request: RecordingRequest, as_json: bool, prefect: bool) -> Sequence[SealedRecording]:
    if _through_prefect(prefect):
        from flows.seal_recording import run_flow

        return run_flow(request)
    from tasks.callers import DirectCaller
    from tasks.recordings import seal_all

    with shown_progress(quiet=as_json) as progress:
        return seal_all(request, DirectCaller(progress))


def export(
    recording: RecordingArgument,
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            help="File to write; for csv and pennsieve a folder or, for pennsieve, s3:// prefix.",
        ),
    ],
    form: Annotated[
        Format | None, typer.Option("--format", help="What to write. Default: edf.")
    ] = None,
    original: Annotated[
        bool,
        typer.Option(
            "--original", help="The very file that came in, byte for byte, instead of a format."
        ),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace another output that is there.")
    ] = False,
    start: Annotated[
        float | None, typer.Option(min=0, help="Seconds after its start. Default: the start.")
    ] = None,
    end: Annotated[
        float | None, typer.Option(min=0, help="Seconds after its start. Default: the end.")
    ] = None,
    patient: PatientOption = None,
    prefect: PrefectOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write a recording, or a stretch of it, as a file; headers name nobody, but --original."""
    if original and form is not None:
        raise UsageError("recordings export: --original is the very file; leave --format out")
    if original and (start is not None or end is not None):
        raise UsageError("recordings export: --original is the whole file; leave --start and --end")
    if start is not None and end is not None and end <= start:
        raise UsageError(f"recordings export: --end {end:g} is not after --start {start:g}")
    from tasks.requests import ExportRequest

    request = ExportRequest(
        recording=recording,
        patient=patient,
        output=absolute(output),
        format=(form or Format.EDF).value,
        original=original,
        overwrite=overwrite,
        start_s=start,
        end_s=end,
    )
    result = _export(request, as_json, prefect)
    if as_json:
        from deployments.cli.report import print_json

        print_json(asdict(result))
        return
    for note in result.notes:
        print(f"  note: {note}")
    print(
        f"exported: {result.recording_id} of {result.patient_id} as {result.format}: "
        f"{result.output}"
    )


def _export(request: ExportRequest, as_json: bool, prefect: bool) -> ExportResult:
    if _through_prefect(prefect):
        from flows.export_recording import run_flow

        return run_flow(request)
    from tasks.export import export_recording

    if not as_json:
        print(f"exporting {request.recording} to {request.output}", file=sys.stderr)
    try:
        return export_recording(request)
    except KeyboardInterrupt:
        raise RanvierError("stopped; nothing was written") from None


def _through_prefect(asked: bool) -> bool:
    if not (asked or os.environ.get("PREFECT_API_URL")):
        return False
    from deployments.prefect_settings import prepare_environment

    prepare_environment()
    return True
