"""NWB files with units: real ones, twins with a known truth, odd ones."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from realtime.signal.binning import BIN_US, BinnedSignal, Counts, SpikeCounter, bins_over, coverage
from realtime.signal.trial_bins import Phase, phase_of_bins, trial_of_bins
from storage.errors import CorruptRecording, NotFound, UnsupportedRecording
from storage.nwb_columns import row_blocks
from storage.nwb_hdf5 import Hdf5Array
from storage.nwb_units import merged
from storage.spans import Span
from storage.unit_recording import UnitRecording, open_units
from tests.support.maze_twin import Twin, small_twin, tiny_twin

__all__ = ["small_twin", "tiny_twin"]

REAL = "mc_maze/mc_maze_full_trial748_recontained.nwb"
REAL_CSV = "mc_maze/trial_748_data.csv"
MOUSE = "nwb/sub-anm00239123_ses-20170627T093549_ecephys+ogen.nwb"
TRIALS = "intervals/trials"
BEHAVIOUR = "processing/behavior"


@dataclass(frozen=True, slots=True)
class Binned:
    """A file as bins."""

    origin_us: int
    counts: Counts
    velocity: NDArray[np.float32]
    cursor: NDArray[np.float32]
    valid: NDArray[np.bool_]
    trial: NDArray[np.int32]


def binned(recording: UnitRecording, rows: int = 65_536, size: int = 1 << 18) -> Binned:
    """Bin all of a file."""
    origin_us, n_bins = bins_over(*recording.extent_us)
    counter = SpikeCounter(len(recording.units), origin_us, n_bins)
    for times, units in recording.spike_blocks(size):
        counter.add(times, units)
    signals = {}
    for name in ("hand_vel", "cursor_pos"):
        signals[name] = BinnedSignal(origin_us, n_bins, 2)
        if any(signal.name == name for signal in recording.signals):
            for stamps, values in recording.signal_blocks(name, rows):
                signals[name].add(stamps, values)
    return Binned(
        origin_us,
        counter.counts,
        signals["hand_vel"].mean,
        signals["cursor_pos"].last,
        coverage(recording.observed, origin_us, n_bins),
        trial_of_bins(recording.trials, origin_us, n_bins),
    )


# --- the real trial ------------------------------------------------------------------------------


def test_the_real_trial_equals_its_table_bin_by_bin(data: Path) -> None:
    with (data / REAL_CSV).open(newline="") as file:
        rows = list(csv.reader(file))
    names, table = rows[0], np.array(rows[1:], np.float64)
    # Milliseconds as whole numbers, from the text; bin numbers need no other arithmetic.
    milliseconds = np.array([round(float(row[0]) * 1000) for row in rows[1:]])
    bins = milliseconds // 25 - 2_282_600 // 25
    with open_units(data / REAL) as recording:
        found = binned(recording)
        unit_columns = [names.index(f"unit_{unit.id}") for unit in recording.units]
        own = np.array([len(recording.spikes(unit)) for unit in range(len(recording.units))])
    assert (found.origin_us, found.counts.shape) == (2_282_600_000, (130, 182))
    assert found.counts.sum() == 1654
    assert found.counts.dtype == np.uint8
    for number in range(130):
        samples = table[bins == number]
        np.testing.assert_array_equal(found.counts[number], samples[:, unit_columns].sum(axis=0))
        for column, axis in enumerate("xy"):
            velocity = samples[:, names.index(f"hand_vel_{axis}")]
            assert found.velocity[number, column] == pytest.approx(velocity.mean(), rel=1e-5)
            place = samples[-1, names.index(f"cursor_pos_{axis}")]
            assert found.cursor[number, column] == pytest.approx(place, rel=1e-6)
    np.testing.assert_array_equal(own, table[:, unit_columns].sum(axis=0))
    # The trial ends after 11 ms of the last bin.
    assert found.valid.tolist() == [True] * 129 + [False]
    assert (found.trial == 0).all()


def test_what_the_real_file_says(data: Path) -> None:
    with open_units(data / REAL) as recording:
        assert recording.name == "mc_maze_full_trial748_recontained"
        assert [recording.units[at].id for at in (0, -1)] == [1011, 2961]
        areas = {unit.area: unit.id // 1000 for unit in recording.units}
        assert areas == {"PMd": 1, "M1": 2}
        assert recording.units[-1].electrodes == (191,)
        (trial,) = recording.trials
        assert (trial.id, trial.start_us, trial.stop_us) == (0, 2_282_600_000, 2_285_836_000)
        assert (trial.target_on_us, trial.go_cue_us) == (None, None)
        assert trial.move_onset_us == 2_284_809_000
        assert (trial.target, trial.split, trial.success) == ((130.0, -56.0), "none", True)
        assert (trial.version, trial.maze_id) == (None, None)
        assert [(s.name, s.unit, s.columns, s.n_samples, s.rate_hz) for s in recording.signals] == [
            ("cursor_pos", "mm", ("x", "y"), 3236, 1000.0),
            ("eye_pos", "mm", ("x", "y"), 3236, 1000.0),
            ("hand_pos", "mm", ("x", "y"), 3236, 1000.0),
            ("hand_vel", "mm/s", ("x", "y"), 3236, 1000.0),
        ]
        assert recording.observed is not None
        assert recording.observed.tolist() == [[2_282_600_000, 2_285_836_000]]
        assert recording.extent_us == (2_282_600_000, 2_285_836_000)
        assert str(recording.start_time) == "2009-09-25 00:00:00-07:00"
        assert (recording.synthetic, recording.licence, recording.notes) == (False, None, ())
        assert recording.n_spikes == 1654


# --- twins ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", ["tiny", "small"])
def test_every_bin_of_a_twin_equals_the_truth(request: pytest.FixtureRequest, size: str) -> None:
    twin: Twin = request.getfixturevalue(f"{size}_twin")
    truth = twin.load()
    with open_units(twin.path) as recording:
        found, trials = binned(recording), recording.trials
        phases = phase_of_bins(trials, found.trial, found.origin_us)
    assert found.origin_us == truth["origin_us"]
    np.testing.assert_array_equal(found.counts, truth["counts"])
    np.testing.assert_array_equal(found.valid, truth["valid"])
    np.testing.assert_array_equal(found.trial, truth["trial"])
    assert [Phase(phase).name.lower() for phase in phases] == truth["phase"].tolist()
    for column, (mean, last) in enumerate((("vx", "x"), ("vy", "y"))):
        # NaN in gaps on both sides, and nowhere else.
        np.testing.assert_allclose(found.velocity[:, column], truth[mean], rtol=1e-6, atol=1e-4)
        np.testing.assert_array_equal(found.cursor[:, column], truth[last].astype(np.float32))
    places = [trials[at].target if at >= 0 else (np.nan, np.nan) for at in found.trial]
    np.testing.assert_array_equal(
        np.array(places), np.column_stack([truth["target_x"], truth["target_y"]])
    )
    # Gaps, edges of trials and the very last bin are among them.
    assert (truth["trial"] == -1).any()
    assert ((truth["trial"] >= 0) & ~truth["valid"]).any()
    assert truth["trial"][-1] == len(trials) - 1


def test_a_file_without_behaviour(tiny_twin: Twin) -> None:
    truth = tiny_twin.load()
    with open_units(tiny_twin.test_path) as recording:
        found = binned(recording)
        assert recording.signals == ()
        assert {trial.split for trial in recording.trials} == {"test"}
        trial = recording.trials[1]
        assert (trial.start_us, trial.stop_us) == (800_000, 1_500_000)
        assert trial.move_onset_us == 1_050_000
        assert (trial.target, trial.targets, trial.success) == (None, (), None)
        assert not any(unit.heldout for unit in recording.units)
    assert np.isnan(found.velocity).all()
    assert np.isnan(found.cursor).all()
    np.testing.assert_array_equal(found.counts, truth["test_counts"])
    np.testing.assert_array_equal(found.valid, truth["test_valid"])
    np.testing.assert_array_equal(found.trial, truth["test_trial"])


def test_units_of_the_second_array_lie_in_it(tiny_twin: Twin) -> None:
    with h5py.File(tiny_twin.path) as file:
        assert file["units/electrodes"][()].max() < 96  # as in the released files
    with open_units(tiny_twin.path) as recording:
        assert {(unit.id // 1000, unit.area) for unit in recording.units} == {(1, "PMd"), (2, "M1")}
        for unit in recording.units:
            array, electrode = unit.id // 1000, unit.id // 10 % 100
            assert unit.electrodes == (96 * (array - 1) + electrode - 1,)
        assert "second array" in " ".join(recording.notes)
        assert recording.synthetic


def score(found: Binned, splits: NDArray[np.str_]) -> float:
    """Return R2 of a causal ridge decoder of the velocity with 10 bins of history."""
    n_bins = len(found.counts)
    history = np.column_stack(
        [np.pad(found.counts, ((lag, 0), (0, 0)))[:n_bins] for lag in range(10)]
    ).astype(np.float32)
    usable = found.valid & np.isfinite(found.velocity).all(axis=1)
    train, val = usable & (splits == "train"), usable & (splits == "val")
    velocity = found.velocity
    centre, still = history[train].mean(axis=0), velocity[train].mean(axis=0)
    past = history[train] - centre
    weights = np.linalg.solve(
        past.T @ past + 100 * np.eye(past.shape[1], dtype=np.float32),
        past.T @ (velocity[train] - still),
    )
    wrong = velocity[val] - ((history[val] - centre) @ weights + still)
    spread = velocity[val] - velocity[val].mean(axis=0)
    return float(np.mean(1 - (wrong**2).sum(axis=0) / (spread**2).sum(axis=0)))


def test_a_decoder_works_on_aligned_behaviour_only(small_twin: Twin) -> None:
    scores = {}
    for path in (small_twin.path, small_twin.misaligned_path):
        with open_units(path) as recording:
            found = binned(recording)
            splits = np.array([*(trial.split for trial in recording.trials), "none"])[found.trial]
        scores[path] = score(found, splits)
    assert 0.80 <= scores[small_twin.path] <= 0.90
    assert scores[small_twin.misaligned_path] < 0.1


def test_a_session_is_binned_in_40_ms_of_cpu(small_twin: Twin) -> None:
    spent = []
    with open_units(small_twin.path) as recording:
        for _ in range(5):
            begun = time.process_time()
            binned(recording)
            spent.append(time.process_time() - begun)
    assert min(spent) <= 0.04


def test_nothing_heavy_is_imported(tiny_twin: Twin) -> None:
    program = f"""
