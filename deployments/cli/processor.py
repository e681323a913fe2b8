"""``ranvier processor``: a drop-in for the platform's container processor, run by environment."""

from __future__ import annotations

import typer

EPILOG = """
[bold]Example[/bold]

INPUT_DIR=/data/input OUTPUT_DIR=/data/output ranvier processor

[bold]Variables[/bold]

INPUT_DIR, OUTPUT_DIR; CHUNK_SIZE_MB (1); ENVIRONMENT (local); IMPORTER_ENABLED (false when local);
INTEGRATION_ID; PENNSIEVE_API_KEY and PENNSIEVE_API_SECRET, or SESSION_TOKEN and REFRESH_TOKEN;
PENNSIEVE_API_HOST, PENNSIEVE_API_HOST2; TZ for start times without an offset;
RANVIER_CLASSIC=1, RANVIER_OVERWRITE=1.

[bold]Exit codes[/bold]

0 done; 1 failed; 2 a variable is missing or wrong; 3 nothing to convert; 4 converted, not imported.
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("processor", epilog=EPILOG)(processor)


def processor() -> None:
    """Convert the one NWB file in INPUT_DIR to OUTPUT_DIR, and import it if that is enabled."""
    from deployments.processor import run_processor

    raise typer.Exit(run_processor())
