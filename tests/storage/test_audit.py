"""The canonical bytes of chunks, and chains of hashes."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from fractions import Fraction
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.audit import (
    FIRST_PREVIOUS,
    AuditEvent,
    AuditRow,
    canonical_bytes,
    check_chain,
    chunk_digest,
    link,
    row_hash,
    samples_digest,
    seconds,
)

UUID_ = UUID("12345678-1234-5678-1234-567812345678")


def test_the_canonical_bytes_of_a_chunk_are_these() -> None:
    data = np.array([[1, -2], [3, 256]], np.int16)  # two channels of two samples
    found = canonical_bytes(UUID_, 0, ("Fp1", "µ#2"), "int16", 512, 2, data.tobytes())
    assert found == (
        b'{"channels":["Fp1","\\u00b5#2"],"dtype":"int16","group":0,"n":2,'
        b'"recording":"12345678-1234-5678-1234-567812345678","start":512,"v":1}\n'
        b"\x01\x00\xfe\xff\x03\x00\x00\x01"
    )
    digest = hashlib.sha256(found).hexdigest()
    assert chunk_digest(UUID_, 0, ("Fp1", "µ#2"), "int16", 512, 2, data.tobytes()) == digest
    assert samples_digest(UUID_, 0, ("Fp1", "µ#2"), 512, data.T) == digest


@given(
    dtype=st.sampled_from(["int16", "int32", "float32", "float64"]),
    n_channels=st.integers(1, 5),
    n_samples=st.integers(0, 7),
    group=st.integers(0, 10),
    start=st.integers(0, 2**53),
    labels=st.lists(st.text(), min_size=5, max_size=5),
)
def test_the_header_is_canonical_json_and_memory_order_does_not_matter(
    dtype: str, n_channels: int, n_samples: int, group: int, start: int, labels: list[str]
) -> None:
    keys = tuple(labels[:n_channels])
    data = np.arange(n_channels * n_samples).reshape(n_samples, n_channels).astype(dtype)
    body = data.T.astype(data.dtype.newbyteorder("<")).tobytes()
    header = {
        "channels": list(keys),
        "dtype": dtype,
        "group": group,
        "n": n_samples,
        "recording": str(UUID_),
        "start": start,
        "v": 1,
    }
    line = json.dumps(header, sort_keys=True, separators=(",", ":"), ensure_ascii=True) + "\n"
    assert canonical_bytes(UUID_, group, keys, dtype, start, n_samples, body) == (
        line.encode() + body
    )
    expected = hashlib.sha256(line.encode() + body).hexdigest()
    for same in (data, np.asfortranarray(data), data.astype(data.dtype.newbyteorder(">"))):
        assert samples_digest(UUID_, group, keys, start, same) == expected


def test_the_hash_of_a_row_is_that_of_its_published_form() -> None:
    (row,) = _chain(1)
    fields = row.published()
    own, previous = fields.pop("hash"), fields.pop("previous")
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    assert previous == "0" * 64 == FIRST_PREVIOUS
    assert own == hashlib.sha256((previous + text).encode()).hexdigest()
    assert {
        "patient_id",
        "recording_id",
        "chunk_start_sec",
        "chunk_end_sec",
        "num_samples",
        "checksum",
        "ingested_at",
        "source",
    } <= set(fields)
    assert (fields["chunk_start_sec"], fields["chunk_end_sec"]) == (0.0, 1.0)


def test_a_chain_holds() -> None:
    rows = _chain(20)
    assert check_chain(rows) is None
    assert check_chain(rows[5:], rows[4].hash, 5) is None
    assert check_chain([]) is None


CHANGES: dict[str, Any] = {
    "patient_id": "other",
    "recording_id": "other",
    "recording": UUID(int=1),
    "sequence": 12,
    "event": "other",
    "group": 1,
    "start": 1,
    "chunk_start_sec": 0.5,
    "chunk_end_sec": None,
    "num_samples": 255,
    "checksum": "0" * 64,
    "source": "other",
    "detail": {"shift_us": 1},
    "ingested_at": "2026-01-01T00:00:00.000001Z",
    "previous": "1" * 64,
    "hash": "1" * 64,
}


@pytest.mark.parametrize("field", [one.name for one in dataclasses.fields(AuditRow)])
def test_any_changed_field_is_found(field: str) -> None:
    rows = _chain(20)
    rows[10] = dataclasses.replace(rows[10], **{field: CHANGES[field]})
    assert check_chain(rows) is rows[10]


def test_a_row_that_was_hashed_anew_is_found_by_the_next() -> None:
    rows = _chain(20)
    fields = rows[10].published() | {"num_samples": 1}
    own = {name: value for name, value in fields.items() if name not in ("hash", "previous")}
    rows[10] = dataclasses.replace(rows[10], num_samples=1, hash=row_hash(rows[10].previous, own))
    assert rows[10].holds()
    assert check_chain(rows) is rows[11]


@pytest.mark.parametrize("missing", [0, 7, 18])
def test_a_missing_row_is_found_by_the_next(missing: int) -> None:
    rows = _chain(20)
    del rows[missing]
    assert check_chain(rows) is rows[missing]


def test_swapped_rows_are_found() -> None:
    rows = _chain(20)
    rows[3], rows[4] = rows[4], rows[3]
    assert check_chain(rows) is rows[3]


def test_a_row_that_json_cannot_tell_does_not_hold() -> None:
    (row,) = _chain(1)
    assert not dataclasses.replace(row, chunk_end_sec=float("nan")).holds()


@given(index=st.integers(0, 2**53), numerator=st.integers(1, 10**6), below=st.integers(1, 10**6))
def test_seconds_are_the_nearest_double(index: int, numerator: int, below: int) -> None:
    rate = Fraction(numerator, below)
    assert seconds(index, rate) == float(index / rate)


def _chain(length: int) -> list[AuditRow]:
    rows: list[AuditRow] = []
    previous = FIRST_PREVIOUS
    for number in range(length):
        event = AuditEvent(
            event="chunk",
            source="device",
            group_number=0,
            start=number * 256,
            num_samples=256,
            checksum=hashlib.sha256(bytes([number])).hexdigest(),
            detail={},
        )
        when = f"2026-01-01T00:00:00.{number:06}Z"
        rows.append(link(UUID_, "p1", "night", event, Fraction(256), number + 1, previous, when))
        previous = rows[-1].hash
    return rows
