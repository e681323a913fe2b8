"""Small recordings for tests of the catalogue, and chunks for them."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from sqlalchemy import Connection, insert

from storage.audit import AuditEvent
from storage.catalog import Catalog, NewChannel, NewGroup, NewRecording, RecordingEntry, StoredGroup
from storage.catalog_audit import append_events
from storage.catalog_tables import block, seal
from storage.database import utc_now
from storage.ingest import NewChunk
from storage.scaling import Scaling

CHUNK = 256


def new_group(
    labels: Sequence[str] = ("Fp1", "T8-P8", "T8-P8"),
    *,
    name: str = "256 Hz",
    rate: Fraction = Fraction(256),
    dtype: str = "int16",
    block_samples: int = 4 * CHUNK,
) -> NewGroup:
    """Return a declaration of a rate group with short blocks."""
    return NewGroup(
        name=name,
        rate_hz=rate,
        dtype=np.dtype(dtype),
        chunk_samples=block_samples // 2,
        block_samples=block_samples,
        channels=[
            NewChannel(label=label, scaling=Scaling(0.5 * (1 + place), -0.25))
            for place, label in enumerate(labels)
        ],
    )


def new_recording(
    name: str = "night", patient: str = "p1", kind: str = "live", groups: int = 1
) -> NewRecording:
    """Return a declaration of a recording."""
    return NewRecording(
        patient=patient,
        name=name,
        kind=kind,
        start_us=1_700_000_000_000_000,
        notes=["made"],
        groups=[
            new_group(
                [f"C{place}" for place in range(3)] if number else ("Fp1", "T8-P8", "T8-P8"),
                name=f"group {number}",
                rate=Fraction(256, 1 + 2 * number),
            )
            for number in range(groups)
        ],
    )


def made(catalog: Catalog, name: str | None = None) -> tuple[RecordingEntry, StoredGroup]:
    """Enter a live recording with one group."""
    entry = catalog.create(new_recording(name or uuid.uuid4().hex), "test")
    return entry, catalog.groups(entry)[0]


def chunk(
    entry: RecordingEntry,
    group: StoredGroup,
    start: int,
    n_samples: int = CHUNK,
    *,
    seed: int = 0,
    shift_us: int = 0,
    source: str = "device",
    allow_hole: bool = False,
) -> NewChunk:
    """Return a chunk with samples that its place and ``seed`` tell."""
    rng = np.random.default_rng([seed, start])
    body = rng.integers(-2048, 2048, (len(group.channels), n_samples)).astype(group.dtype)
    return NewChunk(
        entry=entry,
        group=group,
        start=start,
        n_samples=n_samples,
        body=body.tobytes(),
        source=source,
        shift_us=shift_us,
        allow_hole=allow_hole,
    )


def enter_block(
    connection: Connection,
    entry: RecordingEntry,
    group: StoredGroup,
    number: int,
    generation: int = 0,
    through: int = 1,
) -> None:
    """Enter a block of which there is no file, right after its row of the chain."""
    now = utc_now()
    key = f"{number}/{generation}"
    shown = {
        "number": number,
        "generation": generation,
        "through": through,
        "key": key,
        "bytes": 1,
        "files": {f"a/{key}": "f"},
    }
    event = AuditEvent(
        event="block",
        source="test",
        group_number=group.number,
        start=number * group.block_samples,
        num_samples=group.block_samples,
        checksum="f",
        detail=shown,
    )
    append_events(connection, entry, [event], at=now)
    connection.execute(insert(block).values(group_id=group.id, sha256="f", created_at=now, **shown))


def enter_seal(connection: Connection, entry: RecordingEntry, checksum: str | None = None) -> None:
    """Enter a seal, right after its row of the chain."""
    now = utc_now()
    event = AuditEvent(event="sealed", source="test", checksum=checksum)
    (row,) = append_events(connection, entry, [event], at=now)
    connection.execute(
        insert(seal).values(
            recording_id=entry.id, sequence=row.sequence - 1, head=row.previous, sealed_at=now
        )
    )