import json, sys
from realtime.signal.binning import SpikeCounter, bins_over
from realtime.signal.trial_bins import trial_of_bins
from storage.unit_recording import open_units
with open_units({str(tiny_twin.path)!r}) as recording:
    origin, n_bins = bins_over(*recording.extent_us)
    counter = SpikeCounter(len(recording.units), origin, n_bins)
    for block in recording.spike_blocks():
        counter.add(*block)
    trial_of_bins(recording.trials, origin, n_bins)
    for block in recording.signal_blocks("hand_vel"):
        pass
print(json.dumps(sorted({{name.partition(".")[0] for name in sys.modules}})))
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    loaded = set(json.loads(done.stdout))
    assert "h5py" in loaded
    assert not loaded & {"pynwb", "hdmf", "pandas", "zarr", "scipy", "obstore", "pydantic"}


# --- blocks --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rows", "size"), [(1000, 100), (1024, 1), (7_777, 999), (10**7, 10**7)])
def test_sizes_of_blocks_do_not_matter(tiny_twin: Twin, rows: int, size: int) -> None:
    with open_units(tiny_twin.path) as recording:
        usual, other = binned(recording), binned(recording, rows, size)
        for _, values in recording.signal_blocks("hand_vel", rows):
            assert len(values) <= rows
            assert values.dtype == np.float32
        for times, units in recording.spike_blocks(size):
            assert len(times) == len(units) <= size
        every = [(*block,) for block in recording.spike_blocks(size)]
        for unit in range(len(recording.units)):
            mine = np.concatenate([times[units == unit] for times, units in every])
            np.testing.assert_array_equal(mine, recording.spikes(unit))
    np.testing.assert_array_equal(usual.counts, other.counts)
    np.testing.assert_array_equal(usual.velocity, other.velocity)
    np.testing.assert_array_equal(usual.cursor, other.cursor)


