"""The nouns of an experiment with sorted units: units, trials, signals of behaviour.

All times are whole microseconds on the session clock, the clock that the file's own tables count
on; zero is the start of the session.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Unit:
    """One sorted neuron.

    Parameters
    ----------
    id
        What the file calls it.
    area
        Where its electrodes lie, in the file's words.
    heldout
        Whether a benchmark hides it from decoders.
    electrodes
        Rows of the file's electrodes table.
    """

    id: int
    area: str | None = None
    heldout: bool = False
    electrodes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One behavioural attempt: ``[start_us, stop_us)`` and what happened in it.

    Parameters
    ----------
    id
        What the file calls it.
    target_on_us, go_cue_us, move_onset_us
        Events; None where the file does not know them.
    success, split, version, maze_id
        As the file says; None where it does not.
    targets
        Places of all targets that were shown.
    active_target
        Which of them was to be reached.
    """

    id: int
    start_us: int
    stop_us: int
    target_on_us: int | None = None
    go_cue_us: int | None = None
    move_onset_us: int | None = None
    success: bool | None = None
    split: str | None = None
    version: int | None = None
    maze_id: int | None = None
    targets: tuple[tuple[float, float], ...] = ()
    active_target: int | None = None

    @property
    def target(self) -> tuple[float, float] | None:
        """Place of the target that was to be reached, if the file says which it was."""
        if self.active_target is None or not 0 <= self.active_target < len(self.targets):
            return None
        return self.targets[self.active_target]


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """Something measured again and again beside the spikes, for example a hand's velocity.

    Parameters
    ----------
    name
        Last part of the path; the path where two signals share that.
    columns
        Names of its columns, for example ``("x", "y")``.
    unit
        Physical unit after conversion.
    conversion
        Factor from stored numbers to that unit; readers have applied it already.
    path
        Where it stands in the file.
    n_samples
        Samples of each column.
    rate_hz
        Samples per second while there are samples; None where one sample says nothing of it.
    """

    name: str
    columns: tuple[str, ...]
    unit: str
    conversion: float
    path: str
    n_samples: int
    rate_hz: float | None = None
