"""Where each signal lies in the records of an EDF or BDF file, and how many records there are."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from storage.edf_header import EdfHeader
from storage.recording import RateGroup

# More zeros than this at the end of a file are samples.
MOST_PADDING = 4096


@dataclass(frozen=True, slots=True)
class SignalGroup:
    """Signals of one rate.

    Parameters
    ----------
    samples
        Of each signal, in each record.
    signals
        Their places in the header.
    starts
        Where each begins within a record, in bytes.
    """

    samples: int
    signals: tuple[int, ...]
    starts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class RecordLayout:
    """The bytes of a record.

    Parameters
    ----------
    record_bytes
        Length of a record.
    sample_bytes
        Length of a sample.
    groups
        Signals by rate, in the order in which the rates first appear.
    annotations
        Start and length of each signal of annotations, in bytes.
    """

    record_bytes: int
    sample_bytes: int
    groups: tuple[SignalGroup, ...]
    annotations: tuple[tuple[int, int], ...]

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Type of the numbers that samples become."""
        return np.dtype(np.int32 if self.sample_bytes == 3 else np.int16)

    @property
    def annotation_bytes(self) -> int:
        """Bytes of annotations in a record."""
        return sum(length for _, length in self.annotations)


def layout_of(header: EdfHeader) -> RecordLayout:
    """Return where the signals of a header lie."""
    rates: dict[int, tuple[list[int], list[int]]] = {}
    annotations, at = [], 0
    for signal in header.signals:
        length = signal.samples * header.sample_bytes
        if signal.is_annotations:
            annotations.append((at, length))
        elif length:
            signals, starts = rates.setdefault(signal.samples, ([], []))
            signals.append(signal.index)
            starts.append(at)
        at += length
    return RecordLayout(
        record_bytes=at,
        sample_bytes=header.sample_bytes,
        groups=tuple(
            SignalGroup(samples, tuple(signals), tuple(starts))
            for samples, (signals, starts) in rates.items()
        ),
        annotations=tuple((start, length) for start, length in annotations if length),
    )


def rate_groups(header: EdfHeader, layout: RecordLayout, n_records: int) -> tuple[RateGroup, ...]:
    """Return the rate groups of a recording with so many records."""
    found = []
    for group in layout.groups:
        rate = Fraction(group.samples) / header.record_s
        found.append(
            RateGroup(
                name=f"{float(rate):.10g} Hz",
                rate_hz=int(rate) if rate.denominator == 1 else float(rate),
                n_samples=n_records * group.samples,
                dtype=layout.dtype,
                channels=tuple(header.signals[index].channel() for index in group.signals),
                ratio=rate,
            )
        )
    return tuple(found)


@dataclass(frozen=True, slots=True)
class RecordCount:
    """How many whole records a file holds.

    Parameters
    ----------
    records
        Their number.
    tail_bytes
        What follows them.
    truncated
        Whether the last record was cut short.
    notes
        Where the header says otherwise.
    """

    records: int
    tail_bytes: int
    truncated: bool
    notes: tuple[str, ...]


def excess_bytes(header: EdfHeader, layout: RecordLayout, body_bytes: int) -> int:
    """Return how many bytes follow the records that the header declares, if they may be padding."""
    declared = header.declared_records
    if declared is None or declared < 0:
        return 0
    excess = body_bytes - declared * layout.record_bytes
    return excess if 0 < excess <= MOST_PADDING else 0


def count_records(
    header: EdfHeader, layout: RecordLayout, body_bytes: int, zeros_at_end: int
) -> RecordCount:
    """Return what the length of a file says, whatever its header does.

    Parameters
    ----------
    header, layout
        Of the file.
    body_bytes
        Length of the file without its header.
    zeros_at_end
        How many of the ``excess_bytes`` are nothing but zeros: all or none.
    """
    declared, record_bytes = header.declared_records, layout.record_bytes
    if not record_bytes:
        return RecordCount(0, body_bytes, False, _tail_notes(body_bytes))
    records, rest = divmod(body_bytes - zeros_at_end, record_bytes)
    rest += zeros_at_end
    if zeros_at_end:
        return RecordCount(records, rest, False, _tail_notes(rest))
    notes = []
    truncated = rest > 0 and (declared is None or declared != records)
    if declared != records:
        says = "never closed" if declared == -1 else f"header says {header.fields['n_records']!r}"
        notes.append(f"{says}: {records} whole records are there")
    if truncated:
        notes.append(
            f"truncated: the last record has {rest} of {record_bytes} bytes, which are kept apart"
        )
    else:
        notes.extend(_tail_notes(rest))
    return RecordCount(records, rest, truncated, tuple(notes))


def _tail_notes(n_bytes: int) -> tuple[str, ...]:
    return (f"{n_bytes} bytes after the last record are kept apart",) if n_bytes else ()