@settings(max_examples=60)
@given(
    st.integers(0, 50), st.integers(1, 60), st.integers(0, 60), st.integers(0, 60), st.booleans()
)
def test_blocks_of_an_array_are_its_rows(
    height: int, rows: int, start: int, stop: int, wide: bool
) -> None:
    shape = (60, 2) if wide else (60,)
    values = np.arange(int(np.prod(shape))).reshape(shape)
    with h5py.File(f"{height}.h5", "w", driver="core", backing_store=False) as file:
        chunks = (height, *shape[1:]) if height else None
        array = Hdf5Array(file.create_dataset("a", data=values, chunks=chunks), set())
        span = Span(min(start, stop), max(start, stop))
        blocks = list(row_blocks(array, span, rows))
    assert all(len(block) == rows for block in blocks[:-1])
    joined = np.concatenate([np.empty((0, *shape[1:])), *blocks])
    np.testing.assert_array_equal(joined, values[span.start : span.stop])


def test_large_stored_pieces_are_read_once(
    tiny_twin: Twin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def squeeze(file: h5py.File) -> None:
        values = file[f"{BEHAVIOUR}/hand_vel/data"]
        content, attributes = values[()], dict(values.attrs)
        del file[f"{BEHAVIOUR}/hand_vel/data"]
        squeezed = file.create_dataset(
            f"{BEHAVIOUR}/hand_vel/data", data=content, chunks=content.shape, compression="gzip"
        )
        squeezed.attrs.update(attributes)

    reads: list[str] = []
    plain = Hdf5Array.read

    def counted(self: Hdf5Array, *axes: Span) -> NDArray[np.generic]:
        reads.append(self.path)
        return plain(self, *axes)

    with open_units(changed(tiny_twin, tmp_path, squeeze)) as recording:
        monkeypatch.setattr(Hdf5Array, "read", counted)
        blocks = list(recording.signal_blocks("hand_vel", 1000))
        assert len(list(recording.spike_blocks())) == 1
    assert len(blocks) > 10
    assert reads.count(f"{BEHAVIOUR}/hand_vel/data") == 1
    # All spikes of a short session come in one read, and one block.
    assert reads.count("units/spike_times") == 1


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(-2, 20)), max_size=12))
def test_intervals_are_merged(pairs: list[tuple[int, int]]) -> None:
    intervals = np.array([(start, start + more) for start, more in pairs], np.int64).reshape(-1, 2)
    found = merged(intervals)
    inside = {at for start, stop in intervals.tolist() for at in range(start, stop)}
    assert {at for start, stop in found.tolist() for at in range(start, stop)} == inside
    flat = found.reshape(-1)
    assert (np.diff(flat) > 0).all()


