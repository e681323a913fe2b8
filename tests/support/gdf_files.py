"""Small GDF files of versions 1.25 and 2.20, written by hand."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

CODES = {"int16": 3, "int32": 5, "float32": 16, "float64": 17}
UNIT_CODES = {"": 0, "uV": 4275, "mV": 4274, "V": 4256}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GdfChannel:
    """A channel: its samples, ``per_record`` of them in each record, and its calibration."""

    label: str
    samples: NDArray[Any]
    per_record: int = 1
    unit: str = "V"
    physical: tuple[float, float] = (-1.0, 1.0)
    digital: tuple[float, float] = (-1.0, 1.0)


def write_gdf(
    path: Path,
    *channels: GdfChannel,
    record_s: Fraction = Fraction(1, 256),
    version: str = "2.20",
    start: datetime | None = None,
    events: Sequence[tuple[int, int]] = (),
    event_rate_hz: int = 256,
    patient: str = "X X",
) -> Path:
    """Write a file of channels that all have whole records; events are positions and codes."""
    first = version < "1.9"
    count = len(channels)
    n_records = len(channels[0].samples) // channels[0].per_record
    fixed = bytearray(256)
    fixed[0:8] = f"GDF {version}".encode().ljust(8)
    fixed[8:168] = patient.encode().ljust(80 if first else 66).ljust(160)
    if first:
        fixed[168:184] = (start.strftime("%Y%m%d%H%M%S00") if start else "").encode().ljust(16)
        struct.pack_into("<q", fixed, 184, 256 * (count + 1))
        struct.pack_into("<I", fixed, 252, count)
    else:
        days = (start - datetime(1, 1, 1, tzinfo=UTC)).total_seconds() / 86_400 if start else -367
        struct.pack_into("<Q", fixed, 168, round((days + 367) * 2**32))
        struct.pack_into("<H", fixed, 184, count + 1)
        struct.pack_into("<H", fixed, 252, count)
    struct.pack_into("<q", fixed, 236, n_records)
    struct.pack_into("<II", fixed, 244, record_s.numerator, record_s.denominator)
    path.write_bytes(
        bytes(fixed)
        + _variable(channels, first)
        + _records(channels, n_records)
        + _events(events, event_rate_hz, first)
    )
    return path


def _variable(channels: Sequence[GdfChannel], first: bool) -> bytes:
    parts = [
        b"".join(each.label.encode().ljust(16) for each in channels),
        bytes(80 * len(channels)),
    ]
    if first:
        parts += [each.unit.encode().ljust(8) for each in channels]
    else:
        parts += [bytes(6 * len(channels))]
        parts += [struct.pack("<H", UNIT_CODES[each.unit]) for each in channels]
    for end in (0, 1):
        parts += [struct.pack("<d", each.physical[end]) for each in channels]
    form = "<q" if first else "<d"
    for end in (0, 1):
        limits = [each.digital[end] for each in channels]
        parts += [struct.pack(form, int(limit) if first else limit) for limit in limits]
    parts += [bytes(80 * len(channels))]
    parts += [struct.pack("<i", each.per_record) for each in channels]
    parts += [struct.pack("<i", CODES[each.samples.dtype.name]) for each in channels]
    parts += [bytes(32 * len(channels))]
    return b"".join(parts)


def _records(channels: Sequence[GdfChannel], n_records: int) -> bytes:
    blocks = [each.samples.reshape(n_records, each.per_record) for each in channels]
    return b"".join(
        block[record].astype(block.dtype.newbyteorder("<")).tobytes()
        for record in range(n_records)
        for block in blocks
    )


def _events(events: Sequence[tuple[int, int]], rate_hz: int, first: bool) -> bytes:
    if not events:
        # MNE wants the byte that says there is no table in version 1, and none in version 2.
        return b"\0" if first else b""
    count = len(events)
    head = b"\x01" + (
        rate_hz.to_bytes(3, "little") + struct.pack("<I", count)
        if first
        else count.to_bytes(3, "little") + struct.pack("<f", rate_hz)
    )
    positions = np.array([at + 1 for at, _ in events], "<u4").tobytes()
    return head + positions + np.array([code for _, code in events], "<u2").tobytes()
