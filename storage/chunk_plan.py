"""What is written together: chunks of a series, cut into runs and blocks.

A *chunk* is what one file holds for one channel. A *block* is the chunks that are read at once, so
that memory depends on the size of a chunk alone. A *run* is what one job writes: one or more blocks
of the same channels, starting and ending where a chunk does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from storage.errors import UsageError
from storage.protocols import RecordingSource
from storage.recording import RateGroup, Recording
from storage.spans import Span, cut

BYTES_PER_SAMPLE = 8
LARGEST_BLOCK_BYTES = 112 << 20
USUAL_BLOCK_BYTES = 16 << 20
MOST_BLOCK_FILES = 2048


@dataclass(frozen=True, slots=True)
class ChunkOptions:
    """How chunk files are written.

    Parameters
    ----------
    chunk_size_mb
        Size of a full chunk before compression, in MiB.
    level
        0 stores the samples, 1 to 3 compress them.
    digest
        ``auto`` is SHA-256 for compressed and CRC-32 for stored files.

    Raises
    ------
    UsageError
        If one of them is out of range.
    """

    chunk_size_mb: int = 1
    level: int = 1
    digest: str = "auto"

    def __post_init__(self) -> None:
        if self.chunk_size_mb < 1:
            raise UsageError(f"chunk size: expected a whole number of MB, got {self.chunk_size_mb}")
        if self.level not in range(4):
            raise UsageError(f"level: expected 0 (stored) to 3, got {self.level}")
        if self.digest not in ("auto", "sha256", "crc32"):
            raise UsageError(f"digest: expected auto, sha256 or crc32, got {self.digest}")

    @property
    def chunk_samples(self) -> int:
        """Samples of a full chunk."""
        return self.chunk_size_mb * (1 << 20) // BYTES_PER_SAMPLE

    @property
    def with_sha256(self) -> bool:
        """Whether files are digested by SHA-256."""
        return self.digest == "sha256" or (self.digest == "auto" and self.level > 0)


@dataclass(frozen=True, slots=True)
class Run:
    """One job's share of a recording.

    Parameters
    ----------
    group
        Index of the rate group.
    first_index
        Index in the output of the group's first channel.
    channels
        Which channels of the group.
    span
        Which samples; starts and ends where a chunk does.
    """

    group: int
    first_index: int
    channels: Span
    span: Span

    @property
    def log(self) -> str:
        """Name of the log of what the run has finished; sorts in the order of the output."""
        return f".parts/{self.group:04d}-{self.channels.start:06d}-{self.span.start:016d}.jsonl"


def first_indices(recording: Recording) -> list[int]:
    """Return the index in the output of each group's first channel."""
    indices, running = [], 0
    for group in recording.groups:
        indices.append(running)
        running += len(group.channels)
    return indices


def plan_runs(
    source: RecordingSource, options: ChunkOptions, run_bytes: int | None = None
) -> list[Run]:
    """Divide a recording into runs.

    Parameters
    ----------
    source
        What is to be written.
    options
        How.
    run_bytes
        Stored bytes that a run holds at least before the next begins; None for one run for all
        samples.
    """
    runs: list[Run] = []
    recording = source.recording
    for number, (group, first) in enumerate(
        zip(recording.groups, first_indices(recording), strict=True)
    ):
        width = block_width(group, options)
        for channels in cut(Span(0, len(group.channels)), width):
            row_bytes = len(channels) * group.dtype.itemsize
            spans = [Span(0, group.n_samples)]
            if run_bytes is not None and group.n_samples * row_bytes > run_bytes:
                least = max(1, run_bytes // row_bytes)
                spans = list(joined(chunks(source, number, options, spans[0]), least))
            runs.extend(Run(number, first, channels, span) for span in spans)
    return runs


def block_width(group: RateGroup, options: ChunkOptions) -> int:
    """Return how many channels are read together so that a block stays within its size."""
    rows, columns = group.chunk_shape or (1, 1)
    tall = max(min(options.chunk_samples, group.n_samples), min(rows, group.n_samples))
    fitting = LARGEST_BLOCK_BYTES // max(1, tall * group.dtype.itemsize)
    return min(len(group.channels), max(columns, fitting // columns * columns))


def chunks(
    source: RecordingSource, group: int, options: ChunkOptions, span: Span
) -> Iterator[Span]:
    """Yield the chunks of a series within a span: each segment cut to the size of a chunk."""
    for segment in source.segments(group, span):
        yield from cut(segment.span, options.chunk_samples)


def joined(pieces: Iterator[Span], least: int, most: int | None = None) -> Iterator[Span]:
    """Join consecutive spans until ``least`` samples are together, never more than ``most``."""
    for block in batched_spans(pieces, least, most):
        yield Span(block[0].start, block[-1].stop)


def batched_spans(
    pieces: Iterator[Span], least: int, most: int | None = None, count: int | None = None
) -> Iterator[list[Span]]:
    """Collect consecutive spans until they hold ``least`` samples, or are ``count`` spans.

    They never hold more than ``most`` samples, unless one span alone does.
    """
    batch: list[Span] = []
    for piece in pieces:
        if batch and most is not None and piece.stop - batch[0].start > most:
            yield batch
            batch = []
        batch.append(piece)
        if piece.stop - batch[0].start >= least or len(batch) == count:
            yield batch
            batch = []
    if batch:
        yield batch


def blocks(source: RecordingSource, run: Run, options: ChunkOptions) -> Iterator[list[Span]]:
    """Yield the chunks of a run, those together that are read at once."""
    row_bytes = len(run.channels) * source.recording.groups[run.group].dtype.itemsize
    most = max(options.chunk_samples, USUAL_BLOCK_BYTES // row_bytes)
    count = max(1, MOST_BLOCK_FILES // len(run.channels))
    return batched_spans(chunks(source, run.group, options, run.span), most, most, count)
