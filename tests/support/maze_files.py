"""A made session of reaching as NWB files in the layout of the published MC_Maze ones."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from pynwb import NWBHDF5IO, NWBFile, TimeSeries
from pynwb.behavior import SpatialSeries
from pynwb.core import DynamicTable, DynamicTableRegion, VectorData, VectorIndex
from pynwb.epoch import TimeIntervals
from pynwb.misc import Units

from tests.support.maze_model import ELECTRODES_OF_ARRAY, Floats, Ints, Reach, Spikes, Tuning

START = datetime(2009, 9, 28, tzinfo=timezone(timedelta(hours=-7)))
ARRAYS = {"PMd": "Dorsal premotor cortex", "M1": "Primary motor cortex"}
SERIES = ("cursor_pos", "eye_pos", "hand_pos", "hand_vel")


def write_train(path: Path, reaches: Sequence[Reach], tuning: Tuning, spikes: Spikes) -> None:
    """Write units, trials and behaviour, the latter without samples between trials."""
    nwb = _empty_file(path.stem)
    stretches = [(reach.start_ms, reach.stop_ms) for reach in reaches]
    seconds = np.concatenate([_seconds(start, stop) for start, stop in stretches])
    behaviour = nwb.create_processing_module("behavior", "Processed behavioral data")
    for name, parts, kind in (
        ("cursor_pos", [reach.cursor for reach in reaches], SpatialSeries),
        ("eye_pos", [reach.eye for reach in reaches], SpatialSeries),
        ("hand_pos", [reach.hand for reach in reaches], SpatialSeries),
        ("hand_vel", [reach.velocity for reach in reaches], TimeSeries),
    ):
        further = {"reference_frame": "screen centre"} if kind is SpatialSeries else {}
        behaviour.add(
            kind(
                name=name,
                data=np.concatenate(parts),
                unit="mm" if kind is SpatialSeries else "mm/s",
                # Each has its own array of stamps in the published files, too.
                timestamps=seconds.copy(),
                comments="columns=[x,y]",
                **further,
            )
        )
    nwb.trials = TimeIntervals(
        name="trials", description="trials", columns=_trial_columns(reaches), id=_rows(reaches)
    )
    _add_units(nwb, tuning, np.ones(len(tuning.ids), bool), spikes, stretches)
    _write(path, nwb)


def write_test(
    path: Path,
    stretches: Sequence[tuple[int, int]],
    onsets: Sequence[int],
    tuning: Tuning,
    spikes: Spikes,
) -> None:
    """Write what a benchmark gives for its test: the units that are not held out, no behaviour."""
    nwb = _empty_file(path.stem)
    columns = [
        _column("start_time", np.array([start for start, _ in stretches]) / 1000),
        _column("stop_time", np.array([stop for _, stop in stretches]) / 1000),
        _column("move_onset_time", np.array(onsets) / 1000),
        _column("split", ["test"] * len(stretches)),
    ]
    nwb.trials = TimeIntervals(
        name="trials", description="trials", columns=columns, id=_rows(stretches)
    )
    _add_units(nwb, tuning, ~tuning.heldout, spikes, stretches)
    _write(path, nwb)


def misalign(path: Path) -> None:
    """Make the behaviour of a file lie: sample number i claims to be from i milliseconds on.

    That is what a reader believes who looks up a time as sample number ``t x 1000``: right in the
    first trial, and off by one more gap in each further one.
    """
    with h5py.File(path, "r+") as file:
        for name in SERIES:
            series = file["processing/behavior"][name]
            first = float(series["timestamps"][0])
            del series["timestamps"]
            start = series.create_dataset("starting_time", data=first)
            start.attrs["rate"] = np.float32(1000.0)
            start.attrs["unit"] = "seconds"


def _empty_file(identifier: str) -> NWBFile:
    return NWBFile(
        session_description="Synthetic session of delayed reaching, made from a tuning model",
        identifier=identifier,
        session_start_time=START,
        keywords=["synthetic", "motor cortex", "reaching"],
    )


def _seconds(start_ms: int, stop_ms: int) -> Floats:
    # Reckoned as recorders do, so that most differ from the nearest double in the last digit.
    return start_ms / 1000 + np.arange(stop_ms - start_ms, dtype=np.float64) * 0.001


def _rows(items: Sequence[object]) -> list[int]:
    return list(range(len(items)))


def _column(name: str, data: Any) -> VectorData:
    return VectorData(name=name, description=name.replace("_", " "), data=data)


def _ragged(name: str, parts: Sequence[Ints]) -> list[VectorData]:
    column = _column(name, np.concatenate(parts))
    ends = np.cumsum([len(part) for part in parts])
    return [column, VectorIndex(name=f"{name}_index", data=ends, target=column)]


def _trial_columns(reaches: Sequence[Reach]) -> list[VectorData]:
    def times(name: str) -> Floats:
        return np.array([getattr(reach, name) for reach in reaches]) / 1000

    def each(name: str) -> list[Any]:
        return [getattr(reach, name) for reach in reaches]

    targets, barriers = each("targets"), each("barriers")
    return [
        _column("start_time", times("start_ms")),
        _column("stop_time", times("stop_ms")),
        _column("trial_type", [3 * reach.maze + reach.version for reach in reaches]),
        _column("trial_version", each("version")),
        _column("maze_id", each("maze")),
        _column("success", np.ones(len(reaches), bool)),
        _column("target_on_time", times("target_on_ms")),
        _column("go_cue_time", times("go_cue_ms")),
        _column("move_onset_time", times("move_onset_ms")),
        _column("rt", [reach.move_onset_ms - reach.go_cue_ms for reach in reaches]),
        _column("delay", [reach.go_cue_ms - reach.target_on_ms for reach in reaches]),
        _column("num_targets", [len(places) for places in targets]),
        *_ragged("target_pos", targets),
        _column("num_barriers", [len(places) for places in barriers]),
        *_ragged("barrier_pos", barriers),
        _column("active_target", each("active")),
        _column("split", each("split")),
    ]


def _add_electrodes(nwb: NWBFile) -> DynamicTable:
    for area, place in ARRAYS.items():
        device = nwb.create_device(f"electrode_array_{area}")
        group = nwb.create_electrode_group(
            f"electrode_group_{area}", description=f"array in {area}", location=place, device=device
        )
        for row in range(ELECTRODES_OF_ARRAY):
            nwb.add_electrode(
                id=row + 1 + len(nwb.electrodes or ()) // ELECTRODES_OF_ARRAY * ELECTRODES_OF_ARRAY,
                x=np.nan, y=np.nan, z=np.nan, imp=np.nan,
                location=area, filtering="1000 Hz", group=group,
            )  # fmt: skip
    return nwb.electrodes


def _add_units(
    nwb: NWBFile,
    tuning: Tuning,
    kept: Any,
    spikes: Spikes,
    stretches: Sequence[tuple[int, int]],
) -> None:
    which = np.flatnonzero(kept)
    told = np.isin(spikes.units, which)
    ends = np.cumsum(np.bincount(spikes.units[told], minlength=len(kept))[which])
    times = _column("spike_times", _spike_seconds(spikes.times_us[told], stretches))
    intervals = _column("obs_intervals", np.tile(np.array(stretches) / 1000, (len(which), 1)))
    # The released files point all units to the first array's electrodes; so does this one.
    region = DynamicTableRegion(
        name="electrodes",
        description="electrodes",
        data=tuning.ids[which] // 10 % 100 - 1,
        table=_add_electrodes(nwb),
    )
    nwb.units = Units(
        name="units",
        description="sorted units",
        id=tuning.ids[which],
        columns=[
            _column("heldout", tuning.heldout[which]),
            times,
            VectorIndex(name="spike_times_index", data=ends, target=times),
            intervals,
            VectorIndex(
                name="obs_intervals_index",
                data=np.arange(1, len(which) + 1) * len(stretches),
                target=intervals,
            ),
            region,
            VectorIndex(name="electrodes_index", data=np.arange(1, len(which) + 1), target=region),
        ],
    )


def _spike_seconds(times_us: Ints, stretches: Sequence[tuple[int, int]]) -> Floats:
    """Return seconds reckoned from the start of each trial, like the stamps of the samples."""
    starts_us = np.array([start for start, _ in stretches]) * 1000
    start_us = starts_us[np.searchsorted(starts_us, times_us, "right") - 1]
    seconds: Floats = start_us / 1e6 + (times_us - start_us) * 1e-6
    return seconds


def _write(path: Path, nwb: NWBFile) -> None:
    with warnings.catch_warnings():
        # Of newer PyNWB, about NaN coordinates and the like, which the published files have.
        warnings.simplefilter("ignore")
        with NWBHDF5IO(path, "w") as io:
            io.write(nwb, cache_spec=False)
