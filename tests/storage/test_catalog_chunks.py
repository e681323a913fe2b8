"""What is held of a recording: stretches, waiting chunks, blocks, as of one moment."""

from __future__ import annotations

import random
import threading

import pytest
from sqlalchemy import Connection, delete, insert

from storage import catalog_chunks
from storage.catalog import Catalog, RecordingEntry, StoredGroup, StoredSegment
from storage.catalog_chunks import merged
from storage.catalog_tables import chunk_body, segment
from storage.errors import RanvierError
from storage.ingest import Appender
from storage.spans import Span
from tests.support.catalogs import CHUNK, chunk, enter_block, enter_seal, made
from tests.support.catalogs import chunk as new_chunk


def test_stretches_are_those_of_the_chunks_whatever_the_span(catalog: Catalog) -> None:
    """Against a plain map of every sample."""
    rng = random.Random(5)
    with Appender(catalog) as appender:
        for _ in range(4):
            entry, group = made(catalog)
            shift_of: dict[int, int] = {}
            chunks = []
            at = 0
            for _ in range(25):
                at += rng.choice([0, 0, 0, 1, 300])
                size, shift = rng.randint(1, 40), rng.choice([0, 0, 0, 7])
                chunks.append(chunk(entry, group, at, size, shift_us=shift))
                shift_of |= dict.fromkeys(range(at, at + size), shift)
                at += size
            rng.shuffle(chunks)
            answers = appender.append(chunks).result(60)
            assert not [one for one in answers if isinstance(one, RanvierError)]
            assert catalog.extent(group) == at
            spans = [Span(0, at), Span(at, at + 5), Span(3, 3)]
            for _ in range(25):
                first, last = sorted(rng.randint(0, at + 10) for _ in range(2))
                spans.append(Span(first, last))
            for span in spans:
                assert catalog.segments(group, span) == _plainly(shift_of, span)
                inside = [
                    one.start
                    for one in sorted(chunks, key=lambda one: one.start)
                    if one.start < span.stop and one.start + one.n_samples > span.start and span
                ]
                assert [one.start for one in catalog.inbox(group, span)] == inside
                assert [one.start for one in catalog.chunks(group, span)] == inside
            assert catalog.segments(group) == _plainly(shift_of, Span(0, at))


def _plainly(shift_of: dict[int, int], span: Span) -> list[StoredSegment]:
    found: list[StoredSegment] = []
    for at in range(span.start, span.stop):
        if at not in shift_of:
            continue
        last = found[-1] if found else None
        if last and last.stop == at and last.shift_us == shift_of[at]:
            found[-1] = StoredSegment(last.start, last.n_samples + 1, last.shift_us)
        else:
            found.append(StoredSegment(at, 1, shift_of[at]))
    return found


def test_nothing_is_held_of_an_empty_group(catalog: Catalog) -> None:
    entry, group = made(catalog)
    assert catalog.segments(group) == []
    assert catalog.extent(group) == 0
    held = catalog.holdings(group, Span(0, 1000))
    assert (held.segments, held.blocks, held.inbox) == ((), (), ())
    assert held.through == len(catalog.audit(entry)) == 2
    assert list(merged([])) == []


def test_a_sealed_recording_tells_its_stretches_from_their_own_table(catalog: Catalog) -> None:
    entry, group = made(catalog)
    rows = [(0, 500, 0), (500, 30, 4), (2000, 10, 0)]
    with catalog.writing() as connection:
        connection.execute(
            insert(segment),
            [
                {"group_id": group.id, "start": start, "n_samples": n, "shift_us": shift}
                for start, n, shift in rows
            ],
        )
        enter_seal(connection, entry)
    assert catalog.segments(group) == [StoredSegment(*row) for row in rows]
    assert catalog.segments(group, Span(499, 502)) == [
        StoredSegment(499, 1, 0),
        StoredSegment(500, 2, 4),
    ]
    assert catalog.refresh(entry).sealed


def test_the_highest_generation_of_a_block_counts(catalog: Catalog) -> None:
    entry, group = made(catalog)
    for number, generation in ((0, 0), (0, 2), (0, 1), (3, 0), (1, 0)):
        _enter_block(catalog, entry, group, number, generation)
    found = catalog.blocks(group)
    assert [(one.number, one.generation) for one in found] == [(0, 2), (1, 0), (3, 0)]
    assert found[0].files == {"a/0/2": "f"}
    size = group.block_samples
    for span, numbers in (
        (Span(0, size), [0]),
        (Span(size - 1, size + 1), [0, 1]),
        (Span(2 * size, 3 * size), []),
        (Span(0, 10 * size), [0, 1, 3]),
        (Span(5, 5), []),
    ):
        assert [one.number for one in catalog.blocks(group, span)] == numbers


def test_holdings_are_of_one_moment(catalog: Catalog) -> None:
    """While blocks take over from chunks, each look finds every sample in one of them."""
    entry, group = made(catalog)
    per_block = group.block_samples // CHUNK
    n_blocks = 25
    with Appender(catalog) as appender:
        places = [n * CHUNK for n in range(n_blocks * per_block)]
        appender.append([new_chunk(entry, group, place) for place in places]).result(60)
    looks: list[set[int]] = []
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            held = catalog.holdings(group, Span(0, len(places) * CHUNK))
            stored = {one.number for one in held.blocks}
            waiting = {one.start // group.block_samples for one in held.inbox}
            looks.append(stored | waiting)
            assert stored.isdisjoint(waiting)

    thread = threading.Thread(target=look)
    thread.start()
    for number in range(n_blocks):
        with catalog.writing() as connection:
            enter_block(connection, entry, group, number, through=10_000)
            connection.execute(
                delete(chunk_body).where(
                    chunk_body.c.group_id == group.id,
                    chunk_body.c.start // group.block_samples == number,
                )
            )
    done.set()
    thread.join()
    assert len(looks) > 3
    assert all(one == set(range(n_blocks)) for one in looks)
    assert catalog.inbox_places(group) == []


def test_reading_sees_one_state_and_writes_nothing(catalog: Catalog) -> None:
    entry, group = made(catalog)
    with catalog.reading() as connection:
        assert catalog_chunks.blocks(connection, group) == []
        _enter_block(catalog, entry, group, 0, 0)
        assert catalog_chunks.blocks(connection, group) == []
    assert len(catalog.blocks(group)) == 1


def test_an_exception_takes_a_transaction_back(catalog: Catalog) -> None:
    entry, group = made(catalog)
    with pytest.raises(KeyError), catalog.writing() as connection:
        _fail(connection, entry, group)
    assert catalog.blocks(group) == []


def test_those_who_write_at_once_wait_for_each_other(catalog: Catalog) -> None:
    entry, group = made(catalog)
    threads = [
        threading.Thread(target=_enter_block, args=(catalog, entry, group, number, 0))
        for number in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(catalog.blocks(group)) == 20


def _fail(connection: Connection, entry: RecordingEntry, group: StoredGroup) -> None:
    enter_block(connection, entry, group, 0)
    raise KeyError


def _enter_block(
    catalog: Catalog, entry: RecordingEntry, group: StoredGroup, number: int, generation: int
) -> None:
    with catalog.writing() as connection:
        enter_block(connection, entry, group, number, generation)
