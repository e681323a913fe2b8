"""Correct mode on made files: names, bytes and metadata equal an independent calculation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support import nwb_files
from tests.support.nwb_files import (
    ElectrodesSpec,
    SeriesSpec,
    SessionSpec,
    jittered_times,
    uniform_times,
    with_gaps,
    with_nan,
    with_repeat,
    with_step_back,
    without_samples,
    write_nwb,
)
from tests.support.outputs import assert_output, convert, expected_of

pytestmark = pytest.mark.usefixtures("nothing_left_over")

BATCH = 65_536
INTEGERS = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
FLOATS = ("float16", "float32", "float64")
SPREAD = (1.0, 0.3, 7.5e-2, -1.0)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A file, and what is asked of it.

    Parameters
    ----------
    change
        Mutates the file after PyNWB wrote it.
    oracle, request
        What is asked, in the words of either side.
    """

    series: Sequence[SeriesSpec] = (SeriesSpec(),)
    session: SessionSpec = field(default_factory=SessionSpec)
    electrodes: ElectrodesSpec = field(default_factory=ElectrodesSpec)
    change: Callable[[Path], None] = lambda path: None
    oracle: dict[str, Any] = field(default_factory=dict)
    request: dict[str, Any] = field(default_factory=dict)


def one(**fields: Any) -> Case:
    """Return a case of one series."""
    return Case(series=(SeriesSpec(**fields),))


def stamped(stamps: nwb_files.Stamps, repair: bool = False, **oracle: Any) -> Case:
    """Return a case of one series of two channels with time stamps."""
    return Case(
        series=(SeriesSpec(samples=len(stamps), channels=2, timestamps=stamps),),
        oracle={"repair": repair, **oracle},
        request={"repair_timestamps": repair, **oracle},
    )


def moving(days: float) -> SessionSpec:
    """Return a session that began some days after 1970."""
    return SessionSpec(start=datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=days))


RAW_AND_FILTERED = (
    SeriesSpec(name="raw", electrodes=(0, 1, 2, 3)),
    SeriesSpec(name="filtered", container="FilteredEphys", electrodes=(3, 2), channels=2),
    SeriesSpec(name="slow", container="LFP", electrodes=(0, 1), channels=2, rate_hz=250.0),
    SeriesSpec(
        name="lfp", module="ecephys", container="LFP", electrodes=(1, 2), channels=2, rate_hz=990.0
    ),
    SeriesSpec(
        name="spikes", kind="SpikeEventSeries", timestamps=np.arange(10.0), samples=10, channels=4
    ),
)

TIME = {
    "a rate": one(),
    "one sample": one(samples=1),
    "several chunks": one(samples=300_000, channels=2),
    "exactly two chunks": one(samples=2 * 131_072, channels=1),
    "one sample over": one(samples=131_073, channels=1),
    "chunks of 2 MB": Case(
        series=(SeriesSpec(samples=300_000, channels=2),),
        oracle={"chunk_size_mb": 2},
        request={"chunk_size_mb": 2},
    ),
    "30 kHz": one(samples=300_000, channels=1, rate_hz=30_000.0),
    "24414.0625 Hz": one(samples=300_000, channels=1, rate_hz=24_414.0625),
    "1017.25... Hz": one(samples=150_000, channels=1, rate_hz=1017.2526245117188),
    "29999.95 Hz": one(samples=300_000, channels=1, rate_hz=29_999.950000001),
    "one third Hz": one(samples=1000, channels=1, rate_hz=1 / 3),
    "2 MHz": one(samples=400_000, channels=1, rate_hz=2e6),
    "a late start": one(starting_time_s=1234.567891),
    "an early start": one(starting_time_s=-0.123456789),
    "before 1970": Case(series=(SeriesSpec(samples=200_000, channels=1),), session=moving(-0.001)),
    "long before 1970": Case(session=moving(-25_567.25)),
    "another zone": Case(
        session=SessionSpec(
            start=datetime(2024, 10, 27, 2, 30, tzinfo=timezone(timedelta(hours=-9, minutes=-30)))
        )
    ),
    "a reference time": Case(
        series=(SeriesSpec(starting_time_s=3.25),),
        session=SessionSpec(reference=datetime(2024, 5, 1, tzinfo=UTC)),
    ),
    "a start in a named zone": Case(
        change=partial(nwb_files.set_start, text="2024-10-27T02:30:00"),
        oracle={"timezone": "Europe/Vienna"},
        request={"timezone": "Europe/Vienna"},
    ),
}

