"""Recordings as NWB: read back by our reader and by PyNWB."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray
from pynwb import NWBHDF5IO

from storage.edf import EdfSource
from storage.errors import AlreadyExists, UsageError
from storage.mind_monitor import MindMonitorSource
from storage.muse_csv import MuseCsvSource
from storage.nwb import NwbSource
from storage.nwb_export import NwbSink
from storage.protocols import RecordingSink
from storage.scaling import Scaling
from storage.spans import Span
from tests.contracts.recording_sink import GROUPS, RecordingSinkTests
from tests.support.synthetic_recording import SyntheticGroup, SyntheticRecording

pytestmark = pytest.mark.usefixtures("nothing_left_over")


class TestNwbSink(RecordingSinkTests):
    def sink(self, place: str) -> RecordingSink:
        return NwbSink(place)

    def looks_whole(self, place: str) -> bool:
        return Path(place).exists()

    def read_back(self, place: str) -> list[NDArray[np.float64]]:
        # The factor to volts is exactly a millionth here, and back.
        with NwbSource(place) as source:
            held = []
            for number, group in enumerate(source.recording.groups):
                assert {each.scaling for each in group.channels} == {Scaling(1e-6, 0.0, 1e6)}
                held.append(source.read(number, Span(0, group.n_samples)).astype(np.float64))
            return held


def test_types_times_gaps_and_labels_come_back(tmp_path: Path) -> None:
    made = SyntheticRecording(*GROUPS)
    NwbSink(str(tmp_path / "out.nwb")).write(made)
    with NwbSource(str(tmp_path / "out.nwb")) as source:
        assert source.recording.start_us == made.recording.start_us
        for number, (held, group) in enumerate(
            zip(source.recording.groups, made.recording.groups, strict=True)
        ):
            assert held.name == f"acquisition/{group.name}"
            assert held.dtype == group.dtype
            assert held.rate_hz == pytest.approx(group.rate_hz)
            assert [each.label for each in held.channels] == [each.label for each in group.channels]
            assert list(source.segments(number)) == list(made.segments(number))


def test_stored_integers_and_scalings_of_a_real_file(data: Path, tmp_path: Path) -> None:
    place = str(tmp_path / "clip.nwb")
    with EdfSource(str(data / "chbmit" / "chb01_03_clip.edf")) as edf:
        NwbSink(place).write(edf)
        (group,) = edf.recording.groups
        whole = Span(0, group.n_samples)
        digital = edf.read(0, whole)
        with NwbSource(place) as source:
            (held,) = source.recording.groups
            assert held.dtype.name == "int16"
            np.testing.assert_array_equal(source.read(0, whole), digital)
            assert (held.rate_hz, list(source.segments(0))) == (256.0, list(edf.segments(0)))
            for at, (ours, theirs) in enumerate(zip(group.channels, held.channels, strict=True)):
                np.testing.assert_allclose(
                    theirs.scaling.apply(digital[:, at]),
                    ours.scaling.apply(digital[:, at]),
                    rtol=1e-12,
                    atol=1e-9,
                )
    with NWBHDF5IO(place, "r") as file:
        (series,) = file.read().acquisition.values()
        assert list(series.electrodes["channel_name"].data[:])[:2] == ["FP1-F7", "F7-T7"]
        assert len(series.electrodes) == 23


def test_channels_of_other_units_factors_and_offsets(data: Path, tmp_path: Path) -> None:
    place = str(tmp_path / "sleep.nwb")
    with EdfSource(str(data / "edf" / "short_psg.edf")) as edf:
        NwbSink(place).write(edf)
        labels = {
            each.label: (number, at, each)
            for number, group in enumerate(edf.recording.groups)
            for at, each in enumerate(group.channels)
        }
        with NWBHDF5IO(place, "r") as file:
            seen = 0
            for series in file.read().acquisition.values():
                names = (
                    list(series.electrodes["channel_name"].data[series.electrodes.data[:]])
                    if series.neurodata_type == "ElectricalSeries"
                    else [None] * series.data.shape[1]
                )
                seen += len(names)
                for column, name in enumerate(names):
                    if name is None:
                        assert series.unit != "volts"
                        continue
                    number, at, channel = labels[name]
                    stored = edf.read(number, Span(0, len(series.data)))[:, at]
                    np.testing.assert_array_equal(series.data[:, column], stored)
                    factor = (
                        1.0
                        if series.channel_conversion is None
                        else series.channel_conversion[column]
                    )
                    volts = stored * (factor * series.conversion) + series.offset
                    np.testing.assert_allclose(
                        volts * 1e6, channel.scaling.apply(stored), rtol=1e-9, atol=1e-9
                    )
            assert seen == len(labels)
    with MindMonitorSource(str(data / "muse" / "mindmonitor_museS_1hz.csv")) as monitor:
        NwbSink(str(tmp_path / "monitor.nwb")).write(monitor)
    with NWBHDF5IO(str(tmp_path / "monitor.nwb"), "r") as file:
        held = file.read().acquisition
        assert held["bands"].unit == "Bel"
        assert held["RAW"].unit == "volts"
        assert {held["motion"].unit, held["motion-2"].unit} == {"g", "deg/s"}


def test_annotations_become_intervals(data: Path, tmp_path: Path) -> None:
    place = str(tmp_path / "muse.nwb")
    path = data / "muse" / "P300_subject1_2017-02-04-15_45_13.csv"
    with MuseCsvSource(str(path)) as muse:
        NwbSink(place).write(muse)
        annotations = muse.recording.annotations
    with NWBHDF5IO(place, "r") as file:
        table = file.read().intervals["annotations"]
        assert list(table["text"].data[:]) == [each.text for each in annotations]
        np.testing.assert_allclose(
            table["start_time"].data[:], [each.onset_us / 1e6 for each in annotations]
        )
        assert set(table["kind"].data[:]) == {"marker"}


def test_segments_that_overlap_are_series_of_their_own(tmp_path: Path) -> None:
    made = SyntheticRecording(
        SyntheticGroup(n_samples=3000, rate_hz=1000.0, gaps_us={1000: -500_000, 2000: 10_000})
    )
    NwbSink(str(tmp_path / "out.nwb")).write(made)
    with NwbSource(str(tmp_path / "out.nwb")) as source:
        names = [group.name for group in source.recording.groups]
        assert names == [f"acquisition/group0-segment000{n}" for n in (1, 2, 3)]
        rows = [source.read(n, Span(0, 1000)) for n in range(3)]
        starts = [source.time_us(n, 0) for n in range(3)]
    np.testing.assert_array_equal(np.concatenate(rows), made.read(0, Span(0, 3000)))
    assert starts == [segment.start_us for segment in made.segments(0)]


def test_memory_does_not_grow_with_the_recording(tmp_path: Path) -> None:
    made = SyntheticRecording(SyntheticGroup(n_samples=8_000_000, n_channels=4))
    NwbSink(str(tmp_path / "warm.nwb")).write(SyntheticRecording(GROUPS[1]))
    tracemalloc.start()
    try:
        NwbSink(str(tmp_path / "out.nwb")).write(made)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # The recording is 64 MB; the made numbers of a block take eight times the block.
    assert peak < 60_000_000
    with h5py.File(tmp_path / "out.nwb", "r") as file:
        assert int(file["acquisition/group0/data"][7_999_999, 0]) == 7_999_999 % 65_536 - 65_536 * (
            7_999_999 % 65_536 > 32_767
        )


def test_what_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "out.nwb").write_text("a letter")
    with pytest.raises(AlreadyExists):
        NwbSink(str(tmp_path / "out.nwb")).write(SyntheticRecording(GROUPS[1]))
    assert (tmp_path / "out.nwb").read_text() == "a letter"
    with pytest.raises(UsageError):
        NwbSink("s3://bucket/out.nwb")
