"""Bins of trials: which trial, and which phase."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.signal.binning import BIN_US
from realtime.signal.trial_bins import OUTSIDE, Phase, phase_of_bins, trial_of_bins
from storage.trials import Trial


def trial(
    start_ms: float,
    stop_ms: float,
    target_on: float | None = None,
    go_cue: float | None = None,
    move_onset: float | None = None,
) -> Trial:
    """Make a trial from milliseconds."""

    def us(at: float | None) -> int | None:
        return None if at is None else int(at * 1000)

    return Trial(
        id=7,
        start_us=int(start_ms * 1000),
        stop_us=int(stop_ms * 1000),
        target_on_us=us(target_on),
        go_cue_us=us(go_cue),
        move_onset_us=us(move_onset),
    )


@pytest.mark.parametrize(
    ("trials", "expected"),
    [
        ([trial(0, 50), trial(100, 150)], [0, 0, -1, -1, 1, 1]),
        # A begun bin belongs to the trial, at its end and at its start.
        ([trial(10, 60)], [0, 0, 0, -1, -1, -1]),
        # Two trials that meet within a bin: to the one that runs when the bin begins.
        ([trial(0, 40), trial(40, 100)], [0, 0, 1, 1, -1, -1]),
        # Two that start in one bin: to the first.
        ([trial(5, 10), trial(12, 30)], [0, 1, -1, -1, -1, -1]),
        # Order in the list does not matter, positions in it do.
        ([trial(100, 150), trial(0, 50)], [1, 1, -1, -1, 0, 0]),
        # Where trials overlap, the one that started last.
        ([trial(0, 150), trial(50, 100)], [0, 0, 1, 1, 0, 0]),
        # Beyond the bins.
        ([trial(-100, 25), trial(140, 900)], [0, -1, -1, -1, -1, 1]),
        ([], [-1] * 6),
    ],
)
def test_trial_of_each_bin(trials: list[Trial], expected: list[int]) -> None:
    found = trial_of_bins(trials, 0, 6)
    assert found.tolist() == expected
    assert found.dtype == np.int32


@given(
    st.lists(st.tuples(st.integers(-90, 400), st.integers(1, 200)), max_size=5),
    st.sampled_from([0, 5 * BIN_US]),
)
def test_every_bin_with_a_moment_of_a_trial_has_one(
    spans: list[tuple[int, int]], origin: int
) -> None:
    trials = [
        trial(start + origin / 1000, start + length + origin / 1000) for start, length in spans
    ]
    found = trial_of_bins(trials, origin, 12)
    for number, index in enumerate(found):
        begin = origin + number * BIN_US
        within = [
            position
            for position, one in enumerate(trials)
            if one.start_us < begin + BIN_US and one.stop_us > begin
        ]
        assert (index in within) if within else (index == OUTSIDE)


B, D, R, M, U = (
    Phase.BEFORE_TARGET,
    Phase.DELAY,
    Phase.REACTION,
    Phase.MOVEMENT,
    Phase.UNKNOWN,
)


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ({"target_on": 25, "go_cue": 50, "move_onset": 75}, [B, D, R, M, M, U]),
        # By what had happened when the bin began.
        ({"target_on": 26, "go_cue": 50, "move_onset": 99}, [B, B, R, R, M, U]),
        # Nobody knows what came between events of which one is missing.
        ({"move_onset": 75}, [U, U, U, M, M, U]),
        ({"target_on": 25, "move_onset": 75}, [B, U, U, M, M, U]),
        ({"target_on": 25, "go_cue": 50}, [B, D, U, U, U, U]),
        ({}, [U] * 6),
    ],
)
def test_phases(events: dict[str, float], expected: list[Phase]) -> None:
    trials = [trial(0, 110, **events)]
    phases = phase_of_bins(trials, trial_of_bins(trials, 0, 6), 0)
    assert phases.tolist() == expected


def test_a_first_bin_that_began_before_its_trial_has_its_phase() -> None:
    trials = [trial(10, 60, target_on=55, go_cue=56, move_onset=57)]
    assert phase_of_bins(trials, trial_of_bins(trials, 0, 4), 0).tolist() == [B, B, B, U]


def test_holding_is_being_on_the_target_after_the_movement_began() -> None:
    trials = [trial(0, 110, target_on=0, go_cue=25, move_onset=50)]
    on_target = np.array([True, False, False, True, True, True])
    phases = phase_of_bins(trials, trial_of_bins(trials, 0, 6), 0, on_target)
    assert phases.tolist() == [D, R, M, Phase.HOLD, Phase.HOLD, U]
