"""The measurements of the record store beside its peers, in processes of their own.

``python -m tests.baselines.records_jobs PLAN.json JOB...`` prints what was measured as JSON. The
plan says where everything is and how often to call; see ``Plan``. Whoever is compared takes turns.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

from tests.baselines.records_check import check
from tests.baselines.records_in_process import windows
from tests.baselines.records_loads import load, load_more, storage
from tests.baselines.records_over_http import (
    batches,
    full_file,
    http,
    ingest,
    overview,
    seed_table,
)
from tests.baselines.records_plan import Answer, Plan

JOBS: dict[str, Callable[[Plan], Answer]] = {
    job.__name__: job
    for job in (
        *(load, load_more, ingest, windows, http, seed_table, batches, full_file),
        *(overview, storage, check),
    )
}


def main() -> None:
    """Do some jobs."""
    plan = Plan(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    print(json.dumps({job: JOBS[job](plan) for job in sys.argv[2:]}))


if __name__ == "__main__":
    main()
