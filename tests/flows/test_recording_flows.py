"""Sealing, proving and exporting as flows."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.export_recording import run_flow as export
from flows.seal_recording import run_flow as seal
from flows.verify_recording import NAME as VERIFY
from flows.verify_recording import run_flow as verify
from flows.verify_recording import verify_recording
from storage.catalog import NewRecording
from storage.errors import NotFound, UsageError
from storage.recording_store import RecordingStore
from storage.settings import RecordsSettings
from tasks.requests import ExportRequest, RecordingRequest
from tests.flows.prefect_records import artifacts_of, latest_run, rows_of
from tests.support.command_line import ranvier
from tests.support.edf_files import signals, write_edf

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture
def ward(tmp_path: Path) -> Path:
    folder = tmp_path / "ward3"
    folder.mkdir()
    for number in range(3):
        write_edf(folder / f"n{number}.edf", signals=signals(3), records=20 + number)
    return folder


@pytest.fixture
def home(tmp_path: Path, ward: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RANVIER_HOME", str(tmp_path / "home"))
    done = ranvier("ingest", str(ward), env={"RANVIER_HOME": str(tmp_path / "home")})
    assert done.code == 0, done.err
    return tmp_path / "home"


def test_all_of_them_are_proven(home: Path) -> None:
    checked = verify(RecordingRequest())
    assert [one.recording_id for one in checked] == ["n0.edf", "n1.edf", "n2.edf"]
    assert not any(one.problems for one in checked)
    assert [row["holds"] for row in rows_of(artifacts_of(latest_run())[f"{VERIFY}-results"])] == [
        "yes"
    ] * 3
    assert verify_recording(return_state=True).is_completed()


def test_one_that_does_not_hold_fails_the_run_and_is_named(home: Path) -> None:
    shards = [path for path in (home / "store").rglob("*") if path.is_file()]
    victim = max(shards, key=lambda path: path.stat().st_size)
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    victim.write_bytes(content)
    (bad,) = (one for one in verify(RecordingRequest()) if one.problems)
    recorded = latest_run()
    assert recorded.state is not None
    assert recorded.state.is_failed()
    assert f"1 of 3 failed: {bad.recording_id} of ward3: audit row" in str(recorded.state.message)
    good = {"n0.edf", "n1.edf", "n2.edf"} - {bad.recording_id}
    (checked,) = verify(RecordingRequest(recordings=(good.pop(),)))
    assert not checked.problems


def test_a_live_one_is_sealed(home: Path) -> None:
    settings = RecordsSettings(home=home)
    with RecordingStore.open(settings.store_url, settings.catalog_url) as store:
        store.catalog.create(NewRecording(patient="p", name="live", kind="live"), "test")
    (sealed,) = seal(RecordingRequest(recordings=("live",)))
    assert (sealed.recording_id, sealed.outcome) == ("live", "stored")
    with pytest.raises(UsageError, match="none were named"):
        seal(RecordingRequest())


def test_the_very_file_comes_back(home: Path, ward: Path, tmp_path: Path) -> None:
    out = tmp_path / "back.edf"
    export(ExportRequest(recording="n1.edf", output=str(out), original=True))
    assert out.read_bytes() == (ward / "n1.edf").read_bytes()
    assert out.as_uri() in str(artifacts_of(latest_run())["export-recording-output"].data)
    with pytest.raises(NotFound, match="there is none"):
        export(ExportRequest(recording="n9.edf", output=str(out)))
