"""The command line: ``ranvier``.

Exit codes: 0 done, 1 failed with a one-line reason, 2 wrong usage.
"""

from __future__ import annotations

import sys

import typer

from deployments.cli import benchmark, convert, demo, deploy, processor
from storage.errors import RanvierError, UsageError

app = typer.Typer(
    name="ranvier",
    help="Move recordings of the brain between files, stores, streams and platforms.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
convert.register(app)
demo.register(app)
processor.register(app)
deploy.register(app)
benchmark.register(app)


def main() -> None:
    """Run the command line and end the process with its exit code."""
    try:
        app()
    except RanvierError as error:
        print(f"ranvier: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, UsageError) else 1)
