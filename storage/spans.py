"""Spans: half-open ranges of samples, and how they are cut."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """The samples ``start, start + 1, ..., stop - 1``.

    Raises
    ------
    ValueError
        If ``start`` is negative or ``stop`` lies before ``start``.
    """

    start: int
    stop: int

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.stop:
            raise ValueError(f"a span needs 0 <= start <= stop, got [{self.start}, {self.stop})")

    def __len__(self) -> int:
        return self.stop - self.start

    def intersect(self, other: Span) -> Span:
        """Return the samples that both spans hold; empty where they do not meet."""
        start = max(self.start, other.start)
        return Span(start, max(start, min(self.stop, other.stop)))


def cut(span: Span, size: int) -> Iterator[Span]:
    """Cut a span into consecutive pieces of ``size`` samples; the last may be shorter.

    Raises
    ------
    ValueError
        If ``size`` is not positive.
    """
    if size < 1:
        raise ValueError(f"the size of a piece must be at least 1 sample, got {size}")
    for start in range(span.start, span.stop, size):
        yield Span(start, min(start + size, span.stop))
