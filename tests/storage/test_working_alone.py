"""Workers that sleep past the end of their lease: what others stored meanwhile stays as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import update

from storage import catalog_chunks
from storage.catalog import NewChannel, NewGroup
from storage.catalog_tables import lease as table
from storage.database import utc_now
from storage.durable import BucketDurable
from storage.errors import AlreadyExists, Busy, CorruptRecording
from storage.parts import Parts
from storage.recording_store import RecordingStore
from storage.spans import Span
from storage.zarr_recordings import RecordingFiles
from storage.zarr_shards import ShardReader
from tests.support.stores import (
    BLOCK,
    CHUNK,
    chunk,
    fill,
    live,
    numbers,
    open_store,
    pieces,
)


@pytest.fixture
def other(store: RecordingStore, tmp_path: Path) -> Iterator[RecordingStore]:
    """Return the store as another worker has it."""
    with open_store(tmp_path, store.folder.url) as other:
        yield other


def fall_asleep(
    monkeypatch: pytest.MonkeyPatch,
    store: RecordingStore,
    when: Callable[[Mapping[str, bytes]], bool],
    meanwhile: Callable[[], None],
) -> None:
    """Have the first worker that writes such files sleep past the end of its lease."""
    real: Any = RecordingFiles.put
    slept = False

    def slowly(files: RecordingFiles, contents: Mapping[str, bytes]) -> None:
        nonlocal slept
        if not slept and when(contents):
            slept = True
            with store.catalog.writing() as connection:
                connection.execute(update(table).values(until=utc_now() - timedelta(seconds=1)))
            meanwhile()
        real(files, contents)

    monkeypatch.setattr(RecordingFiles, "put", slowly)


def locked(store: RecordingStore, work: Callable[[], object]) -> bool:
    """Do another worker's work; return whether it was kept out by the lock of the folder."""
    if isinstance(store.folder, BucketDurable):
        work()
        return False
    with pytest.raises(Busy, match="works on it"):
        work()
    return True


