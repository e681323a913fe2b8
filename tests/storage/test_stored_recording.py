"""A stored recording is a source like any other, and what it is made from can be copied on."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from storage.errors import UsageError
from storage.protocols import RecordingSource, has_original, has_stamps
from storage.recording_store import RecordingStore
from storage.spans import Span
from tests.contracts.recording_source import RecordingSourceTests
from tests.support.stores import BLOCK, append, chunk, live, open_store
from tests.support.synthetic_recording import START_US, SyntheticGroup, SyntheticRecording

GROUPS = (
    SyntheticGroup(n_samples=40_000, gaps_us={1000: 5_000_000, 30_000: 123, 30_001: 999_000_000}),
    SyntheticGroup(n_samples=700, n_channels=2, rate_hz=2.5, dtype="float32"),
    SyntheticGroup(n_samples=900, n_channels=1, rate_hz=299.7, dtype="float64", gaps_us={5: -9}),
)


class TestStoredRecording(RecordingSourceTests):
    """What every source promises."""

    @pytest.fixture(autouse=True)
    def _opened(self) -> Iterator[None]:
        self._stores: list[RecordingStore] = []
        yield
        for store in self._stores:
            store.close()

    def make(self, folder: Path) -> Path:
        with open_store(folder) as store:
            store.sink(patient="p1", name="it", kind="made").store(SyntheticRecording(*GROUPS))
        return folder

    def open(self, path: Path) -> RecordingSource:
        store = open_store(path)
        self._stores.append(store)
        source = store.source(store.catalog.find("it"))
        # Closing a source leaves the store open: here one closes the other.
        source.close = store.close  # type: ignore[method-assign]
        return source

    def change(self, path: Path) -> None:
        with sqlite3.connect(path / "catalog.db") as database:
            (trigger,) = database.execute(
                "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'recording' "
                "AND sql LIKE '%UPDATE ON%'"
            ).fetchone()
            database.execute(f"DROP TRIGGER {trigger}")
            database.execute("UPDATE recording SET uuid = 'f' || substr(uuid, 2)")
        database.close()
        for folder in (path / "store" / "rec").iterdir():
            folder.rename(folder.with_name("f" + folder.name[1:]))


def test_it_tells_what_the_source_told(local_store: RecordingStore) -> None:
    source = SyntheticRecording(*GROUPS)
    entry = local_store.sink(patient="p1", name="it", kind="made").store(source).entry
    assert entry is not None
    stored = local_store.source(entry)
    assert stored.recording.id == "it"
    assert stored.recording.start_us == START_US
    assert stored.recording.start_known
    assert has_stamps(stored)
    assert not has_original(stored)
    for number, (told, held) in enumerate(
        zip(source.recording.groups, stored.recording.groups, strict=True)
    ):
        assert held.exact_rate_hz == told.exact_rate_hz
        assert held.rate_hz == told.rate_hz
        assert [each.label for each in held.channels] == [each.label for each in told.channels]
        assert [each.scaling for each in held.channels] == [each.scaling for each in told.channels]
        assert [each.group for each in held.channels] == [each.group for each in told.channels]
        assert stored.bounds_us(number) == source.bounds_us(number)
        assert list(stored.segments(number)) == list(source.segments(number))


def test_it_can_be_stored_again_elsewhere(local_store: RecordingStore, tmp_path: Path) -> None:
    source = SyntheticRecording(*GROUPS)
    entry = local_store.sink(patient="p1", name="it", kind="made").store(source).entry
    assert entry is not None
    (tmp_path / "other").mkdir()
    with open_store(tmp_path / "other") as other:
        copied = other.sink(patient="p1", kind="made").store(local_store.source(entry)).entry
        assert copied is not None
        for number in range(len(GROUPS)):
            assert other.segments(copied, number) == local_store.segments(entry, number)
            whole = Span(0, GROUPS[number].n_samples)
            np.testing.assert_array_equal(
                other.source(copied).read(number, whole), source.read(number, whole)
            )


def test_a_live_one_shows_what_it_held_when_it_was_opened(local_store: RecordingStore) -> None:
    entry, group = live(local_store)
    spans = [Span(0, BLOCK), Span(BLOCK, BLOCK + 100), Span(BLOCK + 500, BLOCK + 600)]
    append(local_store, [chunk(entry, group, span) for span in spans])
    with local_store.source(entry) as source:
        before = source.read(0, Span(0, BLOCK + 200))
        append(local_store, [chunk(entry, group, Span(BLOCK + 100, BLOCK + 500))])
        local_store.compact(entry)
        assert source.recording.groups[0].n_samples == BLOCK + 200
        np.testing.assert_array_equal(source.read(0, Span(0, BLOCK + 200)), before)
        assert source.grid_index(0, BLOCK + 100) == BLOCK + 500
        for index in (-1, BLOCK + 200):
            with pytest.raises(UsageError, match="no sample"):
                source.time_us(0, index)
        with pytest.raises(UsageError, match="were asked for"):
            source.read(0, Span(0, BLOCK + 201))
    with local_store.source(entry) as source:
        assert source.recording.groups[0].n_samples == BLOCK + 600


def test_a_group_without_samples_has_no_bounds(local_store: RecordingStore) -> None:
    entry, _ = live(local_store)
    source = local_store.source(entry)
    assert list(source.segments(0)) == []
    assert source.read(0, Span(0, 0)).shape == (0, 3)
    assert source.stamps_s(0, Span(0, 0)) is None
    with pytest.raises(UsageError, match="holds no samples"):
        source.bounds_us(0)
