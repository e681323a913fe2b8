"""A stretch of a recording, as a recording of its own."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from storage.errors import UsageError
from storage.protocols import RecordingSource, has_stamps
from storage.recording import Annotation, Recording, Segment
from storage.spans import Span

FARTHEST_US = 1 << 60


class Excerpt:
    """The samples of a recording from one time up to, not including, another one.

    The times of samples stay what they are; annotations count from the start of the excerpt, and
    are those that overlap with it.

    Parameters
    ----------
    source
        The whole recording; the excerpt closes it.
    start_us, end_us
        In microseconds after the start of the recording.

    Raises
    ------
    UsageError
        If there is no sample in between.
    """

    def __init__(self, source: RecordingSource, start_us: int, end_us: int) -> None:
        self._source = source
        self._stretch_us = (start_us, end_us)
        whole = source.recording
        from_us, to_us = whole.start_us + start_us, whole.start_us + end_us
        spans = [
            Span(first, max(first, _first_at(source, number, to_us)))
            for number in range(len(whole.groups))
            for first in (_first_at(source, number, from_us),)
        ]
        # A group without a sample in between is not there at all.
        self._numbers = [number for number, span in enumerate(spans) if len(span)]
        self._spans = [spans[number] for number in self._numbers]
        if not self._spans:
            # Whoever wants everything up to the end gives a time that no recording reaches.
            until = f" up to {end_us / 1e6:g} s" if end_us < FARTHEST_US else " on"
            raise UsageError(
                f"{whole.id}: holds no sample from {start_us / 1e6:g} s{until} after its start; "
                "choose another stretch"
            )
        self.recording = Recording(
            id=whole.id,
            start_us=from_us,
            groups=tuple(
                replace(whole.groups[number], n_samples=len(span), chunk_shape=None)
                for number, span in zip(self._numbers, self._spans, strict=True)
            ),
            notes=whole.notes,
            annotations=tuple(_annotations(whole.annotations, start_us, end_us)),
            start_known=whole.start_known,
        )

    @property
    def fingerprint(self) -> Mapping[str, str | int]:
        """Changes whenever the content does."""
        start_us, end_us = self._stretch_us
        return {**self._source.fingerprint, "start_us": start_us, "end_us": end_us}

    def segments(self, group: int, span: Span | None = None) -> Iterator[Segment]:
        """Yield the gap-free stretches of a rate group."""
        held = self._spans[group]
        inside = held if span is None else self._within(group, span)
        for segment in self._source.segments(self._numbers[group], inside):
            there = segment.span
            yield Segment(Span(there.start - held.start, there.stop - held.start), segment.start_us)

    def time_us(self, group: int, index: int) -> int:
        """Return when a sample was taken."""
        return self._source.time_us(self._numbers[group], self._spans[group].start + index)

    def bounds_us(self, group: int) -> tuple[int, int]:
        """Return the times of the earliest and the latest sample of a rate group."""
        times = [
            self.time_us(group, index)
            for segment in self.segments(group)
            for index in (segment.span.start, segment.span.stop - 1)
        ]
        return min(times), max(times)

    def read(
        self,
        group: int,
        span: Span,
        channels: Span | None = None,
        out: NDArray[np.generic] | None = None,
    ) -> NDArray[np.generic]:
        """Return stored numbers."""
        return self._source.read(self._numbers[group], self._within(group, span), channels, out)

    def stamps_s(self, group: int, span: Span) -> NDArray[np.float64] | None:
        """Return raw time stamps, where the source has them."""
        if not has_stamps(self._source):
            return None
        return self._source.stamps_s(self._numbers[group], self._within(group, span))

    def close(self) -> None:
        """Let go of the whole recording."""
        self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _within(self, group: int, span: Span) -> Span:
        first = self._spans[group].start
        return Span(first + span.start, first + span.stop)


def _first_at(source: RecordingSource, number: int, time_us: int) -> int:
    """Return the index of the first sample that was not taken before a time."""
    rate_hz = source.recording.groups[number].exact_rate_hz
    for segment in source.segments(number):
        span = segment.span
        ahead = math.ceil((time_us - segment.start_us) * rate_hz / 1_000_000)
        if ahead < len(span):
            # The time of a sample is rounded to microseconds, which may bring it up to the border.
            index = span.start + max(0, ahead)
            while index > span.start and source.time_us(number, index - 1) >= time_us:
                index -= 1
            return index
    return source.recording.groups[number].n_samples


def _annotations(
    annotations: tuple[Annotation, ...], start_us: int, end_us: int
) -> Iterator[Annotation]:
    for one in annotations:
        ends_us = one.onset_us + (one.duration_us or 0)
        if one.onset_us < end_us and (ends_us > start_us or one.onset_us >= start_us):
            yield replace(one, onset_us=one.onset_us - start_us)
