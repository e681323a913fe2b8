"""What the sources share that know the place of each of their samples from the start."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from storage.clocks import Clock
from storage.recording import RateGroup, Recording, Segment
from storage.spans import Span


@dataclass(frozen=True, slots=True)
class PlacedGroup:
    """A rate group, its clock, and how it is read.

    Parameters
    ----------
    group
        What the recording says of it.
    clock
        Time of its samples.
    read
        Returns stored numbers of a span of samples and a span of channels.
    stamps
        Returns raw time stamps, if there are any.
    """

    group: RateGroup
    clock: Clock
    read: Callable[[Span, Span], NDArray[np.generic]]
    stamps: Callable[[Span], NDArray[np.float64]] | None = None


class PlacedSource:
    """A recording whose rate groups are known; see ``RecordingSource``.

    Parameters
    ----------
    url
        Where it was opened from.
    recording
        What it holds.
    placed
        Its rate groups, in the recording's order.
    fingerprint
        Changes whenever the content does.
    closing
        Lets go of files.
    """

    def __init__(
        self,
        url: str,
        recording: Recording,
        placed: Sequence[PlacedGroup],
        fingerprint: Mapping[str, str | int],
        closing: Callable[[], None],
    ) -> None:
        self.url = url
        self.recording = recording
        self._placed = tuple(placed)
        self._fingerprint = dict(fingerprint)
        self._closing: Callable[[], None] | None = closing

    @property
    def fingerprint(self) -> Mapping[str, str | int]:
        """Size, and time of change or tag, of the file."""
        return self._fingerprint

    def segments(self, group: int, span: Span | None = None) -> Iterator[Segment]:
        """Yield the gap-free stretches of a rate group."""
        placed = self._placed[group]
        return placed.clock.segments(Span(0, placed.group.n_samples) if span is None else span)

    def time_us(self, group: int, index: int) -> int:
        """Return when a sample was taken, in microseconds since 1970-01-01 UTC."""
        return self._placed[group].clock.time_us(index)

    def bounds_us(self, group: int) -> tuple[int, int]:
        """Return the times of the earliest and the latest sample of a rate group."""
        ends = [
            self.time_us(group, index)
            for segment in self.segments(group)
            for index in (segment.span.start, segment.span.stop - 1)
        ]
        return min(ends), max(ends)

    def read(
        self,
        group: int,
        span: Span,
        channels: Span | None = None,
        out: NDArray[np.generic] | None = None,
    ) -> NDArray[np.generic]:
        """Return stored numbers, shape ``(n_samples, n_channels)``; see ``RecordingSource``."""
        placed = self._placed[group]
        chosen = Span(0, len(placed.group.channels)) if channels is None else channels
        if out is None:
            out = np.empty((len(span), len(chosen)), placed.group.dtype)
        if out.size:
            out[...] = placed.read(span, chosen)
        return out

    def close(self) -> None:
        """Let go of files."""
        if self._closing is not None:
            self._placed = ()
            self._closing()
            self._closing = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class StampedPlacedSource(PlacedSource):
    """One that keeps the raw time stamps of its samples; see ``StampedSource``."""

    def stamps_s(self, group: int, span: Span) -> NDArray[np.float64] | None:
        """Return raw time stamps on the source's own clock, jitter included."""
        stamps = self._placed[group].stamps
        return None if stamps is None else np.array(stamps(span), np.float64)


def distinct(labels: Sequence[str]) -> list[str]:
    """Return labels of which the second of a kind is ``label#2``, and so on; none is empty."""
    taken: set[str] = set()
    named = []
    for index, label in enumerate(labels):
        plain = label.strip() or f"channel {index + 1}"
        name, number = plain, 1
        while name.casefold() in taken:
            number += 1
            name = f"{plain}#{number}"
        taken.add(name.casefold())
        named.append(name)
    return named
