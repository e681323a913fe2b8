"""Names and groups of the channels of an NWB series, from the electrodes table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from storage.errors import CorruptRecording
from storage.nwb_tree import NwbArray, NwbGroup, array_at, find, is_array, is_group

DEFAULT_TABLE = "general/extracellular_ephys/electrodes"


@dataclass(frozen=True, slots=True)
class Electrodes:
    """The rows of the electrodes table that a series' region names, in its order.

    Parameters
    ----------
    names
        Column ``channel_name``, else ``label``, else None; stripped.
    groups
        Column ``group_name``, else the name of the electrode group, else None; stripped.
    table_rows
        Length of the whole table.
    """

    names: tuple[str, ...] | None
    groups: tuple[str, ...] | None
    rows: tuple[int, ...]
    table_rows: int

    def __len__(self) -> int:
        return len(self.rows)


def read_electrodes(root: NwbGroup, series: NwbGroup) -> Electrodes | None:
    """Return the electrodes of a series, or None where it names none.

    Raises
    ------
    CorruptRecording
        If the region points outside the table, or columns are too short.
    """
    region = series.member("electrodes")
    if not is_array(region):
        return None
    rows = np.atleast_1d(region.values()).astype(np.int64)
    table = _table(root, region)
    if table is None:
        return None
    ids = array_at(table, "id")
    table_rows = int(ids.shape[0]) if ids is not None else int(rows.max(initial=-1)) + 1
    if len(rows) and not 0 <= rows.min() <= rows.max() < table_rows:
        wrong = int(rows.max() if rows.min() >= 0 else rows.min())
        raise CorruptRecording(
            f"{region.path}: the region names electrode {wrong}, the table "
            f"{table.path} has {table_rows} rows; mend the region"
        )
    names = _column(table, "channel_name", rows)
    if names is None:
        names = _column(table, "label", rows)
    groups = _column(table, "group_name", rows)
    if groups is None:
        groups = _column(table, "group", rows)
        if groups is not None:
            groups = tuple(path.rpartition("/")[2] for path in groups)
    return Electrodes(names, groups, tuple(int(row) for row in rows), table_rows)


def _table(root: NwbGroup, region: NwbArray) -> NwbGroup | None:
    # The reference counts in the file of the region, which need not be the one that was opened.
    path = region.attributes.get("table")
    for top, candidate in ((region.root, path), (root, path), (root, DEFAULT_TABLE)):
        if isinstance(candidate, str) and candidate:
            table = find(top, candidate)
            if is_group(table):
                return table
    return None


def _column(table: NwbGroup, name: str, rows: np.ndarray) -> tuple[str, ...] | None:
    column = array_at(table, name)
    if column is None:
        return None
    values = column.values()
    if values.ndim != 1 or (len(rows) and len(values) <= rows.max()):
        raise CorruptRecording(
            f"{column.path}: the column has shape {values.shape}, the region needs row "
            f"{int(rows.max())}; mend the table"
        )
    return tuple(_text(values[row]) for row in rows)


def _text(value: object) -> str:
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        value = int(value)
    return str(value).strip()
