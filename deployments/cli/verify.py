"""``ranvier convert --verify``: proves that an output is what it should be."""

from __future__ import annotations

import sys
from dataclasses import asdict

from deployments.cli.progress import shown_progress
from deployments.cli.report import print_json, readable_bytes
from tasks.sources import find_sources
from tasks.verify import check_output, find_outputs, samples_in, source_for


def verify_output(url: str, sources: list[str], as_json: bool, quiet: bool = False) -> int:
    """Check the outputs at a place, print what was found, and return the exit code.

    With ``quiet`` only problems are printed.
    """
    found = list(find_sources(sources)) if sources else []
    checked = []
    with shown_progress(quiet=as_json or quiet) as progress:
        for output in find_outputs(url):
            source = source_for(output, found)
            total = samples_in(output) * (2 if source else 1)
            progress.stage(f"verifying {output}", total, "samples")
            checked.append(check_output(output, source, progress.advance))
    for result in checked if not as_json else []:
        for problem in result.problems:
            print(f"ranvier: {result.output}: {problem}", file=sys.stderr)
        if not result.problems and not quiet:
            files = result.against_manifest
            what = "manifest and source" if result.against_source else "manifest"
            print(
                f"verified: {files.files:,} files, {readable_bytes(files.bytes)}, "
                f"{files.samples:,} samples agree with the {what}: {result.output}"
            )
    failed = [result.output for result in checked if result.problems]
    if as_json:
        outcome = "failed" if failed else "verified"
        print_json(
            {"outcome": outcome, "failed": failed, "results": [asdict(each) for each in checked]}
        )
    return 1 if failed else 0
