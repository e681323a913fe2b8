"""Small stores: fixtures, live recordings with short blocks, and what they must hold."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from storage.catalog import NewChannel, NewGroup, NewRecording, RecordingEntry, StoredGroup
from storage.ingest import NewChunk, Receipt
from storage.recording_store import RecordingStore
from storage.scaling import Scaling
from storage.spans import Span

BLOCK = 16384
CHUNK = 2048
RATE = 64


@pytest.fixture(params=("local", "s3"))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RecordingStore]:
    """Return an empty store, in a local folder and in a bucket in turn."""
    url = str(tmp_path / "store")
    if request.param == "s3":
        url = request.getfixturevalue("bucket_url")
    with open_store(tmp_path, url) as store:
        yield store


@pytest.fixture
def local_store(tmp_path: Path) -> Iterator[RecordingStore]:
    """Return an empty store in a local folder."""
    with open_store(tmp_path) as store:
        yield store


def open_store(
    folder: Path, url: str | None = None, database_url: str | None = None
) -> RecordingStore:
    """Open a store with its catalogue in a folder, unless they are said to be elsewhere."""
    place = str(folder / "store") if url is None else url
    database = str(folder / "catalog.db") if database_url is None else database_url
    return RecordingStore.open(place, database, folder / "identity.key")


def live(
    store: RecordingStore,
    *,
    channels: int = 3,
    dtype: str = "int16",
    codec: str = "blosc",
    rate: Fraction = Fraction(RATE),
    groups: int = 1,
    name: str | None = None,
) -> tuple[RecordingEntry, StoredGroup]:
    """Declare a live recording with short blocks."""
    new = NewRecording(
        patient="p1",
        name=name or uuid.uuid4().hex,
        kind="live",
        start_us=1_700_000_000_000_000,
        groups=[
            NewGroup(
                name=f"group {number}",
                rate_hz=rate,
                dtype=np.dtype(dtype),
                chunk_samples=CHUNK,
                block_samples=BLOCK,
                channels=[
                    NewChannel(label=f"G{number}C{place}", scaling=Scaling(0.5, -0.25))
                    for place in range(channels)
                ],
                codec=codec,
            )
            for number in range(groups)
        ],
    )
    entry = store.create(new, "test")
    return entry, store.groups(entry)[0]


def numbers(group: StoredGroup, span: Span, seed: int = 0) -> NDArray[Any]:
    """Return samples that only place and seed tell, shape ``(n_channels, n_samples)``."""
    at = np.arange(span.start, span.stop, dtype=np.int64)
    rows = [
        (at * 7 + row * 131 + seed * 17) % 4001 - 2000 + (at * 31 % 13 == row) * 5000
        for row in range(len(group.channels))
    ]
    return np.stack(rows).astype(group.dtype)


def chunk(
    entry: RecordingEntry, group: StoredGroup, span: Span, shift_us: int = 0, seed: int = 0
) -> NewChunk:
    """Return the chunk of a span."""
    return NewChunk(
        entry=entry,
        group=group,
        start=span.start,
        n_samples=len(span),
        body=numbers(group, span, seed).tobytes(),
        source="device",
        shift_us=shift_us,
        allow_hole=True,
    )


def append(store: RecordingStore, chunks: Sequence[NewChunk]) -> list[Receipt]:
    """Append chunks; all of them must be taken."""
    receipts = []
    for answer in store.append(chunks).result(timeout=60):
        assert isinstance(answer, Receipt), answer
        receipts.append(answer)
    return receipts


def fill(
    store: RecordingStore,
    entry: RecordingEntry,
    group: StoredGroup,
    spans: Iterable[Span],
    seed: int = 0,
) -> None:
    """Append the chunks of spans."""
    append(store, [chunk(entry, group, span, seed=seed) for span in spans])


def pieces(stop: int, step: int, start: int = 0) -> list[Span]:
    """Cut a span into pieces of one length."""
    return [Span(at, min(at + step, stop)) for at in range(start, stop, step)]


def check_window(
    store: RecordingStore,
    entry: RecordingEntry,
    group: StoredGroup,
    span: Span,
    held: NDArray[np.bool_],
) -> None:
    """Compare a window with what it must be; ``held`` tells for the whole grid what is there."""
    window = store.window(entry, group.number, span)
    stop = int(np.flatnonzero(held)[-1]) + 1 if held.any() else 0
    assert window.span == span.intersect(Span(0, stop))
    there = np.zeros(len(window.span), np.bool_)
    for segment in window.segments:
        inside = slice(segment.start - window.span.start, segment.stop - window.span.start)
        assert not there[inside].any()
        there[inside] = True
        expected = numbers(group, Span(segment.start, segment.stop))
        np.testing.assert_array_equal(window.data[inside].T, expected)
    np.testing.assert_array_equal(there, held[window.span.start : window.span.stop])


def check_overview(
    store: RecordingStore,
    entry: RecordingEntry,
    group: StoredGroup,
    span: Span,
    max_bins: int,
    held: NDArray[np.bool_],
) -> None:
    """Compare the extremes of every bin with those of its samples."""
    found = store.overview(entry, group.number, span, max_bins)
    stop = int(np.flatnonzero(held)[-1]) + 1 if held.any() else 0
    clipped = span.intersect(Span(0, stop))
    assert len(found.low) <= max_bins
    if not clipped:
        assert len(found.low) == 0
        return
    assert found.span.start <= clipped.start
    assert found.span.stop >= clipped.stop
    assert found.span.start % found.factor == 0
    assert len(found.low) == -(-len(found.span) // found.factor)
    whole = len(found.low) * found.factor
    there = np.zeros(whole, np.bool_)
    there[: len(found.span)] = held[found.span.start : found.span.stop]
    samples = numbers(group, Span(found.span.start, found.span.start + whole)).astype(np.float64)
    shape = (len(group.channels), len(found.low), found.factor)
    lows = np.where(there, samples, np.inf).reshape(shape).min(axis=2).T
    highs = np.where(there, samples, -np.inf).reshape(shape).max(axis=2).T
    empty = ~there.reshape(shape[1:]).any(axis=1)
    np.testing.assert_array_equal(found.low[~empty], lows[~empty])
    np.testing.assert_array_equal(found.high[~empty], highs[~empty])
    assert (found.low[empty] > found.high[empty]).all()
