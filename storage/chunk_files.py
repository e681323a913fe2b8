"""Writing chunk files: one thread reads blocks, others scale, pack and write channels.

Every block is logged once all of its files are whole, so that an interrupted run goes on after the
last block that was.
"""

from __future__ import annotations

import json
import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from storage.chunk_format import FileEntry, chunk_name, fill_payload, pack
from storage.chunk_plan import ChunkOptions, Run, blocks
from storage.folders import Folder
from storage.protocols import RecordingSource
from storage.recording import RateGroup
from storage.scaling import Scaling
from storage.spans import Span

BOTH_BUFFERS_BYTES = 72 << 20

Advance = Callable[[int], None]


def silent(samples: int) -> None:
    """Take note of progress by doing nothing."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a run has done.

    Parameters
    ----------
    files, bytes
        Written now.
    resumed
        Files that an earlier attempt had finished.
    samples
        Samples of all channels together, resumed ones included.
    """

    files: int = 0
    bytes: int = 0
    resumed: int = 0
    samples: int = 0

    def __add__(self, other: Written) -> Written:
        return Written(
            self.files + other.files,
            self.bytes + other.bytes,
            self.resumed + other.resumed,
            self.samples + other.samples,
        )


def write_run(
    source: RecordingSource,
    folder: Folder,
    run: Run,
    options: ChunkOptions,
    advance: Advance = silent,
    workers: int | None = None,
) -> Written:
    """Write the chunk files of a run that are not there yet.

    Parameters
    ----------
    source
        Where the samples come from.
    folder
        Where the files go.
    run
        Which samples.
    options
        How.
    advance
        Called with the number of samples (of all channels) that were finished.
    workers
        Threads that scale and pack; default one for each processor.
    """
    group = source.recording.groups[run.group]
    finished = _finished_blocks(folder, run)
    done = Written()
    pool = _Pipeline(folder, options, workers or os.cpu_count() or 1)
    try:
        buffers = _Buffers(group, run)
        for block in blocks(source, run, options):
            span = Span(block[0].start, block[-1].stop)
            size = len(span) * len(run.channels)
            if (span.start, span.stop) in finished:
                done += Written(resumed=len(block) * len(run.channels), samples=size)
                advance(size)
                continue
            while not buffers.free(len(span)):
                done += pool.finish_oldest(run, advance, buffers)
            buffer = buffers.take(len(span))
            stored = buffer[: len(run.channels) * len(span)].reshape(len(run.channels), -1)
            source.read(run.group, span, run.channels, stored.T)
            names = [
                (source.time_us(run.group, chunk.start), source.time_us(run.group, chunk.stop - 1))
                for chunk in block
            ]
            pool.submit(run, group, block, names, stored, buffer)
        while pool.pending:
            done += pool.finish_oldest(run, advance, buffers)
    finally:
        pool.close()
    return done


def _finished_blocks(folder: Folder, run: Run) -> set[tuple[int, int]]:
    finished = set()
    for line in folder.log_records(run.log):
        record = json.loads(line)
        # After a power cut a file may be shorter than its log says; the last record of a block
        # counts, since a block that is not whole is written again.
        start, stop = record["span"]
        finished.discard((start, stop))
        if all(folder.size(entry["name"]) == entry["bytes"] for entry in record["files"]):
            finished.add((start, stop))
    return finished


class _Buffers:
    """Two buffers of stored numbers where both fit, else one, so that memory stays bounded."""

    def __init__(self, group: RateGroup, run: Run) -> None:
        self._dtype = group.dtype
        self._width = len(run.channels)
        self._idle: list[NDArray[np.generic]] = []
        self._in_use = 0

    def free(self, n_samples: int) -> bool:
        both = 2 * n_samples * self._width * self._dtype.itemsize
        return self._in_use < (2 if both <= BOTH_BUFFERS_BYTES else 1)

    def take(self, n_samples: int) -> NDArray[np.generic]:
        self._in_use += 1
        needed = n_samples * self._width
        while self._idle:
            buffer = self._idle.pop()
            if len(buffer) >= needed:
                return buffer
        return np.empty(needed, self._dtype)

    def give_back(self, buffer: NDArray[np.generic]) -> None:
        self._in_use -= 1
        self._idle.append(buffer)


@dataclass(frozen=True, slots=True)
class _Block:
    span: Span
    buffer: NDArray[np.generic]
    channels: list[Future[list[FileEntry]]]


class _Pipeline:
    """The threads that turn blocks into files."""

    def __init__(self, folder: Folder, options: ChunkOptions, workers: int) -> None:
        self._folder = folder
        self._options = options
        self._pool = ThreadPoolExecutor(workers, "chunks")
        self._own = threading.local()
        self.pending: deque[_Block] = deque()

    def submit(
        self,
        run: Run,
        group: RateGroup,
        block: list[Span],
        times_us: list[tuple[int, int]],
        stored: NDArray[np.generic],
        buffer: NDArray[np.generic],
    ) -> None:
        span = Span(block[0].start, block[-1].stop)
        jobs = []
        for row, channel in enumerate(range(run.channels.start, run.channels.stop)):
            names = [chunk_name(run.first_index + channel, *times) for times in times_us]
            pieces = [
                (name, stored[row, chunk.start - span.start : chunk.stop - span.start])
                for name, chunk in zip(names, block, strict=True)
            ]
            scaling = group.channels[channel].scaling
            jobs.append(self._pool.submit(self._write_channel, pieces, scaling))
        self.pending.append(_Block(span, buffer, jobs))

    def _write_channel(
        self, pieces: list[tuple[str, NDArray[np.generic]]], scaling: Scaling
    ) -> list[FileEntry]:
        entries = []
        for name, stored in pieces:
            payload = fill_payload(stored, scaling, self._scratch(len(stored)))
            buffers, digest = pack(payload, self._options.level, self._options.with_sha256)
            self._folder.write(name, buffers)
            size = sum(len(buffer) for buffer in buffers)
            entries.append(FileEntry(name, size, len(stored), **digest))
        return entries

    def _scratch(self, n_samples: int) -> NDArray[np.float64]:
        scratch: NDArray[np.float64] | None = getattr(self._own, "scratch", None)
        if scratch is None or len(scratch) < n_samples:
            scratch = self._own.scratch = np.empty(n_samples, np.float64)
        return scratch

    def finish_oldest(self, run: Run, advance: Advance, buffers: _Buffers) -> Written:
        """Wait for the oldest block, log it, and free its buffer."""
        block = self.pending.popleft()
        # One chunk after the other, all channels of each: so blocks of any size list files alike.
        channels = [channel.result() for channel in block.channels]
        entries = [entry for chunk in zip(*channels, strict=True) for entry in chunk]
        listed = ", ".join(entry.as_json() for entry in entries)
        record = f'{{"span": [{block.span.start}, {block.span.stop}], "files": [{listed}]}}'
        self._folder.append(run.log, record.encode())
        buffers.give_back(block.buffer)
        samples = len(block.span) * len(block.channels)
        advance(samples)
        size = sum(entry.bytes for entry in entries)
        return Written(len(entries), size, 0, samples)

    def close(self) -> None:
        """Stop the threads; what was not begun is dropped."""
        self._pool.shutdown(cancel_futures=True)
