"""Rate groups and channels in the database."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from fractions import Fraction
from typing import Any

import numpy as np
from sqlalchemy import Connection, Row, func, insert, select

from storage.audit import AuditEvent, digest_of
from storage.catalog_audit import append_events, lock_recording
from storage.catalog_rows import (
    DTYPES,
    NewChannel,
    NewGroup,
    RecordingEntry,
    StoredChannel,
    StoredGroup,
)
from storage.catalog_tables import channel, rate_group, seal
from storage.database import utc_now
from storage.errors import RecordingSealed, UsageError
from storage.scaling import Factor, Scaling


def add_group(
    connection: Connection, entry: RecordingEntry, new: NewGroup, actor: str
) -> StoredGroup:
    """Enter a rate group; one that is declared in the same way is returned as it is.

    Raises
    ------
    RecordingSealed
        If the recording is closed.
    """
    lock_recording(connection, entry.id)
    wanted = group_facts(new, declared_only=True)
    for group in groups(connection, entry):
        if group_facts(group, declared_only=True) == wanted:
            return group
    closed = select(seal.c.sequence).where(seal.c.recording_id == entry.id)
    if connection.execute(closed).first() is not None:
        raise RecordingSealed(
            f"recording {entry.name!r} is sealed and takes no further channels; start another one"
        )
    return insert_group(connection, entry, new, actor, utc_now())


def insert_group(
    connection: Connection, entry: RecordingEntry, new: NewGroup, actor: str, now: datetime
) -> StoredGroup:
    """Enter a rate group with its channels and its row in the chain."""
    _check(new)
    number = connection.execute(
        select(func.count()).select_from(rate_group).where(rate_group.c.recording_id == entry.id)
    ).scalar_one()
    inserted: Any = connection.execute(
        insert(rate_group).values(
            recording_id=entry.id,
            number=number,
            name=new.name,
            rate_numerator=new.rate_hz.numerator,
            rate_denominator=new.rate_hz.denominator,
            dtype=new.dtype.name,
            codec=new.codec,
            chunk_samples=new.chunk_samples,
            block_samples=new.block_samples,
            declared=new.declared,
            created_at=now,
        ),
    )
    group_id = int(inserted.inserted_primary_key[0])
    taken = connection.execute(
        select(channel.c.key)
        .join(rate_group, rate_group.c.id == channel.c.group_id)
        .where(rate_group.c.recording_id == entry.id)
    ).scalars()
    keys = channel_keys([one.label for one in new.channels], taken)
    connection.execute(
        insert(channel),
        [
            {
                "group_id": group_id,
                "number": place,
                "label": one.label,
                "key": key,
                "electrode_group": one.electrode_group,
                "unit": one.unit,
                "factor": float(one.scaling.factor),
                "factor_type": _type_name(one.scaling.factor),
                "offset": float(one.scaling.offset),
                "offset_type": _type_name(one.scaling.offset),
                "to_unit": float(one.scaling.to_unit),
                "in_double": one.scaling.in_double,
                "dummy": one.dummy,
                "details": dict(one.details),
            }
            for place, (key, one) in enumerate(zip(keys, new.channels, strict=True))
        ],
    )
    (group,) = (one for one in groups(connection, entry) if one.id == group_id)
    event = AuditEvent(
        event="group",
        source=actor,
        group_number=number,
        checksum=group_digest(group),
        detail={"name": group.name, "channels": len(group.channels)},
    )
    append_events(connection, entry, [event], at=now)
    return group


def _check(new: NewGroup) -> None:
    where = f"rate group {new.name!r}"
    if new.dtype.name not in DTYPES:
        raise UsageError(f"{where}: numbers of type {new.dtype}; expected one of {DTYPES}")
    if not new.channels:
        raise UsageError(f"{where}: it has no channels; declare at least one")
    if new.rate_hz <= 0:
        raise UsageError(f"{where}: a rate of {new.rate_hz} Hz; expected a positive one")
    if not 0 < new.chunk_samples <= new.block_samples or new.block_samples % new.chunk_samples:
        raise UsageError(
            f"{where}: chunks of {new.chunk_samples} and blocks of {new.block_samples} samples; "
            "a block needs to be a multiple of a chunk"
        )
    for one in new.channels:
        numbers = (one.scaling.factor, one.scaling.offset, one.scaling.to_unit)
        if not all(math.isfinite(number) for number in numbers):
            raise UsageError(f"{where}: channel {one.label!r} has no finite scaling: {numbers}")


def channel_keys(labels: Sequence[str], taken: Iterable[str] = ()) -> list[str]:
    """Return names that tell channels apart: ``T8-P8``, and ``T8-P8#2`` for the second of it."""
    used = set(taken)
    keys = []
    for label in labels:
        plain = label.strip() or "-"
        key, count = plain, 1
        while key in used:
            count += 1
            key = f"{plain}#{count}"
        used.add(key)
        keys.append(key)
    return keys


