"""``ranvier convert --validate``: what PyNWB says of the files."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from tasks.sources import find_sources
from tasks.validate import validate_nwb


def report_validation(sources: Sequence[str]) -> None:
    """Print PyNWB's findings on stderr; they do not stop a conversion."""
    for source in find_sources(sources):
        findings = validate_nwb(source)
        for finding in findings:
            print(f"PyNWB: {source}: {finding}", file=sys.stderr)
        if not findings:
            print(f"PyNWB: {source}: valid", file=sys.stderr)
