"""One transaction that takes in many chunks: which of them are new, and what is written of them."""

from __future__ import annotations

import sqlite3
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Connection, bindparam, func, insert, select, text

from storage.audit import FIRST_PREVIOUS, AuditEvent, AuditRow, link, utc_text
from storage.catalog_audit import as_columns, lock_recordings
from storage.catalog_rows import LIVE, RecordingEntry, StoredGroup
from storage.catalog_tables import (
    audit,
    chunk,
    chunk_body,
    quarantine,
    rate_group,
    recording,
    seal,
)
from storage.database import utc_now
from storage.errors import ChunkConflict, RanvierError, RecordingSealed, UsageError

LONGEST_HOLE_S = 24 * 3600
# Of refused chunks that are kept, for each recording.
MOST_REFUSED = 1000
MOST_REFUSED_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class NewChunk:
    """Samples of one rate group that a client offers.

    Parameters
    ----------
    start, n_samples
        Place on the group's grid.
    body
        Little-endian, in the group's type, channel after channel.
    source
        Who sends it.
    shift_us
        How much later than its place on the grid the first sample really was taken.
    allow_hole
        A hole of more than 24 h before it is meant.
    """

    entry: RecordingEntry
    group: StoredGroup
    start: int
    n_samples: int
    body: bytes
    source: str
    shift_us: int = 0
    allow_hole: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What is answered for a chunk; the same for each repetition, but for ``duplicate``."""

    recording: UUID
    group: int
    start: int
    n_samples: int
    checksum: str
    sequence: int
    duplicate: bool


Answer = Receipt | RanvierError


@dataclass(frozen=True, slots=True)
class Offer:
    """A chunk and the SHA-256 of its canonical bytes."""

    chunk: NewChunk
    sha256: str


@dataclass(frozen=True, slots=True, order=True)
class _Held:
    """A chunk that is stored, or will be with this transaction."""

    start: int
    stop: int
    shift_us: int
    sha256: str
    sequence: int


_LAST = audit.alias("last")
_HEADS = (
    select(recording.c.id, audit.c.sequence, audit.c.hash, seal.c.sequence)
    .join(audit, audit.c.recording_id == recording.c.id)
    .outerjoin(seal, seal.c.recording_id == recording.c.id)
    .where(
        recording.c.id.in_(bindparam("ids", expanding=True)),
        audit.c.sequence
        == select(func.max(_LAST.c.sequence))
        .where(_LAST.c.recording_id == recording.c.id)
        .scalar_subquery(),
    )
)
# The chunks from the last one that begins at or before the first sample.
_NEAR = (
    "SELECT {group}, c.start, c.n_samples, c.shift_us, c.sha256, c.sequence FROM {places}"
    " chunk AS c WHERE c.group_id = {group} AND c.start < {stop} AND c.start >= coalesce("
    "(SELECT max(b.start) FROM chunk AS b WHERE b.group_id = {group} AND b.start <= {first}),"
    " {first})"
)
_NEAR_SQLITE = _NEAR.format(places="", group="?1", first="?2", stop="?3")
_NEAR_POSTGRES = text(
    _NEAR.format(
        places="unnest(CAST(:groups AS bigint[]), CAST(:firsts AS bigint[]), "
        "CAST(:stops AS bigint[])) AS p(group_id, first, stop) JOIN",
        group="p.group_id",
        first="p.first",
        stop="p.stop",
    ).replace("WHERE", "ON", 1)
)


class _Chain:
    """The end of a recording's chain, to which this transaction adds."""

    def __init__(self, sequence: int, last: str, sealed: bool, at: str) -> None:
        self.sequence = sequence
        self.last = last
        self.sealed = sealed
        self.rows: list[AuditRow] = []
        self._at = at

    def add(self, offer: Offer, event: str, detail: dict[str, Any]) -> AuditRow:
        """Add an event about a chunk."""
        chunk_ = offer.chunk
        row = link(
            chunk_.entry.uuid,
            chunk_.entry.patient,
            chunk_.entry.name,
            AuditEvent(
                event=event,
                source=chunk_.source,
                group_number=chunk_.group.number,
                start=chunk_.start,
                num_samples=chunk_.n_samples,
                checksum=offer.sha256,
                detail=detail,
            ),
            chunk_.group.rate,
            self.sequence + 1,
            self.last,
            self._at,
        )
        self.sequence, self.last = row.sequence, row.hash
        self.rows.append(row)
        return row


