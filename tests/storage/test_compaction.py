"""Compaction and sealing: whatever the order of arrival, nothing is lost, moved or shown twice."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sqlalchemy import text

from storage.catalog import RecordingEntry, StoredGroup
from storage.errors import Busy, DigestMismatch, RecordingSealed
from storage.leases import lease
from storage.recording_store import RecordingStore
from storage.spans import Span
from tests.support.disk_calls import DiskCalls
from tests.support.killed_compaction import kill_rounds
from tests.support.stores import (
    BLOCK,
    append,
    check_overview,
    check_window,
    chunk,
    fill,
    live,
    numbers,
    open_store,
    pieces,
)

CODECS = ("blosc", "pcodec")


def held_of(spans: list[Span]) -> NDArray[np.bool_]:
    held = np.zeros(max((span.stop for span in spans), default=0), np.bool_)
    for span in spans:
        held[span.start : span.stop] = True
    return held


def check_all(
    store: RecordingStore, entry: RecordingEntry, group: StoredGroup, spans: list[Span]
) -> None:
    held = held_of(spans)
    check_window(store, entry, group, Span(0, len(held) + 10), held)
    check_window(store, entry, group, Span(BLOCK - 100, BLOCK + 100), held)
    check_overview(store, entry, group, Span(0, len(held)), 50, held)


def test_whole_blocks_are_stored_and_the_rest_stays(store: RecordingStore) -> None:
    entry, group = live(store)
    spans = pieces(2 * BLOCK + 5000, 1500)
    fill(store, entry, group, spans)
    check_all(store, entry, group, spans)
    assert store.compact(entry) == 2
    assert [block.number for block in store.catalog.blocks(group)] == [0, 1]
    # A chunk that crosses into the third block stays until that one is stored.
    assert store.catalog.inbox_places(group)[0].start == spans[2 * BLOCK // 1500].start
    check_all(store, entry, group, spans)
    assert store.compact(entry) == 0
    entry = store.seal(entry)
    assert store.catalog.inbox_places(group) == []
    check_all(store, entry, group, spans)
    assert store.verify(entry).ok
    with pytest.raises(RecordingSealed):
        raise_first(store, entry, group, Span(10 * BLOCK, 10 * BLOCK + 10))
    assert store.seal(entry) == entry


def raise_first(
    store: RecordingStore, entry: RecordingEntry, group: StoredGroup, span: Span
) -> None:
    (answer,) = store.append([chunk(entry, group, span)]).result(timeout=60)
    assert isinstance(answer, Exception)
    raise answer


def test_a_block_with_gaps_is_stored_ten_minutes_later(local_store: RecordingStore) -> None:
    entry, group = live(local_store)
    grace = int(600 * group.rate)
    spans = [Span(100, 200), Span(BLOCK + grace - 20, BLOCK + grace - 1)]
    fill(local_store, entry, group, spans)
    assert local_store.compact(entry) == 0
    fill(local_store, entry, group, [Span(BLOCK + grace - 1, BLOCK + grace)])
    assert local_store.compact(entry) == 1
    check_all(local_store, entry, group, [*spans, Span(BLOCK + grace - 1, BLOCK + grace)])


def test_a_slow_backfill_leaves_the_database(local_store: RecordingStore) -> None:
    entry, group = live(local_store)
    fill(local_store, entry, group, pieces(20 * BLOCK, 2048, 19 * BLOCK))
    assert local_store.compact(entry) == 1
    missing = Span(5 * BLOCK, 5 * BLOCK + 2048)
    spans = [span for span in pieces(10 * BLOCK, 2048) if span != missing]
    for at in range(0, len(spans), 3):
        fill(local_store, entry, group, spans[at : at + 3])
        local_store.compact(entry)
    # Nothing newer has come since, so that the block with the hole may still be completed.
    blocks = local_store.catalog.blocks(group)
    assert [block.number for block in blocks] == [0, 1, 2, 3, 4, 6, 7, 8, 9, 19]
    assert {block.generation for block in blocks} == {0}
    grown = Span(20 * BLOCK, 20 * BLOCK + int(600 * group.rate))
    fill(local_store, entry, group, pieces(grown.stop - 1, 2048, grown.start))
    local_store.compact(entry)
    assert 5 not in {block.number for block in local_store.catalog.blocks(group)}
    fill(local_store, entry, group, [Span(grown.stop - 1, grown.stop)])
    local_store.compact(entry)
    assert 5 in {block.number for block in local_store.catalog.blocks(group)}
    assert all(chunk.start >= 20 * BLOCK for chunk in local_store.catalog.inbox_places(group))


def test_a_block_of_which_much_comes_late_is_stored_anew(local_store: RecordingStore) -> None:
    entry, group = live(local_store)
    early = [*pieces(4096, 2048), *pieces(5 * BLOCK, 2048, 4 * BLOCK)]
    fill(local_store, entry, group, early)
    assert local_store.compact(entry) == 2
    late = pieces(BLOCK, 2048, 4096)
    for span in late[:-1]:
        fill(local_store, entry, group, [span])
        assert local_store.compact(entry) == 0
    fill(local_store, entry, group, late[-1:])
    assert local_store.compact(entry) == 1
    assert local_store.catalog.inbox_places(group) == []
    assert [block.generation for block in local_store.catalog.blocks(group)] == [1, 0]
    check_all(local_store, entry, group, early + late)
    assert local_store.verify(entry).ok


def test_what_comes_late_makes_another_generation_when_the_recording_is_sealed(
    store: RecordingStore,
) -> None:
    entry, group = live(store)
    spans = pieces(5 * BLOCK, 1024)
    late = [spans.pop(3), spans.pop(17)]
    fill(store, entry, group, spans)
    assert store.compact(entry) == 5
    fill(store, entry, group, late)
    check_all(store, entry, group, [*spans, *late])
    assert store.compact(entry) == 0
    before = {block.number: block for block in store.catalog.blocks(group)}
    old = store.folder.read(f"rec/{entry.uuid}/{before[0].key}")
    entry = store.seal(entry)
    after = {block.number: block for block in store.catalog.blocks(group)}
    assert {number: block.generation for number, block in after.items()} == {
        0: 1, 1: 1, 2: 0, 3: 0, 4: 0,
    }  # fmt: skip
    assert store.folder.read(f"rec/{entry.uuid}/{before[0].key}") == old
    check_all(store, entry, group, [*spans, *late])
    assert store.verify(entry).ok


@pytest.mark.parametrize("dtype", ["int32", "float32", "float64"])
@pytest.mark.parametrize("codec", CODECS)
def test_every_type_and_codec(local_store: RecordingStore, dtype: str, codec: str) -> None:
    entry, group = live(local_store, dtype=dtype, codec=codec)
    spans = pieces(BLOCK + 100, 5000)
    fill(local_store, entry, group, spans)
    assert local_store.compact(entry) == 1
    entry = local_store.seal(entry)
    check_all(local_store, entry, group, spans)
    assert local_store.verify(entry).ok


def test_the_same_on_either_database(database_url: str, tmp_path: Path) -> None:
    with RecordingStore.open(str(tmp_path / "store"), database_url) as store:
        entry, group = live(store, groups=2)
        spans = pieces(3 * BLOCK, 1700)
        late = spans.pop(2)
        fill(store, entry, group, spans)
        # A gap keeps the first block open, as long as ten minutes are not over.
        assert store.compact(entry) == 2
        fill(store, entry, store.groups(entry)[1], spans[:3])
        fill(store, entry, group, [late])
        assert store.compact(entry) == 1
        entry = store.seal(entry)
        check_all(store, entry, group, [*spans, late])
        report = store.verify(entry)
        assert report.ok, report.problems
        assert report.chunks == len(spans) + 4


def test_sealing_a_recording_without_samples(local_store: RecordingStore) -> None:
    entry, group = live(local_store)
    entry = local_store.seal(entry)
    assert entry.sealed
    assert local_store.window(entry, 0, Span(0, 100)).data.shape == (0, 3)
    assert local_store.segments(entry, 0) == []
    assert local_store.verify(entry).ok
    assert local_store.density(entry, 0) is not None
    assert len(local_store.overview(entry, group.number, Span(0, 100), 5).low) == 0


def test_only_one_works_on_a_recording(local_store: RecordingStore) -> None:
    entry, group = live(local_store)
    fill(local_store, entry, group, pieces(BLOCK, 2048))
    with lease(local_store.catalog, entry, "test"):
        with pytest.raises(Busy, match="works on it"):
            local_store.compact(entry)
        with pytest.raises(Busy, match="works on it"):
            local_store.seal(entry)
    assert local_store.compact(entry) == 1


def test_windows_are_whole_while_others_append_and_compact(local_store: RecordingStore) -> None:
    entry, group = live(local_store)
    done = threading.Event()
    errors: list[BaseException] = []
    reached = [0]

    def write() -> None:
        try:
            for number, span in enumerate(pieces(6 * BLOCK, 1000)):
                fill(local_store, entry, group, [span])
                reached[0] = span.stop
                if number % 8 == 7:
                    local_store.compact(entry)
        except BaseException as error:  # noqa: BLE001
            errors.append(error)
        finally:
            done.set()

    writer = threading.Thread(target=write)
    writer.start()
    rng = np.random.default_rng(0)
    windows = 0
    while not done.is_set() or not windows:
        stop = reached[0]
        start = int(rng.integers(0, stop + 1))
        window = local_store.window(entry, 0, Span(start, stop))
        if stop > start:
            assert [(each.start, each.stop) for each in window.segments] == [(start, stop)]
        np.testing.assert_array_equal(window.data.T, numbers(group, Span(start, stop)))
        windows += 1
    writer.join()
    assert not errors, errors


def test_damage_in_the_inbox_is_found_before_it_is_made_a_block(
    local_store: RecordingStore,
) -> None:
    entry, group = live(local_store)
    fill(local_store, entry, group, pieces(BLOCK, 4096))
    with local_store.catalog.engine.begin() as connection:
        for row in connection.execute(
            text("SELECT name FROM sqlite_master WHERE type='trigger' AND tbl_name='chunk_body'")
        ).all():
            connection.execute(text(f"DROP TRIGGER {row.name}"))
        connection.execute(
            text("UPDATE chunk_body SET body = zeroblob(length(body)) WHERE start = 4096")
        )
    with pytest.raises(DigestMismatch, match=r"samples from 4096 on: .* \(audit row \d+\)"):
        local_store.compact(entry)
    assert local_store.catalog.blocks(group) == []
    report = local_store.verify(entry)
    assert [problem.sequence for problem in report.problems] == [4]
    assert "samples 4096 to 8192" in report.problems[0].where


def test_files_rest_before_the_catalogue_says_so_and_bodies_go_with_it(
    local_store: RecordingStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry, group = live(local_store)
    fill(local_store, entry, group, pieces(BLOCK + 100, 4096))
    calls = DiskCalls(monkeypatch)
    calls.watch(local_store.catalog.engine)

    def check(root: str, last: str) -> None:
        """Files and their folders are flushed, then comes the one transaction."""
        begin = calls.seen.index((last, None))
        folder = tmp_path / "store" / "rec" / str(entry.uuid)
        names = [path for what, path in calls.seen[:begin] if what == "replace"]
        assert folder / root in names
        for path in names:
            assert path is not None
            (aside,) = [
                at
                for at, (_, flushed) in enumerate(calls.seen[:begin])
                if flushed is not None
                and flushed.suffix == ".part"
                and flushed.with_name(flushed.name.rsplit(".", 2)[0]) == path
            ]
            renamed = calls.seen.index(("replace", path))
            folders = [
                at for at, call in enumerate(calls.seen[:begin]) if call == ("fsync", path.parent)
            ]
            assert aside < renamed < max(folders)
        after = {path for what, path in calls.seen[begin:] if what == "replace"}
        assert after <= {folder / "head.json"}

    assert local_store.compact(entry) == 1
    check("g0/sig/0/c/0/0", "insert into block")
    end = [call for call in calls.seen if call[1] is None]
    assert end == [("insert into block", None), ("delete from chunk_body", None), ("commit", None)]
    calls.seen.clear()
    local_store.seal(entry)
    begin = calls.seen.index(("insert into block", None))
    assert any(path and path.name == "1" for what, path in calls.seen[:begin] if what == "replace")
    del calls.seen[: begin + 1]
    check("g0/sig/0/zarr.json", "insert into seal")


def test_what_a_dead_worker_left_is_swept_or_written_again(local_store: RecordingStore) -> None:
    entry, group = live(local_store)
    spans = pieces(BLOCK, 4096)
    fill(local_store, entry, group, spans)
    folder = Path(local_store.folder.url) / "rec" / str(entry.uuid) / "g0" / "sig" / "0" / "c" / "0"
    folder.mkdir(parents=True)
    (folder / "0").write_bytes(b"of another attempt")
    (folder / "0.part").write_bytes(b"half")
    assert local_store.compact(entry) == 1
    assert not (folder / "0.part").exists()
    check_all(local_store, entry, group, spans)
    assert local_store.verify(entry).ok
    assert local_store.verify(entry).unknown == ()


@pytest.fixture(scope="module")
def shared_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RecordingStore]:
    with open_store(tmp_path_factory.mktemp("shared")) as store:
        yield store


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_any_order_of_arrival_and_of_work_gives_the_same_recording(
    shared_store: RecordingStore, data: st.DataObject
) -> None:
    store = shared_store
    entry, group = live(store, channels=2)
    # Pieces of any length, some of them never sent, in any order.
    lengths = data.draw(st.lists(st.integers(1, BLOCK), min_size=1, max_size=16))
    at, spans = 0, []
    for length in lengths:
        if data.draw(st.integers(0, 4)):
            spans.append(Span(at, at + length))
        at += length
    order = data.draw(st.permutations(spans))
    sent: list[Span] = []
    for span in order:
        fill(store, entry, group, [span])
        sent.append(span)
        if not data.draw(st.integers(0, 3)):
            store.compact(entry)
        if not data.draw(st.integers(0, 5)):
            check_all(store, entry, group, sorted(sent))
    if data.draw(st.booleans()):
        # A chunk that comes again changes nothing.
        append(store, [chunk(entry, group, span) for span in order])
    check_all(store, entry, group, sorted(sent))
    entry = store.seal(entry)
    check_all(store, entry, group, sorted(sent))
    segments = store.segments(entry, 0)
    assert sum(segment.n_samples for segment in segments) == sum(map(len, sent))
    report = store.verify(entry)
    assert report.ok, report.problems
    assert report.chunks == len(sent)


def test_segments_break_where_the_clock_steps(local_store: RecordingStore) -> None:
    entry, group = live(local_store)
    spans = pieces(4 * BLOCK, 4096)
    append(
        local_store,
        [chunk(entry, group, span, shift_us=0 if span.start < BLOCK else 700) for span in spans],
    )
    for _ in range(2):
        found = local_store.segments(entry, 0)
        assert [(each.start, each.n_samples, each.shift_us) for each in found] == [
            (0, BLOCK, 0),
            (BLOCK, 3 * BLOCK, 700),
        ]
        window = local_store.window(entry, 0, Span(BLOCK - 5, BLOCK + 5))
        assert [each.shift_us for each in window.segments] == [0, 700]
        entry = local_store.seal(entry)


@pytest.mark.parametrize("work", ["compact", "seal"])
def test_killed_at_any_moment_nothing_is_lost(work: str, tmp_path: Path) -> None:
    tally = kill_rounds(tmp_path, work, rounds=6, seed=1)
    assert tally.rounds == 6
    assert tally.killed >= 3
