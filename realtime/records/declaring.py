"""From a posted declaration to what the catalogue enters."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from realtime.records.quantise import MICROVOLTS
from realtime.wire.fields import BadField, exact, read_rate
from realtime.wire.records import DeclaredChannel, DeclaredGroup, DeclareRecording
from storage.catalog_rows import LIVE, NewChannel, NewGroup, NewRecording
from storage.geometry import choose_geometry
from storage.scaling import Scaling

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EARLIEST, LATEST = datetime(1900, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
EDF_LABEL, EDF_NUMBER = 16, 8  # characters
BOUNDS = ("physical_min", "physical_max", "digital_min", "digital_max")


def new_recording(declared: DeclareRecording) -> NewRecording:
    """Return the recording that was declared.

    Raises
    ------
    BadField
        If a field contradicts another one.
    """
    return NewRecording(
        patient=declared.patient_id,
        name=declared.recording_id,
        kind=LIVE,
        start_us=_start(declared.start_time),
        groups=[_group(group, f"groups[{n}]") for n, group in enumerate(declared.groups)],
    )


def _start(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        start = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadField("start_time", f"expected ISO 8601, got {text!r}") from error
    if start.tzinfo is None:
        raise BadField("start_time", f"{text} lacks an offset from UTC such as Z or +01:00")
    if not EARLIEST <= start < LATEST:
        raise BadField("start_time", f"expected a time in the years 1900 to 2199, got {text}")
    return (start - EPOCH) // timedelta(microseconds=1)


def _group(group: DeclaredGroup, where: str) -> NewGroup:
    rate = read_rate(group.rate_hz, f"{where}.rate_hz")
    dtype = np.dtype(group.dtype)
    shape = choose_geometry(rate, len(group.channels), dtype.itemsize)
    return NewGroup(
        name=group.name or f"{float(rate):g} Hz",
        rate_hz=rate,
        dtype=dtype,
        chunk_samples=shape.chunk_samples,
        block_samples=shape.block_samples,
        channels=[
            _channel(one, dtype, f"{where}.channels[{n}]") for n, one in enumerate(group.channels)
        ],
    )


def _channel(channel: DeclaredChannel, dtype: np.dtype[Any], where: str) -> NewChannel:
    microvolts = MICROVOLTS.get(channel.unit)
    factor, offset, details = _calibration(channel, dtype, where)
    return NewChannel(
        label=channel.label,
        unit=channel.unit if microvolts is None else "uV",
        scaling=Scaling(factor, offset, 1.0 if microvolts is None else microvolts),
        details=details,
    )


def _calibration(
    channel: DeclaredChannel, dtype: np.dtype[Any], where: str
) -> tuple[float, float, dict[str, str]]:
    bounds = [getattr(channel, name) for name in BOUNDS]
    if all(bound is None for bound in bounds):
        factor = 1.0 if channel.factor is None else channel.factor
        if factor == 0:
            raise BadField(f"{where}.factor", "expected anything but 0")
        return factor, channel.offset or 0.0, {}
    for name, bound in zip(BOUNDS, bounds, strict=True):
        if bound is None:
            raise BadField(f"{where}.{name}", "is missing; the four bounds come together")
    if channel.factor is not None or channel.offset is not None:
        raise BadField(f"{where}.factor", "give the four bounds or factor and offset, not both")
    _within_type(channel, dtype, where)
    low, high, dig_low, dig_high = (exact(bound) for bound in bounds)
    if low == high or dig_low == dig_high:
        raise BadField(f"{where}.physical_max", "the bounds span no range")
    gain = (high - low) / (dig_high - dig_low)
    try:
        return float(gain), float(low - gain * dig_low), _edf_fields(channel, bounds)
    except OverflowError as error:
        raise BadField(f"{where}.physical_max", "the bounds span more than a double holds") from (
            error
        )


def _within_type(channel: DeclaredChannel, dtype: np.dtype[Any], where: str) -> None:
    if dtype.kind != "i":
        return
    limits = np.iinfo(dtype)
    for name in ("digital_min", "digital_max"):
        if not limits.min <= getattr(channel, name) <= limits.max:
            raise BadField(
                f"{where}.{name}",
                f"expected {limits.min} to {limits.max}, as {dtype.name} holds them",
            )


def _edf_fields(channel: DeclaredChannel, bounds: list[float]) -> dict[str, str]:
    """Return the fields of an EDF header that say the same, where they can hold it.

    An export then has the declared range instead of one that is computed from the samples.
    """
    texts = [str(int(bound)) if bound == int(bound) else repr(bound) for bound in bounds]
    if len(channel.label) > EDF_LABEL or not channel.label.isascii():
        return {}
    if len(channel.unit) > EDF_NUMBER or not channel.unit.isascii():
        return {}
    if any(len(text) > EDF_NUMBER for text in texts):
        return {}
    return {
        "label": channel.label,
        "transducer": "",
        "dimension": channel.unit,
        **dict(zip(BOUNDS, texts, strict=True)),
        "prefilter": "",
        "samples": "",
        "reserved": "",
    }