STAMPS = {
    "even stamps": stamped(uniform_times(5000, 30_000.0, 12.5)),
    "24414.0625 Hz stamps": stamped(uniform_times(5000, 24_414.0625)),
    "jitter": stamped(jittered_times(20_000, 1000.0)),
    "stamps and a rate": Case(
        series=(SeriesSpec(timestamps=jittered_times(1000, 1000.0), channels=2),),
        change=partial(nwb_files.add_rate, rate_hz=1005.0),
    ),
    "two stamps": stamped(uniform_times(2, 1000.0)),
    "a missing sample": stamped(without_samples(10_000, 250.0, [17, 5000, 9999])),
    "a missing sample within the threshold": stamped(
        without_samples(10_000, 250.0, [17, 5000, 5001]), gap_threshold=2.5
    ),
    "gaps and several chunks": stamped(
        with_gaps(uniform_times(300_000, 2000.0), {100: 1.0, 150_000: 0.25, 299_999: 60.0})
    ),
    "gaps at the borders of batches": stamped(
        without_samples(3 * BATCH, 1000.0, [BATCH - 1, 2 * BATCH, 2 * BATCH + 2])
    ),
    "a segment for each sample": stamped(np.cumsum(np.tile([0.01, 0.05], 500)), gap_threshold=1.25),
    "the longest stretch comes last": stamped(
        with_gaps(jittered_times(30_000, 24_414.0625), {10: 0.5, 9000: 0.25})
    ),
    "two series on one clock": Case(
        series=(
            SeriesSpec(name="a", timestamps=without_samples(1000, 1000.0, [500])),
            SeriesSpec(name="b", timestamps_of="a", electrodes=(4, 5), channels=2),
        )
    ),
    "stamps that are integers": Case(
        series=(SeriesSpec(timestamps=np.arange(1000.0)),),
        change=lambda path: store_timestamps_as(path, "int32"),
    ),
    "stamps in single precision": Case(
        series=(SeriesSpec(timestamps=uniform_times(1000, 250.0)),),
        change=lambda path: store_timestamps_as(path, "float32"),
    ),
}

EVEN = uniform_times(3000, 1000.0)
LONG = uniform_times(2 * BATCH + 100, 1000.0)
REPAIR = {
    "nothing to repair": stamped(EVEN, repair=True),
    "a step back": stamped(with_step_back(EVEN, 1000, 0.5), repair=True),
    "a small step back": stamped(with_step_back(EVEN, 1000, 0.0015), repair=True),
    "a repeat": stamped(with_repeat(EVEN, 1000), repair=True),
    "one missing": stamped(with_nan(EVEN, 1000), repair=True),
    "infinite": stamped(np.where(np.arange(3000) == 1000, np.inf, EVEN), repair=True),
    "some missing": stamped(with_nan(EVEN, 7, 1000, 1001, 1002, 2000), repair=True),
    "the first missing": stamped(with_nan(EVEN, 0), repair=True),
    "the first few missing": stamped(with_nan(EVEN, 0, 1, 2, 3, 5), repair=True),
    "the last missing": stamped(with_nan(EVEN, 2998, 2999), repair=True),
    "missing before a gap": stamped(with_nan(with_gaps(EVEN, {1000: 3.0}), 999), repair=True),
    "missing after a gap": stamped(with_nan(with_gaps(EVEN, {1000: 3.0}), 1000), repair=True),
    "missing and a step back": stamped(
        with_nan(with_step_back(EVEN, 1000, 0.5), 999, 1000), repair=True
    ),
    **{
        f"missing from {start - BATCH:+d} to {stop - BATCH:+d} of a batch's border": stamped(
            with_nan(LONG, *range(start, stop)), repair=True
        )
        for start, stop in ((-2, 2), (-1, 0), (-1, 1), (0, 1), (0, 2), (1, 2))
        for start, stop in ((start + BATCH, stop + BATCH),)
    },
    "a step back at a batch's border": stamped(with_step_back(LONG, BATCH, 0.7), repair=True),
    "a repeat at a batch's border": stamped(with_repeat(LONG, BATCH), repair=True),
    "a whole batch missing": stamped(with_nan(LONG, *range(BATCH - 3, 2 * BATCH + 3)), repair=True),
}

