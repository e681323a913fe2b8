"""``ranvier tokens``: who may do what with the records service."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tasks.results import ListedToken

EXAMPLES = """
[bold]Examples[/bold]

ranvier tokens add ward-3 --scope ingest:write --patient p17

ranvier tokens add viewer --scope eeg:read --scope annotate --days 90

ranvier tokens list

ranvier tokens revoke ward-3

[bold]Scopes[/bold]

ingest:write, eeg:read, annotate, export, phi, audit, admin.
"""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    tokens = typer.Typer(help="Issue and revoke tokens of the records service.")
    for name, command in (("add", add), ("list", show), ("revoke", revoke)):
        tokens.command(name, epilog=EXAMPLES)(command)
    app.add_typer(tokens, name="tokens", no_args_is_help=True)


def add(
    name: Annotated[str, typer.Argument(help="Who or what it is for.")],
    scope: Annotated[
        list[str], typer.Option(help="What it allows; may be repeated. See the scopes below.")
    ],
    patient: Annotated[
        list[str] | None,
        typer.Option(help="Only recordings of this patient; may be repeated. Default: all."),
    ] = None,
    days: Annotated[
        int | None, typer.Option(min=1, help="Valid for so many days. Default: until revoked.")
    ] = 365,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON result.")] = False,
) -> None:
    """Issue a token. It is printed once and kept only as a hash."""
    from deployments.cli.report import print_json
    from tasks.tokens import issue_token

    secret = issue_token(name, tuple(scope), tuple(patient) if patient else None, days)
    if as_json:
        print_json({"name": name, "token": secret})
        return
    print(secret)
    print("this is shown only now; clients take it from RANVIER_TOKEN", file=sys.stderr)


def show(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON result.")] = False,
) -> None:
    """List tokens: names, scopes, patients, and until when they are valid; never secrets."""
    from deployments.cli.report import print_json
    from tasks.tokens import list_tokens

    found = list_tokens()
    if as_json:
        print_json({"tokens": [asdict(one) for one in found]})
        return
    if not found:
        print("no tokens", file=sys.stderr)
        return
    _print_table(found)


def _print_table(found: Sequence[ListedToken]) -> None:
    from rich.table import Table
    from rich.text import Text

    from deployments.cli.tables import wide_console

    table = Table("name", "scopes", "patients", "valid until", "state")
    for one in found:
        table.add_row(
            Text(one.name),
            Text(" ".join(one.scopes)),
            "all" if one.patients is None else Text(" ".join(one.patients)),
            (one.expires_at or "revoked")[:19].replace("T", " "),
            one.state,
        )
    wide_console().print(table)


def revoke(
    name: Annotated[str, typer.Argument(help="Name of the token.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON result.")] = False,
) -> None:
    """Revoke a token; it is refused within two seconds, and its connections are closed."""
    from deployments.cli.report import print_json
    from tasks.tokens import revoke_token

    revoke_token(name)
    if as_json:
        print_json({"name": name, "state": "revoked"})
    else:
        print(f"revoked: {name}")
