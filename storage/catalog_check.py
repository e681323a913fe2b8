"""Compares what the catalogue says of a recording with what its chain says, row by row."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.exc import NoResultFound

from storage import (
    catalog_annotations,
    catalog_audit,
    catalog_chunks,
    catalog_groups,
    catalog_recordings,
    catalog_results,
)
from storage.audit import FIRST_PREVIOUS, AuditRow, check_chain, chunk_digest, digest_of, utc_text
from storage.catalog import Catalog
from storage.catalog_annotations import annotation_digest
from storage.catalog_groups import group_digest
from storage.catalog_recordings import entry_facts
from storage.catalog_results import result_digest
from storage.catalog_rows import RecordingEntry
from storage.catalog_tables import block, channel, chunk, quarantine, rate_group, seal, segment

# What identifies a row, and what else there is to it.
Facts = tuple[Any, ...]
# What reading a row may end with when something else was put into its columns.
NONSENSE = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    NoResultFound,
)


@dataclass(frozen=True, slots=True)
class RowProblem:
    """Something that does not hold.

    Parameters
    ----------
    sequence
        The row of the chain that it contradicts; None where there is no such row.
    text
        One line.
    """

    sequence: int | None
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class RowsReport:
    """What was compared, and what does not hold.

    Parameters
    ----------
    rows
        Number of rows of the chain.
    head
        Hash of the last one.
    problems
        The first is the first row of the chain that does not hold in itself, if there is one.
    """

    rows: int
    head: str
    problems: list[RowProblem] = field(default_factory=list)


def check_rows(
    catalog: Catalog,
    entry: RecordingEntry,
    each: Callable[[AuditRow], None] = lambda row: None,
) -> RowsReport:
    """Recompute the chain of a recording, and compare every other row with it.

    Parameters
    ----------
    each
        Told of every row of the chain, whether it holds or not.
    """
    with catalog.reading() as connection:
        with suppress(*NONSENSE):
            # Where its row cannot be read, that is said below.
            entry = catalog_recordings.by_id(connection, entry.id)
        told = _Told(entry)
        problems: list[RowProblem] = []
        count, last = 0, FIRST_PREVIOUS
        for row in catalog_audit.rows(connection, entry):
            if not problems and check_chain([row], last, count) is not None:
                text = (
                    f"audit row {row.sequence} ({row.event}, {row.ingested_at}) does not hold: "
                    "it was changed, or a row before it is missing"
                )
                problems.append(RowProblem(row.sequence, text))
            each(row)
            with suppress(*NONSENSE):
                # It does not hold then, and that was said.
                told.add(row)
            count, last = count + 1, row.hash
        if not count:
            problems.append(RowProblem(None, f"recording {entry.name!r} has no audit rows"))
        problems.extend(told.compare(connection))
        return RowsReport(count, last, problems)


class _Told:
    """What the chain says that the tables must hold."""

    def __init__(self, entry: RecordingEntry) -> None:
        self.entry = entry
        self.rows: dict[str, dict[Facts, tuple[Facts, int]]] = {kind: {} for kind in READERS}
        self.sealed: AuditRow | None = None

    def add(self, row: AuditRow) -> None:
        """Take a row of the chain."""
        if row.event == "sealed":
            self.sealed = row
        elif row.event in self.rows and row.detail.get("kept", True):
            key, facts = _told_by(row)
            self.rows[row.event][key] = (facts, row.sequence)

    def compare(self, connection: Connection) -> Iterator[RowProblem]:
        """Yield what the tables do not hold, or hold otherwise."""
        for kind, read in READERS.items():
            try:
                yield from self._compare(kind, read(connection, self.entry))
            except NONSENSE as error:
                text = f"a {kind} row holds what nobody wrote and cannot be read: {error!r}"
                yield RowProblem(None, text)
        yield from self._compare_seal(connection)

    def _compare(self, kind: str, held: Iterable[tuple[Facts, Facts]]) -> Iterator[RowProblem]:
        told = self.rows[kind]
        for key, facts in held:
            expected = told.pop(key, None)
            if expected is None:
                text = f"{kind} {_shown(key)} is not in the chain: it was added or changed"
                yield RowProblem(None, text)
            elif expected[0] != facts:
                text = (
                    f"{kind} {_shown(key)} is not what audit row {expected[1]} says: "
                    f"{facts}, not {expected[0]}"
                )
                yield RowProblem(expected[1], text)
        for key, (_, sequence) in told.items():
            text = f"{kind} {_shown(key)} of audit row {sequence} is missing"
            yield RowProblem(sequence, text)

    def _compare_seal(self, connection: Connection) -> Iterator[RowProblem]:
        row = connection.execute(select(seal).where(seal.c.recording_id == self.entry.id)).first()
        told = self.sealed
        if row is None and told is None:
            return
        if row is None or told is None:
            where = "the chain says nothing of it" if told is None else "its row is missing"
            text = f"the recording is sealed in one place and not in the other: {where}"
            yield RowProblem(None if told is None else told.sequence, text)
            return
        facts = (row.sequence, row.head, utc_text(row.sealed_at))
        expected = (told.sequence - 1, told.previous, told.ingested_at)
        if facts != expected:
            text = f"the seal is not what audit row {told.sequence} says: {facts}, not {expected}"
            yield RowProblem(told.sequence, text)
        found = connection.execute(
            select(rate_group.c.number, segment.c.start, segment.c.n_samples, segment.c.shift_us)
            .join(segment, segment.c.group_id == rate_group.c.id)
            .where(rate_group.c.recording_id == self.entry.id)
            .order_by(rate_group.c.number, segment.c.start)
        )
        if digest_of([list(one) for one in found]) != told.checksum:
            text = f"the segments are not those that audit row {told.sequence} sealed"
            yield RowProblem(told.sequence, text)


def _told_by(row: AuditRow) -> tuple[Facts, Facts]:
    """Return key and facts of the row of another table that a row of the chain tells of."""
    detail = row.detail.get
    key: Facts
    names: tuple[str, ...]
    match row.event:
        case "created":
            return (), (_plain(row.detail), row.ingested_at)
        case "group":
            return (row.group,), (row.checksum, row.ingested_at)
        case "chunk":
            shift = detail("shift_us", 0)
            return (row.group, row.start), (row.num_samples, shift, row.checksum, row.sequence)
        case "conflict":
            key = (row.group, row.start, row.num_samples, detail("shift_us"), row.checksum)
            return key, (row.source, row.ingested_at, row.checksum)
        case "annotation":
            return (detail("uuid"), detail("version")), (row.checksum,)
        case "block":
            key = (row.group, detail("number"), detail("generation"))
            names = ("through", "key", "bytes", "files")
            return key, (
                row.checksum,
                *(_plain(detail(name)) for name in names),
                row.ingested_at,
            )
        case "blob":
            names = ("key", "bytes", "encrypted")
            return (detail("name"),), (row.checksum, *(_plain(detail(name)) for name in names))
        case _:
            return (detail("name"), detail("created_at")), (row.checksum,)


Rows = Iterator[tuple[Facts, Facts]]


def _created(connection: Connection, entry: RecordingEntry) -> Rows:
    found = catalog_recordings.by_id(connection, entry.id)
    yield (), (_plain(entry_facts(found)), utc_text(found.created_at))


def _groups(connection: Connection, entry: RecordingEntry) -> Rows:
    found = select(rate_group.c.id, rate_group.c.created_at).where(
        rate_group.c.recording_id == entry.id
    )
    made: dict[int, datetime] = {row.id: row.created_at for row in connection.execute(found)}
    places = select(channel.c.number).order_by(channel.c.number)
    for group in catalog_groups.groups(connection, entry):
        held = connection.execute(places.where(channel.c.group_id == group.id)).scalars().all()
        if held != list(range(len(held))):
            raise ValueError(f"the channels of group {group.number} are numbered {held}")
        yield (group.number,), (group_digest(group), utc_text(made[group.id]))


def _chunks(connection: Connection, entry: RecordingEntry) -> Rows:
    found = connection.execution_options(yield_per=2000).execute(
        select(
            rate_group.c.number,
            chunk.c.start,
            chunk.c.n_samples,
            chunk.c.shift_us,
            chunk.c.sha256,
            chunk.c.sequence,
        )
        .join(chunk, chunk.c.group_id == rate_group.c.id)
        .where(rate_group.c.recording_id == entry.id)
        .order_by(rate_group.c.number, chunk.c.start)
    )
    for row in found:
        yield tuple(row[:2]), tuple(row[2:])


def _conflicts(connection: Connection, entry: RecordingEntry) -> Rows:
    for group in catalog_groups.groups(connection, entry):
        found = connection.execution_options(yield_per=20).execute(
            select(quarantine).where(quarantine.c.group_id == group.id)
        )
        for row in found:
            digest = chunk_digest(
                entry.uuid,
                group.number,
                group.keys,
                group.dtype.name,
                row.start,
                row.n_samples,
                row.body,
            )
            key = (group.number, row.start, row.n_samples, row.shift_us, row.sha256)
            yield key, (row.source, utc_text(row.received_at), digest)


def _annotations(connection: Connection, entry: RecordingEntry) -> Rows:
    for one in catalog_annotations.listed(connection, entry, history=True):
        yield (str(one.uuid), one.version), (annotation_digest(one),)


def _blocks(connection: Connection, entry: RecordingEntry) -> Rows:
    found = connection.execute(
        select(block, rate_group.c.number.label("group_number"))
        .join(rate_group, rate_group.c.id == block.c.group_id)
        .where(rate_group.c.recording_id == entry.id)
    )
    for row in found:
        yield (
            (row.group_number, row.number, row.generation),
            (
                row.sha256,
                row.through,
                row.key,
                row.bytes,
                _plain(row.files),
                utc_text(row.created_at),
            ),
        )


def _blobs(connection: Connection, entry: RecordingEntry) -> Rows:
    for one in catalog_chunks.blobs(connection, entry):
        yield (one.name,), (one.sha256, one.key, one.bytes, one.encrypted)


def _results(connection: Connection, entry: RecordingEntry) -> Rows:
    for one in catalog_results.results(connection, entry):
        yield (one.name, utc_text(one.created_at)), (result_digest(one),)


READERS: dict[str, Callable[[Connection, RecordingEntry], Rows]] = {
    "created": _created,
    "group": _groups,
    "chunk": _chunks,
    "conflict": _conflicts,
    "annotation": _annotations,
    "block": _blocks,
    "blob": _blobs,
    "computed": _results,
}


def _plain(value: object) -> Any:
    """Return JSON as something that can be compared, whatever kind of mapping it came in."""
    if isinstance(value, Mapping | list | tuple):
        return json.dumps(value, sort_keys=True, default=dict)
    return value


def _shown(key: Facts) -> str:
    return "/".join(str(part) for part in key) or "row"
