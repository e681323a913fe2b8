"""``ranvier ingest`` as people and scripts meet it."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from storage.folders import open_folder
from storage.recording_store import RecordingStore
from storage.settings import RecordsSettings
from tests.support.command_line import Ran, command, environment, ranvier
from tests.support.edf_files import signals, write_edf

PERSON = "MCH-0234567 F 02-MAY-1951 Haagse_Harry"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def ward(tmp_path: Path) -> Path:
    folder = tmp_path / "ward3"
    folder.mkdir()
    write_edf(folder / "a.edf", signals=signals(3), records=20)
    write_edf(folder / "b.bdf", signals=signals(2), records=5, bdf=True, plus="C")
    return folder


def ingest(home: Path, *arguments: str, **given: Any) -> Ran:
    return ranvier("ingest", *arguments, env={"RANVIER_HOME": str(home)}, **given)


def outcomes(done: Ran) -> dict[str, tuple[str | None, str]]:
    return {
        Path(one["source"]).name: (one["recording_id"], one["outcome"])
        for one in done.json["recordings"]
    }


def opened(home: Path) -> RecordingStore:
    settings = RecordsSettings(home=home)
    return RecordingStore.open(settings.store_url, settings.catalog_url, settings.identity_path)


def everything_below(folder: Path) -> dict[Path, tuple[int, int]]:
    return {
        path: (path.stat().st_mtime_ns, path.stat().st_size)
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith(("-wal", "-shm"))
    }


def test_a_folder_is_taken_in_once(ward: Path, home: Path) -> None:
    done = ingest(home, str(ward), "--json")
    assert (done.code, done.err) == (0, "")
    assert outcomes(done) == {"a.edf": ("a.edf", "stored"), "b.bdf": ("b.bdf", "stored")}
    for one in done.json["recordings"]:
        assert set(one) == {"recording_id", "source", "outcome", "reason"}
    before = everything_below(home / "store")
    again = ingest(home, str(ward), "--json")
    assert again.code == 0
    assert {outcome for _, outcome in outcomes(again).values()} == {"unchanged"}
    assert everything_below(home / "store") == before
    with opened(home) as store:
        assert [(one.patient, one.name, one.sealed) for one in store.catalog.recordings()] == [
            ("ward3", "a.edf", True),
            ("ward3", "b.bdf", True),
        ]


def test_people_are_told_what_was_stored_and_what_was_there(ward: Path, home: Path) -> None:
    done = ingest(home, str(ward))
    assert "stored: a.edf of ward3, 15,360 samples" in done.out
    assert "3 channels x 5120 samples at 256 Hz" in done.out
    assert "ingesting 2 files" in done.err
    assert "unchanged: a.edf of ward3" in ingest(home, str(ward)).out


def test_a_bad_file_is_named_and_does_not_stop_the_rest(ward: Path, home: Path) -> None:
    (ward / "aa.edf").write_bytes((ward / "a.edf").read_bytes()[:300])
    done = ingest(home, str(ward), "--json")
    assert done.code == 1
    found = outcomes(done)
    assert found["a.edf"][1] == found["b.bdf"][1] == "stored"
    assert found["aa.edf"] == (None, "failed")
    (bad,) = (one for one in done.json["recordings"] if one["source"].endswith("aa.edf"))
    assert "aa.edf" in bad["reason"]
    assert f"ranvier: 1 of 3 failed: {ward / 'aa.edf'}" in done.err


def test_what_is_not_there_fails_and_the_rest_is_done(ward: Path, home: Path) -> None:
    done = ingest(home, str(ward / "a.edf"), str(ward / "none.edf"), "--json")
    assert done.code == 1
    assert outcomes(done)["a.edf"][1] == "stored"
    assert "there is no such file" in done.err


def test_a_folder_of_something_else_is_one_line(tmp_path: Path, home: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "readme.md").write_text("nothing")
    done = ingest(home, str(tmp_path / "notes"))
    assert done.code == 1
    (line,) = done.err.splitlines()
    assert "nothing in there looks like a recording" in line


def test_patient_and_name_as_given(ward: Path, home: Path) -> None:
    words = ("--patient", "p17", "--recording-id", "night-1")
    refused = ingest(home, str(ward), *words)
    assert refused.code == 2
    assert "--recording-id names one recording" in refused.err
    done = ingest(home, str(ward / "a.edf"), "--patient", "p17", "--recording-id", "night-1")
    assert done.code == 0
    assert "stored: night-1 of p17" in done.out


def test_another_file_of_that_name_is_refused(ward: Path, home: Path, tmp_path: Path) -> None:
    assert ingest(home, str(ward)).code == 0
    (tmp_path / "copy" / "ward3").mkdir(parents=True)
    write_edf(tmp_path / "copy" / "ward3" / "a.edf", signals=signals(3), records=21)
    done = ingest(home, str(tmp_path / "copy"), "--json")
    assert done.code == 1
    assert outcomes(done) == {"a.edf": (None, "refused")}
    assert "exists" in done.json["recordings"][0]["reason"]
    assert ingest(home, str(tmp_path / "copy"), "--patient", "ward4").code == 0


def test_patterns_and_relative_paths(ward: Path, home: Path) -> None:
    done = ingest(home, "ward3/*.edf", "--json", cwd=ward.parent)
    assert outcomes(done) == {"a.edf": ("a.edf", "stored")}
    assert done.json["recordings"][0]["source"] == str(ward / "a.edf")


def test_who_a_header_names_is_nowhere_in_the_store(tmp_path: Path, home: Path) -> None:
    folder = tmp_path / "Haagse_Harry"
    folder.mkdir()
    for number, name in enumerate(("harry_1.edf", "harry_2.edf")):
        write_edf(folder / name, signals=signals(2), records=3 + number, plus="C", patient=PERSON)
    done = ingest(home, str(folder), "--json")
    assert done.code == 0, done.err
    names = [one["recording_id"] for one in done.json["recordings"]]
    assert len(set(names)) == 2
    assert all(name.startswith("recording-") for name in names)
    with opened(home) as store:
        entries = store.catalog.recordings()
        assert len({one.patient for one in entries}) == 1
        assert entries[0].patient.startswith("patient-")
    for path in home.rglob("*"):
        if path.is_file():
            assert b"arry" not in path.read_bytes(), path
    again = ingest(home, str(folder), "--json")
    assert [one["recording_id"] for one in again.json["recordings"]] == names
    assert {one["outcome"] for one in again.json["recordings"]} == {"unchanged"}


@pytest.mark.parametrize("drop", [False, True])
def test_the_very_file_comes_back_unless_its_identity_was_dropped(
    tmp_path: Path, home: Path, drop: bool
) -> None:
    source = write_edf(
        tmp_path / "x.edf", signals=signals(2), plus="C", patient=PERSON, tail=b"\0" * 9
    )
    words = ("--drop-identity",) if drop else ()
    done = ingest(home, str(source), "--patient", "p", "--recording-id", "x", *words)
    assert done.code == 0, done.err
    back = tmp_path / "back.edf"
    env = {"RANVIER_HOME": str(home)}
    said = ranvier("recordings", "export", "x", "--original", "-o", str(back), env=env)
    assert said.code == 0, said.err
    if not drop:
        assert back.read_bytes() == source.read_bytes()
        return
    assert "anonymised" in done.err
    assert "the header names nobody" in said.out
    assert back.read_bytes()[256:] == source.read_bytes()[256:]
    assert back.read_bytes()[8:15] == b"X X X X"
    for path in home.rglob("*"):
        assert not path.is_file() or b"Haagse" not in path.read_bytes(), path


def test_lists_of_seizures_beside_the_files_become_annotations(
    data: Path, tmp_path: Path, home: Path
) -> None:
    folder = tmp_path / "chb01"
    folder.mkdir()
    for name in ("chb01_03_clip.edf", "chb01_clips-summary.txt", "chb01_04.edf.seizures"):
        (folder / name).write_bytes((data / "chbmit" / name).read_bytes())
    done = ingest(home, str(folder), "--json")
    assert done.code == 0
    assert outcomes(done) == {
        "chb01_03_clip.edf": ("chb01_03_clip.edf", "stored"),
        "chb01_04.edf.seizures": (None, "refused"),
    }
    assert "skipped" in done.err
    assert "a recording that is not there" in done.err
    with opened(home) as store:
        held = store.catalog.annotations(store.catalog.find("chb01_03_clip.edf"))
        assert [one.annotation.kind for one in held] == ["seizure"]
    again = ingest(home, str(folder), "--json")
    assert outcomes(again)["chb01_03_clip.edf"][1] == "unchanged"


def test_a_list_that_comes_later_is_added_to_the_recording(
    data: Path, tmp_path: Path, home: Path
) -> None:
    folder = tmp_path / "chb01"
    folder.mkdir()
    clip, summary = "chb01_03_clip.edf", "chb01_clips-summary.txt"
    (folder / clip).write_bytes((data / "chbmit" / clip).read_bytes())
    assert ingest(home, str(folder)).code == 0
    (folder / summary).write_bytes((data / "chbmit" / summary).read_bytes())
    assert "1 annotation added" in ingest(home, str(folder)).out
    assert outcomes(ingest(home, str(folder), "--json"))[clip][1] == "unchanged"


def test_from_a_bucket_into_a_bucket(
    ward: Path, home: Path, bucket_url: str, tmp_path: Path
) -> None:
    for path in ward.iterdir():
        open_folder(f"{bucket_url}/in/ward3").write(path.name, [path.read_bytes()])
    env = {"RANVIER_HOME": str(home), "RANVIER_STORE": f"{bucket_url}/store"}
    done = ranvier("ingest", f"{bucket_url}/in/", "--json", env=env)
    assert (done.code, done.err) == (0, "")
    assert outcomes(done) == {"a.edf": ("a.edf", "stored"), "b.bdf": ("b.bdf", "stored")}
    assert outcomes(ranvier("ingest", f"{bucket_url}/in/", "--json", env=env)) == {
        "a.edf": ("a.edf", "unchanged"),
        "b.bdf": ("b.bdf", "unchanged"),
    }
    assert not (home / "store").exists()
    back = tmp_path / "back.bdf"
    said = ranvier("recordings", "export", "b.bdf", "--original", "-o", str(back), env=env)
    assert said.code == 0, said.err
    assert back.read_bytes() == (ward / "b.bdf").read_bytes()


def test_settings_that_are_not_understood_are_one_line(ward: Path, home: Path) -> None:
    env = {"RANVIER_HOME": str(home), "RANVIER_DATABASE_URL": "nonsense://x"}
    failed = ranvier("ingest", str(ward), env=env)
    assert failed.code in (1, 2)
    assert len(failed.err.splitlines()) == 1
    assert failed.err.startswith("ranvier: ")


def test_stopped_by_hand_it_goes_on_where_it_was(tmp_path: Path, home: Path) -> None:
    folder = tmp_path / "long"
    folder.mkdir()
    source = write_edf(folder / "night.edf", signals=signals(23), records=3 * 3600)
    env = environment({"RANVIER_HOME": str(home)})
    with subprocess.Popen(
        command("ingest", str(folder)),
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        due = time.monotonic() + 60
        while not list(home.glob("store/rec/*/g*/sig/*/c/**/*")):
            assert time.monotonic() < due, "the ingest did not get under way"
            time.sleep(0.005)
        os.kill(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert said.splitlines()[-1] == "ranvier: stopped; the same command goes on where it was"
    listed = ranvier("recordings", "list", "--json", env={"RANVIER_HOME": str(home)})
    assert listed.json["recordings"] == []
    assert ingest(home, str(folder), "--json").code == 0
    back = tmp_path / "back.edf"
    words = ("recordings", "export", "night.edf", "--original", "-o", str(back), "--json")
    assert ranvier(*words, env={"RANVIER_HOME": str(home)}).code == 0
    assert (
        hashlib.sha256(back.read_bytes()).digest() == hashlib.sha256(source.read_bytes()).digest()
    )


def test_json_says_why_when_nothing_could_be_begun(tmp_path: Path, home: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = ingest(home, str(tmp_path / "empty"), "--json")
    assert done.code == 1
    assert json.loads(done.out)["outcome"] == "failed"
