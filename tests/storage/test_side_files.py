"""Files beside a recording become its seizures, on this machine and in a bucket."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from storage.folders import open_folder
from storage.side_files import is_side_file, orphans, side_annotations
from tests.storage.test_seizures import made

HOUR_S = 3600.0
SUMMARY = """Data Sampling Rate: 256 Hz
File Name: a.edf
Number of Seizures in File: 1
Seizure Start Time: {start} seconds
Seizure End Time: 50 seconds
"""


def test_a_summary_and_a_seizures_file_that_agree(data: Path) -> None:
    place = str(data / "chbmit" / "chb01_03.edf")
    (seizure,), reports = side_annotations(place, HOUR_S)
    assert (seizure.onset_us, seizure.duration_us) == (2_996_000_000, 40_000_000)
    assert (seizure.kind, seizure.source, seizure.text) == ("seizure", "seizures", "seizure")
    assert reports == ()


def test_the_clips_of_the_first_case(data: Path) -> None:
    (seizure,), reports = side_annotations(str(data / "chbmit" / "chb01_03_clip.edf"), 50.0)
    assert (seizure.onset_us, seizure.duration_us) == (10_000_000, 40_000_000)
    assert seizure.source == "chb-summary"
    assert reports == ()


def test_seizures_beyond_the_end_are_kept_and_reported(data: Path) -> None:
    place = str(data / "chbmit" / "chb05" / "chb05_06.edf")
    (seizure,), (report,) = side_annotations(place, 2.0)
    assert seizure.onset_us == 417_000_000
    assert "1 of 1 seizures of chb05_06.edf lie beyond its end at 2 s; kept" in report
    assert side_annotations(str(data / "chbmit" / "chb05" / "chb05_01.edf"), 2.0) == ((), ())


def test_a_siena_list(data: Path) -> None:
    place = str(data / "siena" / "PN00-3.edf")
    start = datetime(2016, 1, 1, 18, 15, 44, tzinfo=UTC)
    (seizure,), reports = side_annotations(place, 2489.0, start)
    assert (seizure.onset_us, seizure.duration_us, seizure.source) == (765_000_000, None, "siena")
    assert len(reports) == 1
    _, reports = side_annotations(place, 2489.0, start.replace(hour=17))
    assert any("3600 s off the start 17:15:44" in report for report in reports)


@pytest.mark.parametrize(("start", "differ"), [(10, False), (11, False), (12, True)])
def test_a_disagreement_of_more_than_a_second_is_reported(
    tmp_path: Path, start: int, differ: bool
) -> None:
    (tmp_path / "a.edf.seizures").write_bytes(made((10 * 256, 50 * 256)))
    (tmp_path / "chb01-summary.txt").write_text(SUMMARY.format(start=start))
    (seizure,), reports = side_annotations(str(tmp_path / "a.edf"), HOUR_S)
    assert seizure.onset_us == 10_000_000
    assert len(reports) == differ
    if differ:
        assert "differ by 2 s about the seizure at 10 s; a.edf.seizures counts" in reports[0]


def test_one_seizure_against_two_is_reported(tmp_path: Path) -> None:
    (tmp_path / "a.edf.seizures").write_bytes(made((2560, 5120), (25_600, 51_200)))
    (tmp_path / "chb01-summary.txt").write_text(SUMMARY.format(start=10))
    seizures, reports = side_annotations(str(tmp_path / "a.edf"), HOUR_S)
    assert len(seizures) == 2
    assert "has 2 seizures" in reports[0]


def test_damaged_side_files_are_reported_and_do_not_stop_the_rest(tmp_path: Path) -> None:
    (tmp_path / "a.edf.seizures").write_bytes(b"no such thing")
    (tmp_path / "b-summary.txt").write_text("Dear all")
    (tmp_path / "c-summary.txt").write_text(SUMMARY.format(start=70))
    (tmp_path / "d-summary.txt").write_text(SUMMARY.format(start=10))
    (tmp_path / "Seizures-list-x.txt").write_text("nothing")
    (seizure,), reports = side_annotations(str(tmp_path / "a.edf"), HOUR_S)
    assert (seizure.onset_us, seizure.source) == (10_000_000, "chb-summary")
    assert {report.partition(":")[0] for report in reports} == {
        "a.edf.seizures", "b-summary.txt", "c-summary.txt", "Seizures-list-x.txt",
    }  # fmt: skip
    assert all("\n" not in report for report in reports)


def test_side_files_in_a_bucket(bucket_url: str, data: Path) -> None:
    folder = open_folder(bucket_url)
    for path in (data / "chbmit").glob("chb01*"):
        if path.suffix in (".seizures", ".txt"):
            folder.write(f"chb01/{path.name}", [path.read_bytes()])
    (seizure,), reports = side_annotations(f"{bucket_url}/chb01/chb01_04.edf", HOUR_S)
    assert (seizure.onset_us, reports) == (1_467_000_000, ())


def test_without_side_files_there_is_nothing_to_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert side_annotations(str(tmp_path / "a.edf"), 1.0) == ((), ())
    assert side_annotations(str(tmp_path / "absent" / "a.edf"), 1.0) == ((), ())
    (tmp_path / "a.edf.seizures").write_bytes(made((256, 512)))
    monkeypatch.chdir(tmp_path)
    assert len(side_annotations("a.edf", 10.0)[0]) == 1


def test_orphans_and_side_files_by_name(data: Path, tmp_path: Path) -> None:
    shutil.copy(data / "chbmit" / "chb01_03.edf.seizures", tmp_path)
    assert list(orphans(["a.edf", "a.edf.seizures", "b.edf.seizures"])) == ["b.edf.seizures"]
    assert is_side_file("x/Seizures-list-PN00.txt")
    assert is_side_file("chb01-summary.txt")
    assert not is_side_file("chb01_03.edf")
