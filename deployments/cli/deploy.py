"""``ranvier deploy``: flows onto a Prefect server."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from storage.errors import UsageError

EXAMPLES = """
[bold]Examples[/bold]

PREFECT_API_URL=http://127.0.0.1:4200/api ranvier deploy

ranvier deploy --api-url http://127.0.0.1:4200/api --pool lab

prefect worker start --pool batch

prefect deployment run nwb-to-pennsieve/nwb-to-pennsieve --param 'request={"sources": ["/data"]}'
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("deploy", epilog=EXAMPLES)(deploy)


def deploy(
    pool: Annotated[
        str | None,
        typer.Option(
            help="Work pool that runs them, made if there is none of that name. Default: batch."
        ),
    ] = None,
    api_url: Annotated[
        str | None,
        typer.Option(envvar="PREFECT_API_URL", help="Address of the Prefect server's API."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON result.")] = False,
) -> None:
    """Register all flows on a running Prefect server, as deployments with a form.

    They are registered by module path: workers need this product installed. Schedules are off at
    first. Running the command again brings deployments up to date, and keeps the parameters and
    schedules that were set on the server.
    """
    if not api_url:
        raise UsageError(
            "no Prefect server is named; start one with: prefect server start, and set "
            "PREFECT_API_URL, for example to http://127.0.0.1:4200/api"
        )
    from deployments.prefect_settings import prepare_environment

    prepare_environment(api_url)
    from deployments.cli.report import print_json
    from deployments.registration import register_all
    from deployments.registry import DEPLOYMENTS

    registered = register_all(DEPLOYMENTS, api_url, pool)
    if as_json:
        print_json({"deployments": [asdict(one) for one in registered]})
        return
    for one in registered:
        print(f"{'created' if one.created else 'updated'}: {one.name} in work pool {one.pool}")
