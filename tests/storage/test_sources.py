"""Recordings of every format are told by content, and found wherever a person points."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage.errors import NotFound, RecordingError, UnsupportedRecording
from storage.folders import open_folder
from storage.sources import Skipped, find_recordings, kind_of, open_recording
from tests.support.nwb_files import SeriesSpec
from tests.support.nwb_zarr import write_nwb_zarr_v2

KINDS = {
    "edf/mne_test.edf": "edf",
    "edf/mne_test.bdf": "bdf",
    "ssvep_gdf/subject01_2012.07.06-19.02.16.gdf": "gdf",
    "xdf/minimal.xdf": "xdf",
    "nwb/spikeglx_ap_stub.nwb": "nwb",
    "muse/N170_subject1_2017-09-13-15.30.01.csv": "muse-lsl",
    "muse/mindmonitor_museS_1hz.csv": "mind-monitor",
    "openbci/OpenBCI_GUI-v6-blinks-jawClench-alpha.txt": "openbci",
}


def found(*given: object) -> list[str]:
    return [
        each for each in find_recordings([str(item) for item in given]) if isinstance(each, str)
    ]


def skipped(*given: object) -> list[Skipped]:
    return [
        each for each in find_recordings([str(item) for item in given]) if isinstance(each, Skipped)
    ]


@pytest.mark.parametrize("name", KINDS)
def test_content_tells_the_format_whatever_the_name(data: Path, tmp_path: Path, name: str) -> None:
    assert kind_of(str(data / name)) == KINDS[name]
    renamed = tmp_path / "recording.dat"
    renamed.symlink_to(data / name)
    assert kind_of(str(renamed)) == KINDS[name]
    with open_recording(str(renamed)) as source:
        assert source.recording.groups
    assert found(renamed) == [str(renamed)]


def test_a_damaged_file_goes_to_the_reader_of_its_name(tmp_path: Path) -> None:
    for name in ("a.edf", "a.bdf", "a.gdf", "a.xdf", "a.nwb"):
        path = tmp_path / name
        path.write_bytes(b"nothing of the kind")
        assert kind_of(str(path)) == path.suffix[1:]
        with pytest.raises(RecordingError):
            open_recording(str(path))


def test_everything_in_the_data_folder(data: Path) -> None:
    names = {Path(each).relative_to(data).as_posix() for each in found(data)}
    assert set(KINDS) <= names
    on_disk = {
        path.relative_to(data).as_posix()
        for path in data.rglob("*")
        if path.suffix in (".edf", ".bdf", ".gdf", ".xdf", ".nwb", ".csv")
    }
    # A table of numbers is no recording.
    on_disk.remove("mc_maze/trial_748_data.csv")
    assert names - {"openbci/OpenBCI_GUI-v6-blinks-jawClench-alpha.txt"} == on_disk
    assert {each.url.rpartition("/")[2] for each in skipped(data)} == {
        "chb01_03.edf.seizures",
        "chb01_04.edf.seizures",
    }
    assert found(data) == found(data, data / "edf")


def test_what_lies_beside_recordings_is_passed_over(tmp_path: Path) -> None:
    for name in ("notes.txt", "table.csv", "SOURCES.md", "a.npy", ".hidden.edf", "x-summary.txt"):
        (tmp_path / name).write_text("some words\n")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.csv").write_text("timestamps,TP9\n1,2\n")
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "zarr.json").write_text("{}")
    (tmp_path / "store" / "a.edf").write_text("part of a store")
    assert list(find_recordings([str(tmp_path)])) == [str(tmp_path / "deep" / "a.csv")]


def test_what_a_person_names_is_never_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("some words\n")
    (one,) = skipped(path)
    assert "notes.txt: is none of the formats that are read: EDF" in one.reason
    (one,) = skipped(tmp_path / "absent.edf")
    assert "no such file or folder" in one.reason
    (one,) = skipped(tmp_path / "*.edf")
    assert "no file fits" in one.reason
    with pytest.raises(UnsupportedRecording, match="none of the formats"):
        open_recording(str(path))
    with pytest.raises(NotFound):
        open_recording(str(tmp_path / "absent.edf"))


def test_globs_and_repeats(data: Path) -> None:
    assert found(data / "siena" / "*.edf") == [
        str(data / "siena" / f"PN00-{n}.edf") for n in range(1, 6)
    ]
    assert len(found(data / "**" / "*.bdf")) == 3
    one = data / "siena" / "PN00-1.edf"
    assert found(one, data / "siena" / "*1.edf", one) == [str(one)]


def test_an_nwb_folder_is_one_recording(tmp_path: Path) -> None:
    path = write_nwb_zarr_v2(tmp_path / "sub" / "a.nwb.zarr", SeriesSpec(samples=100))
    assert found(tmp_path) == [str(path)]
    assert found(path) == [str(path)]
    with open_recording(str(path)) as source:
        assert source.recording.groups[0].n_samples == 100


def test_prefixes_and_globs_of_a_bucket(bucket_url: str, data: Path) -> None:
    folder = open_folder(bucket_url)
    for name in ("PN00-1.edf", "PN00-2.edf", "Seizures-list-PN00.txt"):
        folder.write(f"siena/{name}", [(data / "siena" / name).read_bytes()])
    folder.write("b.edf.seizures", [b"x"])
    folder.write("minimal.xdf", [(data / "xdf" / "minimal.xdf").read_bytes()])
    both = [f"{bucket_url}/siena/PN00-1.edf", f"{bucket_url}/siena/PN00-2.edf"]
    assert found(bucket_url) == [f"{bucket_url}/minimal.xdf", *both]
    assert [each.url for each in skipped(bucket_url)] == [f"{bucket_url}/b.edf.seizures"]
    assert found(f"{bucket_url}/siena/") == both
    assert found(f"{bucket_url}/*/*-2.edf") == both[1:]
    assert found(f"{bucket_url}/**/*.edf") == both
    assert found(both[0]) == both[:1]
    assert [each.reason for each in skipped(f"{bucket_url}/siena/absent.edf")] != []
    assert [each.reason for each in skipped(f"{bucket_url}/none*.edf")] != []
    with open_recording(f"{bucket_url}/minimal.xdf") as source:
        assert source.recording.groups[0].n_samples == 9
