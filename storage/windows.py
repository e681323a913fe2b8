"""Windows of a recording: its blocks, with what still waits in the inbox laid over them.

Of sealed recordings the facts are kept in memory (channels, segments, blocks; never samples), so
that a window of one needs no statement to the database. Of live ones only the channels are kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from storage import catalog_chunks
from storage.catalog_rows import (
    BlockEntry,
    InboxChunk,
    RecordingEntry,
    StoredGroup,
    StoredSegment,
)
from storage.compaction import overlay
from storage.errors import UsageError
from storage.geometry import block_span, blocks_of
from storage.kept import Kept
from storage.parts import Parts
from storage.spans import Span
from storage.zarr_recordings import RecordingFiles

FACTS_KEPT = 256


@dataclass(frozen=True, slots=True)
class Window:
    """A part of a rate group.

    Parameters
    ----------
    span
        On the group's grid, clipped to where the group ends.
    data
        Stored numbers, shape ``(n_samples, n_channels)``.
    segments
        What of the span is really there; the rest of ``data`` means nothing.
    """

    span: Span
    data: NDArray[Any]
    segments: tuple[StoredSegment, ...]


@dataclass(frozen=True, slots=True)
class HeldSpan:
    """What is held of a group, or of a span of it.

    Parameters
    ----------
    stop
        The index after the group's last sample.
    segments
        In order.
    blocks
        By number, the counting generation of each.
    inbox
        Laid over the blocks.
    starts
        Starts of the segments.
    whole
        Whether the upper levels of the overview are written.
    """

    stop: int
    segments: tuple[StoredSegment, ...]
    blocks: Mapping[int, BlockEntry]
    inbox: tuple[InboxChunk, ...] = ()
    whole: bool = False
    starts: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))

    def within(self, span: Span) -> tuple[StoredSegment, ...]:
        """Return the segments as they lie within a span."""
        first = max(0, int(np.searchsorted(self.starts, span.start, "right")) - 1)
        found = []
        for segment in self.segments[first:]:
            if segment.start >= span.stop:
                break
            inside = Span(segment.start, segment.stop).intersect(span)
            if inside:
                found.append(StoredSegment(inside.start, len(inside), segment.shift_us))
        return tuple(found)


class WindowReader:
    """Reads windows of any recording of a store; may be used by many threads at once.

    Parameters
    ----------
    parts
        The store.
    kept
        Of how many recordings the facts are kept.
    """

    def __init__(self, parts: Parts, kept: int = FACTS_KEPT) -> None:
        self._parts = parts
        # What was kept of a live recording may lack groups that it was sealed with.
        self._groups: Kept[tuple[UUID, bool], tuple[StoredGroup, ...]] = Kept(kept)
        self._sealed: Kept[UUID, tuple[HeldSpan, ...]] = Kept(kept)
        self._files: Kept[UUID, RecordingFiles] = Kept(kept)

    def groups(self, entry: RecordingEntry, least: int = 0) -> tuple[StoredGroup, ...]:
        """Return the rate groups of a recording; of a live one those of now.

        Parameters
        ----------
        least
            So many are enough, and may come from memory.
        """
        kept = self._groups.get((entry.uuid, entry.sealed))
        if kept is not None and (entry.sealed or 0 < least <= len(kept)):
            return kept
        found = self._parts.catalog.groups(entry)
        self._groups.put((entry.uuid, entry.sealed), found)
        return found

    def group(self, entry: RecordingEntry, number: int) -> StoredGroup:
        """Return one rate group.

        Raises
        ------
        UsageError
            If the recording has no such group.
        """
        groups = self.groups(entry, number + 1)
        if not 0 <= number < len(groups):
            raise UsageError(
                f"recording {entry.name!r}: no rate group {number}; it has {len(groups)}"
            )
        return groups[number]

    def files(self, entry: RecordingEntry) -> RecordingFiles:
        """Return the files of a recording."""
        kept = self._files.get(entry.uuid)
        if kept is None:
            kept = self._parts.files(entry)
            self._files.put(entry.uuid, kept)
        return kept

    def stop(self, entry: RecordingEntry, group: StoredGroup) -> int:
        """Return the index after a group's last sample."""
        if entry.sealed:
            return self.held(entry, group).stop
        return self._parts.catalog.extent(group)

    def held(
        self,
        entry: RecordingEntry,
        group: StoredGroup,
        span: Span | None = None,
        *,
        segments: bool = True,
        inbox: bool = True,
    ) -> HeldSpan:
        """Return what is held of a span, or of the whole group, all of it as of one moment.

        Parameters
        ----------
        segments, inbox
            Whether these are asked for; of a long live recording they are many.
        """
        if entry.sealed:
            facts = self._sealed.get(entry.uuid)
            if facts is None:
                facts = tuple(self._facts(each) for each in self.groups(entry))
                self._sealed.put(entry.uuid, facts)
            return facts[group.number]
        with self._parts.catalog.reading() as connection:
            stop = catalog_chunks.extent(connection, group)
            place = Span(0, stop) if span is None else span
            return _held(
                stop,
                tuple(catalog_chunks.segments(connection, group, place)) if segments else (),
                {one.number: one for one in catalog_chunks.blocks(connection, group, place)},
                tuple(catalog_chunks.inbox(connection, group, place)) if inbox else (),
            )

    def window(
        self,
        entry: RecordingEntry,
        number: int,
        span: Span,
        channels: Sequence[int] | None = None,
    ) -> Window:
        """Return a window of a rate group.

        Raises
        ------
        UsageError
            If there is no such group or channel.
        CorruptRecording
            If a file of the store is not what was written.
        """
        group = self.group(entry, number)
        held = self.held(entry, group, span)
        clipped = span.intersect(Span(0, held.stop))
        samples = self.samples(entry, group, held, clipped)
        if channels is not None:
            samples = samples[chosen_rows(group, channels)]
        return Window(clipped, samples.T, held.within(clipped))

    def samples(
        self, entry: RecordingEntry, group: StoredGroup, held: HeldSpan, span: Span
    ) -> NDArray[Any]:
        """Return the samples of a span, shape ``(n_channels, n_samples)``."""
        samples: NDArray[Any] = np.empty((len(group.channels), len(span)), group.dtype)
        files = self.files(entry)
        for number in blocks_of(span, group.block_samples):
            block = block_span(number, group.block_samples)
            inside = block.intersect(span)
            target = samples[:, inside.start - span.start : inside.stop - span.start]
            entered = held.blocks.get(number)
            if entered is None:
                target[...] = 0
            else:
                part = Span(inside.start - block.start, inside.stop - block.start)
                files.read_samples(group, entered, part, target)
        overlay(group, held.inbox, span, samples)
        return samples

    def _facts(self, group: StoredGroup) -> HeldSpan:
        catalog = self._parts.catalog
        segments = tuple(catalog.segments(group))
        stop = segments[-1].stop if segments else 0
        blocks = {block.number: block for block in catalog.blocks(group)}
        return _held(stop, segments, blocks, whole=True)


def _held(
    stop: int,
    segments: tuple[StoredSegment, ...],
    blocks: Mapping[int, BlockEntry],
    inbox: tuple[InboxChunk, ...] = (),
    whole: bool = False,
) -> HeldSpan:
    starts = np.array([segment.start for segment in segments], np.int64)
    return HeldSpan(stop, segments, blocks, inbox, whole, starts)


def chosen_rows(group: StoredGroup, channels: Sequence[int]) -> list[int]:
    """Return the rows of chosen channels.

    Raises
    ------
    UsageError
        If there is no such channel.
    """
    for channel in channels:
        if not 0 <= channel < len(group.channels):
            raise UsageError(
                f"rate group {group.number}: no channel {channel}; it has {len(group.channels)}"
            )
    return list(channels)
