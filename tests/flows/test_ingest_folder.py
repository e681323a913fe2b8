"""Watching a folder: what is new is taken in once, what grows is left, what failed is told once."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from flows.ingest_folder import run_flow
from storage.errors import NotFound
from storage.folders import open_folder
from tasks.requests import FolderRequest
from tasks.results import IngestResult
from tests.flows.prefect_records import latest_run
from tests.support.edf_files import signals, write_edf

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RANVIER_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "ward3"
    folder.mkdir()
    return folder


def settled(path: Path, seconds: float = 3600) -> Path:
    then = time.time() - seconds
    os.utime(path, (then, then))
    return path


def outcomes(results: tuple[IngestResult, ...]) -> dict[str, str]:
    return {Path(one.source).name: one.outcome for one in results}


def test_what_is_new_is_taken_in_once(home: Path, inbox: Path) -> None:
    request = FolderRequest(folder=str(inbox))
    assert run_flow(request) == ()
    settled(write_edf(inbox / "a.edf", signals=signals(2), records=4))
    assert outcomes(run_flow(request)) == {"a.edf": "stored"}
    assert run_flow(request) == ()
    (inbox / "below").mkdir()
    settled(write_edf(inbox / "below" / "b.edf", signals=signals(2), records=5))
    assert outcomes(run_flow(request)) == {"b.edf": "stored"}
    assert latest_run().state_name == "Completed"


def test_a_file_that_may_still_grow_is_left_for_the_next_time(home: Path, inbox: Path) -> None:
    path = write_edf(inbox / "a.edf", signals=signals(2), records=4)
    assert run_flow(FolderRequest(folder=str(inbox))) == ()
    settled(path)
    assert outcomes(run_flow(FolderRequest(folder=str(inbox)))) == {"a.edf": "stored"}
    fresh = write_edf(inbox / "b.edf", signals=signals(2), records=5)
    assert outcomes(run_flow(FolderRequest(folder=str(inbox), settle_seconds=0))) == {
        fresh.name: "stored"
    }


def test_what_failed_is_told_once_and_tried_again_when_it_changes(home: Path, inbox: Path) -> None:
    request = FolderRequest(folder=str(inbox), patient="p1")
    path = write_edf(inbox / "a.edf", signals=signals(2), records=4)
    whole = path.read_bytes()
    path.write_bytes(whole[:300])
    settled(path)
    settled(write_edf(inbox / "b.edf", signals=signals(1), records=4))
    results = run_flow(request)
    assert outcomes(results) == {"a.edf": "failed", "b.edf": "stored"}
    assert {one.patient_id for one in results} == {None, "p1"}
    recorded = latest_run()
    assert recorded.state is not None
    assert "1 of 2 failed" in str(recorded.state.message)
    assert run_flow(request) == ()
    path.write_bytes(whole)
    settled(path, 1800)
    assert outcomes(run_flow(request)) == {"a.edf": "stored"}


def test_a_prefix_of_a_bucket(home: Path, bucket_url: str, tmp_path: Path) -> None:
    request = FolderRequest(folder=f"{bucket_url}/in")
    target = open_folder(f"{bucket_url}/in/ward4")
    for name in ("a.edf", "b.edf"):
        path = write_edf(tmp_path / name, signals=signals(2), records=4 if name[0] == "a" else 6)
        target.write(name, [path.read_bytes()])
        assert outcomes(run_flow(request)) == {name: "stored"}
    assert run_flow(request) == ()


def test_a_folder_that_is_not_there_fails_every_time(home: Path, tmp_path: Path) -> None:
    request = FolderRequest(folder=str(tmp_path / "none"))
    for _ in range(2):
        with pytest.raises(NotFound, match="no such file or folder"):
            run_flow(request)
