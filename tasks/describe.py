"""The steps of listing and describing recordings."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.catalog import RecordingEntry, RecordingSummary, StoredChannel, StoredGroup
from storage.recording_store import Overview, RecordingStore
from storage.spans import Span
from tasks.results import (
    DescribedChannel,
    DescribedGroup,
    DescribedRecording,
    ListedRecording,
)
from tasks.stores import store_by_environment

BINS = 40
MOST_GAPS = 100


def list_recordings(patient: str | None, unfinished: bool) -> tuple[ListedRecording, ...]:
    """Return the recordings of a patient, or of all."""
    with store_by_environment() as store:
        patients = None if patient is None else (patient,)
        return tuple(_listed(one) for one in store.catalog.summaries(patients, unfinished))


def describe_recording(recording: str, patient: str | None) -> DescribedRecording:
    """Return what there is to say of a recording.

    Raises
    ------
    NotFound
        If there is none of that name.
    """
    with store_by_environment() as store:
        entry = store.catalog.find(recording, patient)
        chain = store.catalog.audit(entry)
        return DescribedRecording(
            recording=_listed(store.catalog.summary(entry)),
            created_at=entry.created_at.isoformat(),
            source_sha256=entry.source_sha256,
            notes=entry.notes,
            groups=tuple(_group(store, entry, group) for group in store.groups(entry)),
            annotations=tuple(
                {
                    "onset": one.annotation.onset_us / 1e6,
                    "duration": None
                    if one.annotation.duration_us is None
                    else one.annotation.duration_us / 1e6,
                    "kind": one.annotation.kind,
                    "text": one.annotation.text,
                    "source": one.annotation.source,
                    "beyond_end": one.beyond_end,
                }
                for one in store.catalog.annotations(entry)
            ),
            rows=len(chain),
            head=chain[-1].hash,
        )


def _listed(summary: RecordingSummary) -> ListedRecording:
    entry = summary.entry
    state = "sealed" if entry.sealed else "live" if entry.finished else "unfinished"
    return ListedRecording(
        patient_id=entry.patient,
        recording_id=entry.name,
        uuid=str(entry.uuid),
        kind=entry.kind,
        state=state,
        start_time=_start_time(entry.start_us),
        duration_sec=summary.duration_sec,
        channel_count=len(summary.channels),
        channels=summary.channels,
        rates_hz=summary.rates_hz,
        size_bytes=summary.size_bytes,
    )


def _start_time(start_us: int | None) -> str | None:
    if start_us is None:
        return None
    try:
        return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=start_us)).isoformat()
    except OverflowError:  # no calendar has it
        return None


def _group(store: RecordingStore, entry: RecordingEntry, group: StoredGroup) -> DescribedGroup:
    segments = store.segments(entry, group.number)
    stop = segments[-1].stop if segments else 0
    overview = store.overview(entry, group.number, Span(0, stop), BINS) if stop else None
    holes = [(a.stop, b.start) for a, b in pairwise(segments) if b.start > a.stop]
    if segments and segments[0].start:
        holes.insert(0, (0, segments[0].start))
    return DescribedGroup(
        name=group.name,
        rate_hz=float(group.rate),
        samples=sum(one.n_samples for one in segments),
        dtype=group.dtype.name,
        codec=group.codec,
        segments=len(segments),
        gaps=tuple(
            (float(start / group.rate), float(end / group.rate)) for start, end in holes[:MOST_GAPS]
        ),
        channels=tuple(
            _channel(channel, number, overview) for number, channel in enumerate(group.channels)
        ),
    )


def _channel(channel: StoredChannel, number: int, overview: Overview | None) -> DescribedChannel:
    course: tuple[tuple[float, float] | None, ...] = ()
    if overview is not None:
        low: NDArray[Any] = overview.low[:, number]
        high: NDArray[Any] = overview.high[:, number]
        # Inverted polarity makes the lowest stored number the highest value.
        ends = np.stack([channel.scaling.apply(low), channel.scaling.apply(high)])
        course = tuple(
            (float(values.min()), float(values.max())) if there else None
            for values, there in zip(ends.T, low <= high, strict=True)
        )
    held = [one for one in course if one is not None]
    return DescribedChannel(
        key=channel.key,
        label=channel.label,
        unit=channel.unit,
        dummy=channel.dummy,
        lowest=min((one[0] for one in held), default=None),
        highest=max((one[1] for one in held), default=None),
        course=course,
    )