def test_a_block_that_another_stored_meanwhile_stays(
    store: RecordingStore, other: RecordingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry, group = live(store)
    spans = pieces(BLOCK, CHUNK)
    late = spans[3]
    rest = [span for span in spans if span != late]
    fill(store, entry, group, rest + pieces(6 * BLOCK, CHUNK, 5 * BLOCK))
    kept_out: list[bool] = []

    def meanwhile() -> None:
        fill(other, entry, group, [late])
        kept_out.append(locked(other, lambda: other.compact(entry)))

    key = "g0/sig/0/c/0/0"
    fall_asleep(monkeypatch, store, lambda files: key in files, meanwhile)
    if isinstance(store.folder, BucketDurable):
        with pytest.raises(Busy, match="was taken"):
            store.compact(entry)
    else:
        assert store.compact(entry) == 2
    assert len(kept_out) == 1
    other.compact(entry)
    for one in (store, other):
        window = one.window(entry, 0, late)
        assert [(each.start, each.stop) for each in window.segments] == [(late.start, late.stop)]
        np.testing.assert_array_equal(window.data.T, numbers(group, late))
        assert one.verify(entry).ok


def test_a_recording_that_another_sealed_meanwhile_stays(
    store: RecordingStore, other: RecordingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry, group = live(store)
    fill(store, entry, group, pieces(BLOCK, CHUNK))
    more = pieces(2 * BLOCK + 100, CHUNK, BLOCK)

    def meanwhile() -> None:
        fill(other, entry, group, more)
        locked(other, lambda: other.seal(entry))

    def final(files: Mapping[str, bytes]) -> bool:
        return any(key.startswith("overview/") for key in files)

    fall_asleep(monkeypatch, store, final, meanwhile)
    if isinstance(store.folder, BucketDurable):
        with pytest.raises(Busy, match="was taken"):
            store.seal(entry)
    else:
        store.seal(entry)
    sealed = other.catalog.refresh(entry)
    assert sealed.sealed
    assert other.stop(sealed, 0) == more[-1].stop
    report = other.verify(sealed)
    assert report.ok, report.problems


def test_a_file_that_the_catalogue_names_is_never_replaced(store: RecordingStore) -> None:
    entry, group = live(store)
    fill(store, entry, group, pieces(BLOCK, CHUNK))
    store.compact(entry)
    parts = Parts(store.catalog, store.folder, ShardReader(store.folder))
    (block,) = store.catalog.blocks(group)
    named = [block.key, *block.files]
    with parts.working(entry, "test") as held:
        files = parts.files(entry, held)
        files.put({"left": b"by a dead worker"})
        files.put({"left": b"other"})
        for key in named:
            with pytest.raises(CorruptRecording, match="stored for good"):
                files.put({key: b"other"})
        with pytest.raises(AlreadyExists, match="not to be replaced"):
            parts.files(entry).put({"left": b"again"})
    store.seal(entry)
    with parts.working(entry, "test") as held:
        files = parts.files(entry, held)
        for key in (*named, "g0/sig/0/zarr.json", "overview/mm1024/0/zarr.json"):
            with pytest.raises(CorruptRecording, match="stored for good"):
                files.put({key: b"other"})
    store.folder.delete(f"rec/{entry.uuid}/left")
    assert store.verify(entry).ok


def test_a_window_has_its_end_and_its_segments_of_one_moment(
    local_store: RecordingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry, group = live(local_store)
    fill(local_store, entry, group, pieces(4 * CHUNK, CHUNK))
    for name in ("extent", "segments"):
        real: Any = getattr(catalog_chunks, name)
        came: list[int] = []

        def later(*given: Any, real: Any = real, came: list[int] = came) -> Any:
            found = real(*given)
            if not came:
                came.append(1)
                stop = local_store.catalog.extent(group)
                fill(local_store, entry, group, [Span(stop, stop + CHUNK)])
            return found

        monkeypatch.setattr(catalog_chunks, name, later)
        window = local_store.window(entry, 0, Span(3 * CHUNK, 9 * CHUNK))
        monkeypatch.setattr(catalog_chunks, name, real)
        assert came
        assert window.segments[-1].stop == window.span.stop


def test_another_process_sees_the_groups_that_were_added_before_the_seal(
    store: RecordingStore, other: RecordingStore
) -> None:
    entry, group = live(store)
    fill(store, entry, group, pieces(BLOCK, CHUNK))
    assert len(other.window(entry, 0, Span(0, 100)).span) == 100
    new = NewGroup(
        name="late",
        rate_hz=group.rate,
        dtype=group.dtype,
        chunk_samples=CHUNK,
        block_samples=BLOCK,
        channels=[NewChannel(label="X")],
    )
    added = store.catalog.add_group(entry, new, "test")
    store.seal(entry)
    sealed = other.catalog.find(str(entry.uuid))
    assert other.groups(sealed) == store.catalog.groups(sealed)
    assert other.window(sealed, added.number, Span(0, 100)).segments == ()


def test_a_closed_store_takes_no_chunks(tmp_path: Path) -> None:
    for begun in (True, False):
        with open_store(tmp_path) as store:
            entry, group = live(store)
            if begun:
                fill(store, entry, group, [Span(0, 10)])
        with pytest.raises(Busy, match="closing"):
            store.append([chunk(entry, group, Span(10, 20))])


def test_density_asks_for_neither_segments_nor_waiting_samples(
    local_store: RecordingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry, group = live(local_store)
    fill(local_store, entry, group, pieces(2 * BLOCK + 100, CHUNK))
    local_store.compact(entry)
    whole = local_store.overview(entry, 0, Span(0, 2 * BLOCK), 20)

    def refused(*given: Any) -> Any:
        raise AssertionError(given)

    monkeypatch.setattr(catalog_chunks, "segments", refused)
    again = local_store.overview(entry, 0, Span(0, 2 * BLOCK), 20)
    np.testing.assert_array_equal(again.low, whole.low)
    monkeypatch.setattr(catalog_chunks, "inbox", refused)
    assert local_store.density(entry, 0) is not None
