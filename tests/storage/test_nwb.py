"""What is found in NWB files, what is read although it is odd, and what is refused in one line."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from pynwb import NWBHDF5IO

from storage.errors import (
    ChannelMismatch,
    CorruptRecording,
    NotFound,
    RanvierError,
    TimestampGap,
    UnsupportedRecording,
    UsageError,
)
from storage.nwb import NwbOptions, NwbSource, recording_id
from storage.spans import Span
from tests.support import nwb_files
from tests.support.nwb_files import (
    RAW,
    TABLE,
    ElectrodesSpec,
    SeriesSpec,
    SessionSpec,
    uniform_times,
    write_nwb,
)
from tests.support.outputs import assert_output, convert, expected_of

pytestmark = pytest.mark.usefixtures("nothing_left_over")

FOUR = (
    SeriesSpec(name="raw", channels=2),
    SeriesSpec(name="lfp", container="LFP", channels=2, rate_hz=250.0),
    SeriesSpec(name="filtered", module="ecephys", container="FilteredEphys", channels=2),
    SeriesSpec(name="bare", module="ecephys", channels=1, rate_hz=77.0),
    SeriesSpec(
        name="spikes", kind="SpikeEventSeries", timestamps=np.arange(9.0), samples=9, channels=4
    ),
)
PATHS = [
    "acquisition/LFP/lfp",
    "acquisition/raw",
    "processing/ecephys/FilteredEphys/filtered",
    "processing/ecephys/bare",
]


def opened(path: Path, *series: str, **options: Any) -> tuple[list[str], tuple[str, ...]]:
    """Return the paths of the series that are read, and the notes."""
    with NwbSource(str(path), NwbOptions(series=series, **options)) as source:
        recording = source.recording
        return [group.name for group in recording.groups], recording.notes


def refusal(path: Path, *series: str, **options: Any) -> RanvierError:
    """Return the error that a file gives; it is one line and names the file."""
    with pytest.raises(RanvierError) as caught:
        opened(path, *series, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert message
    return caught.value


def change(path: Path, mutate: Callable[[Any], None]) -> Path:
    """Change a file through h5py."""
    with h5py.File(path, "r+") as file:
        mutate(file)
    return path


# --- which series --------------------------------------------------------------------------------


@pytest.fixture
def four(tmp_path: Path) -> Path:
    return write_nwb(tmp_path / "four.nwb", *FOUR)


def test_the_default_is_acquisition_with_its_containers(four: Path) -> None:
    paths, notes = opened(four)
    assert paths == PATHS[:2]
    assert [note for note in notes if "acquisition/spikes: skipped" in note]


def test_all_is_acquisition_and_processing(four: Path) -> None:
    assert opened(four, "all")[0] == PATHS


@pytest.mark.parametrize("path", PATHS)
def test_a_series_by_name_or_path(four: Path, path: str) -> None:
    assert opened(four, path)[0] == [path]
    assert opened(four, f"/{path}/")[0] == [path]
    assert opened(four, path.rpartition("/")[2])[0] == [path]


def test_a_series_that_is_not_there_is_answered_with_those_that_are(four: Path) -> None:
    for wanted in ("acquisition/none", "acquisition/LFP/none", "none", "raw2"):
        error = refusal(four, wanted)
        assert isinstance(error, NotFound)
        assert all(path in str(error) for path in PATHS)
        assert wanted in str(error)


def test_a_container_stands_for_all_series_in_it(four: Path) -> None:
    inside = [path for path in PATHS if "/LFP/" in path]
    assert opened(four, "LFP")[0] == inside
    container = inside[0].rpartition("/")[0]
    assert opened(four, container)[0] == [path for path in inside if path.startswith(container)]


def test_a_name_that_fits_twice_asks_for_the_path(tmp_path: Path) -> None:
    path = write_nwb(
        tmp_path / "a.nwb", SeriesSpec(), SeriesSpec(module="ecephys", container="LFP")
    )
    error = refusal(path, "raw")
    assert isinstance(error, UsageError)
    assert "acquisition/raw, processing/ecephys/LFP/raw" in str(error)
    assert opened(path, "acquisition/raw", "processing/ecephys/LFP/raw")[0] == [
        "acquisition/raw",
        "processing/ecephys/LFP/raw",
    ]


def test_the_same_series_twice_is_read_once(four: Path) -> None:
    assert opened(four, "raw", "acquisition/raw")[0] == ["acquisition/raw"]


def test_only_processing_is_said(tmp_path: Path) -> None:
    path = write_nwb(tmp_path / "a.nwb", SeriesSpec(module="ecephys", container="LFP"))
    error = refusal(path)
    assert isinstance(error, UnsupportedRecording)
    assert "processing/ecephys/LFP/raw" in str(error)
    assert "--series" in str(error)


def test_only_snippets_is_said(tmp_path: Path) -> None:
    path = write_nwb(tmp_path / "a.nwb", FOUR[-1])
    assert "skipped, spike snippets" in str(refusal(path))
    assert isinstance(refusal(path, "acquisition/spikes"), UnsupportedRecording)


@pytest.mark.parametrize("depth", [1, 2, 7])
def test_types_of_extensions_that_derive_from_electrical_series(tmp_path: Path, depth: int) -> None:
    path = write_nwb(tmp_path / "a.nwb", SeriesSpec())
    nwb_files.make_extension_type(path, depth=depth)
    assert opened(path)[0] == [RAW]


def test_types_that_nobody_explains_are_left_out(tmp_path: Path) -> None:
    path = write_nwb(tmp_path / "a.nwb", SeriesSpec(), SeriesSpec(name="odd"))
    change(path, lambda file: file["acquisition/odd"].attrs.modify("neurodata_type", "OddSeries"))
    assert opened(path)[0] == [RAW]


def test_a_file_without_specifications_is_read(tmp_path: Path) -> None:
    path = write_nwb(tmp_path / "a.nwb", SeriesSpec())

    def mutate(file: Any) -> None:
        del file["specifications"]
        del file.attrs[".specloc"]

    assert opened(change(path, mutate))[0] == [RAW]


# --- links ---------------------------------------------------------------------------------------


def test_shared_time_stamps_and_data_are_read_through_links(tmp_path: Path) -> None:
    stamps = uniform_times(1000, 500.0, 3.0)
    path = write_nwb(
        tmp_path / "a.nwb",
        SeriesSpec(name="a", timestamps=stamps),
        SeriesSpec(name="b", timestamps_of="a", data_of="a", container="LFP"),
    )
    with NwbSource(str(path)) as source:
        assert [group.rate_hz for group in source.recording.groups] == pytest.approx([500.0] * 2)
        np.testing.assert_array_equal(source.read(0, Span(0, 1000)), source.read(1, Span(0, 1000)))


def test_a_series_that_is_linked_twice_is_read_once(tmp_path: Path) -> None:
    path = write_nwb(tmp_path / "a.nwb", SeriesSpec())

    def mutate(file: Any) -> None:
        file["acquisition/soft"] = h5py.SoftLink("/acquisition/raw")
        file["acquisition/hard"] = file["acquisition/raw"]

    assert len(opened(change(path, mutate))[0]) == 1


def test_a_link_to_a_series_elsewhere_is_followed(tmp_path: Path) -> None:
    names = {"channel_name": ["X0", "X1", "X2", "X3"]}
    target = write_nwb(
        tmp_path / "target.nwb",
        SeriesSpec(samples=123, electrodes=(3, 2, 1, 0)),
        electrodes=ElectrodesSpec(groups=("far",), columns=names),
    )
    path = write_nwb(tmp_path / "a.nwb", SeriesSpec(name="own"))
    change(
        path,
        lambda file: file["acquisition"].__setitem__(
            "far", h5py.ExternalLink(target.name, "/acquisition/raw")
        ),
    )
    with NwbSource(str(path)) as source:
        far, own = source.recording.groups
        assert (far.n_samples, own.n_samples) == (123, 1000)
        # The electrodes are those of the file that holds the series.
        assert [channel.label for channel in far.channels] == ["X3", "X2", "X1", "X0"]
        assert {channel.group for channel in far.channels} == {"far"}
        assert own.channels[0].label == "CH000"
        np.testing.assert_array_equal(source.read(0, Span(0, 123))[:, 0], np.arange(123))


def test_a_circle_of_links_ends(tmp_path: Path) -> None:
    path = write_nwb(tmp_path / "a.nwb", *FOUR)
    change(
        path,
        lambda file: file["acquisition/LFP"].__setitem__("up", h5py.SoftLink("/acquisition")),
    )
    assert len(opened(path)[0]) == 2


def test_a_link_that_leads_nowhere_is_named_and_others_are_read(tmp_path: Path) -> None:
    path = write_nwb(tmp_path / "a.nwb", SeriesSpec())

    def mutate(file: Any) -> None:
        file["acquisition/gone"] = h5py.SoftLink("/acquisition/nothing")
        file["acquisition/away"] = h5py.ExternalLink("absent.h5", "/x")

    paths, notes = opened(change(path, mutate))
    assert paths == [RAW]
    assert [note for note in notes if "acquisition/gone" in note]
    assert [note for note in notes if "absent.h5" in note]


def test_data_that_moved_away_is_said(tmp_path: Path) -> None:
    path = write_nwb(tmp_path / "a.nwb", SeriesSpec())
    nwb_files.move_data_out(path, tmp_path / "other.h5")
    (tmp_path / "other.h5").unlink()
    assert "other.h5" in str(refusal(path))


# --- odd, and read -------------------------------------------------------------------------------


def drop_attribute(path: Path, place: str, name: str) -> None:
    """Remove an attribute."""
    with h5py.File(path, "r+") as file:
        del file[place].attrs[name]


def store_attribute(path: Path, place: str, name: str, value: Any) -> None:
    """Set an attribute."""
    with h5py.File(path, "r+") as file:
        file[place].attrs[name] = value


def drop(path: Path, *places: str) -> None:
    """Remove groups or datasets."""
    with h5py.File(path, "r+") as file:
        for place in places:
            del file[place]


def rate_as(value: Any) -> Callable[[Path], None]:
    """Return a mutation that stores the rate in another way."""
    return partial(nwb_files.set_rate, rate=value)


REFUSED_BY_PYNWB: dict[str, tuple[Callable[[Path], None], dict[str, Any]]] = {
    "a rate in an array": (rate_as(np.array([512.5])), {"rate_hz": 512.5}),
    "a rate in a matrix": (rate_as(np.array([[512.5]])), {"rate_hz": 512.5}),
    "an integer rate": (rate_as(np.int64(512)), {"rate_hz": 512.0}),
    "a conversion in an array": (
        partial(nwb_files.set_conversion, conversion=np.array([2e-7])), {"conversion": 2e-7},
    ),
    "an integer offset": (
        partial(nwb_files.set_offset, offset=np.int32(2)), {"offset": 2.0},
    ),
    "no file_create_date": (lambda path: drop(path, "file_create_date"), {}),
    "no identifier": (lambda path: drop(path, "identifier", "session_description"), {}),
    "no version": (lambda path: drop_attribute(path, "/", "nwb_version"), {}),
    "no types in the electrodes table": (
        lambda path: drop_attribute(path, TABLE, "neurodata_type"), {},
    ),
    "no colnames": (lambda path: drop_attribute(path, TABLE, "colnames"), {}),
    "no object ids": (lambda path: drop_attribute(path, RAW, "object_id"), {}),
    "no description": (lambda path: drop_attribute(path, RAW, "description"), {}),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED_BY_PYNWB)
def test_what_pynwb_refuses_and_can_be_read_is_read(tmp_path: Path, name: str) -> None:
    mutate, fields = REFUSED_BY_PYNWB[name]
    twin = write_nwb(tmp_path / "twin.nwb", SeriesSpec(**fields))
    path = write_nwb(tmp_path / "a.nwb", SeriesSpec())
    mutate(path)
    result = convert(path, tmp_path / "out")
    assert result.outcome == "stored", result.reason
    assert_output(tmp_path / "out", expected_of(twin))


def test_pynwb_does_refuse_most_of_them(tmp_path: Path) -> None:
    refused = set()
    for name, (mutate, _) in REFUSED_BY_PYNWB.items():
        path = write_nwb(tmp_path / "a.nwb", SeriesSpec())
        mutate(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                with NWBHDF5IO(path, "r") as io:
                    io.read()
            except Exception:  # noqa: BLE001  # whatever it raises
                refused.add(name)
    assert len(refused) >= 6


def test_without_a_reference_time_the_session_start_counts(tmp_path: Path) -> None:
    path = write_nwb(tmp_path / "a.nwb", SeriesSpec())
    nwb_files.set_start(path, "2024-05-06T07:08:09.123456+02:00", reference=None)
    with NwbSource(str(path)) as source:
        assert source.recording.start_us == 1_714_972_089_123_456


@pytest.mark.parametrize(
    ("text", "start_us"),
    [
        ("2024-05-06T07:08:09.123456Z", 1_714_979_289_123_456),
        ("2024-05-06 07:08:09.123456+00:00", 1_714_979_289_123_456),
        ("2024-05-06T07:08:09+05:30", 1_714_959_489_000_000),
        ("20240506T070809Z", 1_714_979_289_000_000),
        ("1969-12-31T23:59:59.999999+00:00", -1),
    ],
)
def test_start_times_of_every_form(tmp_path: Path, text: str, start_us: int) -> None:
    path = write_nwb(tmp_path / "a.nwb", SeriesSpec())
    nwb_files.set_start(path, text)
    with NwbSource(str(path)) as source:
        assert source.recording.start_us == source.time_us(0, 0) == start_us


def test_a_start_without_an_offset_asks_for_the_zone(tmp_path: Path) -> None:
    path = write_nwb(tmp_path / "a.nwb", SeriesSpec())
    nwb_files.set_start(path, "2024-05-06T07:08:09")
    error = refusal(path)
    assert isinstance(error, UsageError)
    assert "--timezone" in str(error)
    with NwbSource(str(path), NwbOptions(timezone="America/New_York")) as source:
        assert source.time_us(0, 0) == 1_714_993_689_000_000
        assert any("America/New_York" in note for note in source.recording.notes)
    for wrong in ("Mars/Olympus", "../../etc/passwd", ""):
        error = refusal(path, timezone=wrong)
        assert isinstance(error, UsageError)
        assert "no such zone" in str(error)


def test_a_zone_is_not_needed_where_there_is_an_offset(tmp_path: Path) -> None:
    path = write_nwb(tmp_path / "a.nwb", SeriesSpec())
    with NwbSource(str(path), NwbOptions(timezone="Asia/Tokyo")) as source:
        assert source.time_us(0, 0) == 1_714_979_289_123_456
        assert not source.recording.notes


def test_without_electrodes_channels_get_names(tmp_path: Path) -> None:
    path = write_nwb(tmp_path / "a.nwb", SeriesSpec())
    nwb_files.drop_region(path)
    with NwbSource(str(path)) as source:
        (group,) = source.recording.groups
        assert [channel.label for channel in group.channels] == [f"raw-{i}" for i in range(4)]
        assert {channel.group for channel in group.channels} == {"default"}


def test_without_the_table_channels_get_names(tmp_path: Path) -> None:
    path = write_nwb(tmp_path / "a.nwb", SeriesSpec())
    drop(path, TABLE)
    with NwbSource(str(path)) as source:
        assert source.recording.groups[0].channels[0].label == "raw-0"


def test_without_a_unit_volts_are_meant_and_it_is_said(tmp_path: Path) -> None:
    path = write_nwb(tmp_path / "a.nwb", SeriesSpec())
    nwb_files.set_unit(path, None)
    with NwbSource(str(path)) as source:
        assert source.recording.groups[0].channels[0].scaling.to_unit == 1e6
        assert any("volts" in note for note in source.recording.notes)


def test_channels_first_and_one_dimensional_are_reported(tmp_path: Path) -> None:
    path = write_nwb(tmp_path / "a.nwb", SeriesSpec(channels=3))
    nwb_files.make_channels_first(path)
    assert any("(3, 1000) read as channels first" in note for note in opened(path)[1])
    path = write_nwb(tmp_path / "b.nwb", SeriesSpec(channels=1))
    nwb_files.make_one_dimensional(path)
    assert any("1-D" in note for note in opened(path)[1])


EMPTY_SHAPES = [(0, 4), (0,), (0, 0), (1000, 0), (0, 7), (0, 4, 3)]


@pytest.mark.parametrize("shape", EMPTY_SHAPES)
def test_an_empty_series_is_skipped_and_said(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = write_nwb(tmp_path / "a.nwb", SeriesSpec(), SeriesSpec(name="zero"))

    def mutate(file: Any) -> None:
        del file["acquisition/zero/data"]
        file["acquisition/zero"].create_dataset("data", data=np.zeros(shape, "float64"))

    paths, notes = opened(change(path, mutate))
    assert paths == [RAW]
    assert [note for note in notes if note.startswith("acquisition/zero") and "skipped" in note]
    drop(path, RAW)
    assert "empty" in str(refusal(path))


def test_timestamps_are_reported(tmp_path: Path) -> None:
    stamps = nwb_files.with_gaps(uniform_times(1000, 1000.0), {500: 1.0})
    stamps[10] += 0.0002
    path = write_nwb(tmp_path / "a.nwb", SeriesSpec(timestamps=stamps))
    (note,) = opened(path)[1]
    assert note == f"{RAW}: time stamps follow 1000 Hz within 200.0 us, 2 segments"
    stamps[700] = stamps[699]
    path = write_nwb(tmp_path / "b.nwb", SeriesSpec(timestamps=stamps))
    assert any("first: 700" in note for note in opened(path, repair_timestamps=True)[1])


# --- refused in one line -------------------------------------------------------------------------


def with_data(value: Any) -> Callable[[Path], None]:
    """Return a mutation that replaces the data."""

    def mutate(path: Path) -> None:
        with h5py.File(path, "r+") as file:
            attributes = dict(file[RAW]["data"].attrs)
            del file[RAW]["data"]
            file[RAW]["data"] = value
            file[RAW]["data"].attrs.update(attributes)

    return mutate


def stamped(mutate: Callable[[Path], None] = lambda path: None) -> Callable[[Path], None]:
    """Return a mutation of a file with time stamps."""

    def both(path: Path) -> None:
        write_nwb(path, SeriesSpec(timestamps=uniform_times(1000, 1000.0)))
        mutate(path)

    return both


def stamps_as(value: Any) -> Callable[[Path], None]:
    """Return a mutation that replaces the time stamps."""

    def mutate(path: Path) -> None:
        with h5py.File(path, "r+") as file:
            del file[RAW]["timestamps"]
            file[RAW]["timestamps"] = value

    return stamped(mutate)


WRONG: dict[str, tuple[Callable[[Path], None], type[RanvierError], str]] = {
    "neither axis fits": (
        lambda path: nwb_files.set_region(path, [0, 1, 2]),
        ChannelMismatch, r"\(1000, 4\).*\(3,\)",
    ),
    "an empty region": (
        lambda path: nwb_files.set_region(path, []), ChannelMismatch, r"\(1000, 4\).*\(0,\)",
    ),
    "a region beyond the table": (
        lambda path: nwb_files.set_region(path, [0, 1, 2, 9]), CorruptRecording, "9.*4 rows",
    ),
    "a negative region": (
        lambda path: nwb_files.set_region(path, [0, 1, 2, -1]), CorruptRecording, "-1.*4 rows",
    ),
    "one dimension for four electrodes": (
        nwb_files.make_one_dimensional, ChannelMismatch, r"\(1000,\).*4",
    ),
    "three dimensions": (
        with_data(np.zeros((10, 4, 3))), UnsupportedRecording, r"\(10, 4, 3\)",
    ),
    "no dimensions": (with_data(5.0), UnsupportedRecording, r"\(\)"),
    "text for data": (with_data(["a", "b"]), UnsupportedRecording, "object"),
    "complex data": (with_data(np.zeros((9, 4), complex)), UnsupportedRecording, "complex128"),
    "long doubles": (with_data(np.zeros((9, 4), "longdouble")), UnsupportedRecording, "float128"),
    "compound data": (
        with_data(np.zeros((9, 4), [("x", "f8"), ("y", "f8")])), UnsupportedRecording, "type",
    ),
    "another unit": (
        lambda path: nwb_files.set_unit(path, "amperes"), UnsupportedRecording, "'amperes'",
    ),
    "a conversion that is text": (
        lambda path: nwb_files.set_conversion(path, "fast"), CorruptRecording, "conversion.*'fast'",
    ),
    "two offsets": (
        lambda path: nwb_files.set_offset(path, np.array([1.0, 2.0])), CorruptRecording, "offset",
    ),
    "factors for other channels": (
        lambda path: store_dataset(path, f"{RAW}/channel_conversion", np.ones(3)),
        ChannelMismatch, "3 factors for 4 channels",
    ),
    "a rate of zero": (rate_as(0.0), CorruptRecording, "rate is 0"),
    "a negative rate": (rate_as(-5.0), CorruptRecording, "rate is -5"),
    "a rate that is no number": (rate_as(np.nan), CorruptRecording, "rate is nan"),
    "an infinite rate": (rate_as(np.inf), CorruptRecording, "rate is inf"),
    "a rate that is text": (rate_as("fast"), CorruptRecording, "'fast'"),
    "two rates": (rate_as(np.array([1.0, 2.0])), CorruptRecording, "rate"),
    "no timing": (nwb_files.drop_timing, CorruptRecording, "neither a rate nor time stamps"),
    "a start that is no number": (
        lambda path: store_dataset(path, f"{RAW}/starting_time", np.nan, rate=5.0),
        CorruptRecording, "starting_time.*nan",
    ),
    "too few stamps": (
        stamped(nwb_files.shorten_timestamps), CorruptRecording, "999 time stamps for 1000",
    ),
    "a rate that contradicts": (
        stamped(partial(nwb_files.add_rate, rate_hz=900.0)), CorruptRecording, "900.*1000",
    ),
    "stamps that are text": (stamps_as(["a"] * 1000), CorruptRecording, "not numbers"),
    "stamps of two dimensions": (stamps_as(np.zeros((1000, 1))), CorruptRecording, "time stamps"),
    "stamps that stand still": (stamps_as(np.zeros(1000)), TimestampGap, "time stamp 1 "),
    "no data": (lambda path: drop(path, f"{RAW}/data"), CorruptRecording, "no data"),
    "no start": (
        lambda path: nwb_files.set_start(path, None), CorruptRecording, "session_start_time",
    ),
    "a start that is no time": (
        lambda path: nwb_files.set_start(path, "yesterday"), CorruptRecording, "'yesterday'",
    ),
    "an empty start": (lambda path: nwb_files.set_start(path, ""), CorruptRecording, "''"),
    "no acquisition": (lambda path: drop(path, "acquisition"), UnsupportedRecording, "Electrical"),
    "a short column": (
        lambda path: store_dataset(path, f"{TABLE}/channel_name", ["a"]),
        CorruptRecording, "channel_name",
    ),
    "a file cut in half": (nwb_files.truncate, CorruptRecording, "copy it again"),
    "a file cut at its end": (
        lambda path: nwb_files.truncate(path, 0.99), CorruptRecording, "copy it again",
    ),
    "text": (lambda path: reset(nwb_files.write_text, path), UnsupportedRecording, "not an HDF5"),
    "nothing": (lambda path: reset(empty_file, path), UnsupportedRecording, "not an HDF5"),
    "another HDF5 file": (
        lambda path: reset(nwb_files.write_plain_hdf5, path), UnsupportedRecording, "no Electrical",
    ),
}  # fmt: skip


def store_dataset(path: Path, place: str, value: Any, **attributes: Any) -> None:
    """Write or replace a dataset."""
    with h5py.File(path, "r+") as file:
        if place in file:
            del file[place]
        file[place] = value
        file[place].attrs.update(attributes)


def empty_file(path: Path) -> Path:
    """Write a file without a byte."""
    path.write_bytes(b"")
    return path


def reset(write: Callable[[Path], Path], path: Path) -> None:
    """Replace the file."""
    path.unlink()
    write(path)


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, name: str) -> None:
    mutate, kind, words = WRONG[name]
    path = write_nwb(tmp_path / "a.nwb", SeriesSpec())
    mutate(path)
    with pytest.raises(kind, match=words):
        opened(path)
    assert "a.nwb" in str(refusal(path))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert isinstance(refusal(tmp_path / "none.nwb"), NotFound)
    assert isinstance(refusal(tmp_path / "none.nwb.zarr"), NotFound)


def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    path = write_nwb(tmp_path / "a.nwb", SeriesSpec())
    path.chmod(0)
    assert "may not be read" in str(refusal(path))


def test_damaged_samples_are_said_where_they_are(tmp_path: Path) -> None:
    path = write_nwb(
        tmp_path / "a.nwb", SeriesSpec(samples=4000, channels=2, chunks=(500, 2), gzip=4)
    )
    with h5py.File(path) as file:
        info = file[RAW]["data"].id.get_chunk_info_by_coord((1500, 0))
    with path.open("r+b") as raw:
        raw.seek(info.byte_offset + info.size // 2)
        raw.write(bytes(40))
    with NwbSource(str(path)) as source:
        source.read(0, Span(0, 1500))
        with pytest.raises(CorruptRecording, match=r"a\.nwb:/acquisition/raw/data.*1500"):
            source.read(0, Span(1400, 1600))
        source.read(0, Span(2000, 4000))
    result = convert(path, tmp_path / "out")
    assert result.outcome == "failed"
    assert "1500" in str(result.reason)
    assert not (tmp_path / "out").exists()


def test_channel_factors_of_one_element_count_for_all(tmp_path: Path) -> None:
    path = write_nwb(tmp_path / "a.nwb", SeriesSpec())
    store_dataset(path, f"{RAW}/channel_conversion", np.array([2.0]))
    with NwbSource(str(path)) as source:
        scalings = {channel.scaling.factor for channel in source.recording.groups[0].channels}
    assert scalings == {2e-6}


# --- names ---------------------------------------------------------------------------------------


def labels(path: Path, *series: str) -> list[str]:
    """Return the labels of all channels."""
    with NwbSource(str(path), NwbOptions(series=series)) as source:
        return [channel.label for group in source.recording.groups for channel in group.channels]


def test_a_new_name_never_meets_another(tmp_path: Path) -> None:
    columns = {"channel_name": ["A", "a", "A-0", "raw-3", ""]}
    path = write_nwb(
        tmp_path / "a.nwb", SeriesSpec(channels=5), electrodes=ElectrodesSpec(columns=columns)
    )
    found = labels(path)
    assert len({label.casefold() for label in found}) == 5
    assert found[3] == "raw-3"


def test_series_of_one_name_get_their_paths(tmp_path: Path) -> None:
    path = write_nwb(
        tmp_path / "a.nwb",
        SeriesSpec(channels=1),
        SeriesSpec(channels=1, module="ecephys", container="FilteredEphys"),
    )
    assert labels(path, "all") == [
        "CH000-acquisition/raw",
        "CH000-processing/ecephys/FilteredEphys/raw",
    ]


@pytest.mark.parametrize(("rate_hz", "alike"), [(1000.0, True), (1015.0, True), (1030.0, False)])
def test_names_meet_where_rates_agree_within_2_percent(
    tmp_path: Path, rate_hz: float, alike: bool
) -> None:
    path = write_nwb(
        tmp_path / "a.nwb",
        SeriesSpec(channels=1),
        SeriesSpec(name="slow", channels=1, rate_hz=rate_hz),
    )
    assert labels(path) == (["CH000-raw", "CH000-slow"] if alike else ["CH000", "CH000"])


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("/a/b/sub-01.nwb", "sub-01"),
        ("/a/b/sub-01.nwb.zarr/", "sub-01"),
        ("s3://bucket/x/sub-01.zarr", "sub-01"),
        ("sub.01.nwb", "sub.01"),
        ("/a/SUB.NWB", "SUB"),
    ],
)
def test_a_recording_is_called_by_its_file(url: str, name: str) -> None:
    assert recording_id(url) == name


# --- files of others -----------------------------------------------------------------------------

CONVERTIBLE = {"spikeglx_ap_stub", "spikeglx_lf_stub", "test_ElectricalSeries", "test_LFP"}


def published(data: Path) -> list[Path]:
    """Return every published NWB file."""
    files = sorted((data / "nwb").glob("*.nwb"))
    assert len(files) == 10
    return files


def test_every_published_file_converts_or_says_why_not(data: Path, tmp_path: Path) -> None:
    converted = set()
    for path in published(data):
        for series in ((), ("all",)):
            output = tmp_path / f"{path.stem}-{len(series)}"
            result = convert(path, output, series=series, timezone="UTC")
            if result.outcome == "failed":
                assert "\n" not in str(result.reason)
                assert path.name in str(result.reason)
                assert not output.exists()
            elif not series:
                converted.add(path.stem)
                assert_output(output, expected_of(path, timezone="UTC"))
    assert converted == CONVERTIBLE


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("1.0.2_nwbfile", "no ElectricalSeries"),
        ("1.5.1_timeseries_no_unit", "no ElectricalSeries"),
        ("2.1.0_nwbfile_with_extension", "no ElectricalSeries"),
        ("mock_ttl_examples", "no ElectricalSeries"),
        ("sub-anm00239123_ses-20170627T093549_ecephys+ogen", "no ElectricalSeries"),
        ("test_TimeSeries", "no ElectricalSeries"),
    ],
)
def test_published_files_without_a_series_say_so(data: Path, name: str, words: str) -> None:
    error = refusal(data / "nwb" / f"{name}.nwb")
    assert isinstance(error, UnsupportedRecording)
    assert words in str(error)


# --- damage --------------------------------------------------------------------------------------


def write_damageable(folder: Path) -> None:
    """Write small files, so that damage hits what matters."""
    gzipped = SeriesSpec(samples=3000, channels=3, gzip=4, chunks=(700, 2))
    stamped = SeriesSpec(samples=200, channels=3, timestamps=uniform_times(200, 100.0))
    for number, spec in enumerate((gzipped, stamped)):
        whole = write_nwb(folder / "whole.hdf5", spec, *FOUR[1:3])
        with h5py.File(folder / f"{number}.nwb", "w") as small, h5py.File(whole) as file:
            for name in set(file) - {"specifications"}:
                file.copy(name, small, expand_refs=True)


@pytest.mark.soak
def test_damage_anywhere_is_never_a_traceback(tmp_path: Path) -> None:
    write_damageable(tmp_path)
    first, last, crashes = 0, 400 if os.environ.get("RANVIER_SOAK") else 80, 0
    outcomes: list[str] = []
    while first < last:
        ended = subprocess.run(
            [
                sys.executable,
                "-m",
                "tests.support.read_damaged",
                str(tmp_path),
                str(first),
                str(last),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        lines = ended.stdout.splitlines()
        outcomes += [line.partition(" ")[2] for line in lines]
        first += len(lines)
        if ended.returncode:
            # The HDF5 library itself does not survive all damage; nothing in Python can help that.
            assert ended.returncode < 0, ended.stderr
            first, crashes = first + 1, crashes + 1
    assert crashes <= 4
    assert {"read", "CorruptRecording"} <= set(outcomes)
    assert not [outcome for outcome in outcomes if outcome.startswith(("traceback", "several"))]


def test_recording_start_and_session(tmp_path: Path) -> None:
    reference = nwb_files.START.replace(year=2023)
    path = write_nwb(
        tmp_path / "a.nwb",
        SeriesSpec(starting_time_s=2.5),
        session=SessionSpec(reference=reference),
    )
    with NwbSource(str(path)) as source:
        assert source.recording.id == "a"
        assert source.recording.start_us == round(reference.timestamp() * 1e6)
        assert source.time_us(0, 0) == source.recording.start_us + 2_500_000
        assert source.url == str(path)


def test_a_broken_link_in_another_series_leaves_the_good_ones(tmp_path: Path) -> None:
    path = write_nwb(tmp_path / "a.nwb", SeriesSpec(samples=50))
    with h5py.File(path, "r+") as file:
        other = file["acquisition"].create_group("other")
        other.attrs["neurodata_type"] = "TimeSeries"
        other["data"] = h5py.ExternalLink("missing.h5", "data")
    paths, notes = opened(path)
    assert paths == ["acquisition/raw"]
    assert [note for note in notes if "acquisition/other: skipped" in note]


def test_a_linked_series_has_the_names_of_its_own_file(tmp_path: Path) -> None:
    for name in ("theirs", "ours"):
        names = {"channel_name": [f"{name}-0", f"{name}-1"]}
        table = nwb_files.ElectrodesSpec(rows=2, columns=names)
        write_nwb(tmp_path / f"{name}.nwb", SeriesSpec(samples=50, channels=2), electrodes=table)
    with h5py.File(tmp_path / "ours.nwb", "r+") as file:
        del file["acquisition/raw"]
        file["acquisition/raw"] = h5py.ExternalLink("theirs.nwb", "acquisition/raw")
    with NwbSource(str(tmp_path / "ours.nwb")) as source:
        labels = [channel.label for channel in source.recording.groups[0].channels]
    assert labels == ["theirs-0", "theirs-1"]


def test_a_zone_that_is_a_folder_of_zones_is_no_zone(tmp_path: Path) -> None:
    path = write_nwb(tmp_path / "a.nwb", SeriesSpec(samples=50))
    nwb_files.set_start(path, "2024-05-06T07:08:09", reference=None)
    with pytest.raises(UsageError, match="there is no such zone"):
        NwbSource(str(path), NwbOptions(timezone="Europe"))
