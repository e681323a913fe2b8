"""Chunks, blocks and runs hold every sample once, within their bounds."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import chunk_plan
from storage.chunk_plan import (
    ChunkOptions,
    Run,
    batched_spans,
    block_width,
    blocks,
    chunks,
    first_indices,
    plan_runs,
)
from storage.errors import UsageError
from storage.spans import Span, cut
from tests.support.synthetic_recording import SyntheticGroup, SyntheticRecording

FULL = 131_072


@st.composite
def recordings(draw: st.DrawFn) -> SyntheticRecording:
    groups = []
    for _ in range(draw(st.integers(1, 3))):
        n_samples = draw(st.integers(1, 600_000))
        gaps = draw(st.sets(st.integers(1, max(1, n_samples - 1)), max_size=6))
        groups.append(
            SyntheticGroup(
                n_samples=n_samples,
                n_channels=draw(st.integers(1, 400)),
                dtype=draw(st.sampled_from(["int8", "int16", "float64"])),
                gaps_us=dict.fromkeys((at for at in gaps if at < n_samples), 10_000),
            )
        )
    return SyntheticRecording(*groups)


def assert_partition(pieces: list[Span], whole: Span) -> None:
    """Assert that the pieces follow each other, and hold the whole."""
    at = whole.start
    for piece in pieces:
        assert piece.start == at
        assert len(piece) > 0
        at = piece.stop
    assert at == whole.stop


@given(recordings(), st.integers(1, 2))
@settings(max_examples=50, deadline=None)
def test_chunks_partition_each_segment(source: SyntheticRecording, size_mb: int) -> None:
    options = ChunkOptions(chunk_size_mb=size_mb)
    assert options.chunk_samples == size_mb * FULL
    for number, group in enumerate(source.recording.groups):
        found = list(chunks(source, number, options, Span(0, group.n_samples)))
        expected = [
            piece
            for segment in source.segments(number)
            for piece in cut(segment.span, size_mb * FULL)
        ]
        assert found == expected
        assert_partition(found, Span(0, group.n_samples))


@given(recordings(), st.none() | st.integers(1, 10_000_000), st.integers(1, 2))
@settings(max_examples=60, deadline=None)
def test_runs_partition_the_recording_at_chunks(
    source: SyntheticRecording, run_bytes: int | None, size_mb: int
) -> None:
    options = ChunkOptions(chunk_size_mb=size_mb)
    runs = plan_runs(source, options, run_bytes)
    assert len({run.log for run in runs}) == len(runs)
    assert [run.log for run in runs] == sorted(run.log for run in runs)
    firsts = first_indices(source.recording)
    for number, group in enumerate(source.recording.groups):
        mine = [run for run in runs if run.group == number]
        assert {run.first_index for run in mine} == {firsts[number]}
        whole = list(chunks(source, number, options, Span(0, group.n_samples)))
        widths = sorted({run.channels for run in mine})
        assert_partition(widths, Span(0, len(group.channels)))
        for width in widths:
            in_width = [run for run in mine if run.channels == width]
            assert_partition([run.span for run in in_width], Span(0, group.n_samples))
            cut_again = [
                piece for run in in_width for piece in chunks(source, number, options, run.span)
            ]
            assert cut_again == whole
            if run_bytes is not None:
                row_bytes = len(width) * group.dtype.itemsize
                for run in in_width[:-1]:
                    assert len(run.span) * row_bytes >= run_bytes - row_bytes


@given(recordings(), st.none() | st.integers(1, 10_000_000))
@settings(max_examples=60, deadline=None)
def test_blocks_hold_the_chunks_of_a_run_and_stay_within_their_size(
    source: SyntheticRecording, run_bytes: int | None
) -> None:
    options = ChunkOptions()
    for run in plan_runs(source, options, run_bytes):
        itemsize = source.recording.groups[run.group].dtype.itemsize
        found = list(blocks(source, run, options))
        assert [piece for block in found for piece in block] == list(
            chunks(source, run.group, options, run.span)
        )
        for block in found:
            n_bytes = (block[-1].stop - block[0].start) * len(run.channels) * itemsize
            assert n_bytes <= chunk_plan.LARGEST_BLOCK_BYTES


def test_a_block_stays_within_its_size_whatever_a_chunk_is() -> None:
    wide = SyntheticRecording(SyntheticGroup(n_samples=40_000_000, n_channels=1024, dtype="int32"))
    for size_mb in (1, 4, 64, 256):
        options = ChunkOptions(chunk_size_mb=size_mb)
        width = block_width(wide.recording.groups[0], options)
        assert width >= 1
        one_channel = options.chunk_samples * 4
        assert width * one_channel <= max(chunk_plan.LARGEST_BLOCK_BYTES, one_channel)


def test_no_block_collects_chunks_without_end() -> None:
    n_samples = 200_000
    tiny = SyntheticRecording(SyntheticGroup(n_samples=n_samples, n_channels=1, dtype="int8"))

    class EachSampleASegment(SyntheticRecording):
        def segments(self, group, span=None):  # type: ignore[no-untyped-def]
            from storage.recording import Segment

            inside = span or Span(0, n_samples)
            return (Segment(piece, 0) for piece in cut(inside, 1))

    source = EachSampleASegment(SyntheticGroup(n_samples=n_samples, n_channels=1, dtype="int8"))
    assert source.recording == tiny.recording
    run = Run(0, 0, Span(0, 1), Span(0, n_samples))
    sizes = [len(block) for block in blocks(source, run, ChunkOptions())]
    assert sum(sizes) == n_samples
    assert max(sizes) <= 4096


@given(
    st.lists(st.integers(1, 50), max_size=40),
    st.integers(1, 100),
    st.none() | st.integers(50, 200),
)
def test_batches_keep_every_span_and_their_bounds(
    lengths: list[int], least: int, most: int | None
) -> None:
    pieces, at = [], 0
    for length in lengths:
        pieces.append(Span(at, at + length))
        at += length
    found = list(batched_spans(iter(pieces), least, most))
    assert [piece for batch in found for piece in batch] == pieces
    for batch in found:
        if most is not None:
            assert batch[-1].stop - batch[0].start <= most
        if len(batch) > 1:
            assert batch[-2].stop - batch[0].start < least


def test_channel_indices_run_on() -> None:
    source = SyntheticRecording(
        SyntheticGroup(n_channels=3), SyntheticGroup(n_channels=1), SyntheticGroup(n_channels=2)
    )
    assert first_indices(source.recording) == [0, 3, 4]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"chunk_size_mb": 0}, "chunk size.*0"),
        ({"chunk_size_mb": -1}, "chunk size.*-1"),
        ({"level": 4}, "level.*4"),
        ({"level": -1}, "level.*-1"),
        ({"digest": "md5"}, "digest.*md5"),
    ],
)
def test_options_out_of_range_are_refused(wrong: dict[str, int], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        ChunkOptions(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("level", "digest", "with_sha256"),
    [(1, "auto", True), (0, "auto", False), (0, "sha256", True), (1, "crc32", False)],
)
def test_digests(level: int, digest: str, with_sha256: bool) -> None:
    assert ChunkOptions(level=level, digest=digest).with_sha256 is with_sha256