# --- odd files -----------------------------------------------------------------------------------


def changed(twin: Twin, folder: Path, change: Callable[[h5py.File], None]) -> Path:
    """Return a copy of a twin after a change."""
    path = folder / "changed.nwb"
    shutil.copy(twin.path, path)
    with h5py.File(path, "r+") as file:
        change(file)
    return path


def put(file: h5py.File, path: str, values: Any) -> None:
    """Write an array in the place of another, attributes kept."""
    attributes = dict(file[path].attrs) if path in file else {}
    if path in file:
        del file[path]
    file.create_dataset(path, data=values).attrs.update(attributes)


def put_type(file: h5py.File, path: str) -> None:
    """Write a named type in the place of an array."""
    del file[path]
    file[path] = np.dtype("f8")


def test_without_trials_the_observed_time_counts(tiny_twin: Twin, tmp_path: Path) -> None:
    def change(file: h5py.File) -> None:
        del file[TRIALS]

    with open_units(changed(tiny_twin, tmp_path, change)) as recording:
        assert recording.trials == ()
        found, truth = binned(recording), tiny_twin.load()
    np.testing.assert_array_equal(found.counts, truth["counts"])
    np.testing.assert_array_equal(found.valid, truth["valid"])
    assert (found.trial == -1).all()


def test_without_trials_and_observed_time_spikes_and_samples_count(
    tiny_twin: Twin, tmp_path: Path
) -> None:
    def change(file: h5py.File) -> None:
        del file[TRIALS], file["units/obs_intervals"], file["units/obs_intervals_index"]

    with open_units(changed(tiny_twin, tmp_path, change)) as recording:
        assert recording.observed is None
        first, last = recording.extent_us
        assert first == 12_300_000  # the first sample
        found = binned(recording)
        assert found.counts.sum() == recording.n_spikes
        assert found.valid.all()
        every = np.concatenate([recording.spikes(at) for at in range(len(recording.units))])
        assert every.max() < last


