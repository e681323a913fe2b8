"""Units of an NWB file: who they are, when they fired, and when anybody looked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from storage.errors import CorruptRecording, UnsupportedRecording
from storage.nwb_columns import Table, is_time, microseconds_of, row_blocks, row_bounds
from storage.nwb_tree import NwbArray, NwbGroup, find, is_group
from storage.spans import Span
from storage.trials import Unit

ELECTRODES = "general/extracellular_ephys/electrodes"
BLOCK_SPIKES = 1 << 18  # an ordinary session is one block, and a long one takes little memory
ARRAYS = 2  # of the benchmark whose ids tell array, electrode and sort number
ELECTRODES_OF_ARRAY = 96


@dataclass(frozen=True, slots=True)
class SpikeTrains:
    """The spikes of all units, one train behind the other in one array.

    Parameters
    ----------
    seconds
        Spike times.
    bounds
        Where each unit's spikes begin, and where the last unit's end.
    """

    seconds: NwbArray
    bounds: NDArray[np.int64]

    def of(self, unit: int) -> NDArray[np.int64]:
        """Return when one unit fired, in microseconds and in order."""
        start, stop = int(self.bounds[unit]), int(self.bounds[unit + 1])
        seconds = self.seconds.read(Span(start, stop))
        return np.sort(microseconds_of(seconds[is_time(seconds)]))

    def blocks(self, size: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int32]]]:
        """Yield all spikes, unit by unit: when, in microseconds, and by which unit."""
        at = int(self.bounds[0])
        for seconds in row_blocks(self.seconds, Span(at, int(self.bounds[-1])), size):
            stop = at + len(seconds)
            ends = np.clip(self.bounds, at, stop)
            units = np.repeat(np.arange(len(ends) - 1, dtype=np.int32), np.diff(ends))
            told = is_time(seconds)
            if told.all():
                yield microseconds_of(seconds), units
            else:
                yield microseconds_of(seconds[told]), units[told]
            at = stop


def read_units(root: NwbGroup, notes: list[str]) -> tuple[tuple[Unit, ...], SpikeTrains]:
    """Return the units of a file and their spikes.

    Raises
    ------
    UnsupportedRecording
        If there is no table of units, or one without spikes.
    CorruptRecording
        If spikes cannot be told apart by unit.
    """
    group = root.member("units")
    if not is_group(group):
        raise UnsupportedRecording(f"no units table; {_what_else(root)}")
    table = Table(group, notes)
    seconds, index = table.array("spike_times"), table.array("spike_times_index")
    if seconds is None:
        raise UnsupportedRecording(
            f"the units table holds no spike_times, only {', '.join(group.names()) or 'nothing'}"
        )
    if seconds.dtype.kind not in "fiu" or len(seconds.shape) != 1:
        raise CorruptRecording(
            f"{seconds.path}: type {seconds.dtype}, shape {seconds.shape}; expected seconds, one "
            "after the other"
        )
    rows = _rows(table, index, seconds)
    if not rows:
        raise UnsupportedRecording("the units table has no rows, so there are no spikes")
    n_spikes = seconds.shape[0]
    if index is not None:
        bounds = row_bounds(index, rows, n_spikes)
    elif rows == 1:
        bounds = np.array([0, n_spikes])
    else:
        raise CorruptRecording(
            f"{seconds.path}: {rows} units and no spike_times_index, so nobody knows which spike "
            "is whose"
        )
    ids = table.ids if table.ids is not None and len(table.ids) == rows else list(range(rows))
    electrodes = _electrodes(table, rows)
    areas = _places(root, notes)
    units = tuple(
        Unit(id_, None, bool(hidden), tuple(wires))
        for id_, hidden, wires in zip(ids, table.truths("heldout", rows), electrodes, strict=True)
    )
    units = _with_second_array(units, areas, notes)
    return tuple(_placed(unit, areas) for unit in units), SpikeTrains(seconds, bounds)


def read_observed(root: NwbGroup, notes: list[str]) -> NDArray[np.int64] | None:
    """Return when any unit was observed: rows of start and stop, apart and in order.

    None where the file does not say.
    """
    group = root.member("units")
    array = Table(group, notes).array("obs_intervals") if is_group(group) else None
    if array is None:
        return None
    if array.dtype.kind not in "fiu" or array.shape[-1:] != (2,):
        notes.append(f"{array.path}: shape {array.shape}, expected (intervals, 2); left out")
        return None
    seconds = array.values().reshape(-1, 2)
    seconds = seconds[is_time(seconds).all(axis=1)]
    return merged(microseconds_of(seconds))


def merged(intervals: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the union of half-open intervals; those that touch become one."""
    intervals = intervals[intervals[:, 1] > intervals[:, 0]]
    if not len(intervals):
        return intervals
    intervals = intervals[np.argsort(intervals[:, 0], kind="stable")]
    starts, reached = intervals[:, 0], np.maximum.accumulate(intervals[:, 1])
    apart = np.flatnonzero(starts[1:] > reached[:-1])
    return np.column_stack(
        [starts[np.concatenate([[0], apart + 1])], reached[np.append(apart, len(reached) - 1)]]
    )


