"""Proof of what came in: the canonical bytes of a chunk, and rows that are chained by hashes.

The canonical bytes of a chunk are a line of JSON (keys sorted, no spaces, ASCII)::

    {"channels":["Fp1","Fp2"],"dtype":"int16","group":0,"n":256,"recording":"...","start":0,"v":1}

and then its samples, little-endian, channel after channel. The hash of an audit row is the
SHA-256 of the hash of the row before it (64 hexadecimal digits; zeros before the first) followed
by the published row without ``previous`` and ``hash``, as JSON of the same form.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fractions import Fraction
from functools import lru_cache
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

Buffer = bytes | bytearray | memoryview
FIRST_PREVIOUS = "0" * 64
VERSION = 1

canonical_json = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
).encode


def chunk_header(
    recording: UUID, group: int, keys: tuple[str, ...], dtype: str, start: int, n_samples: int
) -> bytes:
    """Return the first line of a chunk's canonical bytes, with its end."""
    before, middle = _around(recording, group, keys, dtype)
    return f'{before}{n_samples}{middle}{start},"v":{VERSION}}}\n'.encode("ascii")


def canonical_bytes(
    recording: UUID,
    group: int,
    keys: tuple[str, ...],
    dtype: str,
    start: int,
    n_samples: int,
    body: Buffer,
) -> bytes:
    """Return the canonical bytes of a chunk."""
    return b"".join((chunk_header(recording, group, keys, dtype, start, n_samples), body))


def chunk_digest(
    recording: UUID,
    group: int,
    keys: tuple[str, ...],
    dtype: str,
    start: int,
    n_samples: int,
    body: Buffer,
) -> str:
    """Return the SHA-256 of a chunk's canonical bytes, without joining them."""
    digest = hashlib.sha256(chunk_header(recording, group, keys, dtype, start, n_samples))
    digest.update(body)
    return digest.hexdigest()


def samples_digest(
    recording: UUID,
    group: int,
    keys: tuple[str, ...],
    start: int,
    data: NDArray[np.generic],
) -> str:
    """Return the same of an array ``(n_samples, n_channels)``, of any memory order."""
    header = chunk_header(recording, group, keys, data.dtype.name, start, len(data))
    digest = hashlib.sha256(header)
    little = data.dtype.newbyteorder("<")
    for channel in data.T:
        digest.update(np.ascontiguousarray(channel, dtype=little).data)
    return digest.hexdigest()


@lru_cache(maxsize=1024)
def _around(recording: UUID, group: int, keys: tuple[str, ...], dtype: str) -> tuple[str, str]:
    start = canonical_json({"channels": list(keys), "dtype": dtype, "group": group})
    return f'{start[:-1]},"n":', f',"recording":"{recording}","start":'


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """What is to be added to a recording's chain.

    Parameters
    ----------
    event
        ``created``, ``group``, ``chunk``, ``conflict``, ``blob``, ``block``, ``annotation``,
        ``sealed``, ``exported``, ...
    source
        Who or what did it.
    group_number, start, num_samples
        Which samples it is about, where it is about samples.
    checksum
        SHA-256 of the canonical bytes, of the file, or of what else it is about.
    detail
        What else is to be proven; JSON.
    """

    event: str
    source: str
    group_number: int | None = None
    start: int | None = None
    num_samples: int | None = None
    checksum: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRow:
    """One link of a recording's chain, as it is published."""

    patient_id: str
    recording_id: str
    recording: UUID
    sequence: int
    event: str
    group: int | None
    start: int | None
    chunk_start_sec: float | None
    chunk_end_sec: float | None
    num_samples: int | None
    checksum: str | None
    source: str
    detail: Mapping[str, Any]
    ingested_at: str
    previous: str
    hash: str

    def published(self) -> dict[str, Any]:
        """Return the row as JSON."""
        return self._hashed() | {"previous": self.previous, "hash": self.hash}

    def holds(self) -> bool:
        """Return whether the row's hash is what the row says."""
        try:
            return self.hash == row_hash(self.previous, self._hashed())
        except (TypeError, ValueError):
            return False

    def _hashed(self) -> dict[str, Any]:
        return {
            "patient_id": self.patient_id,
            "recording_id": self.recording_id,
            "recording": str(self.recording),
            "sequence": self.sequence,
            "event": self.event,
            "group": self.group,
            "start": self.start,
            "chunk_start_sec": self.chunk_start_sec,
            "chunk_end_sec": self.chunk_end_sec,
            "num_samples": self.num_samples,
            "checksum": self.checksum,
            "source": self.source,
            "detail": self.detail,
            "ingested_at": self.ingested_at,
        }


def link(
    recording: UUID,
    patient_id: str,
    recording_id: str,
    event: AuditEvent,
    rate_hz: Fraction | None,
    sequence: int,
    previous: str,
    ingested_at: str,
) -> AuditRow:
    """Return an event as the next row of a chain."""
    begin = end = None
    if event.start is not None and rate_hz is not None:
        begin = seconds(event.start, rate_hz)
        end = seconds(event.start + (event.num_samples or 0), rate_hz)
    fields: dict[str, Any] = {
        "patient_id": patient_id,
        "recording_id": recording_id,
        "recording": str(recording),
        "sequence": sequence,
        "event": event.event,
        "group": event.group_number,
        "start": event.start,
        "chunk_start_sec": begin,
        "chunk_end_sec": end,
        "num_samples": event.num_samples,
        "checksum": event.checksum,
        "source": event.source,
        "detail": event.detail,
        "ingested_at": ingested_at,
    }
    own = row_hash(previous, fields)
    fields["recording"] = recording
    return AuditRow(**fields, previous=previous, hash=own)


def utc_text(moment: datetime) -> str:
    """Return a time as it stands in audit rows: ISO 8601, UTC, microseconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def digest_of(value: object) -> str:
    """Return the SHA-256 of something's canonical JSON."""
    return hashlib.sha256(canonical_json(value).encode("ascii")).hexdigest()


def row_hash(previous: str, fields: Mapping[str, Any]) -> str:
    """Return the hash of a published row, given without ``previous`` and ``hash``."""
    return hashlib.sha256((previous + canonical_json(fields)).encode("ascii")).hexdigest()


def seconds(index: int, rate_hz: Fraction) -> float:
    """Return the time of a sample after the start, as the nearest double."""
    return index * rate_hz.denominator / rate_hz.numerator


def check_chain(
    rows: Iterable[AuditRow], previous: str = FIRST_PREVIOUS, after: int = 0
) -> AuditRow | None:
    """Return the first row that does not follow from the one before it, or None.

    Parameters
    ----------
    rows
        In order.
    previous, after
        Hash and sequence of the row before them.
    """
    for row in rows:
        after += 1
        if row.sequence != after or row.previous != previous or not row.holds():
            return row
        previous = row.hash
    return None