def test_missing_columns_are_none(tiny_twin: Twin, tmp_path: Path) -> None:
    def change(file: h5py.File) -> None:
        for name in list(file[TRIALS]):
            if name not in ("start_time", "stop_time"):
                del file[f"{TRIALS}/{name}"]
        for name in ("heldout", "electrodes", "electrodes_index", "id"):
            del file[f"units/{name}"]
        del file["general/keywords"], file["session_description"]

    with open_units(changed(tiny_twin, tmp_path, change)) as recording:
        assert [unit.id for unit in recording.units] == list(range(24))
        assert {unit.area for unit in recording.units} == {None}
        assert {unit.electrodes for unit in recording.units} == {()}
        assert [trial.id for trial in recording.trials] == list(range(8))
        trial = recording.trials[3]
        told = (trial.target_on_us, trial.go_cue_us, trial.move_onset_us, trial.success)
        assert told == (None,) * 4
        assert (trial.split, trial.version, trial.maze_id, trial.targets) == (None, None, None, ())
        assert not recording.synthetic


def test_odd_columns_are_none_and_noted(tiny_twin: Twin, tmp_path: Path) -> None:
    def change(file: h5py.File) -> None:
        onset = file[f"{TRIALS}/move_onset_time"]
        onset[2], onset[3], onset[4] = np.nan, np.inf, 1e300
        put(file, f"{TRIALS}/go_cue_time", np.arange(5.0))
        put(file, f"{TRIALS}/target_on_time", np.array([b"soon"] * 8))
        put(file, f"{TRIALS}/maze_id", np.full(8, 2.5))
        put(file, f"{TRIALS}/active_target", np.full(8, 7))
        put(file, f"{TRIALS}/target_pos_index", np.array([3, 2, 1, 9, 9, 9, 9, 9]))
        put(file, f"{TRIALS}/success", np.array([0, 1, 1, 1, 1, 1, 1, 1.0]))
        put(file, "units/heldout", np.array([b"no"] * 24))
        file[f"{TRIALS}/split"][0] = b""

    with open_units(changed(tiny_twin, tmp_path, change)) as recording:
        onsets = [trial.move_onset_us for trial in recording.trials]
        assert onsets[2:5] == [None] * 3
        assert all(onset is not None for onset in (*onsets[:2], *onsets[5:]))
        assert {trial.go_cue_us for trial in recording.trials} == {None}
        assert {trial.target_on_us for trial in recording.trials} == {None}
        assert {trial.maze_id for trial in recording.trials} == {None}
        assert {trial.target for trial in recording.trials} == {None}
        assert recording.trials[0].success is False
        assert recording.trials[0].split is None
        assert not any(unit.heldout for unit in recording.units)
        notes = "\n".join(recording.notes)
    assert "go_cue_time: shape (5,)" in notes
    assert "target_pos_index" in notes


