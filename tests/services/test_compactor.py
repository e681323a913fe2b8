"""The thread that moves blocks into the store: one recording at fault does not stop the others."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from realtime.records.compactor import Compactor
from realtime.runtime.meters import Meters
from storage.catalog import RecordingEntry
from storage.recording_store import RecordingStore
from tests.support.stores import BLOCK, CHUNK, fill, live, open_store, pieces


def test_a_damaged_recording_does_not_stop_the_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with open_store(tmp_path) as store:
        damaged, group = live(store, name="a")
        whole, other = live(store, name="b")
        for entry, each in ((damaged, group), (whole, other)):
            fill(store, entry, each, pieces(BLOCK, CHUNK))
        with store.catalog.engine.begin() as connection:
            for row in connection.execute(
                text("SELECT name FROM sqlite_master WHERE type='trigger'")
            ).all():
                connection.execute(text(f"DROP TRIGGER {row.name}"))
            connection.execute(
                text(
                    f"UPDATE chunk_body SET body = zeroblob(length(body)) WHERE group_id={group.id}"
                )
            )
        meters = Meters("test")
        compactor = Compactor(store, 1, meters)
        compactor.note(damaged)
        compactor.note(whole)
        assert compactor.round() == 1
        assert [block.number for block in store.catalog.blocks(other)] == [0]
        # The one at fault is tried again, and told of each time.
        assert compactor.round() == 0
        told = [record.getMessage() for record in caplog.records]
        assert len(told) == 2
        assert all(f"{damaged.uuid} failed" in each and "SHA-256" in each for each in told)
        assert b"compactions_failed_total 2.0" in bytes(meters.answer().body)


def test_what_nobody_foresaw_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_store(tmp_path) as store:
        first, _ = live(store, name="a")
        second, group = live(store, name="b")
        fill(store, second, group, pieces(BLOCK, CHUNK))
        real = RecordingStore.compact

        def compact(self: RecordingStore, entry: RecordingEntry) -> int:
            if entry == first:
                raise ZeroDivisionError
            return real(self, entry)

        monkeypatch.setattr(RecordingStore, "compact", compact)
        compactor = Compactor(store, 1, Meters("test"))
        compactor.note(first)
        compactor.note(second)
        assert compactor.round() == 1
