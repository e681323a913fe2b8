"""``ranvier serve``: live services, each until it is stopped."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

EXAMPLES = """
[bold]Examples[/bold]

ranvier serve records

ranvier serve records --port 8080 --json-logs

ranvier serve records --host 0.0.0.0   (every request then needs a token: ranvier tokens add)

RANVIER_DATABASE_URL=postgresql://db/ranvier RANVIER_STORE=s3://lab/store ranvier serve records
"""

VIEWER_EXAMPLES = """
[bold]Examples[/bold]

ranvier serve viewer

ranvier serve viewer --records-url http://ward-7:8000   (with RANVIER_TOKEN, or people sign in)

ranvier serve viewer --host 0.0.0.0   (everybody then signs in with a token of their own)
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    services = typer.Typer(help="Run a live service until it is stopped.", no_args_is_help=True)
    services.callback()(_services)
    services.command("records", epilog=EXAMPLES)(records)
    services.command("viewer", epilog=VIEWER_EXAMPLES)(viewer)
    app.add_typer(services, name="serve")


def _services() -> None:
    """Run a live service until it is stopped."""


def records(
    host: Annotated[
        str | None,
        typer.Option(help="Address to listen on. Default: RANVIER_RECORDS_HOST, or 127.0.0.1."),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, help="Default: RANVIER_RECORDS_PORT, or 8000; 0 for any free one."
        ),
    ] = None,
    json_logs: Annotated[
        bool, typer.Option("--json-logs", help="Log one JSON object for each line, on stderr.")
    ] = False,
) -> None:
    """Take live recordings in over HTTP, and answer queries of what is stored.

    Beyond this machine every request needs a token. Ctrl-C stops it once what is under way is
    answered; nothing that was acknowledged is lost, however it is stopped.
    """
    from deployments.logs import set_up
    from deployments.services import serve_records
    from storage.settings import records_settings

    set_up(json_logs)
    settings = records_settings(host=host, port=port)

    def announce(url: str) -> None:
        print(f"records: {url} (Ctrl-C stops it); documented at {url}/docs", flush=True)
        if sys.stdout.isatty():
            print(f"  try: ranvier simulate wearable FILE.edf --url {url}", flush=True)

    serve_records(settings, announce)


def viewer(
    host: Annotated[
        str | None,
        typer.Option(help="Address to listen on. Default: RANVIER_VIEWER_HOST, or 127.0.0.1."),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, help="Default: RANVIER_VIEWER_PORT, or 8050; 0 for any free one."
        ),
    ] = None,
    records_url: Annotated[
        str | None,
        typer.Option(
            help="The records service. Default: RANVIER_RECORDS_URL, or http://127.0.0.1:8000."
        ),
    ] = None,
    json_logs: Annotated[
        bool, typer.Option("--json-logs", help="Log one JSON object for each line, on stderr.")
    ] = False,
) -> None:
    """Review recordings in the browser: traces, seizures, marks, spectra.

    It shows what the records service holds, and may be started before it. Beyond this machine
    people sign in, each with a token of their own; RANVIER_VIEWER_CERTIFICATE and
    RANVIER_VIEWER_PRIVATE_KEY encrypt what they send and see.
    """
    from deployments.logs import set_up
    from deployments.services import serve_viewer
    from storage.settings import viewer_settings

    set_up(json_logs)
    settings = viewer_settings(host=host, port=port, records_url=records_url)

    def announce(url: str) -> None:
        print(f"viewer: {url} (Ctrl-C stops it)", flush=True)
        print(f"  recordings from {settings.records_url}", flush=True)

    serve_viewer(settings, announce)
