"""The command line: ``ranvier``.

Exit codes: 0 done, 1 failed with a one-line reason, 2 wrong usage.
"""

from __future__ import annotations

import json
import sys
from typing import NoReturn

import typer

from deployments.cli import (
    benchmark,
    convert,
    demo,
    deploy,
    ingest,
    processor,
    recordings,
    serve,
    simulate,
    tokens,
)
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
ingest.register(app)
recordings.register(app)
tokens.register(app)
serve.register(app)
simulate.register(app)
deploy.register(app)
benchmark.register(app)


def main() -> None:
    """Run the command line and end the process with its exit code."""
    try:
        app()
    except RanvierError as error:
        _stop(str(error), 2 if isinstance(error, UsageError) else 1)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _stop(f"{where}{error.strerror or error}; check the place and its permissions", 1)


def _stop(reason: str, code: int) -> NoReturn:
    line = " ".join(reason.split())
    print(f"ranvier: {line}", file=sys.stderr)
    if "--json" in sys.argv[1:]:
        items = "recordings" if sys.argv[1:2] == ["ingest"] else "results"
        print(json.dumps({"outcome": "failed", "failed": [], items: [], "reason": line}))
    sys.exit(code)
