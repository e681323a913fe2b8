"""CSV files of Mind Monitor: the published one against the csv module, and made ones."""

from __future__ import annotations

import csv
import os
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from storage.errors import CorruptRecording, UnsupportedRecording
from storage.mind_monitor import MindMonitorSource
from storage.protocols import RecordingSource
from storage.spans import Span
from tests.contracts.recording_source import RecordingSourceTests

HEADING = "TimeStamp,RAW_TP9,Delta_TP9,HeadBandOn,Battery,Elements"
START = datetime(2020, 6, 14, 10, 19, 29, 289_000)  # noqa: DTZ001


def row(at_s: float, *fields: object) -> str:
    at = START + timedelta(seconds=at_s)
    return ",".join([at.isoformat(" ", "milliseconds"), *(str(field) for field in fields)])


def write_csv(path: Path, *lines: str, heading: str = HEADING) -> Path:
    path.write_text("\n".join([heading, *lines]) + "\n")
    return path


class TestMindMonitor(RecordingSourceTests):
    numbered = False

    def make(self, folder: Path) -> Path:
        lines = [row(n / 256, n, 0.5, 1, 100, "") for n in range(1200)]
        lines.insert(700, row(2.731, "", "", "", "", "/muse/elements/blink"))
        lines += [row(n / 256 + 9, n, 0.25, 1, 95) for n in range(1200, 2000)]
        return write_csv(folder / "a.csv", *lines)

    def open(self, path: Path) -> RecordingSource:
        return MindMonitorSource(str(path))

    def change(self, path: Path) -> None:
        stat = path.stat()
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))


def test_the_published_file_is_what_the_csv_module_reads(data: Path) -> None:
    path = data / "muse" / "mindmonitor_museS_1hz.csv"
    with open(path, newline="") as file:
        heading, *lines = csv.reader(file)
    expected = {
        name: [float(line[at]) for line in lines]
        for at, name in enumerate(heading)
        if name not in ("TimeStamp", "Elements")
    }
    with MindMonitorSource(str(path)) as source:
        recording = source.recording
        groups = {group.name: group for group in recording.groups}
        assert set(groups) == {"RAW", "bands", "motion", "fit", "battery"}
        seen = {}
        for number, group in enumerate(recording.groups):
            assert (group.rate_hz, group.n_samples) == (1.0, len(lines))
            block = source.read(number, Span(0, len(lines)))
            seen.update(
                {each.label: block[:, at].tolist() for at, each in enumerate(group.channels)}
            )
            assert len(list(source.segments(number))) == 1
    assert seen == expected
    units = {each.label: each.unit for group in recording.groups for each in group.channels}
    assert units["RAW_TP9"] == units["AUX_RIGHT"] == "uV"
    assert units["Alpha_AF7"] == "Bel"
    assert (units["Accelerometer_X"], units["Gyro_Z"]) == ("g", "deg/s")
    assert (units["HSI_TP9"], units["Battery"]) == ("", "%")
    assert abs(recording.start_us - 1_592_129_969_289_000) < 3_000
    assert any("names no zone" in note for note in recording.notes)
    assert recording.annotations == ()


def test_events_gaps_and_missing_numbers(tmp_path: Path) -> None:
    lines = [row(n, n, "", 1, 100) for n in range(20)]
    lines += [row(n + 30, n, 0.5, 1, 90, "/Marker/2" if n == 25 else "") for n in range(20, 40)]
    lines.insert(5, row(4.5, "", "", "", "", "/muse/elements/jaw_clench"))
    with MindMonitorSource(str(write_csv(tmp_path / "a.csv", *lines))) as source:
        recording = source.recording
        assert [segment.span for segment in source.segments(0)] == [Span(0, 20), Span(20, 40)]
        bands = next(n for n, group in enumerate(recording.groups) if group.name == "bands")
        assert np.isnan(source.read(bands, Span(0, 20))).all()
        stamps = source.stamps_s(0, Span(19, 21))
    assert stamps is not None
    assert stamps[1] - stamps[0] == pytest.approx(31)
    assert [(each.onset_us, each.text) for each in recording.annotations] == [
        (4_500_000, "/muse/elements/jaw_clench"),
        (55_000_000, "/Marker/2"),
    ]


def test_at_256_rows_a_second_stamps_come_in_bursts(tmp_path: Path) -> None:
    lines = [row(n // 12 * 12 / 256, n, 1, 1, 100) for n in range(2560)]
    with MindMonitorSource(str(write_csv(tmp_path / "a.csv", *lines))) as source:
        assert source.recording.groups[0].rate_hz == 256.0
        assert len(list(source.segments(0))) == 1


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("2020-06-14 10:19:29.5,1,2", "line 4: 3 fields, expected 6"),
        ("14.6.2020,1,2,3,4,", "line 4: TimeStamp is '14.6.2020'"),
        ("2020-06-14 10:19:29.5,1,2,on,4,", "line 4: HeadBandOn is 'on'"),
    ],
)
def test_a_damaged_line_is_named(tmp_path: Path, wrong: str, words: str) -> None:
    lines = [row(0, 1, 2, 3, 4), row(1, 1, 2, 3, 4), wrong, row(2, 1, 2, 3, 4)]
    with pytest.raises(CorruptRecording, match=words):
        MindMonitorSource(str(write_csv(tmp_path / "a.csv", *lines)))
    lines.pop()
    with MindMonitorSource(str(write_csv(tmp_path / "a.csv", *lines))) as source:
        assert source.recording.groups[0].n_samples == 2
        assert "the last line is cut short; left out" in source.recording.notes


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedRecording, match="no CSV file of Mind Monitor"):
        MindMonitorSource(str(write_csv(tmp_path / "a.csv", heading="timestamps,TP9")))
    with pytest.raises(UnsupportedRecording, match="no rows of numbers"):
        MindMonitorSource(str(write_csv(tmp_path / "b.csv", row(0, "", "", "", "", "x"))))
