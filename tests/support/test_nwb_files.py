"""The made files: what PyNWB reads of them, and what it refuses."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from pynwb import NWBHDF5IO

from tests.support import nwb_files as made
from tests.support.nwb_files import RAW, SeriesSpec, numbers, write_nwb

TYPES = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
TIMED = SeriesSpec(timestamps=made.uniform_times(1000, 1000.0))


@pytest.mark.parametrize("dtype", [*TYPES, "float32", "float64"])
@pytest.mark.parametrize("layout", [{}, {"chunks": (100, 1)}, {"gzip": 4, "shuffle": True}])
def test_the_numbers_are_stored_as_described(
    tmp_path: Path, dtype: str, layout: dict[str, Any]
) -> None:
    spec = SeriesSpec(dtype=dtype, extremes=True, **layout)
    path = write_nwb(tmp_path / "a.nwb", spec)
    with h5py.File(path) as file:
        data = file[RAW]["data"]
        np.testing.assert_array_equal(data[()], numbers(spec), strict=True)
        np.testing.assert_array_equal(data[:, 0], np.arange(1000).astype(dtype))
        assert data.compression == ("gzip" if "gzip" in layout else None)
        assert data.chunks == layout.get("chunks") or "gzip" in layout
    low, high = numbers(spec)[:2, -1]
    if dtype.startswith("float"):
        assert np.isnan(low)
        assert np.isposinf(high)
    else:
        assert (low, high) == (np.iinfo(dtype).min, np.iinfo(dtype).max)


def test_time_stamps() -> None:
    even = made.uniform_times(10, 10.0, 1.0)
    assert even[3] == 1.3
    assert np.diff(made.with_gaps(even, {4: 1.0, 6: 2.0}))[[3, 4, 5]] == pytest.approx(
        [1.1, 0.1, 2.1]
    )
    skipping = made.without_samples(5, 10.0, [2])
    assert skipping == pytest.approx([0.0, 0.1, 0.3, 0.4, 0.5])
    assert made.with_step_back(even, 5, 0.35)[5] < even[4]
    assert made.with_repeat(even, 5)[5] == even[4]
    assert list(np.flatnonzero(np.isnan(made.with_nan(even, 2, 3)))) == [2, 3]
    assert np.abs(np.diff(made.jittered_times(100, 10.0)) - 0.1).max() < 0.021


def broken_link(path: Path) -> None:
    """Leave a link to a file that is not there."""
    made.move_data_out(path, path.with_name("elsewhere.h5"))
    path.with_name("elsewhere.h5").unlink()


READABLE: dict[str, tuple[SeriesSpec, Callable[[Path], object]]] = {
    "one-dimensional": (SeriesSpec(channels=1), made.make_one_dimensional),
    "channels first": (SeriesSpec(), made.make_channels_first),
    "empty": (SeriesSpec(), made.make_empty),
    "big-endian": (SeriesSpec(), partial(made.store_as, dtype=">i2")),
    "single conversion": (SeriesSpec(), partial(made.set_conversion, conversion=np.float32(2))),
    "no conversion": (SeriesSpec(), partial(made.set_conversion, conversion=None)),
    "other unit": (SeriesSpec(), partial(made.set_unit, unit="celsius")),
    "no unit": (SeriesSpec(), partial(made.set_unit, unit=None)),
    "rate 0": (SeriesSpec(), partial(made.set_rate, rate=0.0)),
    "rate and stamps": (TIMED, partial(made.add_rate, rate_hz=1000.0)),
    "too few stamps": (TIMED, made.shorten_timestamps),
    "naive start": (SeriesSpec(), partial(made.set_start, text="2024-05-06T07:08:09.123456")),
    "region out of range": (SeriesSpec(), partial(made.set_region, rows=[0, 1, 2, 9])),
    "no group_name": (SeriesSpec(), lambda path: made.drop_column(path, "group_name")),
    "bytes": (SeriesSpec(), made.make_fixed_strings),
    "extension": (SeriesSpec(), partial(made.make_extension_type, depth=2)),
    "external link": (
        SeriesSpec(),
        lambda path: made.move_data_out(path, path.with_name("elsewhere.h5")),
    ),
    "broken link": (SeriesSpec(), broken_link),
}
REFUSED: dict[str, tuple[SeriesSpec, Callable[[Path], object]]] = {
    "rate as array": (SeriesSpec(), partial(made.set_rate, rate=np.array([1000.0]))),
    "no timing": (SeriesSpec(), made.drop_timing),
    "no electrodes": (SeriesSpec(), made.drop_region),
    "no group": (SeriesSpec(), lambda path: made.drop_column(path, "group_name", "group")),
    "no reference time": (
        SeriesSpec(),
        partial(made.set_start, text="2024-05-06T07:08:09Z", reference=None),
    ),
    "no start": (SeriesSpec(), partial(made.set_start, text=None)),
    "truncated": (SeriesSpec(), made.truncate),
    "plain HDF5": (SeriesSpec(), made.write_plain_hdf5),
    "text": (SeriesSpec(), made.write_text),
}


def read_by_pynwb(path: Path) -> Any:
    """Return the shape of the data as PyNWB reads it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with NWBHDF5IO(path, "r") as io:
            return io.read().acquisition["raw"].data.shape


@pytest.mark.parametrize("case", READABLE)
def test_pynwb_reads(tmp_path: Path, case: str) -> None:
    spec, mutate = READABLE[case]
    path = write_nwb(tmp_path / "a.nwb", spec)
    mutate(path)
    shapes = {"one-dimensional": (1000,), "channels first": (4, 1000), "empty": (0, 4)}
    if case == "broken link":
        assert read_by_pynwb(path) == (0,)
    else:
        assert read_by_pynwb(path) == shapes.get(case, (1000, 4))


@pytest.mark.parametrize("case", REFUSED)
def test_pynwb_refuses(tmp_path: Path, case: str) -> None:
    spec, mutate = REFUSED[case]
    path = write_nwb(tmp_path / "a.nwb", spec)
    mutate(path)
    with pytest.raises(Exception):  # noqa: B017
        read_by_pynwb(path)


def test_places_and_links(tmp_path: Path) -> None:
    path = write_nwb(
        tmp_path / "a.nwb",
        TIMED,
        SeriesSpec(name="b", container="FilteredEphys", timestamps_of="raw"),
        SeriesSpec(name="c", module="ecephys", container="LFP", container_name="band"),
        SeriesSpec(name="d", module="ecephys", data_of="raw"),
        SeriesSpec(name="e", kind="SpikeEventSeries", timestamps=np.arange(1000.0)),
    )
    with h5py.File(path) as file:
        link = file["acquisition/FilteredEphys/b"].get("timestamps", getlink=True)
        assert link.path == "/acquisition/raw/timestamps"
        link = file["processing/ecephys/d"].get("data", getlink=True)
        assert link.path == "/acquisition/raw/data"
        assert file["processing/ecephys/d/data"].shape == (1000, 4)
        assert file["processing/ecephys/band/c/data"].shape == (1000, 4)
        assert file["acquisition/e/data"].ndim == 3
