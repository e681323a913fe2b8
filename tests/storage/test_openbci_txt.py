"""Raw text of the OpenBCI GUI: the published file against NumPy, and made ones."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from storage.errors import CorruptRecording, UnsupportedRecording
from storage.openbci_txt import OpenBciSource
from storage.protocols import RecordingSource
from storage.spans import Span
from tests.contracts.recording_source import RecordingSourceTests

HEAD = "%OpenBCI Raw EXG Data\n%Number of channels = 1\n%Sample Rate = 250 Hz\n%Board = any\n"
NAMES = (
    "Sample Index, EXG Channel 0, Accel Channel 0, Not Used, Not Used, Timestamp, Marker Channel, "
    "Timestamp (Formatted)\n"
)


def write_txt(path: Path, *lines: str, head: str = HEAD + NAMES) -> Path:
    path.write_text(head + "".join(f"{line}\n" for line in lines))
    return path


def rows(count: int, skipping: int = -1) -> list[str]:
    return [
        f"{n % 256}, {n}.0, 0.5,0,0, {1_700_000_000 + n / 250:.6f},{3 if n == 9 else 0}, 12:00:53.3"
        for n in range(count)
        if n != skipping
    ]


class TestOpenBci(RecordingSourceTests):
    numbered = False

    def make(self, folder: Path) -> Path:
        return write_txt(folder / "a.txt", *rows(2000))

    def open(self, path: Path) -> RecordingSource:
        return OpenBciSource(str(path))

    def change(self, path: Path) -> None:
        stat = path.stat()
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))


def test_the_published_file_is_what_numpy_reads(data: Path) -> None:
    (path,) = (data / "openbci").glob("*.txt")
    expected = np.loadtxt(path, delimiter=",", skiprows=5, usecols=range(23))
    with OpenBciSource(str(path)) as source:
        recording = source.recording
        exg, accel, other = recording.groups
        assert [group.name for group in (exg, accel, other)] == ["EXG", "Accel", "other"]
        assert {group.rate_hz for group in recording.groups} == {250.0}
        everything = Span(0, len(expected))
        np.testing.assert_array_equal(source.read(0, everything), expected[:, 1:9])
        np.testing.assert_array_equal(source.read(1, everything), expected[:, 9:12])
        stamps = source.stamps_s(0, everything)
        np.testing.assert_array_equal(np.asarray(stamps), expected[:, 22] / 1000)
        (segment,) = source.segments(0)
        assert segment.span == everything
    assert (exg.channels[0].unit, accel.channels[0].unit) == ("uV", "g")
    labels = [channel.label for channel in other.channels]
    assert labels[:2] == ["Sample Index", "Not Used"]
    assert "Not Used#2" in labels


def test_markers_and_lost_samples(tmp_path: Path) -> None:
    with OpenBciSource(str(write_txt(tmp_path / "a.txt", *rows(1000, skipping=500)))) as source:
        recording = source.recording
    assert [(each.onset_us, each.text) for each in recording.annotations] == [(36_000, "3")]
    assert "by the board's counter 1 samples never arrived" in recording.notes


def test_damage_and_other_files_are_told(tmp_path: Path) -> None:
    lines = rows(100)
    lines[10] = lines[10].replace("0.5", "half")
    with pytest.raises(CorruptRecording, match="line 16: Accel Channel 0 is ' half'"):
        OpenBciSource(str(write_txt(tmp_path / "a.txt", *lines)))
    with pytest.raises(UnsupportedRecording, match="no raw text file"):
        OpenBciSource(str(write_txt(tmp_path / "b.txt", head="something\n")))
    with pytest.raises(UnsupportedRecording, match="before 5"):
        OpenBciSource(str(write_txt(tmp_path / "c.txt", *rows(3), head=HEAD)))
    with pytest.raises(CorruptRecording, match="Sample Rate"):
        OpenBciSource(str(write_txt(tmp_path / "d.txt", *rows(3), head="%OpenBCI\n" + NAMES)))
    with pytest.raises(UnsupportedRecording, match="holds no samples"):
        OpenBciSource(str(write_txt(tmp_path / "e.txt")))