def test_ids_and_order_of_trials(tiny_twin: Twin, tmp_path: Path) -> None:
    def change(file: h5py.File) -> None:
        put(file, f"{TRIALS}/id", np.array([80, 7, 900, -3, 12, 40, 41, 2]))
        for name in ("start_time", "stop_time"):
            times = file[f"{TRIALS}/{name}"]
            times[:2] = times[:2][::-1]
        file[f"{TRIALS}/stop_time"][5] = np.nan

    with open_units(changed(tiny_twin, tmp_path, change)) as recording:
        assert [trial.id for trial in recording.trials] == [7, 80, 900, -3, 12, 41, 2]
        assert "trial 40 has no start and stop" in " ".join(recording.notes)


def test_arrays_of_one_element(tmp_path: Path) -> None:
    path = tmp_path / "one.nwb"
    with h5py.File(path, "w") as file:
        file["units/id"] = np.array([5])
        file["units/spike_times"] = np.array([1.5])
        file["units/spike_times_index"] = np.array([1], np.uint8)
        file["units/obs_intervals"] = np.array([1.0, 2.0])
        file[f"{TRIALS}/start_time"] = 1.0
        file[f"{TRIALS}/stop_time"] = np.array([2.0])
        file[f"{TRIALS}/target_pos"] = np.array([[3.0, 4.0]])
        file[f"{TRIALS}/active_target"] = np.array([0])
        gaze = file.create_group("acquisition/gaze")
        gaze["data"] = np.array([2], np.int16)
        gaze["data"].attrs["conversion"] = np.array([0.5])
        gaze["data"].attrs["offset"] = 1.0
        gaze["timestamps"] = np.array([1.25])
    with open_units(path) as recording:
        assert recording.units[0].id == 5
        assert recording.spikes(0).tolist() == [1_500_000]
        assert recording.observed is not None
        assert recording.observed.tolist() == [[1_000_000, 2_000_000]]
        (trial,) = recording.trials
        assert (trial.start_us, trial.stop_us, trial.target) == (1_000_000, 2_000_000, (3.0, 4.0))
        ((stamps, values),) = recording.signal_blocks("gaze")
        assert (stamps.tolist(), values.tolist()) == ([1_250_000], [[2.0]])
        assert recording.signals[0].columns == ("value",)
        assert (recording.signals[0].rate_hz, recording.signals[0].unit) == (None, "unknown")
        assert recording.start_time is None


def test_signals_by_rate_and_starting_time(tiny_twin: Twin) -> None:
    with open_units(tiny_twin.misaligned_path) as recording:
        stamps = np.concatenate([when for when, _ in recording.signal_blocks("hand_vel", 1000)])
        n_samples = recording.signals[-1].n_samples
        assert {signal.rate_hz for signal in recording.signals} == {1000.0}
    np.testing.assert_array_equal(stamps, 12_300_000 + 1000 * np.arange(n_samples))


def test_which_signals_are_found(tiny_twin: Twin, tmp_path: Path) -> None:
    def change(file: h5py.File) -> None:
        velocity = file[f"{BEHAVIOUR}/hand_vel"]
        # One of the same name elsewhere, within a container; then names are paths.
        file.copy(velocity, "processing/other/Position/hand_vel")
        file.create_group("acquisition/film")["data"] = np.zeros((4, 5, 6))
        file.create_group("acquisition/words")["data"] = np.array([b"a", b"b"])
        file.create_group("acquisition/timeless")["data"] = np.zeros((4, 2))
        short = file.create_group("acquisition/short")
        short["data"], short["timestamps"] = np.zeros((4, 2)), np.zeros(3)
        empty = file.create_group("acquisition/empty")
        empty["data"], empty["timestamps"] = np.zeros((0, 2)), np.zeros(0)
        raw = file.create_group("acquisition/raw")
        raw["data"], raw["timestamps"] = np.zeros((4, 2)), np.zeros(4)
        raw.attrs["neurodata_type"] = "ElectricalSeries"
        lost = file.create_group("acquisition/lost")
        lost["data"] = h5py.SoftLink("/nowhere")
        file[f"{BEHAVIOUR}/hand_pos"].attrs["comments"] = "columns=[left, right]"

    with open_units(changed(tiny_twin, tmp_path, change)) as recording:
        assert [signal.name for signal in recording.signals] == [
            "cursor_pos",
            "eye_pos",
            "hand_pos",
            "processing/behavior/hand_vel",
            "processing/other/Position/hand_vel",
        ]
        assert recording.signals[2].columns == ("left", "right")
        notes = " ".join(recording.notes)
        for name in ("timeless", "short", "lost"):
            assert name in notes
        with pytest.raises(NotFound, match=r"no signal 'hand_vel'.*cursor_pos"):
            recording.signal_blocks("hand_vel")


