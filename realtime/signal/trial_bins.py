"""Which trial each bin belongs to, and which phase of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import IntEnum
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from realtime.signal.binning import BIN_US
from storage.trials import Trial

OUTSIDE = -1  # of all trials


class Phase(IntEnum):
    """What the animal does; ``UNKNOWN`` outside trials, and where an event's time is not known."""

    UNKNOWN = 0
    BEFORE_TARGET = 1
    DELAY = 2
    REACTION = 3
    MOVEMENT = 4
    HOLD = 5


IN_ORDER = (Phase.BEFORE_TARGET, Phase.DELAY, Phase.REACTION, Phase.MOVEMENT)


def trial_of_bins(trials: Sequence[Trial], origin_us: int, n_bins: int) -> NDArray[np.int32]:
    """Return the position in ``trials`` of each bin's trial, ``OUTSIDE`` where there is none.

    A bin belongs to the trial that runs at its first microsecond, else to the first that starts
    in it: so every bin that holds a moment of some trial has one. Where trials overlap, the one
    that started last counts.
    """
    out = np.full(n_bins, OUTSIDE, np.int32)
    order = sorted(range(len(trials)), key=lambda index: trials[index].start_us)
    # Bins that a trial only starts in, the first trial painted last, ...
    for index in reversed(order):
        first = (trials[index].start_us - origin_us) // BIN_US
        if 0 <= first < n_bins:
            out[first] = index
    # ... and above them those that it runs at the start of.
    for index in order:
        trial = trials[index]
        from_, until = _bins_starting_in(trial.start_us, trial.stop_us, origin_us)
        out[from_:until] = index
    return out


def phase_of_bins(
    trials: Sequence[Trial],
    trial_of_bin: NDArray[np.int32],
    origin_us: int,
    on_target: NDArray[np.bool_] | None = None,
) -> NDArray[np.uint8]:
    """Return the phase of each bin, by what had happened at its first microsecond.

    Parameters
    ----------
    trials
        The trials.
    trial_of_bin
        As ``trial_of_bins`` gives it.
    origin_us
        Start of the first bin.
    on_target
        Bins in which the cursor lies on its target: those of a movement become ``HOLD``. No event
        of the tables says when a hold begins.
    """
    out = np.full(len(trial_of_bin), Phase.UNKNOWN, np.uint8)
    for index, trial in enumerate(trials):
        # Its first bin may start a little before it.
        from_, until = _bins_starting_in(trial.start_us - BIN_US + 1, trial.stop_us, origin_us)
        phases = out[from_:until]
        own = trial_of_bin[from_:until] == index
        begins = origin_us + BIN_US * np.arange(from_, from_ + len(own), dtype=np.int64)
        events = (-math.inf, trial.target_on_us, trial.go_cue_us, trial.move_onset_us, math.inf)
        for phase, (begun, ended) in zip(IN_ORDER, pairwise(events), strict=True):
            # Without both its ends nobody knows when a phase was.
            if begun is not None and ended is not None:
                phases[own & (begins >= begun) & (begins < ended)] = phase
    if on_target is not None:
        out[on_target & (out == Phase.MOVEMENT)] = Phase.HOLD
    return out


def _bins_starting_in(start_us: int, stop_us: int, origin_us: int) -> tuple[int, int]:
    """Return the bins whose first microsecond lies in ``[start_us, stop_us)``."""
    first = max(0, -(-(start_us - origin_us) // BIN_US))
    return first, max(first, -(-(stop_us - origin_us) // BIN_US))
