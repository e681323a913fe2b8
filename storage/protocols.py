"""The seams: where recordings come from, and where they go."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import Protocol, Self, TypeGuard

import numpy as np
from numpy.typing import NDArray

from storage.recording import Recording, Segment
from storage.spans import Span

# Annotations in which nobody is named, beside those in which somebody is.
MASKED_ANNOTATIONS = "masked-annotations"


class RecordingSource(Protocol):
    """Anything that a recording can be read from.

    Every source keeps the promises that ``tests/contracts/recording_source.py`` checks.
    """

    @property
    def recording(self) -> Recording:
        """What the source holds."""
        ...

    @property
    def fingerprint(self) -> Mapping[str, str | int]:
        """Changes whenever the content does: size, and time of change or the store's tag."""
        ...

    def segments(self, group: int, span: Span | None = None) -> Iterator[Segment]:
        """Yield the gap-free stretches of a rate group, in order, as they lie within ``span``.

        Together they hold every sample of the span exactly once. The stretches are found while
        iterating, so that their number costs no memory.

        Raises
        ------
        TimestampGap
            If the time stamps step back, repeat or are missing.
        """
        ...

    def time_us(self, group: int, index: int) -> int:
        """Return when a sample was taken, in microseconds since 1970-01-01 UTC."""
        ...

    def bounds_us(self, group: int) -> tuple[int, int]:
        """Return the times of the earliest and the latest sample of a rate group."""
        ...

    def read(
        self,
        group: int,
        span: Span,
        channels: Span | None = None,
        out: NDArray[np.generic] | None = None,
    ) -> NDArray[np.generic]:
        """Return stored numbers, shape ``(n_samples, n_channels)``, in the group's dtype.

        ``out``, if given, is filled and returned; it may be of any memory order, so that a caller
        who needs whole channels passes the transpose of a channel-major array.
        """
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class StampedSource(RecordingSource, Protocol):
    """A source that has the time stamps of its samples as they were received, jitter included."""

    def stamps_s(self, group: int, span: Span) -> NDArray[np.float64] | None:
        """Return raw time stamps in seconds on the source's own clock, shape ``(n_samples,)``.

        None for a group whose source has none.
        """
        ...


class OriginalSource(RecordingSource, Protocol):
    """A source whose very file can be rebuilt from its numbers and a few bytes beside them."""

    @property
    def sha256(self) -> str:
        """SHA-256 of the file."""
        ...

    def blobs(self) -> Iterator[tuple[str, Iterable[bytes]]]:
        """Yield the name and the content of everything in the file that is no sample.

        The blob ``identity`` names a person and is never stored in clear, and neither are
        ``annotations`` that come after ``masked-annotations``.
        """
        ...


class PersonalSource(RecordingSource, Protocol):
    """A source of a format whose files may name the person that they are of."""

    @property
    def person(self) -> str | None:
        """What the file says about a person whom it names; None if it names nobody."""
        ...


def person_of(source: RecordingSource) -> str | None:
    """Return what a source says about a person whom it names; None if it names nobody."""
    return source.person if _may_have_person(source) else None


def _may_have_person(source: RecordingSource) -> TypeGuard[PersonalSource]:
    return hasattr(type(source), "person")


def has_stamps(source: RecordingSource) -> TypeGuard[StampedSource]:
    """Return whether a source is a ``StampedSource``, without evaluating its properties."""
    return hasattr(type(source), "stamps_s")


def has_original(source: RecordingSource) -> TypeGuard[OriginalSource]:
    """Return whether a source is an ``OriginalSource``, without evaluating its properties."""
    return hasattr(type(source), "blobs")


class RecordingSink(Protocol):
    """Anything that a recording can be written to.

    ``write`` is all or nothing: until it returns, nobody finds a recording there.
    """

    def write(self, source: RecordingSource) -> str:
        """Write a whole recording and return where it is, a path or URL.

        Raises
        ------
        AlreadyExists
            If something else rests there.
        """
        ...
