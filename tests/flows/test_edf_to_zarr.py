"""Files into the store as a flow: what the command does, in task runs, with a table of results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flows.edf_to_zarr import NAME, edf_to_zarr, run_flow
from storage.errors import NotFound, UsageError
from storage.recording_store import RecordingStore
from storage.settings import RecordsSettings
from tasks.requests import IngestRequest
from tests.flows.prefect_records import artifacts_of, latest_run, rows_of, task_names
from tests.support.command_line import ranvier
from tests.support.edf_files import signals, write_edf

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RANVIER_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def ward(tmp_path: Path) -> Path:
    folder = tmp_path / "ward3"
    folder.mkdir()
    for number in range(5):
        write_edf(folder / f"n{number}.edf", signals=signals(3), records=20 + number)
    return folder


def held(home: Path) -> dict[str, str]:
    settings = RecordsSettings(home=home)
    with RecordingStore.open(settings.store_url, settings.catalog_url) as store:
        problems = [p for one in store.catalog.recordings() for p in store.verify(one).problems]
        assert not problems
        return {one.name: str(one.source_sha256) for one in store.catalog.recordings()}


def test_several_files_at_once_become_what_the_command_makes_of_them(
    home: Path, ward: Path, tmp_path: Path
) -> None:
    results = run_flow(IngestRequest(sources=(str(ward),)))
    assert [one.outcome for one in results] == ["stored"] * 5
    other = tmp_path / "direct"
    assert ranvier("ingest", str(ward), env={"RANVIER_HOME": str(other)}).code == 0
    assert held(home) == held(other)
    again = run_flow(IngestRequest(sources=(str(ward),)))
    assert [one.outcome for one in again] == ["unchanged"] * 5


def test_one_failing_file_does_not_stop_the_others_and_the_run_names_it(
    home: Path, ward: Path
) -> None:
    (ward / "n2.edf").write_bytes(b"0       nothing")
    results = run_flow(IngestRequest(sources=(str(ward),)))
    assert [one.outcome for one in results] == ["stored", "stored", "failed", "stored", "stored"]
    recorded = latest_run()
    assert recorded.state is not None
    assert recorded.state.is_failed()
    assert "1 of 5 failed" in str(recorded.state.message)
    assert "file 3 of 5" in str(recorded.state.message)
    assert "n2" not in str(recorded.state.message)
    shown = artifacts_of(recorded)
    rows = rows_of(shown[f"{NAME}-results"])
    assert [row["outcome"] for row in rows] == ["failed", *["stored"] * 4]
    assert "n2" not in rows[0]["reason"] + rows[0]["source"]
    assert shown[f"{NAME}-progress"].data == 100.0


def test_no_name_of_a_person_reaches_the_server(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    write_edf(
        folder / "Harry_Haagse.edf", signals=signals(1), plus="C", patient="X M X Haagse_Harry"
    )
    (result,) = run_flow(IngestRequest(sources=(str(folder),)))
    assert result.private
    recorded = latest_run()
    assert "Haagse" not in str(artifacts_of(recorded))
    assert task_names(recorded, least=3) == [
        "find_files",
        "ingest_file file 1 of 1",
        "prepare_store",
    ]


def test_what_cannot_be_begun_fails_with_one_line(home: Path, ward: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotFound, match="nothing in there looks like a recording"):
        run_flow(IngestRequest(sources=(str(tmp_path / "empty"),)))
    with pytest.raises(UsageError, match="names one recording"):
        run_flow(IngestRequest(sources=(str(ward),), recording_id="x"))


def test_a_form_as_json_becomes_a_request(home: Path, ward: Path) -> None:
    form = {"sources": [str(ward / "n0.edf")], "patient": "p17", "codec": "pcodec"}
    as_the_server_calls_it: Any = edf_to_zarr
    (result,) = as_the_server_calls_it(form, return_state=True).result()
    assert (result.outcome, result.patient_id) == ("stored", "p17")
