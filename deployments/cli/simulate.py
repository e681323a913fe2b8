"""``ranvier simulate``: stand-ins for hardware."""

from __future__ import annotations

import sys
from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from deployments.cli.places import absolute
from deployments.cli.progress import shown_progress
from storage.errors import UsageError

if TYPE_CHECKING:
    from realtime.simulator.crowd import Crowd
    from realtime.simulator.wearable import Pace, WearableReport

EXAMPLES = """
[bold]Examples[/bold]

ranvier simulate wearable night.edf

ranvier simulate wearable night.edf --speed 1

ranvier simulate wearable night.edf --speed max --form binary --seal

ranvier simulate wearable night.edf --devices 8 --drop 0.1 --duplicate 0.1 --reorder 0.2 --delay 0.1

RANVIER_TOKEN=... ranvier simulate wearable night.edf --url https://records.example.org
"""


class Form(StrEnum):
    """How chunks are written."""

    JSON = "json"
    BINARY = "binary"


def register(app: typer.Typer) -> None:
    """Add the command."""
    devices = typer.Typer(help="Stand in for hardware that is not here.", no_args_is_help=True)
    devices.callback()(_devices)
    devices.command("wearable", epilog=EXAMPLES)(wearable)
    app.add_typer(devices, name="simulate")


def _devices() -> None:
    """Stand in for hardware that is not here."""


def wearable(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="What the device measures: an EDF or BDF file.")
    ],
    url: Annotated[
        str, typer.Option(envvar="RANVIER_RECORDS_URL", help="Address of the records service.")
    ] = "http://localhost:8000",
    interval: Annotated[
        float, typer.Option(min=0, help="Seconds from one chunk of one second to the next.")
    ] = 0.05,
    speed: Annotated[
        str | None,
        typer.Option(help="Instead of --interval: 1 is real time, N is N times that, or max."),
    ] = None,
    devices: Annotated[
        int, typer.Option(min=1, max=1000, help="How many send at once; ids get -1, -2, ...")
    ] = 1,
    drop: Annotated[
        float, typer.Option(min=0, max=1, help="How often a chunk or the answer to it is lost.")
    ] = 0.0,
    duplicate: Annotated[
        float, typer.Option(min=0, max=1, help="How often a chunk is sent twice.")
    ] = 0.0,
    reorder: Annotated[
        float, typer.Option(min=0, max=1, help="How often a chunk is sent after later ones.")
    ] = 0.0,
    delay: Annotated[
        float, typer.Option(min=0, max=1, help="How often a chunk waits up to 0.2 s.")
    ] = 0.0,
    seed: Annotated[int, typer.Option(help="Equal seeds give equal faults.")] = 0,
    patient: Annotated[
        str | None, typer.Option(help="Pseudonym of the patient. Default: as ranvier ingest.")
    ] = None,
    recording_id: Annotated[
        str | None, typer.Option(help="Name of the recording. Default: as ranvier ingest.")
    ] = None,
    form: Annotated[Form, typer.Option(help="JSON with physical values, or raw numbers.")] = (
        Form.JSON
    ),
    patience: Annotated[
        float, typer.Option(min=0, help="Seconds without an answer after which it gives up.")
    ] = 60.0,
    seal: Annotated[
        bool, typer.Option("--seal", help="Close the recording for good at the end.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON result and no progress.")
    ] = False,
) -> None:
    """Post a recording to the records service, one second at a time, as a wearable does.

    What was not acknowledged is sent again, after a lost connection too, until it is: nothing is
    lost and nothing is stored twice. A token, if the service wants one, comes from RANVIER_TOKEN.
    """
    from realtime.simulator.crowd import Crowd, run_crowd
    from realtime.simulator.faults import FaultRates
    from realtime.simulator.wearable import WearableOptions
    from storage.identity import IdentityKey
    from storage.naming import name_recording
    from storage.settings import RecordsClient, records_settings
    from storage.sources import open_recording

    place = absolute(file)
    token = RecordsClient().ranvier_token
    rates = FaultRates(drop=drop, duplicate=duplicate, reorder=reorder, delay=delay)
    options = WearableOptions(
        pace=_pace(interval, speed), form=form.value, patience_s=patience, seal=seal
    )
    with open_recording(place) as source:
        key_path = records_settings().identity_path
        names = name_recording(
            source, place, lambda: IdentityKey.load_or_create(key_path), patient, recording_id
        )
        total = sum(group.n_samples * len(group.channels) for group in source.recording.groups)
    crowd = Crowd(
        url=url,
        token=token.get_secret_value() if token is not None else None,
        patient_id=names.patient,
        recording_id=names.recording,
        devices=devices,
        rates=rates,
        seed=seed,
        options=options,
    )
    with shown_progress(quiet=as_json) as progress:
        progress.stage(f"sending to {url}", total * devices, "samples")
        reports = run_crowd(crowd, lambda: open_recording(place), progress.advance)
    raise typer.Exit(_report(crowd, reports, as_json))


def _pace(interval: float, speed: str | None) -> Pace:
    from realtime.simulator.wearable import Pace

    if speed is None:
        return Pace(interval)
    if speed == "max":
        return Pace(0.0)
    try:
        times = float(speed)
    except ValueError:
        times = 0.0
    if not 0 < times < float("inf"):
        raise UsageError(f"--speed: expected a positive number or max, got {speed}")
    return Pace(1 / times, real_time=True)


def _report(crowd: Crowd, reports: list[WearableReport], as_json: bool) -> int:
    failed = [report for report in reports if report.reason is not None]
    if as_json:
        from deployments.cli.report import print_json

        outcome = "failed" if failed else "stored"
        print_json({"outcome": outcome, "devices": [asdict(report) for report in reports]})
    else:
        for report in reports:
            _print(report)
    for report in failed:
        print(f"ranvier: {report.recording_id}: {report.reason}", file=sys.stderr)
    if crowd.devices > 1 and failed:
        print(f"ranvier: {len(failed)} of {crowd.devices} devices failed", file=sys.stderr)
    return 1 if failed else 0


def _print(report: WearableReport) -> None:
    faults = ", ".join(
        f"{count} {name}"
        for name, count in (
            ("dropped", report.dropped),
            ("doubled", report.doubled),
            ("reordered", report.reordered),
            ("delayed", report.delayed),
        )
        if count
    )
    print(
        f"{report.recording_id} of {report.patient_id}: {report.chunks:,} chunks, "
        f"{report.samples:,} samples acknowledged in {report.wall_s:.1f} s "
        f"(answer p50 {report.p50_ms:.1f} ms, p99 {report.p99_ms:.1f} ms)"
    )
    print(
        f"  {report.sent:,} sent: {report.stored:,} stored, {report.duplicates:,} were there; "
        f"{report.reconnects:,} tried again; faults: {faults or 'none'}"
        f"{'; sealed' if report.sealed else ''}"
    )
