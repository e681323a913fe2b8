"""The codes in the ``Status`` signal of BDF files, as markers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from storage.protocols import RecordingSource
from storage.recording import Annotation, RateGroup
from storage.spans import Span, cut

# The lower 16 bits are triggers, the upper ones say how the amplifier is.
TRIGGER_BITS = 0xFFFF
MOST_TRIGGERS = 100_000
SOURCE = "bdf-status"
AT_ONCE = 1 << 18


def find_triggers(
    source: RecordingSource, groups: Sequence[RateGroup]
) -> tuple[list[Annotation], list[str]]:
    """Return a marker for each change of the ``Status`` signal to another code, and notes.

    Parameters
    ----------
    source
        A BDF file; it must be able to read and to tell times.
    groups
        Its rate groups.
    """
    for number, group in enumerate(groups):
        for index, channel in enumerate(group.channels):
            if group.dtype == np.int32 and channel.label.casefold() == "status":
                found = []
                for marker in _markers(source, number, index, group.n_samples):
                    found.append(marker)
                    if len(found) > MOST_TRIGGERS:
                        note = f"{channel.label} changes more than {MOST_TRIGGERS} times: no codes"
                        return [], [note]
                return found, []
    return [], []


def _markers(
    source: RecordingSource, group: int, channel: int, n_samples: int
) -> Iterator[Annotation]:
    before: int | None = None
    for piece in cut(Span(0, n_samples), AT_ONCE):
        numbers = source.read(group, piece, Span(channel, channel + 1))[:, 0]
        codes = numbers.astype(np.int64) & TRIGGER_BITS
        changed = np.flatnonzero(np.diff(codes, prepend=codes[:1] if before is None else before))
        for at in changed:
            if codes[at]:
                yield Annotation(
                    onset_us=source.time_us(group, piece.start + int(at))
                    - source.time_us(group, 0),
                    text=str(int(codes[at])),
                    kind="marker",
                    source=SOURCE,
                )
        before = int(codes[-1])