def test_samples_without_a_time_are_left_out(tiny_twin: Twin, tmp_path: Path) -> None:
    def change(file: h5py.File) -> None:
        file[f"{BEHAVIOUR}/hand_vel/timestamps"][10:20] = np.nan
        file["units/spike_times"][[0, 5]] = np.nan

    with open_units(changed(tiny_twin, tmp_path, change)) as recording:
        ((stamps, values),) = recording.signal_blocks("hand_vel")
        assert len(stamps) == len(values) == recording.signals[-1].n_samples - 10
        (times, units) = next(recording.spike_blocks())
        assert len(times) == len(units) == recording.n_spikes - 2
        assert len(times) == sum(len(recording.spikes(at)) for at in range(24))


def test_units_that_never_fire_and_spikes_outside_trials(tiny_twin: Twin, tmp_path: Path) -> None:
    def change(file: h5py.File) -> None:
        ends = file["units/spike_times_index"][()].astype(np.int64)
        moved = file["units/spike_times"]
        # Unit 1 fires before everything, unit 2 after it, unit 3 never.
        moved[ends[0] : ends[1]] = np.linspace(0, 1, ends[1] - ends[0])
        moved[ends[1] : ends[2]] = np.linspace(500, 501, ends[2] - ends[1])
        ends[2] = ends[3]
        put(file, "units/spike_times_index", ends)

    with open_units(changed(tiny_twin, tmp_path, change)) as recording:
        found, truth = binned(recording), tiny_twin.load()
        assert recording.extent_us[0] == 12_300_000
        assert len(recording.spikes(1)) == truth["counts"][:, 1].sum()
        assert len(recording.spikes(3)) == 0
    assert found.counts[:, [1, 3]].sum() == 0
    assert found.counts.shape == truth["counts"].shape
    np.testing.assert_array_equal(found.counts[:, 4:], truth["counts"][:, 4:])


def test_spikes_out_of_order_come_in_order(tiny_twin: Twin, tmp_path: Path) -> None:
    def change(file: h5py.File) -> None:
        end = int(file["units/spike_times_index"][0])
        times = file["units/spike_times"]
        times[:end] = times[:end][::-1]

    with open_units(changed(tiny_twin, tmp_path, change)) as recording:
        np.testing.assert_array_equal(binned(recording).counts, tiny_twin.load()["counts"])
        assert (np.diff(recording.spikes(0)) >= 0).all()
        np.testing.assert_array_equal(recording.spikes(-1), recording.spikes(23))


@pytest.mark.parametrize(
    ("description", "licence", "synthetic"),
    [
        ("Reaching; data under CC BY 4.0, see DANDI", "CC BY 4.0", False),
        ("CC0-1.0", "CC0-1.0", False),
        ("Simulated reaching, CC-BY-NC-4.0", "CC-BY-NC-4.0", True),
        ("Compared with synthetic data", None, False),
    ],
)
def test_licence_and_origin(
    tiny_twin: Twin, tmp_path: Path, description: str, licence: str | None, synthetic: bool
) -> None:
    def change(file: h5py.File) -> None:
        put(file, "session_description", description)
        put(file, "general/keywords", np.array([b"reaching"]))

    with open_units(changed(tiny_twin, tmp_path, change)) as recording:
        assert (recording.licence, recording.synthetic) == (licence, synthetic)


