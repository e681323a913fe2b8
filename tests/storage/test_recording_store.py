"""The facade: what people and services get, and at what price."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import event

from storage.errors import ChunkConflict, CorruptRecording, UsageError
from storage.recording_store import RecordingStore
from storage.spans import Span
from tests.support.stores import (
    BLOCK,
    append,
    chunk,
    fill,
    live,
    numbers,
    open_store,
    pieces,
)
from tests.support.synthetic_recording import SyntheticGroup, SyntheticRecording


class Statements:
    """Counts the statements that a database gets."""

    def __init__(self, store: RecordingStore) -> None:
        self.seen: list[str] = []
        event.listen(store.catalog.engine, "before_cursor_execute", self._see)

    def _see(self, connection: Any, cursor: Any, statement: str, *given: Any) -> None:
        self.seen.append(statement)


def test_sealed_recordings_are_read_without_the_database(local_store: RecordingStore) -> None:
    source = SyntheticRecording(SyntheticGroup(n_samples=300_000, gaps_us={5000: 10**6}))
    entry = local_store.sink(patient="p1", kind="made").store(source).entry
    assert entry is not None
    local_store.window(entry, 0, Span(0, 1))
    statements = Statements(local_store)
    window = local_store.window(entry, 0, Span(4000, 8000))
    assert [(each.start, each.n_samples) for each in window.segments] == [
        (4000, 1000),
        (6000, 2000),
    ]
    local_store.overview(entry, 0, Span(0, 300_000), 100)
    local_store.overview(entry, 0, Span(0, 300_000), 3000)
    local_store.density(entry, 0)
    local_store.segments(entry, 0)
    assert local_store.stop(entry, 0) == 301_000
    assert statements.seen == []


def test_live_windows_take_a_few_statements(local_store: RecordingStore) -> None:
    entry, group = live(local_store)
    fill(local_store, entry, group, pieces(BLOCK + 3000, 1000))
    local_store.compact(entry)
    local_store.window(entry, 0, Span(0, 10))
    statements = Statements(local_store)
    window = local_store.window(entry, 0, Span(BLOCK - 500, BLOCK + 500))
    np.testing.assert_array_equal(window.data.T, numbers(group, Span(BLOCK - 500, BLOCK + 500)))
    assert len(statements.seen) <= 6


def test_an_entry_from_before_the_sealing_still_reads(local_store: RecordingStore) -> None:
    entry, group = live(local_store)
    fill(local_store, entry, group, pieces(BLOCK + 3000, 1000))
    local_store.seal(entry)
    assert not entry.sealed
    window = local_store.window(entry, 0, Span(0, 10**9))
    np.testing.assert_array_equal(window.data.T, numbers(group, Span(0, BLOCK + 3000)))
    assert len(local_store.overview(entry, 0, Span(0, 10**9), 7).low) <= 7


def test_channels_are_chosen_in_any_order(local_store: RecordingStore) -> None:
    entry, group = live(local_store)
    fill(local_store, entry, group, pieces(3000, 1000))
    every = local_store.window(entry, 0, Span(0, 3000))
    some = local_store.window(entry, 0, Span(0, 3000), [2, 0, 2])
    np.testing.assert_array_equal(some.data, every.data[:, [2, 0, 2]])
    assert local_store.window(entry, 0, Span(0, 3000), []).data.shape == (3000, 0)
    with pytest.raises(UsageError, match="no channel 3"):
        local_store.window(entry, 0, Span(0, 3000), [3])
    with pytest.raises(UsageError, match="no rate group 1"):
        local_store.window(entry, 1, Span(0, 3000))
    with pytest.raises(UsageError, match="no rate group -1"):
        local_store.window(entry, -1, Span(0, 3000))


def test_a_window_beyond_the_end_is_clipped(local_store: RecordingStore) -> None:
    entry, group = live(local_store)
    assert local_store.window(entry, 0, Span(0, 10)).span == Span(0, 0)
    fill(local_store, entry, group, [Span(100, 200)])
    for _ in range(2):
        window = local_store.window(entry, 0, Span(150, 1000))
        assert window.span == Span(150, 200)
        assert local_store.window(entry, 0, Span(500, 600)).data.shape == (0, 3)
        assert local_store.window(entry, 0, Span(0, 50)).segments == ()
        assert local_store.window(entry, 0, Span(0, 50)).span == Span(0, 50)
        entry = local_store.seal(entry)


def test_new_groups_of_a_live_recording_are_seen(local_store: RecordingStore) -> None:
    entry, group = live(local_store)
    assert local_store.groups(entry) == (group,)
    other = local_store.catalog.add_group(entry, _as_new(local_store, "further"), "test")
    fill(local_store, entry, other, [Span(0, 10)])
    assert local_store.window(entry, 1, Span(0, 10)).data.shape == (10, 2)
    assert len(local_store.groups(entry)) == 2


def _as_new(store: RecordingStore, name: str) -> Any:
    from dataclasses import replace
    from fractions import Fraction

    from storage.catalog import NewChannel, NewGroup

    new = NewGroup(
        name=name,
        rate_hz=Fraction(10),
        dtype=np.dtype("float64"),
        chunk_samples=2048,
        block_samples=BLOCK,
        channels=[NewChannel(label="x"), NewChannel(label="y")],
    )
    return replace(new, codec="pcodec")


def test_damage_is_told_by_file_and_chunk(local_store: RecordingStore) -> None:
    entry, group = live(local_store)
    fill(local_store, entry, group, pieces(2 * BLOCK, 4096))
    entry = local_store.seal(entry)
    (block, _) = local_store.catalog.blocks(group)
    path = Path(local_store.folder.url) / "rec" / str(entry.uuid) / block.key
    content = bytearray(path.read_bytes())
    content[40] ^= 4
    path.write_bytes(content)
    with pytest.raises(CorruptRecording, match=r"g0/sig/0/c/0/0, chunk 0"):
        local_store.window(entry, 0, Span(0, 100))
    assert len(local_store.window(entry, 0, Span(5000, 6000)).data) == 1000
    path.unlink()
    with pytest.raises(CorruptRecording, match="restore it from a copy"):
        local_store.window(entry, 0, Span(5000, 6000))


def test_a_store_is_opened_again_and_by_many_threads(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        entry, group = live(store)
        fill(store, entry, group, pieces(2 * BLOCK, 4096))
        store.compact(entry)
    with open_store(tmp_path) as store:
        entry = store.catalog.find(str(entry.uuid))
        errors: list[BaseException] = []

        def read(seed: int) -> None:
            rng = np.random.default_rng(seed)
            try:
                for _ in range(40):
                    start, stop = sorted(rng.integers(0, 2 * BLOCK, 2).tolist())
                    window = store.window(entry, 0, Span(start, stop))
                    np.testing.assert_array_equal(window.data.T, numbers(group, Span(start, stop)))
            except BaseException as error:  # noqa: BLE001
                errors.append(error)

        threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not errors, errors


def test_closing_waits_for_what_was_appended(tmp_path: Path, nothing_left_over: None) -> None:
    with open_store(tmp_path) as store:
        entry, group = live(store)
        futures = [store.append([chunk(entry, group, span)]) for span in pieces(20_000, 500)]
    assert all(future.done() for future in futures)
    with open_store(tmp_path) as store:
        assert store.stop(store.catalog.find(str(entry.uuid)), 0) == 20_000


def test_other_samples_for_a_stored_span_are_refused(local_store: RecordingStore) -> None:
    entry, group = live(local_store)
    fill(local_store, entry, group, pieces(BLOCK, 4096))
    local_store.compact(entry)
    (again,) = append(local_store, [chunk(entry, group, Span(4096, 8192))])
    assert again.duplicate
    offered = chunk(entry, group, Span(4096, 8192), seed=1)
    (answer,) = local_store.append([offered]).result(timeout=60)
    assert isinstance(answer, ChunkConflict)
    assert local_store.verify(entry).ok