class Commit:
    """Decides about chunks in the order in which they came, and writes what is new."""

    def __init__(self, connection: Connection, offers: Sequence[Offer]) -> None:
        self._connection = connection
        self._offers = offers
        self._now = utc_now()
        self._chains = self._read_chains({offer.chunk.entry.id for offer in offers})
        self._held = self._read_held()
        self._chunks: list[dict[str, Any]] = []
        self._bodies: list[dict[str, Any]] = []
        self._refused: list[dict[str, Any]] = []
        # How many refused chunks and bytes of them each recording keeps.
        self._kept: dict[int, tuple[int, int]] = {}

    def run(self) -> list[Answer]:
        """Return the answer to each chunk; they hold once the transaction is committed."""
        answers = [self._answer(offer) for offer in self._offers]
        rows = [
            as_columns(number, row) for number, chain in self._chains.items() for row in chain.rows
        ]
        for table, values in (
            (audit, rows),
            (chunk, self._chunks),
            (chunk_body, self._bodies),
            (quarantine, self._refused),
        ):
            if values:
                self._connection.execute(insert(table), values)
        return answers

    def _answer(self, offer: Offer) -> Answer:
        new = offer.chunk
        chain = self._chains.get(new.entry.id)
        if chain is None:
            return UsageError(f"recording {new.entry.name!r}: the catalogue does not have it")
        if new.entry.kind != LIVE and not chain.sealed:
            return UsageError(
                f"recording {new.entry.name!r} is being taken in from a file ({new.entry.kind}) "
                "and takes no chunks from elsewhere; send them to a recording of their own"
            )
        held = self._held[new.group.id]
        stop = new.start + new.n_samples
        after = bisect_left(held, stop, key=_start)
        last = held[after - 1] if after else None
        if last is None or last.stop <= new.start:
            if chain.sealed:
                return RecordingSealed(
                    f"recording {new.entry.name!r} is sealed and takes nothing more; "
                    "start another one"
                )
            return self._accept(offer, chain, held, 0 if last is None else last.stop)
        place = bisect_left(held, new.start, key=_start)
        same = held[place] if place < after else last
        if (same.start, same.stop, same.shift_us, same.sha256) == (
            new.start,
            stop,
            new.shift_us,
            offer.sha256,
        ):
            return _receipt(offer, same.sequence, duplicate=True)
        if chain.sealed:
            return RecordingSealed(
                f"recording {new.entry.name!r} is sealed and takes nothing more; start another one"
            )
        return self._conflict(offer, chain, same if same.start == new.start else last)

    def _accept(
        self, offer: Offer, chain: _Chain, held: list[_Held], before: int
    ) -> Receipt | UsageError:
        new = offer.chunk
        hole = (new.start - before) / new.group.rate
        if hole > LONGEST_HOLE_S and not new.allow_hole:
            return UsageError(
                f"recording {new.entry.name!r}: a hole of {float(hole):.0f} s before sample "
                f"{new.start} of group {new.group.number}; more than {LONGEST_HOLE_S} s must be "
                "declared, check the time of the chunk"
            )
        row = chain.add(offer, "chunk", {"shift_us": new.shift_us} if new.shift_us else {})
        insort(
            held,
            _Held(new.start, new.start + new.n_samples, new.shift_us, offer.sha256, row.sequence),
        )
        place = {"group_id": new.group.id, "start": new.start}
        self._chunks.append(
            {
                **place,
                "n_samples": new.n_samples,
                "shift_us": new.shift_us,
                "sha256": offer.sha256,
                "sequence": row.sequence,
            }
        )
        self._bodies.append({**place, "body": new.body})
        return _receipt(offer, row.sequence, duplicate=False)

    def _conflict(self, offer: Offer, chain: _Chain, stored: _Held) -> ChunkConflict:
        new = offer.chunk
        exact = (stored.start, stored.stop) == (new.start, new.start + new.n_samples)
        row = {
            "group_id": new.group.id,
            "start": new.start,
            "n_samples": new.n_samples,
            "shift_us": new.shift_us,
            "sha256": offer.sha256,
        }
        if not self._known(row):
            detail = {
                "stored_start": stored.start,
                "stored_num_samples": stored.stop - stored.start,
                "stored_checksum": stored.sha256,
                "stored_shift_us": stored.shift_us,
                "shift_us": new.shift_us,
            }
            if self._may_keep(new):
                self._refused.append(
                    row | {"source": new.source, "body": new.body, "received_at": self._now}
                )
            else:
                detail["kept"] = False
            chain.add(offer, "conflict", detail)
        return ChunkConflict(
            f"recording {new.entry.name!r}, group {new.group.number}: samples [{new.start}, "
            f"{new.start + new.n_samples}) with SHA-256 {offer.sha256} and shift {new.shift_us} us "
            f"do not fit [{stored.start}, {stored.stop}) with {stored.sha256} and "
            f"{stored.shift_us} us that are stored; nothing was changed",
            stored=stored.sha256 if exact else None,
            offered=offer.sha256,
        )

    def _known(self, row: dict[str, Any]) -> bool:
        """Return whether the very same was refused before; it is logged once."""
        if any(row.items() <= other.items() for other in self._refused):
            return True
        found = select(quarantine.c.id)
        for name, value in row.items():
            found = found.where(quarantine.c[name] == value)
        return self._connection.execute(found).first() is not None

    def _may_keep(self, new: NewChunk) -> bool:
        """Return whether a recording may keep a further refused chunk, and count it."""
        number = new.entry.id
        if number not in self._kept:
            query = (
                select(func.count(), func.sum(func.length(quarantine.c.body)))
                .join(rate_group, rate_group.c.id == quarantine.c.group_id)
                .where(rate_group.c.recording_id == number)
            )
            count, size = self._connection.execute(query).one()
            self._kept[number] = (count, int(size or 0))
        count, size = self._kept[number]
        count, size = count + 1, size + len(new.body)
        if count > MOST_REFUSED or size > MOST_REFUSED_BYTES:
            return False
        self._kept[number] = (count, size)
        return True

    def _read_chains(self, ids: set[int]) -> dict[int, _Chain]:
        lock_recordings(self._connection, ids)
        at = utc_text(self._now)
        rows = self._connection.execute(_HEADS, {"ids": sorted(ids)})
        return {
            number: _Chain(sequence or 0, last or FIRST_PREVIOUS, sealed is not None, at)
            for number, sequence, last, sealed in rows
        }

    def _read_held(self) -> dict[int, list[_Held]]:
        held: dict[int, list[_Held]] = defaultdict(list)
        for group, start, n_samples, shift_us, sha256, sequence in self._near(
            _places(self._offers)
        ):
            held[group].append(_Held(start, start + n_samples, shift_us, sha256, sequence))
        # Two places of a group may find the same chunk before them.
        return defaultdict(list, {group: sorted(set(rows)) for group, rows in held.items()})

    def _near(self, places: list[tuple[int, int, int]]) -> Iterable[Any]:
        if self._connection.dialect.name == "sqlite":
            # Thousands of times a second: straight to the driver.
            cursor = cast(sqlite3.Connection, self._connection.connection.driver_connection)
            for place in places:
                yield from cursor.execute(_NEAR_SQLITE, place)
            return
        groups, firsts, stops = (list(column) for column in zip(*places, strict=True))
        yield from self._connection.execute(
            _NEAR_POSTGRES, {"groups": groups, "firsts": firsts, "stops": stops}
        )


_start = attrgetter("start")


def _places(offers: Sequence[Offer]) -> list[tuple[int, int, int]]:
    """Return group, first sample and stop of the stretches that adjoining offers make up."""
    places: list[tuple[int, int, int]] = []
    for offer in sorted(offers, key=lambda one: (one.chunk.group.id, one.chunk.start)):
        new = offer.chunk
        stop = new.start + new.n_samples
        if places and places[-1][0] == new.group.id and new.start <= places[-1][2]:
            places[-1] = (new.group.id, places[-1][1], max(stop, places[-1][2]))
        else:
            places.append((new.group.id, new.start, stop))
    return places


def _receipt(offer: Offer, sequence: int, duplicate: bool) -> Receipt:
    return Receipt(
        recording=offer.chunk.entry.uuid,
        group=offer.chunk.group.number,
        start=offer.chunk.start,
        n_samples=offer.chunk.n_samples,
        checksum=offer.sha256,
        sequence=sequence,
        duplicate=duplicate,
    )
