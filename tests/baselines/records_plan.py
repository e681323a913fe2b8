"""What the measurements of the record store share: where everything is, and what is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine, create_engine

from tests.baselines.calls import Timed
from tests.support.night import FACTOR, KEYS, OFFSET, records

WINDOWS_S = (1, 5, 10, 30, 60)
Answer = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """Where everything is.

    Parameters
    ----------
    night, more_nights
        EDF files; the first is loaded everywhere, the others only for ten recordings.
    patient, recording
        Names of the first, at everyone.
    row_s, more_row_s
        Seconds of the first that the rows hold, and of each of the others.
    peer, ours
        Address, processes and database of the services.
    store_url, catalog_url
        Our store, to be opened in process.
    calls
        How often the quick ones are called for each figure.
    longest_s
        Longest window.
    """

    night: str
    more_nights: list[str]
    patient: str
    recording: str
    row_s: int
    more_row_s: int
    peer: dict[str, Any]
    ours: dict[str, Any]
    store_url: str
    catalog_url: str
    calls: int
    longest_s: int

    @property
    def night_s(self) -> int:
        """Seconds of the first night."""
        return len(records(Path(self.night)))

    def windows(self) -> tuple[int, ...]:
        """Return the lengths of windows that everybody holds."""
        longest_s = min(self.longest_s, self.row_s - 1)
        return tuple(length for length in WINDOWS_S if length <= longest_s)

    def engine(self) -> Engine:
        """Return the peers' database."""
        return create_engine(self.peer["database_url"])

    def postgres(self) -> list[int]:
        """Return the processes of the peers' database."""
        return [self.peer["postgres_pid"]]


def microvolts(stored: NDArray[np.int16]) -> NDArray[np.float64]:
    """Return physical values of digital ones."""
    return stored.astype(np.float64) * FACTOR + OFFSET


def seconds_of(path: str, stop_s: int) -> Iterator[NDArray[np.int16]]:
    """Yield one second after another, each (channels, samples)."""
    for second in records(Path(path))[:stop_s]:
        yield np.asarray(second)


def chunk_of(patient: str, recording: str, number: int, second: NDArray[np.int16]) -> Answer:
    """Return the JSON chunk that a device posts."""
    return {
        "patient_id": patient,
        "recording_id": recording,
        "channels": list(KEYS),
        "start": float(number),
        "end": float(number + 1),
        "samples": microvolts(second).tolist(),
        "unit": "uV",
    }


def places(plan: Plan, length: int) -> tuple[Callable[[int], int], Callable[[int], int]]:
    """Return where to read at each turn: within what the rows hold, and within the night."""
    rng = np.random.default_rng(length)
    within = rng.integers(0, plan.row_s - length, plan.calls + 1)
    anywhere = rng.integers(0, plan.night_s - length, plan.calls + 1)
    return lambda turn: int(within[turn]), lambda turn: int(anywhere[turn])


def slow_turns(plan: Plan, length: int) -> dict[str, int]:
    """Return how often the slow ones are called for a window of so many seconds."""
    least = max(1, min(3, plan.calls // 4))
    orm, core = plan.calls // (4 + length), plan.calls // (3 + length // 3)
    return {"rows orm": max(least, orm), "rows core": max(least, core)}


def figures(timed: dict[str, Timed]) -> Answer:
    """Return the figures of calls by their names."""
    return {name: each.figures() for name, each in timed.items()}
