"""Names by file and folder, and made ones where a header names a person."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage.edf import EdfSource
from storage.naming import Names, name_recording
from tests.support.edf_files import signals, write_edf
from tests.support.synthetic_recording import SyntheticGroup, SyntheticRecording


def named(path: Path, key: Path) -> Names:
    with EdfSource(str(path)) as source:
        return name_recording(source, str(path), key)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return tmp_path / "keys" / "identity.key"


def test_names_are_those_of_file_and_folder(tmp_path: Path, key: Path) -> None:
    (tmp_path / "chb01").mkdir()
    path = write_edf(tmp_path / "chb01" / "chb01_03.edf", signals=signals(1))
    assert named(path, key) == Names("chb01", "chb01_03.edf", made=False)
    assert not key.exists()


@pytest.mark.parametrize(
    ("url", "names"),
    [
        ("s3://bucket/ward/a.edf", ("ward", "a.edf")),
        ("s3://bucket/a.edf", ("bucket", "a.edf")),
        ("/a.edf", ("unknown", "a.edf")),
        ("/data/b\\c\x07/d\\e.edf", ("b_c_", "d_e.edf")),
    ],
)
def test_names_are_ones_that_routes_take(url: str, names: tuple[str, str], key: Path) -> None:
    source = SyntheticRecording(SyntheticGroup())
    assert name_recording(source, url, key) == Names(*names, made=False)


def test_made_names_belong_to_person_and_file_and_key(tmp_path: Path, key: Path) -> None:
    harry, sally = "X M X Haagse_Harry", "X F X Sally"
    paths = [
        write_edf(tmp_path / f"{n}.edf", signals=signals(1), records=n + 1, plus="C", patient=who)
        for n, who in enumerate((harry, harry, sally))
    ]
    first, second, other = (named(path, key) for path in paths)
    assert first.made
    assert first.patient == second.patient != other.patient
    assert len({first.recording, second.recording, other.recording}) == 3
    copy = tmp_path / "copied.edf"
    copy.write_bytes(paths[0].read_bytes())
    assert named(copy, key) == first
    elsewhere = named(paths[0], tmp_path / "other.key")
    assert elsewhere.patient != first.patient
    assert elsewhere.recording != first.recording
    assert key.stat().st_mode & 0o077 == 0
