"""What a wearable says: the declaration of its recording, and a chunk in either form."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import orjson
from numpy.typing import NDArray
from pydantic import ValidationError

from realtime.simulator.chunks import DueChunk
from realtime.wire.records import DeclareRecording
from storage.errors import UnsupportedRecording
from storage.protocols import RecordingSource
from storage.recording import Channel, RateGroup, Recording

SENT_AS_THEY_ARE = ("int16", "int32", "float32", "float64")
# Channels of voltages are in microvolts; this is what the file itself says, by the factor to that.
VOLTAGES = {1.0: "uV", 1e3: "mV", 1e6: "V", 1e-3: "nV"}
NO_LABEL = "-"


def declaration(recording: Recording, patient_id: str, recording_id: str) -> bytes:
    """Return the message that declares a recording.

    Raises
    ------
    UnsupportedRecording
        If the service would not take such a recording.
    """
    message = {
        "patient_id": patient_id,
        "recording_id": recording_id,
        "start_time": _iso(recording.start_us) if recording.start_known else None,
        "groups": [_group(recording, group) for group in recording.groups],
    }
    try:
        declared = DeclareRecording.model_validate(message)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        raise UnsupportedRecording(
            f"{recording.id}: cannot be declared: {'.'.join(map(str, first['loc']))}: "
            f"{first['msg'].lower()}"
        ) from None
    return orjson.dumps(declared.model_dump(exclude_none=True))


def _group(recording: Recording, group: RateGroup) -> dict[str, object]:
    if group.dtype.name not in SENT_AS_THEY_ARE:
        raise UnsupportedRecording(
            f"{recording.id}: {group.name} holds numbers of type {group.dtype.name}; a wearable "
            f"sends {', '.join(SENT_AS_THEY_ARE)}"
        )
    rate_hz = group.exact_rate_hz
    return {
        "rate_hz": f"{rate_hz.numerator}/{rate_hz.denominator}",
        "dtype": group.dtype.name,
        "name": group.name,
        "channels": [_channel(channel) for channel in group.channels],
    }


def _channel(channel: Channel) -> dict[str, object]:
    scaling = channel.scaling
    factor, offset = float(scaling.factor), float(scaling.offset)
    if channel.unit != "uV" or scaling.to_unit not in VOLTAGES:
        return {
            "label": channel.label or NO_LABEL,
            "unit": channel.unit,
            "factor": factor * scaling.to_unit,
            "offset": offset * scaling.to_unit,
        }
    return {
        "label": channel.label or NO_LABEL,
        "unit": VOLTAGES[scaling.to_unit],
        # The bounds of an EDF header say the same, and keep it for an export.
        **(_bounds(channel) or {"factor": factor, "offset": offset}),
    }


def _bounds(channel: Channel) -> dict[str, float | int] | None:
    details = channel.details
    try:
        low, high = (float(details[name]) for name in ("physical_min", "physical_max"))
        bottom, top = (int(details[name]) for name in ("digital_min", "digital_max"))
    except (KeyError, ValueError):
        return None
    if low == high or bottom == top:
        return None
    return {"physical_min": low, "physical_max": high, "digital_min": bottom, "digital_max": top}


def _iso(start_us: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=start_us)).isoformat()


def has_one_unit(group: RateGroup) -> bool:
    """Whether one chunk of physical values can hold a rate group: it names one unit for all."""
    return len({channel.unit for channel in group.channels}) == 1


def json_chunk(
    source: RecordingSource, chunk: DueChunk, patient_id: str, recording_id: str
) -> bytes:
    """Return a chunk in the form of ``POST /ingest``: physical values, times in seconds."""
    group = source.recording.groups[chunk.group]
    rate_hz = group.exact_rate_hz
    message = {
        "patient_id": patient_id,
        "recording_id": recording_id,
        "channels": [channel.label or NO_LABEL for channel in group.channels],
        "start": float(chunk.start / rate_hz),
        "end": float(chunk.stop / rate_hz),
        "samples": _physical(source, chunk),
        "unit": group.channels[0].unit,
    }
    return orjson.dumps(message, option=orjson.OPT_SERIALIZE_NUMPY)


def _physical(source: RecordingSource, chunk: DueChunk) -> NDArray[np.float64]:
    channels = source.recording.groups[chunk.group].channels
    stored = source.read(chunk.group, chunk.span)
    values = np.empty((len(channels), len(stored)))
    for row, channel in enumerate(channels):
        channel.scaling.apply(stored[:, row], values[row])
    return values


def binary_chunk(source: RecordingSource, chunk: DueChunk) -> bytes:
    """Return a chunk as raw numbers: little-endian, channel after channel."""
    stored = source.read(chunk.group, chunk.span)
    return np.ascontiguousarray(stored.T, stored.dtype.newbyteorder("<")).tobytes()
