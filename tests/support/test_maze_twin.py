"""The twins: what is promised of them."""

from __future__ import annotations

import time
import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest
from pynwb import NWBHDF5IO

from tests.support.maze_twin import SIZES, Twin, make_twin, small_twin, tiny_twin

__all__ = ["small_twin", "tiny_twin"]

# As the published training file of the small set, from its public listing.
TRIAL_COLUMNS = {
    "start_time", "stop_time", "trial_type", "trial_version", "maze_id", "success",
    "target_on_time", "go_cue_time", "move_onset_time", "rt", "delay", "num_targets",
    "target_pos", "num_barriers", "barrier_pos", "active_target", "split",
}  # fmt: skip
UNIT_COLUMNS = {"heldout", "spike_times", "obs_intervals", "electrodes"}


def test_units_fire_as_the_published_ones_do(small_twin: Twin) -> None:
    truth = small_twin.load()
    counts = truth["counts"]
    assert counts.shape[1] == 142
    with h5py.File(small_twin.path) as file:
        trials = file["intervals/trials"]
        lasting_s = float((trials["stop_time"][()] - trials["start_time"][()]).sum())
        ids = file["units/id"][()]
        assert (ids // 1000 == 1).sum() == 72
        assert file["units/heldout"][()].sum() == 35
        assert file["units/obs_intervals"].shape == (14_200, 2)
    assert counts.sum() / 142 / lasting_s == pytest.approx(3.16, rel=0.03)
    assert 270 < lasting_s < 300
    # No bin of a gap holds a spike, and every spike is in the file.
    assert counts[truth["trial"] < 0].sum() == 0
    with h5py.File(small_twin.path) as file:
        assert counts.sum() == len(file["units/spike_times"])


def test_gaps_between_trials(small_twin: Twin) -> None:
    with h5py.File(small_twin.path) as file:
        start = np.rint(file["intervals/trials/start_time"][()] * 1000).astype(int)
        stop = np.rint(file["intervals/trials/stop_time"][()] * 1000).astype(int)
        seconds = file["processing/behavior/hand_vel/timestamps"][()]
        split = file["intervals/trials/split"].asstr()[()]
        active = file["intervals/trials/active_target"][()]
    gaps = start[1:] - stop[:-1]
    assert (start % 100 == 0).all()
    assert 10 <= gaps.min() <= gaps.max() < 110
    assert gaps.mean() == pytest.approx(60, abs=8)
    assert len(seconds) == (stop - start).sum()
    assert dict(zip(*np.unique(split, return_counts=True), strict=True)) == {"train": 75, "val": 25}
    assert set(active) == {0, 1, 2}


@pytest.mark.parametrize("kind", ["path", "test_path", "misaligned_path"])
def test_pynwb_reads_them(tiny_twin: Twin, kind: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with NWBHDF5IO(getattr(tiny_twin, kind), "r") as io:
            nwb = io.read()
            if kind == "test_path":
                assert set(nwb.trials.colnames) == {
                    "start_time", "stop_time", "move_onset_time", "split",
                }  # fmt: skip
                assert not nwb.processing
                return
            assert set(nwb.trials.colnames) == TRIAL_COLUMNS
            assert set(nwb.units.colnames) == UNIT_COLUMNS
            assert len(nwb.electrodes) == 192
            assert set(nwb.processing["behavior"].data_interfaces) == {
                "cursor_pos", "eye_pos", "hand_pos", "hand_vel",
            }  # fmt: skip
            frame = nwb.trials.to_dataframe()
            assert all(
                len(row.target_pos) == row.num_targets > row.active_target
                for row in frame.itertuples()
            )
            assert all(len(row.barrier_pos) == row.num_barriers for row in frame.itertuples())
            assert (frame.target_on_time >= frame.start_time).all()
            assert (frame.go_cue_time >= frame.target_on_time).all()
            assert (frame.move_onset_time > frame.go_cue_time).all()
            assert (frame.stop_time > frame.move_onset_time).all()
            hand = nwb.processing["behavior"]["hand_pos"].data[()]
            cursor = nwb.processing["behavior"]["cursor_pos"].data[()]
            np.testing.assert_allclose(cursor - hand, [[0, 35]] * len(hand), atol=1e-9)


def test_the_hand_ends_on_its_target_and_velocity_is_its_slope(tiny_twin: Twin) -> None:
    with h5py.File(tiny_twin.path) as file:
        trials, behaviour = file["intervals/trials"], file["processing/behavior"]
        seconds = behaviour["hand_vel/timestamps"][()]
        ends = trials["target_pos_index"][()].astype(int)
        for row, (start, stop) in enumerate(
            zip(trials["start_time"], trials["stop_time"], strict=True)
        ):
            held = (seconds > start - 1e-6) & (seconds < stop - 1e-6)
            hand = behaviour["hand_pos/data"][held]
            np.testing.assert_allclose(
                behaviour["hand_vel/data"][held], np.gradient(hand, axis=0) * 1000, atol=1e-6
            )
            first = ends[row - 1] if row else 0
            target = trials["target_pos"][first + trials["active_target"][row]]
            assert np.abs(behaviour["cursor_pos/data"][held][-1] - target).max() < 15


def test_a_misaligned_file_has_the_numbers_at_other_times(tiny_twin: Twin) -> None:
    with h5py.File(tiny_twin.path) as right, h5py.File(tiny_twin.misaligned_path) as wrong:
        for name in ("cursor_pos", "eye_pos", "hand_pos", "hand_vel"):
            one, other = (file[f"processing/behavior/{name}"] for file in (right, wrong))
            np.testing.assert_array_equal(one["data"][()], other["data"][()])
            assert "timestamps" not in other
            seconds = one["timestamps"][()]
            late = seconds - other["starting_time"][()] - np.arange(len(seconds)) / 1000
            gaps = np.diff(late)[np.diff(late) > 1e-6]
            # Right in the first trial, and further off by each gap.
            assert late[0] == 0
            assert len(gaps) == SIZES["tiny"].trials - 1
            assert late[-1] == pytest.approx(gaps.sum(), abs=1e-6)


def test_the_same_seed_gives_the_same_session(tmp_path: Path, tiny_twin: Twin) -> None:
    begun = time.process_time()
    again = make_twin(tmp_path, "tiny")
    assert time.process_time() - begun < 2
    for name, values in tiny_twin.load().items():
        np.testing.assert_array_equal(values, again.load()[name])
    with h5py.File(tiny_twin.path) as one, h5py.File(again.path) as other:
        for name in ("units/spike_times", "processing/behavior/hand_vel/data"):
            np.testing.assert_array_equal(one[name][()], other[name][()])
    other = make_twin(tmp_path, "tiny", seed=1)
    assert other.load()["counts"].sum() != again.load()["counts"].sum()
    assert make_twin(tmp_path, "tiny") == again
    assert not list(tmp_path.glob("*.unfinished"))