def groups(connection: Connection, entry: RecordingEntry) -> tuple[StoredGroup, ...]:
    """Return a recording's rate groups, in order."""
    found = connection.execute(
        select(rate_group)
        .where(rate_group.c.recording_id == entry.id)
        .order_by(rate_group.c.number)
    ).all()
    if not found:
        return ()
    members = defaultdict(list)
    for row in connection.execute(
        select(channel)
        .join(rate_group, rate_group.c.id == channel.c.group_id)
        .where(rate_group.c.recording_id == entry.id)
        .order_by(channel.c.group_id, channel.c.number)
    ):
        members[row.group_id].append(_channel(row))
    return tuple(_group(row, tuple(members[row.id])) for row in found)


def _group(row: Row[Any], channels: tuple[StoredChannel, ...]) -> StoredGroup:
    return StoredGroup(
        id=row.id,
        recording_id=row.recording_id,
        number=row.number,
        name=row.name,
        rate=Fraction(row.rate_numerator, row.rate_denominator),
        dtype=np.dtype(row.dtype),
        codec=row.codec,
        chunk_samples=row.chunk_samples,
        block_samples=row.block_samples,
        declared=row.declared,
        channels=channels,
        keys=tuple(one.key for one in channels),
    )


def _channel(row: Row[Any]) -> StoredChannel:
    return StoredChannel(
        label=row.label,
        key=row.key,
        unit=row.unit,
        scaling=Scaling(
            _typed(row.factor, row.factor_type),
            _typed(row.offset, row.offset_type),
            row.to_unit,
            row.in_double,
        ),
        dummy=row.dummy,
        electrode_group=row.electrode_group,
        details=row.details,
    )


def _type_name(number: Factor) -> str:
    return number.dtype.name if isinstance(number, np.floating) else "float"


def _typed(number: float, name: str) -> Factor:
    return number if name == "float" else np.dtype(name).type(number)


def group_facts(group: NewGroup | StoredGroup, declared_only: bool = False) -> dict[str, Any]:
    """Return everything that the catalogue says of a rate group, as JSON.

    Parameters
    ----------
    declared_only
        Leave out what the catalogue gave it: number and keys.
    """
    rate = group.rate if isinstance(group, StoredGroup) else group.rate_hz
    facts: dict[str, Any] = {
        "name": group.name,
        "rate": [rate.numerator, rate.denominator],
        "dtype": group.dtype.name,
        "codec": group.codec,
        "chunk_samples": group.chunk_samples,
        "block_samples": group.block_samples,
        "declared": group.declared,
        "channels": [_channel_facts(one) for one in group.channels],
    }
    if isinstance(group, StoredGroup) and not declared_only:
        facts["number"] = group.number
        facts["keys"] = list(group.keys)
    return facts


def group_digest(group: StoredGroup) -> str:
    """Return the SHA-256 that the chain holds of a rate group."""
    return digest_of(group_facts(group))


def _channel_facts(one: NewChannel) -> dict[str, Any]:
    scaling = one.scaling
    return {
        "label": one.label,
        "unit": one.unit,
        "factor": [float(scaling.factor), _type_name(scaling.factor)],
        "offset": [float(scaling.offset), _type_name(scaling.offset)],
        "to_unit": float(scaling.to_unit),
        "in_double": scaling.in_double,
        "dummy": one.dummy,
        "electrode_group": one.electrode_group,
        "details": dict(one.details) if isinstance(one.details, Mapping) else one.details,
    }
