"""One EDF+ or BDF+ file: its header, its annotations in the records' room, its records."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.edf_anonymise import identity_fields, recording_field
from storage.edf_division import FilePlan
from storage.edf_fields import CLIPPED_DATE, number_text
from storage.edf_header import BDF_VERSION, FIXED_FIELDS, SIGNAL_FIELDS, moment_of
from storage.edf_original import put_samples
from storage.edf_quantise import WrittenSignal
from storage.edf_tals import annotation_tals, record_tal
from storage.errors import UnsupportedRecording
from storage.protocols import RecordingSource
from storage.recording import Annotation
from storage.spans import Span, cut

BLOCK_BYTES = 1 << 22
SECOND_US = 1_000_000
PADDING = "BAD_padding"
ONLY_TEXT_BYTES = 1 << 14
# What microseconds add to whole seconds.
_POINT_AND_DIGITS = 7


@dataclass(frozen=True, slots=True)
class Texts:
    """Annotations in their places.

    Parameters
    ----------
    room
        Bytes of the annotation signal in each record.
    placed
        Bytes by the number of the record, beside the list that it begins with.
    """

    room: int
    placed: Mapping[int, bytes]


class EdfFile:
    """One file that is to be written.

    Parameters
    ----------
    source
        Where samples come from.
    plan
        Which rate groups, and how long records are.
    signals
        How each channel is written, by rate group and column.
    bits
        Of a sample.
    annotations
        Those that go into the file.
    """

    def __init__(
        self,
        source: RecordingSource,
        plan: FilePlan,
        signals: Mapping[tuple[int, int], WrittenSignal],
        bits: int,
        annotations: Sequence[Annotation],
    ) -> None:
        self._source = source
        self._plan = plan
        self._bits = bits
        self._size = bits // 8
        self._record_us = int(plan.record_s * SECOND_US)
        self._firsts = [0, *accumulate(int(count) for count in plan.counts)]
        starts = [int(start) for start in plan.starts_us] or [source.recording.start_us]
        self._start_us = starts[0] // SECOND_US * SECOND_US
        self._onsets_us = [start - self._start_us for start in starts]
        self._held = {
            number: [len(one.span) for one in source.segments(number)] for number in plan.groups
        }
        self._order = _order(source, plan)
        self._signals = [signals[place] for place in self._order]
        self._padding = list(self._pads())
        self._texts = self._place([*annotations, *self._padding])
        self._starts: dict[int, list[int]] = {number: [] for number in plan.groups}
        at = 0
        samples = dict(zip(plan.groups, plan.samples, strict=True))
        self._lengths = [samples[group] for group, _ in self._order]
        columns: dict[tuple[int, int], int] = {}
        for place, length in zip(self._order, self._lengths, strict=True):
            columns[place] = at
            at += length * self._size
        for number in plan.groups:
            width = len(source.recording.groups[number].channels)
            self._starts[number] = [columns[number, column] for column in range(width)]
        self._text_at = at
        self._record_bytes = at + self._texts.room
        self._by_place = dict(zip(self._order, self._signals, strict=True))

    @property
    def padded(self) -> int:
        """Number of stretches that do not fill their last record."""
        return len({one.onset_us for one in self._padding})

    @property
    def records(self) -> int:
        """Number of records; one, or a few, where there are only annotations."""
        if self._lengths:
            return self._firsts[-1]
        return 1 + max(self._texts.placed, default=0)

    def header(self, patient: str, *, clip_date: bool, notes: list[str]) -> bytes:
        """Return the header; ``notes`` grows by what did not go in as it is."""
        day = None if clip_date or not self._source.recording.start_known else self._day(notes)
        seconds = self._start_us // SECOND_US % 86_400
        kind = "BDF" if self._bits == 24 else "EDF"
        gaps = len(self._firsts) > 2
        fixed: dict[str, str | bytes] = {
            "version": BDF_VERSION if self._bits == 24 else "0",
            "start_date": CLIPPED_DATE if day is None else day.strftime("%d.%m.%y"),
            "start_time": f"{seconds // 3600:02d}.{seconds // 60 % 60:02d}.{seconds % 60:02d}",
            "header_bytes": number_text(256 * (len(self._signals) + 2), "bytes in the header"),
            "reserved": f"{kind}+{'D' if gaps else 'C'}",
            "n_records": number_text(self.records, "number of records"),
            "record_duration": number_text(
                self._plan.record_s if self._lengths else 0, "duration of a record"
            ),
            "n_signals": number_text(len(self._signals) + 1, "number of signals", 4),
        }
        identity = identity_fields(patient, recording_field(day))
        fixed |= {"patient": identity[:80], "recording": identity[80:]}
        lowest = 1 << (self._bits - 1)
        rows = [
            {**signal.fields, "samples": number_text(length, "samples per record")}
            for signal, length in zip(self._signals, self._lengths, strict=True)
        ]
        rows.append(
            dict.fromkeys((name for name, _ in SIGNAL_FIELDS), "")
            | {"label": f"{kind} Annotations", "physical_min": "-1", "physical_max": "1"}
            | {"digital_min": str(-lowest), "digital_max": str(lowest - 1)}
            | {"samples": number_text(self._texts.room // self._size, "bytes of annotations")}
        )
        out = b"".join(_field(fixed[name], name, width, notes) for name, width in FIXED_FIELDS)
        for name, width in SIGNAL_FIELDS:
            out += b"".join(_field(row[name], name, width, notes) for row in rows)
        return out

    def _day(self, notes: list[str]) -> datetime | None:
        try:
            return moment_of(self._start_us)
        except (ValueError, OverflowError, OSError):
            notes.append("the start date has no place in an EDF header and is left out")
            return None

    def blocks(self) -> Iterator[bytes]:
        """Yield the records, many at once."""
        if not self._lengths:
            for record in range(self.records):
                yield self._text(record, self._onsets_us[0])
            return
        at_once = max(1, BLOCK_BYTES // self._record_bytes)
        firsts = [0, self._firsts[-1]] if not self._padding else self._firsts
        done = dict.fromkeys(self._plan.groups, 0)
        for stretch, first in enumerate(firsts[:-1]):
            ends = {
                number: done[number] + held[stretch] if self._padding else sum(held)
                for number, held in self._held.items()
            }
            for records in cut(Span(first, firsts[stretch + 1]), at_once):
                block = np.empty((len(records), self._record_bytes), np.uint8)
                for number, samples in zip(self._plan.groups, self._plan.samples, strict=True):
                    begin = done[number]
                    stop = min(begin + len(records) * samples, ends[number])
                    numbers = self._integers(number, Span(begin, stop), len(records) * samples)
                    put_samples(block, samples, self._starts[number], self._size, numbers)
                    done[number] = stop
                for row, record in enumerate(range(records.start, records.stop)):
                    text = self._text(record, self._onset_us(record))
                    block[row, self._text_at :] = np.frombuffer(text, np.uint8)
                yield block.tobytes()

    def _integers(self, number: int, span: Span, wanted: int) -> NDArray[np.int32]:
        """Return the integers of a span, the last repeated as often as it takes."""
        stored: NDArray[Any] = self._source.read(number, span)
        width = stored.shape[1]
        out = np.empty((width, wanted), np.int32)
        lowest = -(1 << (self._bits - 1))
        for column in range(width):
            values = self._by_place[number, column].digitise(stored[:, column], self._bits)
            if values.min(initial=0) < lowest or values.max(initial=0) > -lowest - 1:
                raise UnsupportedRecording(
                    f"rate group {number}: numbers beyond the {self._bits} bits of the file"
                )
            out[column, : len(values)] = values
            out[column, len(values) :] = values[-1]
        return out.T

    def _onset_us(self, record: int) -> int:
        stretch = bisect_right(self._firsts, record) - 1
        return self._onsets_us[stretch] + (record - self._firsts[stretch]) * self._record_us

    def _text(self, record: int, onset_us: int) -> bytes:
        content = record_tal(onset_us) + self._texts.placed.get(record, b"")
        return content.ljust(self._texts.room, b"\0")

    def _pads(self) -> Iterator[Annotation]:
        """Yield an annotation for what is no recording but fills a record."""
        if not len(self._plan.counts):
            return
        recording = self._source.recording
        over: dict[int, dict[int, tuple[int, int]]] = {}
        for number, samples in zip(self._plan.groups, self._plan.samples, strict=True):
            rate = Fraction(samples) / self._plan.record_s
            for stretch, held in enumerate(self._held[number]):
                empty = int(self._plan.counts[stretch]) * samples - held
                if empty:
                    at = int(self._plan.starts_us[stretch]) + round(held / rate * SECOND_US)
                    over.setdefault(stretch, {})[number] = at, round(empty / rate * SECOND_US)
        for places in over.values():
            everywhere = len(places) == len(self._plan.groups) and len(set(places.values())) == 1
            for number, (at, lasts) in places.items():
                labels = [channel.label for channel in recording.groups[number].channels]
                yield Annotation(
                    onset_us=at - recording.start_us,
                    duration_us=lasts,
                    text=PADDING,
                    channels=() if everywhere else tuple(labels),
                )
                if everywhere:
                    break

    def _place(self, annotations: Sequence[Annotation]) -> Texts:
        """Give each annotation a place in the record that it begins in, or after it."""
        base_us = self._source.recording.start_us - self._start_us
        waiting = [
            (one.onset_us + base_us, raw)
            for one in sorted(annotations, key=lambda one: one.onset_us)
            for raw in annotation_tals(one, base_us)
        ]
        begins = self._first_list_bytes()
        if not self._plan.groups:
            return _packed([raw for _, raw in waiting], begins, self._size)
        longest = max((len(raw) for _, raw in waiting), default=0)
        room, placed = longest, None
        while (placed := self._placed(waiting, room)) is None:
            room *= 2
        return Texts(-(-(begins + room) // self._size) * self._size, placed)

    def _placed(self, waiting: Sequence[tuple[int, bytes]], room: int) -> dict[int, bytes] | None:
        placed: dict[int, bytes] = {}
        record = 0
        for onset_us, raw in waiting:
            record = max(record, self._record_at(onset_us))
            if len(placed.get(record, b"")) + len(raw) > room:
                record += 1
                if record >= self._firsts[-1]:
                    return None
            placed[record] = placed.get(record, b"") + raw
        return placed

    def _record_at(self, onset_us: int) -> int:
        stretch = max(0, bisect_right(self._onsets_us, onset_us) - 1)
        within = max(0, onset_us - self._onsets_us[stretch]) // self._record_us
        return min(self._firsts[stretch] + within, self._firsts[stretch + 1] - 1)

    def _first_list_bytes(self) -> int:
        """Return the length of the longest list that a record begins with."""
        ends = [
            start + int(count) * self._record_us
            for start, count in zip(self._onsets_us, self._plan.counts, strict=False)
        ]
        times = [*self._onsets_us, *ends, self._record_us]
        whole = max(len(record_tal(abs(time) // SECOND_US * SECOND_US)) for time in times)
        return whole + (_POINT_AND_DIGITS if any(time % SECOND_US for time in times) else 0)


def _packed(waiting: Sequence[bytes], begins: int, size: int) -> Texts:
    """Return annotations in as few records as do not become too long."""
    longest = max((len(raw) for raw in waiting), default=0)
    room = max(longest, min(ONLY_TEXT_BYTES, sum(map(len, waiting))))
    placed: dict[int, bytes] = {}
    record = 0
    for raw in waiting:
        if len(placed.get(record, b"")) + len(raw) > room:
            record += 1
        placed[record] = placed.get(record, b"") + raw
    return Texts(-(-(begins + room) // size) * size, placed)


def _order(source: RecordingSource, plan: FilePlan) -> list[tuple[int, int]]:
    """Return group and column of the signals, in the order of the file that they came from."""
    groups = source.recording.groups
    places = [
        (number, column) for number in plan.groups for column in range(len(groups[number].channels))
    ]
    texts = [groups[number].channels[column].details.get("signal", "") for number, column in places]
    if all(text.isdigit() for text in texts) and len(set(texts)) == len(texts):
        return [place for _, place in sorted(zip(map(int, texts), places, strict=True))]
    return places


def _field(value: str | bytes, name: str, width: int, notes: list[str]) -> bytes:
    # What came from a header is a character for each byte.
    raw = value if isinstance(value, bytes) else value.encode("latin-1")
    if len(raw) > width:
        notes.append(f"{name} {value!r} is cut to {width} characters")
    return raw[:width].ljust(width)
