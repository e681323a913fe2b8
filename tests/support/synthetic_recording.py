"""A recording in memory, of several rate groups with gaps; channel 0 carries the sample number."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from storage.recording import Channel, RateGroup, Recording, Segment
from storage.scaling import Scaling
from storage.spans import Span

START_US = 1_714_979_289_123_456


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntheticGroup:
    """Channels that were sampled together.

    Parameters
    ----------
    n_samples, n_channels, rate_hz, dtype
        Shape, rate and type.
    gaps_us
        Pause before a sample, by the sample's index: a segment begins there.
    scaling
        From stored numbers to microvolts.
    """

    n_samples: int = 10_000
    n_channels: int = 3
    rate_hz: float = 1000.0
    dtype: str = "int16"
    gaps_us: Mapping[int, int] = field(default_factory=dict)
    scaling: Scaling = field(default_factory=Scaling)

    def numbers(self, span: Span) -> NDArray[Any]:
        """Return the stored numbers of all channels, shape ``(n_samples, n_channels)``."""
        index = np.arange(span.start, span.stop, dtype=np.uint64)
        columns = [index + np.uint64(7919 * channel) for channel in range(self.n_channels)]
        # An integer type that is too narrow carries the sample number modulo its range.
        stacked = np.stack(columns, axis=1) if columns else np.empty((len(span), 0), np.uint64)
        return stacked.astype(self.dtype)


class SyntheticRecording:
    """A ``RecordingSource`` without a file.

    Parameters
    ----------
    groups
        What it holds.
    name
        Its id.
    before_read
        Called with group and span before each read; may raise, or kill the process.
    """

    def __init__(
        self,
        *groups: SyntheticGroup,
        name: str = "synthetic",
        before_read: Callable[[int, Span], None] = lambda group, span: None,
    ) -> None:
        self._groups = groups
        self._before_read = before_read
        self.reads: list[tuple[int, Span]] = []
        self.recording = Recording(
            id=name,
            start_us=START_US,
            groups=tuple(
                RateGroup(
                    name=f"group{number}",
                    rate_hz=group.rate_hz,
                    n_samples=group.n_samples,
                    dtype=np.dtype(group.dtype),
                    channels=tuple(
                        Channel(label=f"G{number}C{index}", group="made", scaling=group.scaling)
                        for index in range(group.n_channels)
                    ),
                )
                for number, group in enumerate(groups)
            ),
        )

    @property
    def fingerprint(self) -> dict[str, str | int]:
        """Changes whenever the content does."""
        return {"groups": repr(self._groups), "name": self.recording.id}

    def segments(self, group: int, span: Span | None = None) -> Iterator[Segment]:
        """Yield the stretches between the gaps."""
        made = self._groups[group]
        inside = Span(0, made.n_samples) if span is None else span
        borders = [0, *sorted(made.gaps_us), made.n_samples]
        for start, stop in pairwise(borders):
            piece = Span(start, stop).intersect(inside)
            if piece:
                yield Segment(piece, self.time_us(group, piece.start))

    def time_us(self, group: int, index: int) -> int:
        """Return the time of a sample."""
        made = self._groups[group]
        paused = sum(us for at, us in made.gaps_us.items() if at <= index)
        return START_US + round(index * 1e6 / made.rate_hz) + paused

    def bounds_us(self, group: int) -> tuple[int, int]:
        """Return the times of the first and the last sample."""
        return self.time_us(group, 0), self.time_us(group, self._groups[group].n_samples - 1)

    def read(
        self,
        group: int,
        span: Span,
        channels: Span | None = None,
        out: NDArray[np.generic] | None = None,
    ) -> NDArray[np.generic]:
        """Return stored numbers."""
        self._before_read(group, span)
        self.reads.append((group, span))
        made = self._groups[group]
        columns = Span(0, made.n_channels) if channels is None else channels
        block = made.numbers(span)[:, columns.start : columns.stop]
        if out is None:
            return block
        out[...] = block
        return out

    def close(self) -> None:
        """Do nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