BREAKS: dict[str, tuple[Callable[[h5py.File], None], type[Exception], str]] = {
    "no units": (
        lambda file: file.pop("units"),
        UnsupportedRecording,
        "no units table; the file holds processing/behavior, intervals/trials; expected sorted",
    ),
    "units without spikes": (
        lambda file: file["units"].pop("spike_times"),
        UnsupportedRecording,
        "holds no spike_times, only electrodes, ",
    ),
    "no rows": (
        lambda file: put(file, "units/spike_times_index", np.empty(0, np.uint8)),
        UnsupportedRecording,
        "has no rows",
    ),
    "an index beyond the spikes": (
        lambda file: put(file, "units/spike_times_index", np.arange(24) * 1000),
        CorruptRecording,
        r"ends at 23000 of \d+ values",
    ),
    "an index that falls": (
        lambda file: put(file, "units/spike_times_index", np.arange(24)[::-1]),
        CorruptRecording,
        "expected rising",
    ),
    "no index": (
        lambda file: file["units"].pop("spike_times_index"),
        CorruptRecording,
        "nobody knows which spike is whose",
    ),
    "a type in the place of spikes": (
        lambda file: put_type(file, "units/spike_times"),
        CorruptRecording,
        "cannot be understood",
    ),
    "spikes as text": (
        lambda file: put(file, "units/spike_times", np.array([b"now"])),
        CorruptRecording,
        "expected seconds",
    ),
}


@pytest.mark.parametrize("name", BREAKS)
@pytest.mark.usefixtures("nothing_left_over")
def test_files_without_usable_units(tiny_twin: Twin, tmp_path: Path, name: str) -> None:
    change, kind, message = BREAKS[name]
    path = changed(tiny_twin, tmp_path, lambda file: (change(file), None)[1])
    with pytest.raises(kind, match=message) as caught:
        open_units(path)
    assert "changed.nwb" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no such file"):
        open_units(tmp_path / "missing.nwb")
    (tmp_path / "text.nwb").write_text("no HDF5")
    with pytest.raises(UnsupportedRecording, match="not an HDF5 file"):
        open_units(tmp_path / "text.nwb")


def test_a_file_cut_short(tiny_twin: Twin, tmp_path: Path) -> None:
    path = tmp_path / "short.nwb"
    path.write_bytes(tiny_twin.path.read_bytes()[:-100_000])
    with pytest.raises(CorruptRecording, match=r"short\.nwb"):
        open_units(path)


# --- files of other groups -----------------------------------------------------------------------


def test_a_session_of_a_mouse(data: Path) -> None:
    with open_units(data / MOUSE) as recording:
        assert [unit.id for unit in recording.units] == [1, 2, 3, 4]
        assert [unit.electrodes for unit in recording.units] == [(2,), (15,), (25,), (30,)]
        assert {(unit.area or "").partition(";")[0] for unit in recording.units} == {
            "brain_region: Thalamus"
        }
        assert len(recording.trials) == 412
        assert (recording.trials[0].id, recording.trials[0].start_us) == (1, 2_347_080)
        assert (recording.signals, recording.observed) == ((), None)
        assert (recording.synthetic, recording.notes) == (False, ())
        found = binned(recording)
        first_us = recording.trials[0].start_us
    assert found.origin_us == first_us // BIN_US * BIN_US
    assert found.counts.shape == (209_203, 4)
    assert found.counts.sum(axis=0).tolist() == [12_992, 3_458, 2_714, 14_893]
    assert found.valid.all()


def test_other_files_hold_no_units(data: Path) -> None:
    others = sorted(path for path in (data / "nwb").glob("*.nwb") if path != data / MOUSE)
    assert len(others) >= 9
    for path in others:
        with pytest.raises(UnsupportedRecording, match="no units table; the file holds"):
            open_units(path)
