"""XDF files: the published ones against their description and pyxdf, and made ones."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest
import pyxdf

from storage.errors import CorruptRecording, NotFound, UnsupportedRecording
from storage.folders import open_folder
from storage.protocols import RecordingSource, has_original, has_stamps
from storage.recording import RateGroup
from storage.spans import Span
from storage.xdf import XdfSource
from tests.contracts.recording_source import RecordingSourceTests
from tests.support.xdf_files import XdfSpec, write_xdf

STARTED = "2025-10-28T11:24:49+0100"
STARTED_US = 1_761_647_089_000_000


def counting(
    count: int, channels: int = 2, dtype: str = "int16"
) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
    rows = np.arange(count)[:, None] + 7 * np.arange(channels)
    return rows.astype(dtype)


def eeg(
    name: str, stamps: np.ndarray[tuple[int, ...], np.dtype[np.float64]], **given: object
) -> XdfSpec:
    fields = {
        "nominal_hz": 250.0,
        "labels": ("Fz", "Cz"),
        "units": ("microvolts", "mV"),
        "values": counting(len(stamps)),
    } | given
    return XdfSpec(name=name, stamps=stamps, **fields)  # type: ignore[arg-type]


class TestXdf(RecordingSourceTests):
    def make(self, folder: Path) -> Path:
        stamps = 50.0 + np.arange(2000) / 250
        stamps[700:] += 3
        random = np.random.default_rng(5)
        uneven = np.cumsum(random.uniform(0.1, 4.0, 60)) + 50
        return write_xdf(
            folder / "a.xdf",
            eeg("amp", stamps),
            eeg("amp", 50 + np.arange(1000) / 250, values=counting(1000, dtype="float32")),
            eeg("uneven", uneven, nominal_hz=0.0, values=counting(60, dtype="float64")),
            XdfSpec(name="marks", stamps=np.array([51.0]), texts=["go"], type="Markers"),
            started=STARTED,
        )

    def open(self, path: Path) -> RecordingSource:
        return XdfSource(str(path))

    def change(self, path: Path) -> None:
        stat = path.stat()
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))


def group_of(source: RecordingSource, name: str) -> tuple[int, RateGroup]:
    return next(
        (number, group)
        for number, group in enumerate(source.recording.groups)
        if group.name == name
    )


def test_the_minimal_file_holds_what_its_description_says(data: Path) -> None:
    with XdfSource(str(data / "xdf" / "minimal.xdf")) as source:
        recording = source.recording
        (group,) = recording.groups
        assert (group.name, group.rate_hz, group.dtype.name) == ("SendDataC", 10.0, "int16")
        rows = source.read(0, Span(0, 9)).tolist()
        stamps = source.stamps_s(0, Span(0, 9))
        (segment,) = source.segments(0)
    again = [[12, 22, 32], [13, 23, 33], [14, 24, 34], [15, 25, 35]]
    assert rows == [[192, 255, 238], *again, *again]
    # Raw: the clocks were 0.1 s apart, which only the times take into account.
    assert stamps is not None
    np.testing.assert_allclose(stamps, np.arange(51, 60) / 10)
    assert segment.span == Span(0, 9)
    assert not recording.start_known
    texts = [each.text for each in recording.annotations]
    words = ["Hello", "World", "from", "LSL"]
    assert texts[0].startswith("<?xml")
    assert texts[1:] == words + words
    # The strings' stream had no clock offsets: 5.1 s against 5.0 s.
    assert [each.onset_us for each in recording.annotations] == [
        100_000 * number for number in range(1, 10)
    ]
    assert {each.source for each in recording.annotations} == {"xdf SendDataString"}


def test_empty_streams_are_noted_and_left_out(data: Path) -> None:
    with XdfSource(str(data / "xdf" / "empty_streams.xdf")) as source:
        recording = source.recording
        (group,) = recording.groups
        assert group.name == "Data stream: test stream 0 counter"
        assert source.read(0, Span(0, 10))[:, 0].tolist() == list(range(10))
    assert [each.text for each in recording.annotations] == ['{"state": 2}']
    assert "Empty data stream: test stream 0 counter: empty" in recording.notes
    assert "Empty marker stream: test stream 0 counter: empty" in recording.notes
    assert recording.start_us == 1_738_282_877_000_000


def test_a_headband_beside_another_device_is_what_pyxdf_reads(data: Path) -> None:
    path = data / "muse" / "museS_athena_clock.xdf"
    streams, _ = pyxdf.load_xdf(path, synchronize_clocks=False, dejitter_timestamps=False)
    with XdfSource(str(path)) as source:
        recording = source.recording
        assert has_stamps(source)
        assert not has_original(source)
        assert [group.name for group in recording.groups] == [
            stream["info"]["name"][0] for stream in streams
        ]
        for number, (group, stream) in enumerate(zip(recording.groups, streams, strict=True)):
            everything = Span(0, group.n_samples)
            np.testing.assert_array_equal(source.read(number, everything), stream["time_series"])
            assert group.dtype == stream["time_series"].dtype
            np.testing.assert_array_equal(
                source.stamps_s(number, everything), stream["time_stamps"]
            )
            assert len(list(source.segments(number))) == 1
            # Three clocks, none of which knows of the others: all begin together.
            assert 0 <= source.bounds_us(number)[0] - recording.start_us < 1_000_000
    rates = {group.name: group.rate_hz for group in recording.groups}
    assert rates == {
        "Muse_EEG": 256,
        "Muse_ACCGYRO": 52,
        "Muse_OPTICS": 64,
        "Muse_BATTERY": 1,
        "OpenSignals": 1000,
    }
    eeg_group = next(group for group in recording.groups if group.name == "Muse_EEG")
    assert [channel.label for channel in eeg_group.channels][:2] == ["EEG_TP9", "EEG_AF7"]
    assert {channel.unit for channel in eeg_group.channels} == {"uV"}
    assert sum("stamped by another clock" in note for note in recording.notes) == 2
    assert any("declared 0.1 Hz" in note for note in recording.notes)


def test_times_are_those_of_pyxdf_after_its_corrections(tmp_path: Path) -> None:
    random = np.random.default_rng(11)
    taken = 1000 + np.arange(5000) / 250
    jittered = taken + random.exponential(0.004, 5000)
    offsets = [(1000 + 5 * n, -990.0 + 1e-5 * n) for n in range(5)]
    path = write_xdf(tmp_path / "a.xdf", eeg("amp", jittered, clock_offsets=offsets))
    (stream,), _ = pyxdf.load_xdf(path)
    with XdfSource(str(path)) as source:
        (segment,) = source.segments(0)
        np.testing.assert_array_equal(source.stamps_s(0, Span(0, 5000)), jittered)
        assert source.time_us(0, 4999) - segment.start_us == 19_996_000
        (clock,) = (placed.clock for placed in source._placed)
        assert clock.rate_hz == 250.0
    dejittered = stream["time_stamps"]
    assert stream["time_stamps"][0] == pytest.approx(10, abs=0.01)
    assert abs((dejittered[-1] - dejittered[0]) - 19.996) < 0.001


def test_events_keep_their_place_among_the_samples_of_a_drifting_device(tmp_path: Path) -> None:
    stamps = 10 + np.arange(250 * 60) / 250.05
    at = stamps[[2500, 12_500]]
    path = write_xdf(
        tmp_path / "a.xdf",
        eeg("amp", stamps),
        XdfSpec(name="marks", stamps=at, texts=["one", "two"], type="Markers"),
        XdfSpec(
            name="codes",
            stamps=at,
            values=np.array([[1.0, 769.0], [2.0, 770.5]]),
            type="Events",
        ),
    )
    with XdfSource(str(path)) as source:
        found = [(each.onset_us, each.text, each.source) for each in source.recording.annotations]
        assert found == [
            (10_000_000, "one", "xdf marks"),
            (10_000_000, "1, 769", "xdf codes"),
            (50_000_000, "two", "xdf marks"),
            (50_000_000, "2, 770.5", "xdf codes"),
        ]
        assert any("ms from their stamps" in note for note in source.recording.notes)


def test_labels_units_and_missing_ones(tmp_path: Path) -> None:
    stamps = np.arange(500) / 250
    path = write_xdf(
        tmp_path / "a.xdf",
        eeg("amp", stamps, labels=("Fz", "Fz"), units=("\N{MICRO SIGN}V", "percent")),
        eeg("amp", stamps, labels=(), units=()),
    )
    with XdfSource(str(path)) as source:
        first, second = source.recording.groups
        assert [group.name for group in (first, second)] == ["amp", "amp#2"]
        assert [(each.label, each.unit, each.group) for each in first.channels] == [
            ("Fz", "uV", "amp"),
            ("Fz#2", "%", "amp"),
        ]
        assert [each.label for each in second.channels] == ["channel 1", "channel 2"]
    path = write_xdf(tmp_path / "b.xdf", eeg("amp", stamps), started=STARTED)
    with XdfSource(str(path)) as source:
        assert source.recording.start_us == STARTED_US
        millivolts = source.recording.groups[0].channels[1]
        assert millivolts.scaling.apply(np.array([2.5]))[0] == 2500.0


def test_a_file_that_was_cut_short_gives_what_is_whole_or_says_why(tmp_path: Path) -> None:
    stamps = np.arange(2000) / 250
    whole = write_xdf(tmp_path / "a.xdf", eeg("amp", stamps)).read_bytes()
    cut = tmp_path / "cut.xdf"
    outcomes = set()
    for length in range(300, len(whole), 997):
        cut.write_bytes(whole[:length])
        try:
            with XdfSource(str(cut)) as source:
                held = source.recording.groups[0].n_samples
                rows = source.read(0, Span(0, held))
                np.testing.assert_array_equal(rows, counting(held))
                outcomes.add("read")
        except (CorruptRecording, UnsupportedRecording) as error:
            outcomes.add("refused" if re.fullmatch(r".*cut\.xdf.*", str(error)) else str(error))
    assert "read" in outcomes
    assert outcomes <= {"read", "refused"}


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.xdf"
    path.write_bytes(b"not at all")
    with pytest.raises(UnsupportedRecording, match="not an XDF file"):
        XdfSource(str(path))
    with pytest.raises(NotFound):
        XdfSource(str(tmp_path / "absent.xdf"))
    empty = XdfSpec(name="none", stamps=np.empty(0), values=counting(0), nominal_hz=10.0)
    write_xdf(path, empty)
    with pytest.raises(UnsupportedRecording, match="all of them empty"):
        XdfSource(str(path))


def test_it_is_read_from_a_bucket(bucket_url: str, tmp_path: Path) -> None:
    path = write_xdf(tmp_path / "a.xdf", eeg("amp", np.arange(2000) / 250))
    open_folder(bucket_url).write("a.xdf", [path.read_bytes()])
    with XdfSource(f"{bucket_url}/a.xdf") as source:
        np.testing.assert_array_equal(source.read(0, Span(0, 2000)), counting(2000))