VALUES = {
    **{f"{dtype} numbers": one(dtype=dtype, extremes=True) for dtype in (*INTEGERS, *FLOATS)},
    **{
        f"{dtype} with all of scaling": one(
            dtype=dtype, conversion=1.953e-7, offset=-1.1e-4, channel_conversion=SPREAD
        )
        for dtype in (*INTEGERS, *FLOATS)
    },
    "a vector of conversions": one(channel_conversion=SPREAD, samples=300_000, gzip=1),
    "an offset": one(offset=0.0123),
    **{
        f"conversion in {kind.__name__}": Case(
            series=(SeriesSpec(dtype="float32"),),
            change=partial(nwb_files.set_conversion, conversion=kind(1.95e-7)),
        )
        for kind in (np.float32, np.float64)
    },
    "no conversion": Case(change=partial(nwb_files.set_conversion, conversion=None)),
    "an offset in single precision": Case(
        change=partial(nwb_files.set_offset, offset=np.float32(0.1))
    ),
    **{
        f"unit {unit}": Case(
            series=(SeriesSpec(dtype="float64", conversion=0.123),),
            change=partial(nwb_files.set_unit, unit=unit),
        )
        for unit in (
            "volt", "Volts", "V", "v", "millivolt", "millivolts", "mV", "microvolts",
            "microvolt", "uV", "\N{MICRO SIGN}V", "\N{GREEK SMALL LETTER MU}V",
        )
    },
    **{
        f"stored as {dtype}": Case(change=partial(nwb_files.store_as, dtype=dtype))
        for dtype in (">i2", ">f4", ">f8", ">u4")
    },
}  # fmt: skip

LAYOUTS = {
    "gzip": one(samples=20_000, gzip=4),
    "gzip and shuffle": one(samples=20_000, gzip=4, shuffle=True, dtype="int32"),
    "shuffle of bytes": one(samples=20_000, gzip=4, shuffle=True, dtype="uint8"),
    "chunks without compression": one(samples=20_000, chunks=(999, 3)),
    "a chunk for each column": one(samples=20_000, chunks=(777, 1), gzip=1),
    "chunks larger than the data": one(samples=500, channels=3, chunks=(500, 3), gzip=1),
    "chunks across the output's": one(samples=300_000, channels=3, chunks=(70_000, 2), gzip=1),
    "channels first": Case(
        series=(SeriesSpec(samples=3000, channels=3),), change=nwb_files.make_channels_first
    ),
    "one-dimensional": Case(
        series=(SeriesSpec(channels=1),), change=nwb_files.make_one_dimensional
    ),
    "data in another file": Case(
        change=lambda path: nwb_files.move_data_out(path, path.with_name("other.h5"))
    ),
}

