"""Recordings as CSV: read back by NumPy to the last bit."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from storage.csv_export import CsvSink
from storage.edf import EdfSource
from storage.errors import AlreadyExists, UsageError
from storage.muse_csv import MuseCsvSource
from storage.protocols import RecordingSink
from storage.scaling import Scaling
from storage.spans import Span
from tests.contracts.recording_sink import GROUPS, RecordingSinkTests
from tests.support.synthetic_recording import SyntheticGroup, SyntheticRecording

pytestmark = pytest.mark.usefixtures("nothing_left_over")


def table(path: Path) -> NDArray[np.float64]:
    heading, _, rows = path.read_text().partition("\n")
    numbers = np.fromstring(rows.replace("\n", ","), sep=",")
    return numbers.reshape(-1, heading.count(",") + 1)


class TestCsvSink(RecordingSinkTests):
    def sink(self, place: str) -> RecordingSink:
        return CsvSink(place)

    def looks_whole(self, place: str) -> bool:
        return (Path(place) / "recording.json").exists()

    def read_back(self, place: str) -> list[NDArray[np.float64]]:
        head = json.loads((Path(place) / "recording.json").read_text())
        return [table(Path(place) / group["file"])[:, 2:] for group in head["groups"]]


def test_times_segments_and_headings(tmp_path: Path) -> None:
    CsvSink(str(tmp_path / "out")).write(SyntheticRecording(*GROUPS))
    held = table(tmp_path / "out" / "group0.csv")
    index = np.arange(300_000)
    expected = index / 2000 + np.where(index >= 70_000, 5.0, 0.0)
    np.testing.assert_allclose(held[:, 0], expected, rtol=0, atol=1e-9)
    np.testing.assert_array_equal(held[:, 1], index >= 70_000)
    with open(tmp_path / "out" / "group0.csv", newline="") as file:
        assert next(csv.reader(file)) == ["time_s", "segment", "G0C0 (uV)", "G0C1 (uV)"]
    head = json.loads((tmp_path / "out" / "recording.json").read_text())
    assert head["start"] == "2024-05-06T07:08:09.123456+00:00"
    assert [group["rate_hz"] for group in head["groups"]] == [2000, 250, 1, 30_000]


def test_physical_values_have_full_precision(tmp_path: Path) -> None:
    scaling = Scaling(factor=1600 / 4095, offset=0.19536)
    group = SyntheticGroup(n_samples=5000, scaling=scaling)
    source = SyntheticRecording(group)
    CsvSink(str(tmp_path / "out")).write(source)
    stored = source.read(0, Span(0, 5000))
    np.testing.assert_array_equal(
        table(tmp_path / "out" / "group0.csv")[:, 2:], scaling.apply(stored)
    )


def test_annotations_and_duplicate_labels_of_a_real_file(data: Path, tmp_path: Path) -> None:
    with EdfSource(str(data / "chbmit" / "chb01_03_clip.edf")) as source:
        (group,) = source.recording.groups
        CsvSink(str(tmp_path / "clip")).write(source)
        stored = source.read(0, Span(0, group.n_samples))
    (name,) = [p for p in (tmp_path / "clip").glob("*.csv") if p.name != "annotations.csv"]
    held = table(name)
    physical = [each.scaling.apply(stored[:, at]) for at, each in enumerate(group.channels)]
    np.testing.assert_array_equal(held[:, 2:], np.stack(physical, axis=1))
    heading = name.read_text().partition("\n")[0]
    assert '"T8-P8 (uV)"' in heading
    assert '"T8-P8#2 (uV)"' in heading
    path = data / "muse" / "P300_subject1_2017-02-04-15_45_13.csv"
    with MuseCsvSource(str(path)) as muse:
        CsvSink(str(tmp_path / "muse")).write(muse)
        first = muse.recording.annotations[0]
    with open(tmp_path / "muse" / "annotations.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 197
    assert float(rows[0]["onset_s"]) == first.onset_us / 1e6
    assert (rows[0]["duration_s"], rows[0]["text"], rows[0]["kind"]) == ("", "1", "marker")


def test_what_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(AlreadyExists):
        CsvSink(str(tmp_path / "out")).write(SyntheticRecording(GROUPS[1]))
    with pytest.raises(UsageError):
        CsvSink("s3://bucket/out")
