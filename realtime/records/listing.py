"""What is told of recordings."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from realtime.records.page import joined, seconds
from realtime.wire.records import ChannelItem, GroupItem, RecordingDetail, RecordingItem
from storage.catalog_rows import RecordingEntry, RecordingSummary, StoredGroup
from storage.recording_store import RecordingStore

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MOST_EXTENTS = 1000


def item(summary: RecordingSummary) -> RecordingItem:
    """Return a recording as a list shows it."""
    return RecordingItem(**_item(summary))


def _item(summary: RecordingSummary) -> dict[str, Any]:
    entry = summary.entry
    return {
        "patient_id": entry.patient,
        "recording_id": entry.name,
        "duration_sec": summary.duration_sec,
        "channel_count": len(summary.channels),
        "channels": list(summary.channels),
        "rates_hz": list(summary.rates_hz),
        "start_time": start_time(entry),
        "state": "sealed" if entry.sealed else "live",
        "size_bytes": summary.size_bytes,
    }


def detail(store: RecordingStore, entry: RecordingEntry) -> RecordingDetail:
    """Return all that is known of a recording."""
    return RecordingDetail(
        **_item(store.catalog.summary(entry)),
        uuid=str(entry.uuid),
        kind=entry.kind,
        created_at=entry.created_at.isoformat(),
        source_sha256=entry.source_sha256,
        notes=list(entry.notes),
        groups=[_group(store, entry, group) for group in store.groups(entry)],
    )


def _group(store: RecordingStore, entry: RecordingEntry, group: StoredGroup) -> GroupItem:
    pieces = list(joined(store.segments(entry, group.number), group.rate))
    return GroupItem(
        group=group.number,
        name=group.name,
        rate_hz=float(group.rate),
        rate=str(group.rate),
        dtype=group.dtype.name,
        num_samples=pieces[-1][0].stop if pieces else 0,
        gaps=max(0, len(pieces) - 1),
        extents=[
            (
                seconds(span.start, group.rate, first.shift_us),
                seconds(span.stop, group.rate, last.shift_us),
            )
            for span, first, last in pieces[:MOST_EXTENTS]
        ],
        channels=[
            ChannelItem(
                key=channel.key,
                label=channel.label,
                unit=channel.unit,
                factor=float(channel.scaling.factor),
                offset=float(channel.scaling.offset),
                to_unit=float(channel.scaling.to_unit),
                dummy=channel.dummy,
            )
            for channel in group.channels
        ],
    )


def start_time(entry: RecordingEntry) -> str | None:
    """Return when a recording began, in ISO 8601, if anybody knows and a calendar has it."""
    if entry.start_us is None:
        return None
    try:
        return (EPOCH + timedelta(microseconds=entry.start_us)).isoformat()
    except OverflowError:
        return None