SERIES = {
    "two series": Case(
        series=(
            SeriesSpec(name="b", channels=2),
            SeriesSpec(name="a", channels=3, samples=700, rate_hz=250.0, electrodes=(2, 3, 4)),
        )
    ),
    "series of one electrode": Case(series=RAW_AND_FILTERED),
    "all series": Case(
        series=RAW_AND_FILTERED, oracle={"series": "all"}, request={"series": ("all",)}
    ),
    "a series by name": Case(
        series=RAW_AND_FILTERED, oracle={"series": "lfp"}, request={"series": ("lfp",)}
    ),
    "a series by path": Case(
        series=RAW_AND_FILTERED,
        oracle={"series": "acquisition/LFP/slow"},
        request={"series": ("acquisition/LFP/slow",)},
    ),
    "two series by name and path": Case(
        series=RAW_AND_FILTERED,
        oracle={"series": ("raw", "processing/ecephys/LFP/lfp")},
        request={"series": ("processing/ecephys/LFP/lfp", "raw")},
    ),
    "an empty one among them": Case(
        series=(SeriesSpec(name="raw"), SeriesSpec(name="zero")),
        change=partial(nwb_files.make_empty, series="acquisition/zero"),
    ),
    "an empty one first": Case(
        series=(SeriesSpec(name="a"), SeriesSpec(name="raw")),
        change=partial(nwb_files.make_empty, series="acquisition/a"),
    ),
    "shared data": Case(
        series=(SeriesSpec(name="a"), SeriesSpec(name="b", data_of="a", rate_hz=500.0))
    ),
}

NAMES = {
    "a subset of the table": Case(
        series=(SeriesSpec(electrodes=(7, 2, 5), channels=3),),
        electrodes=ElectrodesSpec(rows=9, groups=("s1", "s2", "s3")),
    ),
    "labels": Case(electrodes=ElectrodesSpec(columns={"label": [" A", "B ", "\tC", "D\u00e9"]})),
    "names before labels": Case(
        electrodes=ElectrodesSpec(columns={"label": list("ABCD"), "channel_name": list("EFGH")})
    ),
    "no names": Case(electrodes=ElectrodesSpec(columns={})),
    "numbers for names": Case(electrodes=ElectrodesSpec(columns={"channel_name": [4, 3, 2, 1]})),
    "floats for names": Case(electrodes=ElectrodesSpec(columns={"label": [4.0, 3.5, 2.0, 1.0]})),
    "blank names": Case(electrodes=ElectrodesSpec(columns={"label": ["", "  ", "C", ""]})),
    "equal names": Case(
        electrodes=ElectrodesSpec(groups=("s1", "s2"), columns={"label": ["A", "a", "A", "B"]})
    ),
    "no group names": Case(
        electrodes=ElectrodesSpec(groups=("s1", "s2")),
        change=lambda path: nwb_files.drop_column(path, "group_name"),
    ),
    "a type of an extension": Case(change=nwb_files.make_extension_type),
    "strings of fixed length": Case(change=nwb_files.make_fixed_strings),
}

CASES = {**TIME, **STAMPS, **REPAIR, **VALUES, **LAYOUTS, **SERIES, **NAMES}


def store_timestamps_as(path: Path, dtype: str) -> None:
    """Store the time stamps in another type."""
    import h5py

    with h5py.File(path, "r+") as file:
        stamps = file["acquisition/raw/timestamps"][()].astype(dtype)
        attributes = dict(file["acquisition/raw/timestamps"].attrs)
        del file["acquisition/raw/timestamps"]
        file["acquisition/raw/timestamps"] = stamps
        file["acquisition/raw/timestamps"].attrs.update(attributes)


def made(folder: Path, case: Case) -> Path:
    """Write the file of a case."""
    path = write_nwb(
        folder / "made.nwb", *case.series, session=case.session, electrodes=case.electrodes
    )
    case.change(path)
    return path


