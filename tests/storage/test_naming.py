"""Names by file and folder, and made ones where a header names a person."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from realtime.wire.records import Identifier
from storage.edf import EdfSource
from storage.errors import UsageError
from storage.gdf import GdfSource
from storage.identity import IdentityKey
from storage.naming import Names, check_names, name_recording
from storage.nwb import NwbSource
from storage.nwb_export import NwbSink
from storage.persons import NameMask
from storage.protocols import person_of
from tests.support.edf_files import signals, write_edf
from tests.support.gdf_files import GdfChannel, write_gdf
from tests.support.synthetic_recording import SyntheticGroup, SyntheticRecording


def named(path: Path, key: Path) -> Names:
    with EdfSource(str(path)) as source:
        return name_recording(source, str(path), lambda: IdentityKey.load_or_create(key))


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
    assert name_recording(source, url, lambda: IdentityKey.load_or_create(key)) == Names(
        *names, made=False
    )


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


def test_names_that_are_given_need_no_key(tmp_path: Path, key: Path) -> None:
    path = write_edf(tmp_path / "a.edf", signals=signals(1), plus="C", patient="X F X Sally")

    def given(*names: str) -> Names:
        with EdfSource(str(path)) as source:
            return name_recording(
                source, str(path), lambda: IdentityKey.load_or_create(key), *names
            )

    assert given("p1", "night") == Names("p1", "night", made=True)
    assert not key.exists()
    half = given("p1")
    assert half.patient == "p1"
    assert half.recording == named(path, key).recording


@pytest.mark.parametrize("version", ["1.25", "2.20"])
def test_a_gdf_file_that_names_a_person_gets_made_names(
    tmp_path: Path, key: Path, version: str
) -> None:
    samples = GdfChannel(label="C3", samples=np.zeros(256))

    def of(name: str, patient: str) -> Names:
        path = write_gdf(tmp_path / name, samples, version=version, patient=patient)
        with GdfSource(str(path)) as source:
            return name_recording(
                source, name, lambda: IdentityKey.load_or_create(key), sha256="ab" * 32
            )

    assert of("P17.gdf", "P17 X") == Names("unknown", "P17.gdf", made=False)
    made = of("Harry.gdf", "P17 Haagse_Harry")
    assert made.made
    assert "Harry" not in made.patient + made.recording
    assert of("other.gdf", "P17 Haagse_Harry") == made


@pytest.mark.parametrize(("subject", "person"), [("sub-01", None), ("Jane Doe", "Jane Doe")])
def test_an_nwb_file_may_name_its_subject(tmp_path: Path, subject: str, person: str | None) -> None:
    path = tmp_path / "a.nwb"
    NwbSink(str(path)).write(SyntheticRecording(SyntheticGroup()))
    with h5py.File(path, "a") as file:
        file.require_group("general/subject")["subject_id"] = subject
    with NwbSource(str(path)) as source_of_nwb:
        assert person_of(source_of_nwb) == person


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b", "a\n", "x" * 201])
def test_names_that_no_route_takes_are_wrong_usage(name: str) -> None:
    with pytest.raises(UsageError, match=r"--recording-id .*choose another name"):
        check_names(patient="p1", recording_id=name)
    with pytest.raises(ValidationError):
        TypeAdapter(Identifier).validate_python(name)
    check_names(patient=None, recording_id="night 1.edf")


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Harry moved; HAAGSE asleep", "XXXXX moved; XXXXXX asleep"),
        ("called Ann", "called XXX"),
        ("an annotation", "an annotation"),
        ("mÜller", "XXXXXX"),
    ],
)
def test_parts_of_a_name_are_masked(text: str, masked: str) -> None:
    mask = NameMask("Haagse_Harry Ann X Müller")
    assert mask.text(text) == masked
    raw = b"+1\x15\x31\x14" + text.encode() + b"\x14\x00"
    assert len(mask.tals(raw)) == len(raw)
    assert mask.tals(raw).decode().count("X") >= masked.count("X")
