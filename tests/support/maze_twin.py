"""Twins of the published MC_Maze files: the same layout, made from a known model, with the truth.

``make_twin(folder, "tiny")`` writes a file of trials with behaviour, one of test stretches without,
one whose behaviour is misaligned, and the truth: what each bin of 25 ms must hold. The truth is
reckoned from the model's own milliseconds and never from the files. ``python -m
tests.support.maze_twin FOLDER SIZE [SEED]`` writes one and prints where.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.maze_model import (
    Reach,
    Spikes,
    cut_around_onset,
    make_reaches,
    make_spikes,
    make_tuning,
)

BIN_MS = 25


@dataclass(frozen=True, slots=True)
class Size:
    """How large a twin is, and at which millisecond of the session its first trial starts."""

    trials: int
    units: int
    test_trials: int
    start_ms: int = 0


SIZES = {
    "tiny": Size(8, 24, 4, start_ms=12_300),
    "small": Size(100, 142, 100),
    # As long as the published full file; 0.7 GB, for measurements by hand.
    "hours": Size(2500, 142, 10),
}


@dataclass(frozen=True, slots=True)
class Twin:
    """The files of a twin.

    Parameters
    ----------
    path
        Units, trials and behaviour.
    test_path
        Fewer units and short trials, without behaviour.
    misaligned_path
        As ``path``, with behaviour looked up as if there were no gaps between trials.
    truth
        What each bin holds, see ``load``.
    """

    path: Path
    test_path: Path
    misaligned_path: Path
    truth: Path

    def load(self) -> dict[str, NDArray[Any]]:
        """Return the truth by name.

        ``origin_us``; for each bin ``counts`` (bins x units), ``vx vy`` (mean), ``x y`` (last
        sample), ``valid`` (observed throughout), ``trial`` (its row, -1 outside), ``target_x
        target_y``, ``phase`` (name), and the same with ``test_`` before it for the test file,
        behaviour and events aside.
        """
        with np.load(self.truth) as truth:
            return dict(truth)


def make_twin(folder: Path, size: str = "tiny", seed: int = 0) -> Twin:
    """Return a twin in a folder, made now unless it is there.

    Parameters
    ----------
    folder
        Made if needed.
    size
        ``tiny`` or ``small``.
    seed
        Another one gives another session.
    """
    own = folder / f"twin-{size}-{seed}"
    ses = f"sub-Twin_ses-{size}"
    twin = Twin(
        path=own / f"{ses}_desc-train_behavior+ecephys.nwb",
        test_path=own / f"{ses}_desc-test_ecephys.nwb",
        misaligned_path=own / f"{ses}_desc-misaligned_behavior+ecephys.nwb",
        truth=own / "truth.npz",
    )
    if not own.exists():
        unfinished = folder / f"{own.name}.{os.getpid()}.unfinished"
        unfinished.mkdir(parents=True)
        _make(SIZES[size], seed, unfinished, twin)
        try:
            unfinished.rename(own)
        except OSError:  # another process was faster, with the same numbers
            shutil.rmtree(unfinished)
    return twin


def _make(size: Size, seed: int, folder: Path, twin: Twin) -> None:
    # PyNWB takes a second to import, which who finds a twin made need not wait for.
    from tests.support.maze_files import misalign, write_test, write_train

    rng = np.random.default_rng(seed)
    reaches = make_reaches(size.trials, size.test_trials, size.start_ms, rng)
    reaches, for_test = reaches[: size.trials], reaches[size.trials :]
    tuning = make_tuning(size.units, reaches, rng)
    spikes = make_spikes(tuning, reaches, rng)
    stretches, onsets, cut = cut_around_onset(for_test, make_spikes(tuning, for_test, rng))
    write_train(folder / twin.path.name, reaches, tuning, spikes)
    write_test(folder / twin.test_path.name, stretches, onsets, tuning, cut)
    shutil.copy(folder / twin.path.name, folder / twin.misaligned_path.name)
    misalign(folder / twin.misaligned_path.name)
    truth = train_truth(reaches, spikes, size.units)
    test = _of_stretches(stretches, cut, size.units)
    test["counts"] = test["counts"][:, ~tuning.heldout]
    truth |= {f"test_{name}": values for name, values in test.items()}
    np.savez(folder / twin.truth.name, allow_pickle=False, **truth)


def train_truth(reaches: Sequence[Reach], spikes: Spikes, n_units: int) -> dict[str, NDArray[Any]]:
    """Return what each bin of a session holds, from its milliseconds."""
    truth = _of_stretches([(reach.start_ms, reach.stop_ms) for reach in reaches], spikes, n_units)
    first_ms = int(truth["origin_us"]) // 1000
    n_bins = len(truth["trial"])
    velocity, cursor = np.full((2, n_bins * BIN_MS, 2), np.nan)
    for reach in reaches:
        velocity[reach.times_ms - first_ms] = reach.velocity
        cursor[reach.times_ms - first_ms] = reach.cursor
    mean, last = np.full((2, n_bins, 2), np.nan)
    target = np.full((n_bins, 2), np.nan)
    phase = np.full(n_bins, "unknown", "U16")
    for number in np.flatnonzero(truth["trial"] >= 0).tolist():
        its = slice(number * BIN_MS, (number + 1) * BIN_MS)
        there = ~np.isnan(velocity[its, 0])
        mean[number] = velocity[its][there].mean(axis=0)
        last[number] = cursor[its][there][-1]
        reach = reaches[truth["trial"][number]]
        target[number] = reach.targets[reach.active]
        phase[number] = _phase(reach, first_ms + number * BIN_MS)
    return truth | {
        "vx": mean[:, 0], "vy": mean[:, 1], "x": last[:, 0], "y": last[:, 1],
        "target_x": target[:, 0], "target_y": target[:, 1], "phase": phase,
    }  # fmt: skip


def _of_stretches(
    stretches: Sequence[tuple[int, int]], spikes: Spikes, n_units: int
) -> dict[str, NDArray[Any]]:
    first_ms = stretches[0][0] // BIN_MS * BIN_MS
    n_bins = -(-(stretches[-1][1] - first_ms) // BIN_MS)
    trial_of_ms = np.full(n_bins * BIN_MS, -1, np.int32)
    for row, (start_ms, stop_ms) in enumerate(stretches):
        trial_of_ms[start_ms - first_ms : stop_ms - first_ms] = row
    counts = np.zeros((n_bins, n_units), np.uint8)
    np.add.at(counts, ((spikes.times_us // 1000 - first_ms) // BIN_MS, spikes.units), 1)
    by_bin = trial_of_ms.reshape(n_bins, BIN_MS)
    return {
        "origin_us": np.array(first_ms * 1000),
        "counts": counts,
        "valid": (by_bin >= 0).all(axis=1),
        # Trials start on the edge of a bin, so no bin holds two.
        "trial": by_bin.max(axis=1),
    }


def _phase(reach: Reach, at_ms: int) -> str:
    if at_ms >= reach.move_onset_ms:
        return "movement"
    if at_ms >= reach.go_cue_ms:
        return "reaction"
    return "delay" if at_ms >= reach.target_on_ms else "before_target"


def shared_folder(factory: pytest.TempPathFactory) -> Path:
    """Return one folder for all processes of a test run."""
    base = factory.getbasetemp()
    return (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "twins"


@pytest.fixture(scope="session")
def tiny_twin(tmp_path_factory: pytest.TempPathFactory) -> Twin:
    """Return a twin of 8 trials and 24 units that starts at 12.3 s."""
    return make_twin(shared_folder(tmp_path_factory), "tiny")


@pytest.fixture(scope="session")
def small_twin(tmp_path_factory: pytest.TempPathFactory) -> Twin:
    """Return a twin of 100 trials and 142 units."""
    return make_twin(shared_folder(tmp_path_factory), "small")


def main() -> None:
    """Make a twin and say where it is."""
    folder, size, *seed = sys.argv[1:]
    twin = make_twin(Path(folder), size, int(seed[0]) if seed else 0)
    print(json.dumps({"path": str(twin.path), "truth": str(twin.truth)}))


if __name__ == "__main__":
    main()
