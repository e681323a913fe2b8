"""Trials of an NWB file."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.nwb_columns import Table
from storage.nwb_tree import NwbGroup, find, is_group
from storage.trials import Trial

TRIALS = "intervals/trials"


def read_trials(root: NwbGroup, notes: list[str]) -> tuple[Trial, ...]:
    """Return the trials of a file in order of their start; none where it holds none."""
    group = find(root, TRIALS)
    if not is_group(group):
        return ()
    table = Table(group, notes)
    start = table.array("start_time")
    if start is None:
        return ()
    rows = start.shape[0] if start.shape else 1
    ids = table.ids if table.ids is not None and len(table.ids) == rows else list(range(rows))
    starts, stops = table.times_us("start_time", rows), table.times_us("stop_time", rows)
    target_on = table.times_us("target_on_time", rows)
    go_cue = table.times_us("go_cue_time", rows)
    move_onset = table.times_us("move_onset_time", rows)
    success, split = table.truths("success", rows), table.texts("split", rows)
    version = table.whole_numbers("trial_version", rows)
    maze_id = table.whole_numbers("maze_id", rows)
    active = table.whole_numbers("active_target", rows)
    targets = table.ragged("target_pos", rows) or [np.empty((0, 2))] * rows
    trials = []
    for row in range(rows):
        begun, ended = starts[row], stops[row]
        if begun is None or ended is None or ended <= begun:
            notes.append(f"{table.path}: trial {ids[row]} has no start and stop; left out")
            continue
        trials.append(
            Trial(
                id=ids[row],
                start_us=begun,
                stop_us=ended,
                target_on_us=target_on[row],
                go_cue_us=go_cue[row],
                move_onset_us=move_onset[row],
                success=success[row],
                split=split[row],
                version=version[row],
                maze_id=maze_id[row],
                targets=_points(targets[row]),
                active_target=active[row],
            )
        )
    return tuple(sorted(trials, key=lambda trial: (trial.start_us, trial.stop_us)))


def _points(values: NDArray[Any]) -> tuple[tuple[float, float], ...]:
    """Return places as pairs; nothing where the numbers are not places."""
    if values.dtype.kind not in "fiu" or values.size % 2 or values.shape[-1] % 2:
        return ()
    return tuple((float(x), float(y)) for x, y in values.reshape(-1, 2))
