"""What the header and the event table of a GDF file say (versions 1 and 2)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction
from typing import BinaryIO

import numpy as np

from storage.errors import CorruptRecording, UnsupportedRecording

FIXED_BYTES = 256
MOST_CHANNELS = 4096
MOST_EVENTS = 1 << 24
# Sizes of the sample types by their codes: 8 to 64 bit integers, then 32 and 64 bit floats.
TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 8, 8: 8, 16: 4, 17: 8}
UNIT_CODES = {0: "", 512: "", 544: "%", 4256: "V", 4274: "mV", 4275: "uV", 4276: "nV", 6048: "C"}


@dataclass(frozen=True, slots=True)
class GdfEvent:
    """An entry of the event table; positions count from 0, ``channel`` 0 means all of them."""

    position: int
    code: int
    channel: int
    duration: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GdfHeader:
    """The header.

    Parameters
    ----------
    version
        For example 1.25.
    labels, units
        Of each channel; a unit that is not known is its code.
    samples_per_record
        Of each channel.
    n_records
        Records of samples.
    record_s
        Duration of a record.
    events, event_rate_hz
        The event table, and what its positions count.
    patient
        What it says about the patient: of version 2 code and name, of version 1 free text.
    """

    version: float
    labels: tuple[str, ...]
    units: tuple[str, ...]
    samples_per_record: tuple[int, ...]
    n_records: int
    record_s: Fraction
    events: tuple[GdfEvent, ...]
    event_rate_hz: float
    patient: str

    def rate_hz(self, channel: int) -> Fraction:
        """Return samples per second of a channel."""
        return self.samples_per_record[channel] / self.record_s


def read_gdf_header(file: BinaryIO, where: str) -> GdfHeader:
    """Read header and events.

    Raises
    ------
    UnsupportedRecording
        If it is no GDF file, or of a version that is not known.
    CorruptRecording
        If the header contradicts itself, or the file is cut short.
    """
    fixed = file.read(FIXED_BYTES)
    if fixed[:4] != b"GDF ":
        raise UnsupportedRecording(f"{where}: not a GDF file (it does not begin with 'GDF ')")
    if len(fixed) < FIXED_BYTES:
        raise CorruptRecording(f"{where}: {len(fixed)} bytes, a GDF header has 256; copy it again")
    try:
        version = float(fixed[4:8].decode("ascii"))
    except ValueError as error:
        raise CorruptRecording(
            f"{where}: version {fixed[4:8]!r}, expected one like 2.20"
        ) from error
    first = version < 1.9
    header_bytes = _int("<q" if first else "<H", fixed, 184) * (1 if first else 256)
    n_records = _int("<q", fixed, 236)
    numerator, denominator = struct.unpack_from("<II", fixed, 244)
    n_channels = _int("<I" if first else "<H", fixed, 252)
    if not 0 < n_channels <= MOST_CHANNELS:
        raise CorruptRecording(f"{where}: {n_channels} channels, expected 1 to {MOST_CHANNELS}")
    if n_records < 1 or not denominator:
        raise CorruptRecording(
            f"{where}: {n_records} records of {numerator}/{denominator} s, expected at least one"
        )
    variable = file.read(FIXED_BYTES * n_channels)
    if len(variable) < FIXED_BYTES * n_channels:
        raise CorruptRecording(f"{where}: cut short within its header; copy it again")
    per_record = np.frombuffer(variable, "<i4", n_channels, 216 * n_channels).tolist()
    types = np.frombuffer(variable, "<i4", n_channels, 220 * n_channels).tolist()
    unknown = sorted(set(types) - TYPE_BYTES.keys())
    if unknown:
        raise UnsupportedRecording(f"{where}: samples of GDF type {unknown[0]} are not read")
    if min(per_record) < 1:
        raise CorruptRecording(f"{where}: a channel with {min(per_record)} samples in a record")
    record_bytes = sum(
        TYPE_BYTES[kind] * count for kind, count in zip(types, per_record, strict=True)
    )
    # A duration of 0 stands for one second, as in every other reader.
    record_s = Fraction(numerator or 1, denominator if numerator else 1)
    end = header_bytes + n_records * record_bytes
    file.seek(0, 2)
    if file.tell() < end:
        raise CorruptRecording(
            f"{where}: {file.tell()} bytes, its {n_records} records end at {end}; copy it again"
        )
    file.seek(end)
    events, event_rate_hz = _events(file, version, where)
    return GdfHeader(
        version=version,
        labels=tuple(_text(variable[16 * i : 16 * i + 16]) for i in range(n_channels)),
        units=tuple(_units(variable, n_channels, first)),
        samples_per_record=tuple(per_record),
        n_records=n_records,
        record_s=record_s,
        events=tuple(events),
        event_rate_hz=event_rate_hz or float(max(per_record) / record_s),
        patient=_text(fixed[8 : 88 if first else 74]),
    )


def _int(form: str, data: bytes, at: int) -> int:
    return int(struct.unpack_from(form, data, at)[0])


def _text(data: bytes) -> str:
    return data.partition(b"\0")[0].decode("utf-8", "replace").strip()


def _units(variable: bytes, n_channels: int, first: bool) -> list[str]:
    start = 96 * n_channels
    if first:
        return [_text(variable[start + 8 * i : start + 8 * i + 8]) for i in range(n_channels)]
    codes = np.frombuffer(variable, "<u2", n_channels, start + 6 * n_channels).tolist()
    return [UNIT_CODES.get(code, f"unit {code}") for code in codes]


def _events(file: BinaryIO, version: float, where: str) -> tuple[list[GdfEvent], float]:
    head = file.read(8)
    if len(head) < 8 or head[0] not in (1, 3):
        return [], 0.0
    if version < 1.94:
        rate_hz, count = float(int.from_bytes(head[1:4], "little")), _int("<I", head, 4)
    else:
        count = int.from_bytes(head[1:4], "little")
        rate_hz = float(struct.unpack_from("<f", head, 4)[0])
    fields = [("<u4", 4), ("<u2", 2)] + ([("<u2", 2), ("<u4", 4)] if head[0] == 3 else [])
    body = file.read(count * sum(size for _, size in fields)) if count <= MOST_EVENTS else b""
    if len(body) < count * sum(size for _, size in fields):
        raise CorruptRecording(
            f"{where}: its table of {count} events is cut short; copy the file again"
        )
    columns, at = [], 0
    for form, size in fields:
        columns.append(np.frombuffer(body, form, count, at).tolist())
        at += size * count
    if head[0] == 1:
        columns += [[0] * count, [0] * count]
    return [
        GdfEvent(position - 1, code, channel, duration)
        for position, code, channel, duration in zip(*columns, strict=True)
    ], rate_hz
