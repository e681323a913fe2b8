"""EDF, EDF+, BDF and BDF+ files as recordings: one rate group for each rate, nothing resampled."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from functools import cached_property
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from storage.edf_bytes import FileBytes, open_file_bytes, pieces, read_bytes, sha256_of
from storage.edf_clock import RecordClock, RecordTimes
from storage.edf_header import (
    FIXED_BYTES,
    EdfHeader,
    header_bytes,
    name_of,
    names_a_person,
    parse_header,
)
from storage.edf_layout import (
    RecordCount,
    RecordLayout,
    count_records,
    excess_bytes,
    layout_of,
    rate_groups,
)
from storage.edf_records import RecordReader
from storage.edf_tals import Tal, annotation, parse_record
from storage.edf_triggers import find_triggers
from storage.errors import RecordingError, UnsupportedRecording, UsageError
from storage.persons import NameMask
from storage.protocols import MASKED_ANNOTATIONS
from storage.recording import Recording, Segment
from storage.spans import Span, cut

MOST_ANNOTATIONS = 1_000_000
MOST_ANNOTATION_BYTES = 1 << 26
COUNTED_AT_ONCE = 1 << 18


class EdfSource:
    """An EDF or BDF file as a recording, and as bytes that it can be rebuilt from.

    Times are those that the file names, read as UTC. Samples are the file's integers, as 16-bit
    (EDF) or 32-bit ones (BDF). A ``Status`` signal of a BDF file stays a channel, and the codes
    that appear in it become markers too. Where the header names a person, the parts of that name
    are masked in the annotations.

    Parameters
    ----------
    url
        Local path, or ``s3://`` URL.

    Raises
    ------
    NotFound
        If there is no such file.
    RecordingError
        If it is no EDF or BDF file, or contradicts itself in what the samples depend on.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._file = open_file_bytes(url)
        try:
            with _explained(url):
                self._open()
        except BaseException:
            self._file.close()
            raise

    def _open(self) -> None:
        file = self._file
        length = header_bytes(read_bytes(file, 0, FIXED_BYTES))
        self.header: EdfHeader = parse_header(read_bytes(file, 0, length))
        self._layout = layout_of(self.header)
        self._start = length
        self._count = _count(file, self.header, self._layout)
        self._reader = RecordReader(file, length, self._layout)
        self._mask = NameMask(name_of(self.header)) if self.names_a_person else None
        self._texts_name_somebody = False
        self._times, self._texts, notes = self._read_texts()
        groups = rate_groups(self.header, self._layout, self._count.records)
        self._clocks = [RecordClock(self._times, group.samples) for group in self._layout.groups]
        markers, trigger_notes = find_triggers(self, groups)
        labels = {channel.label for group in groups for channel in group.channels}
        annotations = [annotation(tal, self._times.first_ns, labels) for tal in self._texts]
        if self._mask is not None:
            annotations = [replace(one, text=self._mask.text(one.text)) for one in annotations]
        self._texts = []
        self.recording = Recording(
            id=url_name(self.url),
            start_us=self.header.start_us + round(Fraction(self._times.first_ns, 1000)),
            groups=groups,
            notes=(*self.header.notes, *self._count.notes, *notes, *trigger_notes),
            annotations=tuple(sorted([*annotations, *markers], key=lambda one: one.onset_us)),
            start_known=self.header.start_known,
        )

    def _read_texts(self) -> tuple[RecordTimes, list[Tal], list[str]]:
        header, layout = self.header, self._layout
        fastest = max((group.samples for group in layout.groups), default=1)
        times = RecordTimes(header.start_us, header.record_s, header.record_s / fastest / 2)
        texts: list[Tal] = []
        notes = []
        malformed = 0
        if layout.annotation_bytes > MOST_ANNOTATION_BYTES:
            raise UnsupportedRecording(
                f"{layout.annotation_bytes} bytes of annotations in each record, expected at most "
                f"{MOST_ANNOTATION_BYTES}"
            )
        if not layout.annotations:
            times.add_adjoining(self._count.records)
            if header.plus:
                notes.append(f"{header.fields['reserved'][:5]} without annotations: taken as one "
                             "stretch without gaps")  # fmt: skip
            return times, texts, notes
        for block in self._reader.annotations(Span(0, self._count.records)):
            for row in block:
                content = row.tobytes()
                if self._mask is not None and not self._texts_name_somebody:
                    self._texts_name_somebody = self._mask.tals(content) != content
                found = parse_record(content)
                times.add(found.onset_ns if layout.groups else 0)
                texts.extend(found.tals)
                malformed += found.malformed
                if layout.groups or found.onset_ns is None or times.records > 1:
                    continue
                times.onsets_ns[0] = found.onset_ns
            if len(texts) > MOST_ANNOTATIONS:
                raise UnsupportedRecording(
                    f"more than {MOST_ANNOTATIONS} annotations; the file may be damaged"
                )
        if malformed:
            notes.append(f"{malformed} annotations cannot be read; their bytes are kept")
        if times.missing and layout.groups:
            notes.append(f"{times.missing} records do not say when they begin: taken as adjoining")
        if times.backwards and layout.groups:
            notes.append(f"{times.backwards} records begin before the one in front of them ends")
        if len(times.firsts) > 1 and layout.groups and header.plus != "D":
            notes.append(
                f"the header says that there are no gaps, the records have "
                f"{len(times.firsts) - 1}: taken as they say"
            )
        return times, texts, notes

    @property
    def truncated(self) -> bool:
        """Whether the file ends within a record."""
        return self._count.truncated

    @property
    def names_a_person(self) -> bool:
        """Whether the header may name somebody."""
        return names_a_person(self.header)

    @property
    def person(self) -> str | None:
        """The patient field, if it may name somebody."""
        return self.header.fields["patient"].strip() if self.names_a_person else None

    @property
    def fingerprint(self) -> dict[str, str | int]:
        """Changes whenever the content does."""
        return self._file.fingerprint

    def segments(self, group: int, span: Span | None = None) -> Iterator[Segment]:
        """Yield the gap-free stretches of a rate group."""
        n_samples = self.recording.groups[group].n_samples
        return self._clocks[group].segments(Span(0, n_samples) if span is None else span)

    def time_us(self, group: int, index: int) -> int:
        """Return when a sample was taken, in microseconds since 1970-01-01 UTC."""
        return self._clocks[group].time_us(index)

    def bounds_us(self, group: int) -> tuple[int, int]:
        """Return the times of the earliest and the latest sample of a rate group."""
        return self._clocks[group].bounds_us()

    def read(
        self,
        group: int,
        span: Span,
        channels: Span | None = None,
        out: NDArray[np.generic] | None = None,
    ) -> NDArray[np.generic]:
        """Return stored numbers, shape ``(n_samples, n_channels)``; see ``RecordingSource``.

        What is returned is the transpose of a channel-major array, since that is read fastest.

        Raises
        ------
        UsageError
            If there are no such samples or channels.
        """
        held = self._layout.groups[group]
        count = len(held.signals)
        chosen = Span(0, count) if channels is None else channels
        if span.stop > self._count.records * held.samples or chosen.stop > count:
            raise UsageError(
                f"{url_name(self.url)}: samples up to {span.stop} of channels up to {chosen.stop} "
                f"were asked for, there are {self._count.records * held.samples} of {count}"
            )
        if out is None:
            out = np.empty((len(chosen), len(span)), self._layout.dtype).T
        self._reader.read(held, span, chosen, out)
        return out

    def out_of_range(self, group: int) -> NDArray[np.int64]:
        """Return how many samples of each channel lie outside of the range that it declares.

        They are kept all the same. Reads the whole group.
        """
        held = self._layout.groups[group]
        limits = [self.header.signals[index].limits for index in held.signals]
        full = np.iinfo(np.int32)
        low = np.array([min(one[2:]) if one else full.min for one in limits], np.float64)
        high = np.array([max(one[2:]) if one else full.max for one in limits], np.float64)
        counts = np.zeros(len(limits), np.int64)
        for piece in cut(Span(0, self._count.records * held.samples), COUNTED_AT_ONCE):
            numbers = self.read(group, piece).astype(np.float64)
            counts += ((numbers < low) | (numbers > high)).sum(axis=0)
        return counts

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the file; reads all of it, once."""
        return sha256_of(self._file)

    def blobs(self) -> Iterator[tuple[str, Iterable[bytes]]]:
        """Yield ``header`` without names, ``identity``, ``annotations`` and ``tail``.

        The last two only where there is such a thing. Before annotations that name the person
        come ``masked-annotations``, as many bytes, in which they do not.
        """
        yield "header", [self.header.without_identity]
        yield "identity", [self.header.identity]
        if self._layout.annotations and self._count.records:
            records = Span(0, self._count.records)
            if self._mask is not None and self._texts_name_somebody:
                yield (
                    MASKED_ANNOTATIONS,
                    (
                        self._mask.tals(row.tobytes())
                        for block in self._reader.annotations(records)
                        for row in block
                    ),
                )
            yield "annotations", (block.tobytes() for block in self._reader.annotations(records))
        if self._count.tail_bytes:
            end = self._file.size
            yield "tail", pieces(self._file, end - self._count.tail_bytes, end)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def url_name(url: str) -> str:
    """Return the name of a file."""
    return url.rstrip("/").rpartition("/")[2]


def _count(file: FileBytes, header: EdfHeader, layout: RecordLayout) -> RecordCount:
    body_bytes = file.size - len(header.raw)
    excess = excess_bytes(header, layout, body_bytes)
    zeros = excess if not any(read_bytes(file, file.size - excess, file.size)) else 0
    return count_records(header, layout, body_bytes, zeros)


@contextmanager
def _explained(url: str) -> Iterator[None]:
    """Let every error name the file."""
    name = url_name(url)
    try:
        yield
    except RecordingError as error:
        if name in str(error):
            raise
        raise type(error)(f"{name}: {error}") from error
