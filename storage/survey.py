"""What a catalogue and a store hold together: recordings that are missing, hidden or added.

The proof of a recording begins with its row. Here it is looked for what has no such row: folders
of the store, rows that belong to nothing, rows that cannot be read.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Boolean,
    Connection,
    Integer,
    Select,
    String,
    Table,
    and_,
    func,
    literal,
    or_,
    select,
    type_coerce,
)

from storage import catalog_recordings
from storage.catalog_check import NONSENSE
from storage.catalog_rows import RecordingEntry
from storage.catalog_tables import audit, lease, metadata, patient, rate_group, recording
from storage.events_check import check_events
from storage.parts import Parts

# Who works just now is no part of what is held.
PASSING = (lease,)
NAMED = 20


@dataclass(frozen=True, slots=True)
class Surveyed:
    """A recording, or what is left of one.

    Parameters
    ----------
    entry
        Its row; None where there is none that can be read.
    patient, name, uuid
        Empty where nobody knows.
    problems
        One line each.
    """

    entry: RecordingEntry | None
    patient: str
    name: str
    uuid: str
    problems: tuple[str, ...]


def survey(parts: Parts, of_patient: str | None = None) -> list[Surveyed]:
    """Return all recordings in the order of patient and name, and before them what is left of any.

    Parameters
    ----------
    of_patient
        Only what is known to be this patient's.
    """
    # Listed first: a recording is entered before it has files.
    files = [*parts.folder.names("rec/"), *parts.folder.leftovers("rec")]
    with parts.catalog.reading() as connection:
        found = _Survey(connection)
        found.run()
        found.look_at_files(parts.folder.url, files)
    found.add([problem.text for problem in check_events(parts.catalog)])
    return [one for one in found.results() if of_patient in (None, one.patient)]


@dataclass(frozen=True, slots=True)
class _Whose:
    """Whom something is of: recording and patient, as far as it is known."""

    patient: str = ""
    name: str = ""
    uuid: str = ""


class _Survey:
    """One survey."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sqlite = connection.dialect.name == "sqlite"
        self._entries: dict[_Whose, RecordingEntry] = {}
        self._problems: dict[_Whose, list[str]] = defaultdict(list)
        self._whose: dict[object, _Whose] = {}
        self._rows: set[str] = set()

    def run(self) -> None:
        """Look at the rows."""
        self._read_recordings()
        self._look_at_patients()
        for table in metadata.sorted_tables:
            if table not in PASSING:
                self._look_for_parents(table)
                if self._sqlite:
                    self._look_at_numbers(table)

    def add(self, problems: list[str]) -> None:
        """Add what concerns no single recording."""
        if problems:
            self._problems[_Whose()].extend(problems)

    def results(self) -> Iterator[Surveyed]:
        """Yield what was found."""
        order = sorted(
            {*self._entries, *self._problems},
            key=lambda one: (one in self._entries, one.patient, one.name, one.uuid),
        )
        for one in order:
            problems = tuple(self._problems.get(one, ()))
            yield Surveyed(self._entries.get(one), one.patient, one.name, one.uuid, problems)

    # --- recordings and patients -----------------------------------------------------------------

    def _read_recordings(self) -> None:
        rows = self._connection.execute(
            select(
                recording.c.id,
                type_coerce(recording.c.uuid, String).label("uuid"),
                recording.c.name,
                recording.c.patient_id,
                patient.c.name.label("patient"),
            ).outerjoin(patient, patient.c.id == recording.c.patient_id)
        ).all()
        for row in rows:
            whose = _Whose(str(row.patient or ""), str(row.name), _uuid_text(row.uuid))
            self._whose[row.id] = whose
            self._rows.add(whose.uuid)
            if row.patient is None:
                self._problems[whose].append(f"its patient (row {row.patient_id}) is missing")
                continue
            try:
                self._entries[whose] = catalog_recordings.by_id(self._connection, row.id)
            except NONSENSE as error:
                self._problems[whose].append(f"its row of the catalogue cannot be read: {error}")
        # What the chain says of recordings whose rows are missing.
        made = (
            select(audit.c.recording_id, audit.c.detail)
            .outerjoin(recording, recording.c.id == audit.c.recording_id)
            .where(audit.c.event == "created", recording.c.id.is_(None))
        )
        for row in self._connection.execute(made):
            told = row.detail if isinstance(row.detail, Mapping) else {}
            names = (str(told.get(key, "")) for key in ("patient", "name", "uuid"))
            self._whose[row.recording_id] = _Whose(*names)

    def _look_at_patients(self) -> None:
        """Compare when patients were entered: together with the first of their recordings."""
        first = (
            select(recording.c.patient_id, func.min(recording.c.id).label("id"))
            .group_by(recording.c.patient_id)
            .subquery()
        )
        rows = self._connection.execute(
            select(patient.c.id, patient.c.name, first.c.id.label("first"))
            .outerjoin(first, first.c.patient_id == patient.c.id)
            .outerjoin(recording, recording.c.id == first.c.id)
            .where(or_(recording.c.id.is_(None), recording.c.created_at != patient.c.created_at))
        )
        for row in rows:
            if row.first is None:
                text = f"patient {row.name!r} (row {row.id}) has no recording"
                self._problems[_Whose(str(row.name))].append(text)
                continue
            text = "its patient was not entered with it: one of both instants was changed"
            self._problems[self._whose[row.first]].append(text)

    # --- any rows --------------------------------------------------------------------------------

    def _look_for_parents(self, table: Table) -> None:
        """Look for rows that belong to a row that is not there."""
        for constraint in table.foreign_key_constraints:
            parent, keys = constraint.referred_table, list(constraint.elements)
            if table is recording:
                continue
            own = [table.c[key.parent.name] for key in keys]
            on = and_(*(one == key.column for one, key in zip(own, keys, strict=True)))
            rows = self._connection.execute(
                select(*own, func.count())
                .outerjoin(parent, on)
                .where(keys[0].column.is_(None))
                .group_by(*own)
                .order_by(*own)
                .limit(NAMED)
            )
            for *place, count in rows:
                named = "/".join(map(str, place))
                text = f"{table.name}: {count} rows are of {parent.name} {named}, which is missing"
                whose = self._whose.get(place[0]) if parent is recording else None
                self._problems[whose or _Whose()].append(text)

    def _look_at_numbers(self, table: Table) -> None:
        """Look at what SQLite alone takes: it has neither types nor gaps in its numbers.

        As no row is ever removed, rows are numbered from one on without any gap. PostgreSQL leaves
        out a number when a transaction is rolled back.
        """
        wrong: list[tuple[str, Any]] = []
        if "id" in table.c:
            last = select(func.count()).select_from(table.alias()).scalar_subquery()
            wrong.append(("id", or_(table.c.id < 1, table.c.id > last)))
        wrong.extend(
            (column.name, type_coerce(column, Integer).not_in((0, 1)))
            for column in table.c
            if isinstance(column.type, Boolean)
        )
        for name, condition in wrong:
            raw = type_coerce(table.c[name], String)
            rows = self._connection.execute(
                _of_recording(table, raw.label("value")).where(condition).limit(NAMED)
            )
            for row in rows:
                whose = self._whose.get(row.of, _Whose())
                if name == "id":
                    # Whichever row was removed, it is the last one whose number is too high.
                    text = (
                        f"{table.name}: one is numbered {row.value} ({whose.name} of "
                        f"{whose.patient}), beyond their count: rows were removed or renumbered"
                    )
                    self._problems[_Whose()].append(text)
                    continue
                text = f"{table.name}: {name} {row.value} is not what was written"
                self._problems[whose].append(text)

    # --- files -----------------------------------------------------------------------------------

    def look_at_files(self, url: str, files: list[str]) -> None:
        """Compare the folders of the store with the recordings."""
        strange = Counter(name.split("/")[1] for name in files)
        for uuid in self._rows:
            del strange[uuid]
        known = {one.uuid: one for one in self._whose.values()}
        for folder, count in sorted(strange.items()):
            text = f"{url}/rec/{folder}: {count} files, and no recording of the catalogue has them"
            self._problems[known.get(folder, _Whose(uuid=folder))].append(text)


def _of_recording(table: Table, *columns: Any) -> Select[Any]:
    """Select columns of a table, and as ``of`` the recording that a row belongs to."""
    if table is recording:
        return select(*columns, table.c.id.label("of"))
    if "recording_id" in table.c:
        return select(*columns, table.c.recording_id.label("of"))
    if "group_id" in table.c:
        return select(*columns, rate_group.c.recording_id.label("of")).outerjoin_from(
            table, rate_group, rate_group.c.id == table.c.group_id
        )
    if table is patient:
        first = select(func.min(recording.c.id)).where(recording.c.patient_id == table.c.id)
        return select(*columns, first.scalar_subquery().label("of"))
    return select(*columns, literal(0).label("of"))


def _uuid_text(value: object) -> str:
    try:
        return str(UUID(str(value)))
    except ValueError:
        return str(value)