@pytest.mark.parametrize("name", CASES)
def test_equals_the_independent_calculation(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    source = made(tmp_path, case)
    expected = expected_of(source, **case.oracle)
    assert expected.files
    result = convert(source, tmp_path / "out", **case.request)
    assert result.outcome == "stored", result.reason
    assert_output(tmp_path / "out", expected)


@pytest.mark.parametrize("run_bytes", [None, 1])
@pytest.mark.parametrize("repeats", [slice(1001, 1004), slice(2001, 2004)])
def test_a_clock_that_stands_still_loses_no_sample(
    tmp_path: Path, repeats: slice, run_bytes: int | None
) -> None:
    stamps = EVEN.copy()
    stamps[repeats] = stamps[repeats.start - 1]
    source = made(tmp_path, stamped(stamps))
    result = convert(source, tmp_path / "out", run_bytes=run_bytes, repair_timestamps=True)
    assert result.outcome == "failed"
    assert "two chunks would have this name" in str(result.reason)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("level", [0, 2, 3])
def test_every_level_holds_the_same_samples(tmp_path: Path, level: int) -> None:
    case = TIME["several chunks"]
    source = made(tmp_path, case)
    convert(source, tmp_path / "out", level=level)
    assert_output(tmp_path / "out", expected_of(source))


@pytest.mark.parametrize("run_bytes", [1, 100_000, 700_000])
@pytest.mark.parametrize("name", ["several chunks", "gaps and several chunks", "all series"])
def test_runs_do_not_show(tmp_path: Path, name: str, run_bytes: int) -> None:
    case = CASES[name]
    source = made(tmp_path, case)
    convert(source, tmp_path / "out", run_bytes=run_bytes, **case.request)
    assert_output(tmp_path / "out", expected_of(source, **case.oracle))


@st.composite
def drawn_series(draw: st.DrawFn, index: int) -> SeriesSpec:
    samples = draw(st.integers(1, 3000))
    channels = draw(st.integers(1, 5))
    rate_hz = draw(st.floats(0.5, 50_000.0))
    stamps = None
    if samples > 20 and draw(st.booleans()):
        stamps = jittered_times(samples, rate_hz, jitter=0.2, seed=draw(st.integers(0, 9)))
        gaps = draw(st.dictionaries(st.integers(1, samples - 1), st.floats(0.05, 1e3), max_size=4))
        stamps = with_gaps(stamps, {at: periods / rate_hz for at, periods in gaps.items()})
    layout = draw(st.sampled_from(["contiguous", "chunks", "gzip", "gzip+shuffle"]))
    chunks = (draw(st.integers(1, samples)), draw(st.integers(1, channels)))
    return SeriesSpec(
        name=f"series{index}",
        samples=samples,
        channels=channels,
        dtype=draw(st.sampled_from((*INTEGERS, *FLOATS))),
        rate_hz=rate_hz,
        starting_time_s=draw(st.floats(-1e5, 1e6)),
        timestamps=stamps,
        container=draw(st.sampled_from([None, "LFP", "FilteredEphys"])),
        electrodes=draw(st.permutations(range(6)))[:channels],
        conversion=draw(st.floats(-1e-3, 1e-3)),
        offset=draw(st.floats(-1e3, 1e3)),
        channel_conversion=draw(
            st.none() | st.lists(st.floats(-10, 10), min_size=channels, max_size=channels)
        ),
        chunks=chunks if layout != "contiguous" else None,
        gzip=1 if "gzip" in layout else None,
        shuffle="shuffle" in layout,
    )


@given(drawing=st.data(), run_bytes=st.none() | st.integers(1, 20_000))
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_file(
    tmp_path_factory: pytest.TempPathFactory, drawing: st.DataObject, run_bytes: int | None
) -> None:
    folder = tmp_path_factory.mktemp("any")
    count = drawing.draw(st.integers(1, 3))
    source = write_nwb(
        folder / "any.nwb",
        *(drawing.draw(drawn_series(index)) for index in range(count)),
        electrodes=ElectrodesSpec(rows=6, groups=("s1", "s2")),
        session=moving(drawing.draw(st.floats(-30_000, 60_000))),
    )
    with np.errstate(over="ignore", invalid="ignore"):
        expected = expected_of(source)
        result = convert(source, folder / "out", run_bytes=run_bytes)
    assert result.outcome == "stored", result.reason
    assert_output(folder / "out", expected)