def _what_else(root: NwbGroup) -> str:
    held: list[str] = []
    for place in ("acquisition", "processing", "intervals"):
        group = root.member(place)
        if is_group(group):
            held.extend(f"{place}/{name}" for name in group.names())
    listed = ", ".join(held[:6]) + (", ..." if len(held) > 6 else "")
    return f"the file holds {listed or 'neither signals nor trials'}; expected sorted units"


def _rows(table: Table, index: NwbArray | None, seconds: NwbArray) -> int:
    if index is not None:
        return index.shape[0] if index.shape else 1
    if table.ids is not None:
        return len(table.ids)
    return 1 if seconds.shape[0] else 0


def _electrodes(table: Table, rows: int) -> list[list[int]]:
    found = table.ragged("electrodes", rows)
    if found is None or any(item.dtype.kind not in "iu" for item in found):
        return [[]] * rows
    return [[int(row) for row in item.reshape(-1)] for item in found]


def _places(root: NwbGroup, notes: list[str]) -> list[str | None]:
    """Return where each electrode lies, in the words of the file."""
    group = find(root, ELECTRODES)
    if not is_group(group):
        return []
    table = Table(group, notes)
    rows = len(table.ids or ())
    for column in ("location", "group_name"):
        places = table.texts(column, rows)
        if any(places):
            return places
    return [None] * rows


def _placed(unit: Unit, areas: Sequence[str | None]) -> Unit:
    found = [areas[row] for row in unit.electrodes if 0 <= row < len(areas)]
    named = list(dict.fromkeys(area for area in found if area))
    return replace(unit, area=", ".join(named) or None)


def _with_second_array(
    units: tuple[Unit, ...], areas: Sequence[str | None], notes: list[str]
) -> tuple[Unit, ...]:
    """Return the units of MC_Maze with the electrodes that their ids name.

    An id reads array, electrode of that array (two digits), sort number. The released files count
    the electrodes of the second array from 0 again, so all units seem to lie in the first. Only
    where every id fits that reading, and the table has both arrays, is anything changed.
    """
    if len(areas) != ARRAYS * ELECTRODES_OF_ARRAY:
        return units
    for unit in units:
        array, electrode = unit.id // 1000, unit.id // 10 % 100
        if array not in (1, ARRAYS) or unit.electrodes != (electrode - 1,):
            return units
    second = sum(unit.id // 1000 == ARRAYS for unit in units)
    if second:
        notes.append(
            f"units: {second} units of the second array point to electrodes of the first, as in "
            "the released MC_Maze files; taken from their ids instead"
        )
    return tuple(
        replace(unit, electrodes=(unit.electrodes[0] + ELECTRODES_OF_ARRAY,))
        if unit.id // 1000 == ARRAYS
        else unit
        for unit in units
    )
