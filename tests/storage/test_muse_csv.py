"""CSV files of muse-lsl: published ones against NumPy, and made ones."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import number_table
from storage.errors import CorruptRecording, NotFound, UnsupportedRecording
from storage.folders import open_folder
from storage.muse_csv import MuseCsvSource
from storage.protocols import RecordingSource, has_stamps
from storage.spans import Span
from tests.contracts.recording_source import RecordingSourceTests

HEADING = "timestamps,TP9,AF7,AF8,TP10,Right AUX,Marker0"
FILES = {
    "N170_subject1_2017-09-13-15.30.01.csv": (197, False),
    "P300_subject1_2017-02-04-15_45_13.csv": (197, True),
    "P300_subject1_2017-02-04-15_47_49.csv": (191, True),
}


def write_csv(path: Path, *lines: str, heading: str = HEADING, end: str = "\n") -> Path:
    path.write_bytes((end.join([heading, *lines]) + end).encode())
    return path


def rows(count: int, first_s: float = 100.0) -> list[str]:
    return [
        f"{first_s + n / 256:.3f},{n},{n + 7}.5,-{n}.25,3,4,{int(n == 100)}" for n in range(count)
    ]


class TestMuseCsv(RecordingSourceTests):
    def make(self, folder: Path) -> Path:
        lines = rows(1500)
        lines += [f"{104 + n / 256:.3f},{n},,0,3,4,0" for n in range(1500, 3000)]
        return write_csv(folder / "a.csv", *lines)

    def open(self, path: Path) -> RecordingSource:
        return MuseCsvSource(str(path))

    def change(self, path: Path) -> None:
        stat = path.stat()
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))


@pytest.mark.parametrize("name", FILES)
def test_published_files_are_what_numpy_reads(data: Path, name: str) -> None:
    path = data / "muse" / name
    expected = np.loadtxt(path, delimiter=",", skiprows=1)
    markers, unix = FILES[name]
    with MuseCsvSource(str(path)) as source:
        recording = source.recording
        assert has_stamps(source)
        (group,) = recording.groups
        assert (group.rate_hz, group.n_samples, group.dtype.name) == (256.0, 30_732, "float64")
        everything = Span(0, 30_732)
        np.testing.assert_array_equal(source.read(0, everything), expected[:, 1:6])
        np.testing.assert_array_equal(np.asarray(source.stamps_s(0, everything)), expected[:, 0])
        # Bursts, repeats and steps back are no gaps.
        (segment,) = source.segments(0)
        assert segment.span == everything
        marked = np.flatnonzero(expected[:, 6])
        times = [source.time_us(0, int(row)) - recording.start_us for row in marked]
    assert [channel.label for channel in group.channels] == [
        "TP9", "AF7", "AF8", "TP10", "Right AUX",
    ]  # fmt: skip
    assert {channel.unit for channel in group.channels} == {"uV"}
    assert len(recording.annotations) == markers
    assert [each.onset_us for each in recording.annotations] == times
    assert [each.text for each in recording.annotations] == [
        str(int(code)) for code in expected[marked, 6]
    ]
    assert recording.start_known is unix
    if unix:
        assert abs(recording.start_us / 1e6 - expected[0, 0]) < 0.005


def test_what_raw_stamps_do_is_noted(data: Path) -> None:
    with MuseCsvSource(str(data / "muse" / "N170_subject1_2017-09-13-15.30.01.csv")) as source:
        notes = source.recording.notes
    assert "of the time stamps 47 step back and 70 repeat; kept as such" in notes
    assert "time stamps of LSL's clock; times count from the first sample" in notes


def test_other_streams_of_a_muse(tmp_path: Path) -> None:
    lines = [f"{1.7e9 + n / 52:.4f},{n},0.5,1" for n in range(200)]
    path = write_csv(tmp_path / "ACC_recording.csv", *lines, heading="timestamps,X,Y,Z")
    with MuseCsvSource(str(path)) as source:
        (group,) = source.recording.groups
        assert (group.name, group.rate_hz) == ("ACC", 52.0)
        assert {channel.unit for channel in group.channels} == {"g"}
    lines = [f"{1.7e9 + n / 10:.4f},{n}" for n in range(200)]
    path = write_csv(tmp_path / "other.csv", *lines, heading="timestamps,what")
    with MuseCsvSource(str(path)) as source:
        (group,) = source.recording.groups
        assert (group.rate_hz, group.channels[0].unit) == (10.0, "")


def test_text_markers_crlf_and_a_last_line_cut_short(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", "1,2,go", "1.004,3,", "1.008,4,0", end="\r\n",
                     heading="timestamps,TP9,Marker")  # fmt: skip
    with MuseCsvSource(str(path)) as source:
        assert [each.text for each in source.recording.annotations] == ["go"]
        assert source.recording.groups[0].n_samples == 3
    path.write_bytes(path.read_bytes() + b"1.012,")
    with MuseCsvSource(str(path)) as source:
        assert source.recording.groups[0].n_samples == 3
        assert "the last line is cut short; left out" in source.recording.notes
    path.write_bytes(path.read_bytes()[:-6] + b"1.012,5,0")
    with MuseCsvSource(str(path)) as source:
        assert source.recording.groups[0].n_samples == 4


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("100.4,1,2,3,4,5", "line 52: 6 fields, expected 7"),
        ("100.4,1,2,x,4,5,0", "line 52: AF8 is 'x'"),
        (",1,2,3,4,5,0", "line 52: timestamps is ''"),
        ("nan,1,2,3,4,5,0", "line 52: timestamps is nan"),
        ("100.4,1,2,3,4,5,0,9", "line 52: 8 fields, expected 7"),
        ("\x00\x01\x02", "line 52: 1 fields, expected 7"),
    ],
)
def test_a_damaged_line_is_named(tmp_path: Path, wrong: str, words: str) -> None:
    lines = rows(200)
    lines.insert(50, wrong)
    with pytest.raises(CorruptRecording, match=words) as caught:
        MuseCsvSource(str(write_csv(tmp_path / "a.csv", *lines)))
    assert str(caught.value).startswith("a.csv: ")


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedRecording, match="no CSV file of muse-lsl"):
        MuseCsvSource(str(write_csv(tmp_path / "a.csv", "1,2", heading="time,value")))
    with pytest.raises(UnsupportedRecording, match="holds no samples"):
        MuseCsvSource(str(write_csv(tmp_path / "b.csv")))
    with pytest.raises(CorruptRecording, match="has no column but"):
        MuseCsvSource(str(write_csv(tmp_path / "c.csv", "1,0", heading="timestamps,Marker")))
    with pytest.raises(NotFound):
        MuseCsvSource(str(tmp_path / "absent.csv"))
    (tmp_path / "d.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UnsupportedRecording):
        MuseCsvSource(str(tmp_path / "d.csv"))


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False, width=64), min_size=1, max_size=40)
)
def test_every_double_comes_back_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, values: list[float]
) -> None:
    path = tmp_path_factory.mktemp("doubles") / "a.csv"
    lines = [f"{n / 256!r},{value!r}" for n, value in enumerate(values)]
    write_csv(path, *lines, heading="timestamps,TP9")
    with MuseCsvSource(str(path)) as source:
        assert source.read(0, Span(0, len(values)))[:, 0].tolist() == values


def test_many_blocks_are_one_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(number_table, "BLOCK_BYTES", 2000)
    path = write_csv(tmp_path / "a.csv", *rows(5000))
    with MuseCsvSource(str(path)) as source:
        values = source.read(0, Span(0, 5000))
        assert values[:, 0].tolist() == list(range(5000))
        (marker,) = source.recording.annotations
        assert marker.onset_us == source.time_us(0, 100) - source.recording.start_us


def test_it_is_read_from_a_bucket(bucket_url: str, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", *rows(500))
    open_folder(bucket_url).write("a.csv", [path.read_bytes()])
    with MuseCsvSource(f"{bucket_url}/a.csv") as source:
        assert source.read(0, Span(3, 5))[:, 0].tolist() == [3.0, 4.0]
