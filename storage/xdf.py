"""XDF files as recordings, read through pyxdf.

- A numeric stream is a rate group. Its samples lie on the grid of the nominal rate, in stretches
  that end where samples are missing; the stamps as they were recorded are kept beside them.
- Times come from the stamps after clock correction, the only ones that streams of several
  computers share; the kept stamps are the raw ones.
- A stream without a nominal rate gets the measured one; each of its samples lies within half a
  period of its stamp.
- Text, and numbers of an irregular stream of markers, become annotations. They are placed among
  the samples of the EEG stream (else of the longest one), with whose stamps theirs drift.

A whole file is in memory while it is open: about its own size and 8 bytes for each stamp, twice
while it is opened.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.byte_files import file_name, fingerprint, open_bytes
from storage.errors import CorruptRecording, NotFound, UnsupportedRecording
from storage.placed_source import PlacedGroup, StampedPlacedSource, distinct
from storage.recording import Annotation, RateGroup, Recording
from storage.spans import Span
from storage.stamp_grid import (
    Stretch,
    StretchClock,
    believed_rate_hz,
    drift_notes,
    effective_rate_hz,
    irregular_stretches,
    on_grid_s,
    stretches,
)
from storage.xdf_streams import SAME_CLOCK_S, XdfStream, channels_of, describe

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MARKER_TYPES = ("marker", "event", "stim", "trigger")
# What pyxdf raises where the bytes of a file make no sense.
DAMAGE = (OSError, LookupError, ValueError, TypeError, AttributeError, ArithmeticError, SyntaxError)


class XdfSource(StampedPlacedSource):
    """The streams of an XDF file.

    Parameters
    ----------
    url
        Local path or ``s3://`` URL.

    Raises
    ------
    UnsupportedRecording
        If it is no XDF file, or holds no numeric samples and no markers.
    CorruptRecording
        If it cannot be understood.
    """

    def __init__(self, url: str) -> None:
        where = file_name(url)
        streams, header, notes = _load(url, where)
        start_us = _start_us(header)
        if start_us is None:
            notes.append("no start time in the file; times count from the first sample")
        else:
            notes.append("start time as the recorder noted it, to the second")
        filled = [stream for stream in streams if len(stream.stamps)]
        placed = [_Placed.of(stream) for stream in filled if not _is_events(stream)]
        events = [stream for stream in filled if _is_events(stream)]
        origins, clock_notes = _align(placed, events)
        notes.extend(clock_notes)
        notes.extend(f"{stream.name}: empty" for stream in streams if not len(stream.stamps))
        notes.extend(note for each in placed for note in each.notes())
        groups = [each.group(start_us or 0, origins[each.stream.id]) for each in placed]
        annotations = _annotations(events, origins, _leading(placed))
        if not filled:
            raise UnsupportedRecording(f"{where}: holds {len(streams)} streams, all of them empty")
        recording = Recording(
            id=where,
            start_us=start_us or 0,
            groups=tuple(each.group for each in groups),
            notes=tuple(notes),
            annotations=annotations,
            start_known=start_us is not None,
        )
        super().__init__(url, recording, groups, fingerprint(url), streams.clear)


@dataclass(frozen=True, slots=True)
class _Placed:
    """A numeric stream whose samples have their places."""

    stream: XdfStream
    rate_hz: float
    found: list[Stretch]

    @classmethod
    def of(cls, stream: XdfStream) -> _Placed:
        stamps = stream.stamps
        if stream.nominal_hz > 0:
            rate_hz = believed_rate_hz(stamps, stream.nominal_hz)
            return cls(stream, rate_hz, stretches(stamps, rate_hz))
        rate_hz = effective_rate_hz(stamps)
        return cls(stream, rate_hz, irregular_stretches(stamps, rate_hz))

    def notes(self) -> Iterator[str]:
        name, nominal = self.stream.name, self.stream.nominal_hz
        if not nominal:
            yield f"{name}: no nominal rate, {self.rate_hz:.6g} Hz measured"
        elif self.rate_hz != nominal:
            yield f"{name}: declared {nominal:g} Hz, its stamps say {self.rate_hz:.6g} Hz; used"
        yield from (f"{name}: {note}" for note in drift_notes(self.found, self.rate_hz))

    @property
    def first_s(self) -> float:
        return min(each.start_s for each in self.found)

    def group(self, start_us: int, origin_s: float) -> PlacedGroup:
        values, raw = self.stream.values, self.stream.raw_stamps
        clock = StretchClock(self.found, self.rate_hz, start_us, origin_s)

        def read(span: Span, chosen: Span) -> NDArray[np.generic]:
            return values[span.start : span.stop, chosen.start : chosen.stop]

        group = RateGroup(
            name=self.stream.name,
            rate_hz=self.rate_hz,
            n_samples=len(values),
            dtype=values.dtype,
            channels=channels_of(self.stream),
        )
        return PlacedGroup(group, clock, read, lambda span: raw[span.start : span.stop])


def _load(url: str, where: str) -> tuple[list[XdfStream], dict[str, Any], list[str]]:
    notes: list[str] = []
    corrected, header = _pyxdf(url, where, notes, synchronize_clocks=True)
    stamps = {item["info"]["stream_id"]: item["time_stamps"] for item in corrected}
    del corrected
    loaded, header = _pyxdf(url, where, [], synchronize_clocks=False)
    names = distinct([str(item["info"]["name"][0] or "stream") for item in loaded])
    streams = []
    for name, item in zip(names, loaded, strict=True):
        stream = describe(item, name, stamps[item["info"]["stream_id"]])
        if not np.isfinite(stream.stamps).all():
            raise CorruptRecording(f"{where}: stream {name} has time stamps that are no numbers")
        streams.append(stream)
    if not streams:
        raise UnsupportedRecording(f"{where}: holds no stream")
    return streams, header, notes


def _pyxdf(
    url: str, where: str, notes: list[str], *, synchronize_clocks: bool
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    import pyxdf

    try:
        with open_bytes(url) as file, _complaints() as complaints:
            if file.read(4) != b"XDF:":
                raise UnsupportedRecording(f"{where}: not an XDF file")
            file.seek(0)
            streams, header = pyxdf.load_xdf(
                file, synchronize_clocks=synchronize_clocks, dejitter_timestamps=False
            )
    except NotFound:
        raise
    except (*DAMAGE, struct.error, EOFError) as error:
        raise CorruptRecording(
            f"{where}: cannot be understood ({type(error).__name__}: {error}); the recording may "
            "have been cut short, repair it with the recorder's tools"
        ) from error
    notes.extend(complaints)
    return streams, header or {}


@contextmanager
def _complaints() -> Iterator[list[str]]:
    """Collect what pyxdf says about damage, which it only logs."""
    found: list[str] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            text = " ".join(record.getMessage().split())
            if "corrupt" in text or "scanning forward" in text:
                found.append(text)

    logger = logging.getLogger("pyxdf")
    handler, passed_on = Collect(logging.WARNING), logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield found
    finally:
        logger.removeHandler(handler)
        logger.propagate = passed_on


def _align(
    placed: Sequence[_Placed], events: Sequence[XdfStream]
) -> tuple[dict[int, float], list[str]]:
    """Return the instant of each stream's clock that is the start of the recording, and notes.

    Some devices stamp by clocks of their own, which have nothing to do with the recorder's; their
    streams begin with the recording.
    """
    firsts = {each.stream.id: each.first_s for each in placed}
    firsts.update({stream.id: stream.first_s for stream in events})
    streams = [*(each.stream for each in placed), *events]
    shared = [stream for stream in streams if not stream.own_clock]
    clusters = _clusters([stream for stream in streams if stream.own_clock])
    if shared:
        clusters.insert(0, shared)
    origins: dict[int, float] = {}
    for cluster in clusters:
        origin_s = min(firsts[stream.id] for stream in cluster)
        origins.update({stream.id: origin_s for stream in cluster})
    notes = [
        f"{', '.join(stream.name for stream in cluster)}: stamped by another clock than the "
        "recorder's; put at the start of the recording, right to about a second"
        for cluster in clusters
        if cluster is not shared
    ]
    return origins, notes


def _clusters(streams: Sequence[XdfStream]) -> list[list[XdfStream]]:
    """Return streams together whose stamps overlap, which must be of one clock."""
    clusters: list[list[XdfStream]] = []
    reach = -np.inf
    for stream in sorted(streams, key=lambda each: each.first_s):
        if stream.first_s > reach + SAME_CLOCK_S:
            clusters.append([])
        clusters[-1].append(stream)
        reach = max(reach, stream.last_s)
    return clusters


def _start_us(header: dict[str, Any]) -> int | None:
    said = header.get("info", {}).get("datetime", [None])[0]
    try:
        start = datetime.fromisoformat(str(said))
    except ValueError:
        return None
    return None if start.tzinfo is None else (start - EPOCH) // timedelta(microseconds=1)


def _is_events(stream: XdfStream) -> bool:
    if stream.is_text:
        return True
    return not stream.nominal_hz and stream.type.lower().startswith(MARKER_TYPES)


def _leading(placed: Sequence[_Placed]) -> _Placed | None:
    return max(
        placed,
        key=lambda each: (each.stream.type.lower() == "eeg", len(each.stream.stamps)),
        default=None,
    )


def _annotations(
    events: Sequence[XdfStream], origins: dict[int, float], leading: _Placed | None
) -> tuple[Annotation, ...]:
    found = []
    for stream in events:
        origin_s = origins[stream.id]
        for stamp, text in zip(stream.stamps.tolist(), stream.texts(), strict=True):
            at_s = stamp
            if leading is not None and origins[leading.stream.id] == origin_s:
                at_s = on_grid_s(leading.found, leading.rate_hz, stamp)
            found.append(
                Annotation(
                    onset_us=round((at_s - origin_s) * 1e6),
                    text=text,
                    kind="marker",
                    source=f"xdf {stream.name}",
                )
            )
    return tuple(sorted(found, key=lambda each: each.onset_us))
