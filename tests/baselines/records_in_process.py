"""Windows and overviews in process: from the store to numbers in microvolts."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from tests.baselines import blob_store, our_forms, row_store
from tests.baselines.calls import take_turns
from tests.baselines.records_plan import Answer, Plan, figures, places, slow_turns
from tests.baselines.row_store import Way
from tests.support.night import FACTOR, OFFSET, RATE, digital


def windows(plan: Plan) -> Answer:
    """Read windows of all channels in process: from the store to numbers in microvolts."""
    from storage.recording_store import RecordingStore

    engine = plan.engine()
    answer: Answer = {}
    with RecordingStore.open(plan.store_url, plan.catalog_url) as store, Session(engine) as session:
        reader = our_forms.window_reader(store, plan.patient, plan.recording)
        for length in plan.windows():
            row_at, at = places(plan, length)

            def rows(turn: int, way: Way, row_at: Any = row_at, length: int = length) -> int:
                start = row_at(turn)
                session.expunge_all()
                session.rollback()
                found = row_store.window(
                    session, plan.patient, plan.recording, start, start + length, way
                )
                return sum(map(len, found.values()))

            def blobs(turn: int, at: Any = at, length: int = length) -> int:
                start = at(turn)
                found = blob_store.window(
                    engine, plan.patient, plan.recording, start, start + length
                )
                return _single(found).nbytes

            def ours(turn: int, at: Any = at, length: int = length) -> int:
                return reader(at(turn) * RATE, (at(turn) + length) * RATE).nbytes

            def floor(turn: int, at: Any = at, length: int = length) -> int:
                return _single(digital(Path(plan.night), at(turn), at(turn) + length)).nbytes

            calls: dict[str, Callable[[int], int]] = {
                "rows orm": partial(rows, way=Way.ORM),
                "rows core": partial(rows, way=Way.CORE),
                "blobs": blobs,
                "ours": ours,
                "edf memmap": floor,
            }
            slow = slow_turns(plan, length)
            turns = {name: slow.get(name, plan.calls) for name in calls}
            database = plan.postgres()
            pids: dict[str, list[int]] = {name: [] for name in calls}
            pids |= dict.fromkeys(("rows orm", "rows core", "blobs"), database)
            answer[str(length)] = figures(take_turns(calls, turns, pids, own=True))
    engine.dispose()
    return answer


def _single(stored: NDArray[np.int16]) -> NDArray[np.float32]:
    scaled = stored.astype(np.float32)
    scaled *= np.float32(FACTOR)
    scaled += np.float32(OFFSET)
    return scaled
