"""A made session of reaching with known tuning, as numbers: what the hand did and when units fired.

After the delayed reaching task with barriers ("maze"): a target appears, after a delay comes the go
cue, the hand moves to the target on a smooth path, curved around barriers where there are some, and
holds. Nothing is recorded between trials. Every unit is tuned to the velocity that the hand will
have about 100 ms later, and in the delay to the direction of the target.

Milliseconds and microseconds here are whole numbers; seconds come into being only in the files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv, ndtri

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MEAN_RATE_HZ = 3.16
REFERENCE_SPEED = 400.0  # mm/s
FASTEST_HZ = 250.0
LOWEST_DRIVE, HIGHEST_DRIVE = -6.0, 3.2
LONGEST_LAG_MS = 250
CURSOR_OFFSET_MM: Floats = np.array([0.0, 35.0])
TRIAL_GRID_MS = 100
ELECTRODES_OF_ARRAY = 96
PMD_SHARE, HELDOUT_SHARE = 72 / 142, 35 / 142
MAZES = 9
BARRIERS = 9
BEFORE_ONSET_MS, AFTER_ONSET_MS = 250, 450  # of the test file's stretches
TEST_EVERY_MS = 800


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reach:
    """One trial: times in milliseconds of the session, places in millimetres."""

    start_ms: int
    stop_ms: int
    target_on_ms: int
    go_cue_ms: int
    move_onset_ms: int
    version: int
    maze: int
    split: str
    targets: Ints
    barriers: Ints
    active: int
    hand: Floats
    velocity: Floats
    eye: Floats

    @property
    def times_ms(self) -> Ints:
        """When the samples were taken."""
        return np.arange(self.start_ms, self.stop_ms)

    @property
    def cursor(self) -> Floats:
        """Where the cursor was."""
        cursor: Floats = self.hand + CURSOR_OFFSET_MM
        return cursor

    @property
    def direction(self) -> float:
        """Angle under which the active target lies."""
        x, y = self.targets[self.active]
        return float(np.arctan2(y, x))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tuning:
    """All units: who they are and what makes them fire."""

    ids: Ints
    heldout: NDArray[np.bool_]
    base_hz: Floats
    depth: Floats
    preferred: Floats
    speed_gain: Floats
    plan_gain: Floats
    lag_ms: Ints

    @property
    def in_m1(self) -> NDArray[np.bool_]:
        """Units of the second array."""
        told: NDArray[np.bool_] = self.ids // 1000 == 2
        return told


@dataclass(frozen=True, slots=True, eq=False)
class Spikes:
    """Which unit fired when, in microseconds, sorted by unit and time."""

    units: Ints
    times_us: Ints


# --- behaviour -----------------------------------------------------------------------------------


def make_reaches(
    n_trials: int, n_further: int, start_ms: int, rng: np.random.Generator
) -> list[Reach]:
    """Return trials, the first of which starts at ``start_ms``, and some further ones for a test.

    A quarter of the former is for validation.
    """
    turns = np.deg2rad(np.arange(MAZES) * 40 + rng.uniform(-12, 12, MAZES))
    far = rng.uniform(115, 150, MAZES)
    places = np.rint(np.column_stack([np.cos(turns), 0.75 * np.sin(turns)]) * far[:, None])
    splits = np.where(np.arange(n_trials) < round(n_trials / 4), "val", "train")
    rng.shuffle(splits)
    splits = np.append(splits, ["test"] * n_further)
    conditions = np.resize(rng.permutation(3 * MAZES), len(splits))
    reaches = []
    for split, condition in zip(splits, conditions, strict=True):
        maze, version = divmod(int(condition), 3)
        reaches.append(_reach(start_ms, str(split), maze, version, places.astype(int), rng))
        # The next one starts on a grid of 0.1 s, 60 ms later on average.
        start_ms = -(-(reaches[-1].stop_ms + 10) // TRIAL_GRID_MS) * TRIAL_GRID_MS
    return reaches


def _reach(
    start_ms: int, split: str, maze: int, version: int, places: Ints, rng: np.random.Generator
) -> Reach:
    target_on = start_ms + int(rng.integers(450, 750))
    go_cue = target_on + int(rng.integers(0, 1000))
    onset = go_cue + int(np.clip(rng.normal(330, 50), 200, 500))
    moving_ms = int(rng.integers(450, 750))
    stop = onset + moving_ms + int(rng.integers(700, 1000))
    others = rng.choice(np.delete(np.arange(MAZES), maze), 2, replace=False)
    order = rng.permutation([maze, *others]) if version == 2 else np.array([maze])
    active = int(np.flatnonzero(order == maze)[0])
    barriers = np.column_stack(
        [rng.integers(-120, 120, (BARRIERS, 2)), rng.integers(5, 40, (BARRIERS, 2))]
    )
    at_ms = np.arange(start_ms, stop)
    hand = _path(at_ms, onset, moving_ms, places[maze], curved=version > 0, rng=rng)
    return Reach(
        start_ms=start_ms,
        stop_ms=stop,
        target_on_ms=target_on,
        go_cue_ms=go_cue,
        move_onset_ms=onset,
        version=version,
        maze=maze,
        split=split,
        targets=places[order],
        barriers=barriers if version else barriers[:0],
        active=active,
        hand=hand,
        velocity=np.gradient(hand, axis=0) * 1000,
        eye=np.where(at_ms[:, None] < target_on + 200, 0.0, places[maze].astype(float))
        + rng.normal(0, 2, (len(at_ms), 2)),
    )


def _path(
    at_ms: Ints, onset: int, moving_ms: int, place: Ints, *, curved: bool, rng: np.random.Generator
) -> Floats:
    """Return a reach of minimal jerk, bent to a side where barriers are in the way, with sway."""
    done = np.clip((at_ms - onset) / moving_ms, 0, 1)
    share = done**3 * (10 - 15 * done + 6 * done**2)
    straight = share[:, None] * place
    if curved:
        side = rng.choice([-1, 1]) * rng.uniform(0.25, 0.55)
        bend = 16 * (share * (1 - share)) ** 2
        straight = straight + bend[:, None] * side * np.array([-place[1], place[0]])
    seconds = at_ms / 1000
    sway = np.zeros((len(at_ms), 2))
    for hertz in (0.3, 0.7, 1.9):
        phase = rng.uniform(0, 2 * np.pi, 2)
        sway += rng.normal(0, 0.8, 2) / hertz * np.sin(2 * np.pi * hertz * seconds[:, None] + phase)
    hand: Floats = straight + sway + rng.normal(0, 1, 2) - CURSOR_OFFSET_MM
    return hand


# --- units ---------------------------------------------------------------------------------------


def make_tuning(n_units: int, reaches: Sequence[Reach], rng: np.random.Generator) -> Tuning:
    """Return units that fire ``MEAN_RATE_HZ`` on average in some trials."""
    in_pmd = round(n_units * PMD_SHARE)
    ids = np.concatenate([_ids(1, in_pmd, rng), _ids(2, n_units - in_pmd, rng)])
    heldout = np.zeros(n_units, bool)
    heldout[rng.choice(n_units, round(n_units * HELDOUT_SHARE), replace=False)] = True
    spread = np.where(np.arange(n_units) < in_pmd, 0.7, 0.2)
    tuning = Tuning(
        ids=ids,
        heldout=heldout,
        base_hz=np.exp(np.log(1.2) + 0.9 * ndtri(_spread(n_units, rng))),
        depth=0.55 * gammaincinv(2, _spread(n_units, rng)),
        preferred=2 * np.pi * _spread(n_units, rng),
        speed_gain=rng.normal(0.25, 0.4, n_units),
        plan_gain=np.abs(rng.normal(0, spread)),
        lag_ms=np.rint(np.clip(rng.normal(100, 25, n_units), 0, LONGEST_LAG_MS)).astype(int),
    )
    rates = np.concatenate([_rates(tuning, reach, 10) for reach in reaches])
    tuning.base_hz[:] *= MEAN_RATE_HZ / rates.mean()
    return tuning


def _spread(n_units: int, rng: np.random.Generator) -> Floats:
    """Return quantiles, one from each of ``n_units`` equal shares of 0 to 1, in any order.

    Values drawn by them follow their distribution more closely than independent ones, so that the
    score of a decoder depends little on the seed.
    """
    quantiles: Floats = (rng.permutation(n_units) + rng.uniform(0.01, 0.99, n_units)) / n_units
    return quantiles


def _ids(array: int, n_units: int, rng: np.random.Generator) -> Ints:
    """Return ids that read array, electrode (two digits), sort number."""
    electrodes = np.sort(rng.integers(1, ELECTRODES_OF_ARRAY + 1, n_units))
    first_of = np.searchsorted(electrodes, electrodes)
    return array * 1000 + electrodes * 10 + np.arange(n_units) - first_of + 1


def _rates(tuning: Tuning, reach: Reach, step: int = 1) -> NDArray[np.float32]:
    """Return rates in hertz, shape ``(n_milliseconds, n_units)``."""
    # The hand rests before and after a trial.
    ahead = np.zeros((reach.stop_ms - reach.start_ms + LONGEST_LAG_MS, 2), np.float32)
    ahead[:-LONGEST_LAG_MS] = reach.velocity / REFERENCE_SPEED
    at = np.arange(0, reach.stop_ms - reach.start_ms, step)
    speed = np.hypot(ahead[:, 0], ahead[:, 1])
    drive = np.empty((len(at), len(tuning.ids)), np.float32)
    for unit, lag in enumerate(tuning.lag_ms):
        angle, then = tuning.preferred[unit], at + lag
        towards = ahead[:, 0] * np.float32(np.cos(angle)) + ahead[:, 1] * np.float32(np.sin(angle))
        along = np.float32(tuning.depth[unit]) * towards
        along += np.float32(tuning.speed_gain[unit]) * speed
        drive[:, unit] = along[then]
    now = reach.start_ms + at
    planning = (now >= reach.target_on_ms) & (now < reach.go_cue_ms)
    plan = tuning.plan_gain * np.cos(reach.direction - tuning.preferred)
    drive[planning] += plan.astype(np.float32)
    np.clip(drive, LOWEST_DRIVE, HIGHEST_DRIVE, out=drive)
    np.exp(drive, out=drive)
    drive *= tuning.base_hz.astype(np.float32)
    return np.minimum(drive, FASTEST_HZ, out=drive)


def make_spikes(tuning: Tuning, reaches: Sequence[Reach], rng: np.random.Generator) -> Spikes:
    """Return the spikes of all units in all trials: a Poisson process in steps of 1 ms.

    Every other unit fires at whole milliseconds, so that one spike in 25 lies on the edge of a bin.
    """
    units, times = [], []
    for reach in reaches:
        summed = np.cumsum(_rates(tuning, reach).T.reshape(-1), dtype=np.float64)
        n_spikes = rng.poisson(summed[-1] / 1000)
        place = np.searchsorted(summed, rng.random(n_spikes) * summed[-1], "right")
        unit, at_ms = np.divmod(place, reach.stop_ms - reach.start_ms)
        within = rng.integers(0, 1000, n_spikes) * (unit % 2)
        units.append(unit)
        times.append((reach.start_ms + at_ms) * 1000 + within)
    all_units, all_times = np.concatenate(units), np.concatenate(times)
    order = np.lexsort((all_times, all_units))
    return Spikes(all_units[order], all_times[order])


def cut_around_onset(
    reaches: Sequence[Reach], spikes: Spikes
) -> tuple[list[tuple[int, int]], list[int], Spikes]:
    """Return 0.7 s around the onset of each movement, laid out one every 0.8 s from zero on.

    Returns
    -------
    stretches, onsets, spikes
        Milliseconds of the new session, and its spikes.
    """
    stretches, onsets, units, times = [], [], [], []
    for number, reach in enumerate(reaches):
        begin = number * TEST_EVERY_MS
        shift = (begin - reach.move_onset_ms + BEFORE_ONSET_MS) * 1000
        stretches.append((begin, begin + BEFORE_ONSET_MS + AFTER_ONSET_MS))
        onsets.append(begin + BEFORE_ONSET_MS)
        moved = spikes.times_us + shift
        kept = (moved >= stretches[-1][0] * 1000) & (moved < stretches[-1][1] * 1000)
        units.append(spikes.units[kept])
        times.append(moved[kept])
    all_units, all_times = np.concatenate(units), np.concatenate(times)
    order = np.lexsort((all_times, all_units))
    return stretches, onsets, Spikes(all_units[order], all_times[order])
