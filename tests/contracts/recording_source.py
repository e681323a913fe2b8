"""What every source of recordings promises."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import psutil
import pytest

from storage.protocols import RecordingSource
from storage.recording import Segment
from storage.spans import Span

SAME_RATE = 0.02


def some_spans(source: RecordingSource, group: int, count: int = 60) -> list[Span]:
    """Return spans of all sizes, those that begin and end at and beside borders among them."""
    held = source.recording.groups[group]
    n_samples = held.n_samples
    borders = {0, n_samples, n_samples // 2}
    for number, segment in enumerate(source.segments(group)):
        if number < 40:
            borders |= {segment.span.start, segment.span.stop}
    if held.chunk_shape is not None:
        height = held.chunk_shape[0]
        borders |= {height, 2 * height, n_samples // height * height}
    near = sorted(
        {
            at
            for border in borders
            for at in (border - 1, border, border + 1)
            if 0 <= at <= n_samples
        }
    )
    rng = np.random.default_rng(7)
    spans = [Span(0, n_samples), Span(0, 0), Span(n_samples, n_samples), Span(0, 1)]
    for _ in range(count):
        start, stop = sorted(int(rng.choice(near)) for _ in range(2))
        spans.append(Span(start, stop))
        start, stop = sorted(int(rng.integers(0, n_samples + 1)) for _ in range(2))
        spans.append(Span(start, stop))
    return spans


class RecordingSourceTests:
    """Inherited by the test class of each source, which says how to make and open one.

    Attributes
    ----------
    numbered : bool
        Whether channel 0 carries the sample number (modulo the range of an integer type).
    changes : bool
        Whether ``change`` can change what the source reads from.
    """

    numbered = True
    changes = True

    def make(self, folder: Path) -> Path:
        """Make what the source reads from, and return where it is."""
        raise NotImplementedError

    def open(self, path: Path) -> RecordingSource:
        """Open it."""
        raise NotImplementedError

    def change(self, path: Path) -> None:
        """Change its content."""
        raise NotImplementedError

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        return self.make(tmp_path)

    @pytest.fixture
    def source(self, path: Path) -> Iterator[RecordingSource]:
        with self.open(path) as source:
            yield source

    def test_segments_hold_every_sample_once_and_in_order(self, source: RecordingSource) -> None:
        for number, group in enumerate(source.recording.groups):
            at = 0
            for segment in source.segments(number):
                assert segment.span.start == at
                assert len(segment.span) > 0
                at = segment.span.stop
            assert at == group.n_samples

    def test_segments_of_a_span_are_those_of_the_whole_within_it(
        self, source: RecordingSource
    ) -> None:
        for number in range(len(source.recording.groups)):
            whole = list(source.segments(number))
            for span in some_spans(source, number):
                expected = [
                    Segment(inside, source.time_us(number, inside.start))
                    for segment in whole
                    if len(inside := segment.span.intersect(span))
                ]
                assert list(source.segments(number, span)) == expected

    def test_times_grow_within_segments(self, source: RecordingSource) -> None:
        for number, group in enumerate(source.recording.groups):
            period_us = 1e6 / group.rate_hz
            for count, segment in enumerate(source.segments(number)):
                span = segment.span
                assert source.time_us(number, span.start) == segment.start_us
                indices = range(span.start, span.stop, max(1, len(span) // 50))
                times = [source.time_us(number, index) for index in indices]
                assert all(type(time) is int for time in times)
                if period_us >= 2:
                    assert all(b > a for a, b in pairwise(times))
                if count > 200:
                    break

    def test_bounds_are_the_earliest_and_the_latest_time(self, source: RecordingSource) -> None:
        for number in range(len(source.recording.groups)):
            ends = [
                source.time_us(number, index)
                for segment in source.segments(number)
                for index in (segment.span.start, segment.span.stop - 1)
            ]
            assert source.bounds_us(number) == (min(ends), max(ends))

    def test_a_read_has_the_shape_and_type_that_the_group_says(
        self, source: RecordingSource
    ) -> None:
        for number, group in enumerate(source.recording.groups):
            for span in some_spans(source, number, count=10):
                block = source.read(number, span)
                assert block.shape == (len(span), len(group.channels))
                assert block.dtype == group.dtype
                assert block.dtype.isnative

    def test_channel_zero_carries_the_sample_number(self, source: RecordingSource) -> None:
        if not self.numbered:
            pytest.skip("this source holds other numbers")
        for number, group in enumerate(source.recording.groups):
            whole = source.read(number, Span(0, group.n_samples))
            wanted = np.arange(group.n_samples, dtype=np.uint64).astype(group.dtype)
            np.testing.assert_array_equal(whole[:, 0], wanted)

    def test_reads_in_any_order_give_the_same_numbers(self, source: RecordingSource) -> None:
        rng = np.random.default_rng(3)
        for number, group in enumerate(source.recording.groups):
            whole = np.array(source.read(number, Span(0, group.n_samples)))
            spans = some_spans(source, number)
            rng.shuffle(spans)
            for span in [*spans, *spans[:10]]:
                np.testing.assert_array_equal(
                    source.read(number, span), whole[span.start : span.stop]
                )

    def test_consecutive_reads_give_the_same_numbers(self, source: RecordingSource) -> None:
        for number, group in enumerate(source.recording.groups):
            whole = np.array(source.read(number, Span(0, group.n_samples)))
            for step in (1 + group.n_samples // 7, 1 + group.n_samples // 3):
                for start in range(0, group.n_samples, step):
                    span = Span(start, min(start + step, group.n_samples))
                    np.testing.assert_array_equal(
                        source.read(number, span), whole[span.start : span.stop]
                    )

    def test_reading_some_channels_gives_their_numbers(self, source: RecordingSource) -> None:
        for number, group in enumerate(source.recording.groups):
            whole = np.array(source.read(number, Span(0, group.n_samples)))
            count = len(group.channels)
            for span in some_spans(source, number, count=5):
                for start in range(count + 1):
                    for stop in range(start, count + 1):
                        block = source.read(number, span, Span(start, stop))
                        np.testing.assert_array_equal(
                            block, whole[span.start : span.stop, start:stop]
                        )
                        assert block.shape == (len(span), stop - start)

    def test_reading_into_an_array_of_any_order_gives_the_same(
        self, source: RecordingSource
    ) -> None:
        for number, group in enumerate(source.recording.groups):
            whole = np.array(source.read(number, Span(0, group.n_samples)))
            for span in some_spans(source, number, count=10):
                wanted = whole[span.start : span.stop]
                rows_first = np.zeros(wanted.shape, group.dtype)
                columns_first = np.zeros(wanted.shape[::-1], group.dtype).T
                spaced = np.zeros((2 * wanted.shape[0], 3 * wanted.shape[1]), group.dtype)
                for out in (rows_first, columns_first, spaced[::2, ::3]):
                    assert source.read(number, span, out=out) is out
                    np.testing.assert_array_equal(out, wanted)
                assert not spaced[1::2].any()
                assert not spaced[:, 1::3].any()

    def test_labels_are_unique_within_group_and_rate(self, source: RecordingSource) -> None:
        seen: dict[tuple[str, str], list[float]] = {}
        for group in source.recording.groups:
            for channel in group.channels:
                assert channel.label.strip() == channel.label != ""
                rates = seen.setdefault((channel.label.casefold(), channel.group.casefold()), [])
                assert all(abs(1 - rate / group.rate_hz) >= SAME_RATE for rate in rates), channel
                rates.append(group.rate_hz)

    def test_the_fingerprint_stays_until_the_content_changes(self, path: Path) -> None:
        with self.open(path) as source:
            before = dict(source.fingerprint)
        with self.open(path) as source:
            assert dict(source.fingerprint) == before
        if not self.changes:
            pytest.skip("what this source reads from cannot be changed")
        self.change(path)
        with self.open(path) as source:
            assert dict(source.fingerprint) != before

    def test_closing_lets_go_of_everything(self, path: Path) -> None:
        process = psutil.Process()
        files = {file.path for file in process.open_files()}
        threads = set(threading.enumerate())
        source = self.open(path)
        for number in range(len(source.recording.groups)):
            source.read(number, Span(0, 1))
            next(iter(source.segments(number)))
        source.close()
        assert {file.path for file in process.open_files()} <= files
        assert set(threading.enumerate()) <= threads
        source.close()
