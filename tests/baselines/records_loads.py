"""Filling the peers of the record store, and what they then take."""

from __future__ import annotations

import time
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from tests.baselines import blob_store, row_store
from tests.baselines.calls import ProcessorTime
from tests.baselines.records_plan import Answer, Plan, chunk_of, seconds_of
from tests.baselines.row_store import Chunk, Way
from tests.support.night import KEYS, RATE, records


def load(plan: Plan) -> Answer:
    """Load rows by COPY, a commit for each second, and blobs; return what a file took."""
    engine, used = plan.engine(), ProcessorTime(plan.postgres())
    mine, began = time.process_time(), time.perf_counter()
    _load_rows(engine, plan, plan.night, plan.recording, plan.row_s)
    rows = {
        "wall_s": time.perf_counter() - began,
        "cpu_s": used.seconds() + time.process_time() - mine,
        "chunks": plan.row_s,
    }
    began = time.perf_counter()
    night = seconds_of(plan.night, plan.night_s)
    blob_store.load(engine, plan.patient, plan.recording, night)
    blobs = {"wall_s": time.perf_counter() - began, "chunks": plan.night_s}
    _settle(engine)
    return {"rows": rows, "blobs": blobs}


def load_more(plan: Plan) -> Answer:
    """Load further recordings."""
    engine = plan.engine()
    for path in plan.more_nights:
        name = Path(path).name
        _load_rows(engine, plan, path, name, plan.more_row_s)
        length = len(records(Path(path)))
        blob_store.load(engine, plan.patient, name, seconds_of(path, length))
    _settle(engine)
    return {"recordings": 1 + len(plan.more_nights)}


def _load_rows(engine: Engine, plan: Plan, path: str, recording: str, stop_s: int) -> None:
    with Session(engine) as session:
        for number, second in enumerate(seconds_of(path, stop_s)):
            chunk = Chunk.model_construct(**chunk_of(plan.patient, recording, number, second))
            row_store.write_chunk(session, chunk, "", Way.COPY)


def _settle(engine: Engine) -> None:
    """Let the database finish what it would otherwise do during the measurement."""
    with engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        connection.exec_driver_sql("VACUUM ANALYZE")
        connection.exec_driver_sql("CHECKPOINT")


def storage(plan: Plan) -> Answer:
    """Return the bytes that the first recording takes at the peers, in parts."""
    engine = plan.engine()
    with Session(engine) as session:
        rows = row_store.bytes_held(session)
    return {
        "rows": rows,
        "row samples": plan.row_s * RATE * len(KEYS),
        "blobs": blob_store.bytes_held(engine),
        "samples": plan.night_s * RATE * len(KEYS),
    }
