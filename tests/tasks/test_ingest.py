"""The order of an ingest: every file in its turn, and once more where that may help."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from storage.errors import Unreachable
from storage.leases import lease
from storage.sources import Skipped, find_recordings, open_recording
from tasks import finding
from tasks.callers import DirectCaller
from tasks.finding import find_files
from tasks.ingest import ingest_all
from tasks.requests import IngestRequest
from tasks.results import IngestResult
from tasks.stores import store_by_environment
from tests.support.edf_files import signals, write_edf
from tests.support.outputs import CountedProgress


class Killed(Exception):
    """What ends an attempt."""


class ReleasingProgress:
    """Counts stages, and lets go of something before the second one."""

    def __init__(self, held: ExitStack) -> None:
        self._held = held
        self.stages: list[str] = []

    def stage(self, what: str, total: int, unit: str) -> None:
        if self.stages:
            self._held.close()
        self.stages.append(what)

    def advance(self, done: int) -> None: ...


@pytest.fixture
def ward(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RANVIER_HOME", str(tmp_path / "home"))
    folder = tmp_path / "ward3"
    folder.mkdir()
    write_edf(folder / "a.edf", signals=signals(2), records=4)
    write_edf(folder / "b.edf", signals=signals(2), records=5)
    return folder


def begun(path: Path) -> None:
    """Begin to take a file in, and die."""

    def die(samples: int) -> None:
        raise Killed

    with store_by_environment() as store, open_recording(str(path)) as source:
        sink = store.sink(patient="ward3", name=path.name, kind="edf", progress=die)
        with pytest.raises(Killed):
            sink.store(source)


def test_what_somebody_else_works_on_is_tried_again_after_the_rest(ward: Path) -> None:
    begun(ward / "a.edf")
    told: list[IngestResult] = []
    with ExitStack() as held:
        store = held.enter_context(store_by_environment())
        held.enter_context(lease(store.catalog, store.catalog.find("a.edf"), "test"))
        progress = ReleasingProgress(held)
        request = IngestRequest(sources=(str(ward),))
        results = ingest_all(request, DirectCaller(progress), told.append)
    assert progress.stages == ["ingesting 2 files", "ingesting 1 file"]
    assert [one.outcome for one in results] == ["stored", "stored"]
    assert [one.recording_id for one in results] == ["a.edf", "b.edf"]
    assert [one.recording_id for one in told] == ["b.edf", "a.edf"]


def test_what_is_still_busy_then_has_failed(ward: Path) -> None:
    begun(ward / "a.edf")
    with store_by_environment() as store:
        entry = store.catalog.find("a.edf")
        assert not entry.sealed
        with lease(store.catalog, entry, "test"):
            request = IngestRequest(sources=(str(ward),))
            first, second = ingest_all(request, DirectCaller(CountedProgress()))
    assert (first.outcome, first.again, second.outcome) == ("failed", True, "stored")
    assert first.failed
    assert "a.edf" in str(first.reason)
    (again, _) = ingest_all(request, DirectCaller(CountedProgress()))
    assert again.outcome == "stored"


def test_progress_is_told_in_bytes_of_the_files(ward: Path) -> None:
    progress = CountedProgress()
    ingest_all(IngestRequest(sources=(str(ward),)), DirectCaller(progress))
    sizes = sum(path.stat().st_size for path in ward.iterdir())
    assert progress.done == sizes


def test_labels_carry_no_names(ward: Path) -> None:
    found = find_files((str(ward), str(ward / "none.edf")))
    assert [one.label for one in found] == ["file 1 of 3", "file 2 of 3", "file 3 of 3"]
    assert found[2].reason is not None
    assert not found[2].aside


def test_a_place_that_cannot_be_looked_into_stops_no_other(
    ward: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def expand(given: list[str]) -> Iterator[str | Skipped]:
        if given[0].startswith("s3://"):
            raise Unreachable("s3://gone: nobody answers; try again later")
        return find_recordings(given)

    monkeypatch.setattr(finding, "find_recordings", expand)
    request = IngestRequest(sources=("s3://gone", str(ward)))
    first, *others = ingest_all(request, DirectCaller(CountedProgress()))
    assert (first.source, first.outcome) == ("s3://gone", "failed")
    assert "nobody answers" in str(first.reason)
    assert [one.outcome for one in others] == ["stored", "stored"]


def test_a_file_that_fails_is_shown_to_others_without_its_name(ward: Path) -> None:
    bad = ward / "Haagse_Harry.edf"
    bad.write_bytes(b"0       nothing")
    results = ingest_all(IngestRequest(sources=(str(ward),)), DirectCaller(CountedProgress()))
    (failed,) = [one for one in results if one.failed]
    assert "Harry" in str(failed.reason)
    shown = f"{failed.title} {failed.shown_reason}"
    assert "file 1 of 3" in shown
    assert "Harry" not in shown
