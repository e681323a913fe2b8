"""A process that stores an EDF file and kills itself while it does.

``python -m tests.support.killed_ingest FOLDER CALL``: makes ``rec.edf`` in the folder unless it is
there, and dies at the CALL-th flush or rename. Prints the outcome as JSON.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from storage.edf import EdfSource
from tests.support.edf_files import signals, write_edf
from tests.support.stores import open_store


def main() -> None:
    """Store until death."""
    folder, fatal = Path(sys.argv[1]), int(sys.argv[2])
    path = folder / "rec.edf"
    if not path.exists():
        # Of a rate that makes several blocks of few seconds.
        write_edf(path, signals=signals(2, samples=20_000), records=300, record_s="0.01")
    calls = count()

    def watched(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any) -> Any:
            if next(calls) >= fatal:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*given)

        return call

    with open_store(folder) as store, EdfSource(str(path)) as source:
        os.fsync, os.replace = watched(os.fsync), watched(os.replace)
        result = store.sink(patient="p1", kind="edf").store(source)
    print(json.dumps({"outcome": result.outcome}))


if __name__ == "__main__":
    main()
