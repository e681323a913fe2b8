"""Whatever is changed in the store or in the catalogue, ``ranvier recordings verify`` names it.

A sample at random in an ordinary run, with its seed printed; with RANVIER_SOAK set, 700 files and
all rows that were drawn, within ten minutes.
"""

from __future__ import annotations

import os
import random
import secrets
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from sqlalchemy import (
    Engine,
    Integer,
    Row,
    Table,
    create_engine,
    delete,
    event,
    select,
    text,
    update,
)

from deployments.cli import main
from storage.catalog_tables import metadata
from storage.errors import ChunkConflict
from storage.recording_store import RecordingStore
from tests.support.command_line import ranvier
from tests.support.stores import BLOCK, chunk, fill, live, pieces

SOAK = bool(os.environ.get("RANVIER_SOAK"))
CASES = 700 if SOAK else 25
LONG = pytest.mark.timeout(3600 if SOAK else 300)
# Who may enter, who works just now, and what was computed from recordings: no part of a proof.
APART = ("token", "token_revocation", "catalog_event", "lease", "computed")
PROVEN = tuple(table for table in metadata.sorted_tables if table.name not in APART)
FILES = (
    "chbmit/chb01_03_clip.edf",
    "edf/test_utf8_annotations.edf",
    "edf/test_uneven_samp.edf",
    "siena/PN00-1.edf",
    "muse/mindmonitor_museS_1hz.csv",
    "xdf/minimal.xdf",
)
LIVE = ("open", "closed")


@dataclass(frozen=True)
class Told:
    """How the command ended, and what it said."""

    code: int
    said: str


@pytest.fixture(scope="module")
def pristine(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Take in files, and two live recordings with all that can befall them."""
    home = tmp_path_factory.mktemp("pristine") / "home"
    done = ranvier("ingest", *(str(data / each) for each in FILES), env={"RANVIER_HOME": str(home)})
    assert done.code == 0, done.err
    with opened(home) as store:
        for name in LIVE:
            entry, group = live(store, name=name)
            spans = pieces(2 * BLOCK + 3000, 3000)
            fill(store, entry, group, [span for span in spans if span != spans[2]])
            store.compact(entry)
            fill(store, entry, group, [spans[2]])
            (refused,) = store.append([chunk(entry, group, spans[4], seed=1)]).result()
            assert isinstance(refused, ChunkConflict)
            if name == "closed":
                store.seal(entry)
    return home


def opened(home: Path) -> RecordingStore:
    return RecordingStore.open(str(home / "store"), str(home / "catalog.db"), home / "identity.key")


@pytest.fixture
def home(pristine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of it, which the command then looks at."""
    copy = tmp_path / "home"
    shutil.copytree(pristine, copy)
    for name in ("RANVIER_STORE", "RANVIER_DATABASE_URL", "DATABASE_URL", "RANVIER_IDENTITY_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RANVIER_HOME", str(copy))
    return copy


@pytest.fixture
def verify(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[], Told]:
    """Return the command, run in this process: a process each would take most of the time."""
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setattr(sys, "argv", ["ranvier", "recordings", "verify", "--all", "--json"])

    def run() -> Told:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        code = ended.value.code
        return Told(code if isinstance(code, int) else 1, capsys.readouterr().err)

    return run


def seeded() -> random.Random:
    seed = secrets.randbits(32)
    print(f"\nseed {seed}")
    return random.Random(seed)


def names_by_uuid(home: Path) -> dict[str, str]:
    with opened(home) as store:
        return {str(entry.uuid): entry.name for entry in store.catalog.recordings()}


# --- files -----------------------------------------------------------------------------------


def flipped(content: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(content))
    return content[:at] + bytes([content[at] ^ 1 << rng.randrange(8)]) + content[at + 1 :]


DAMAGES: dict[str, Callable[[bytes, random.Random], bytes | None]] = {
    "flipped": flipped,
    "truncated": lambda content, rng: content[: rng.randrange(len(content))],
    "extended": lambda content, rng: content + rng.randbytes(rng.randrange(1, 9)),
    "removed": lambda content, rng: None,
}


@LONG
@pytest.mark.soak
def test_a_file_that_is_not_as_it_was_is_named(home: Path, verify: Callable[[], Told]) -> None:
    assert verify() == Told(
        0, f"{len(FILES) + len(LIVE)} of {len(FILES) + len(LIVE)} recordings hold\n"
    )
    rng = seeded()
    names = names_by_uuid(home)
    with opened(home) as store:
        files = sorted(home / "store" / name for name in store.folder.names())
    assert len(files) > 100
    cases = [(place, damage) for place in files for damage in DAMAGES]
    missed = []
    for place, damage in rng.sample(cases, min(CASES, len(cases))):
        content = place.read_bytes()
        changed = DAMAGES[damage](content, rng)
        if changed is None:
            place.unlink()
        else:
            place.write_bytes(changed)
        told = verify()
        place.write_bytes(content)
        uuid = place.relative_to(home / "store").parts[1]
        line = [each for each in told.said.splitlines() if f"{names[uuid]} of " in each]
        if told.code != 1 or not any(str(place) in each for each in line):
            missed.append((damage, place, told))
    assert missed == []
    assert verify().code == 0


def test_the_command_itself_ends_with_one(home: Path) -> None:
    with opened(home) as store:
        (entry,) = (each for each in store.catalog.recordings() if each.name == "closed")
    (shard,) = (home / "store" / "rec" / str(entry.uuid)).glob("g0/sig/0/c/0/1")
    content = shard.read_bytes()
    shard.write_bytes(flipped(content, random.Random(0)))
    ran = ranvier("recordings", "verify", "--all", env={"RANVIER_HOME": str(home)})
    assert ran.code == 1
    assert "ranvier: closed of p1: audit row" in ran.err
    assert str(shard) in ran.err
    shard.write_bytes(content)
    ran = ranvier("recordings", "verify", "--all", env={"RANVIER_HOME": str(home)})
    assert ran.code == 0, ran.err


# --- the catalogue ---------------------------------------------------------------------------


@pytest.fixture
def engine(home: Path) -> Iterator[Engine]:
    """Return a way around every guard of the database."""
    engine = create_engine(f"sqlite:///{home / 'catalog.db'}")

    @event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA foreign_keys=OFF")
        connection.execute("PRAGMA ignore_check_constraints=ON")

    with engine.begin() as connection:
        for row in connection.execute(text("SELECT name FROM sqlite_master WHERE type='trigger'")):
            connection.execute(text(f"DROP TRIGGER {row.name}"))
    yield engine
    engine.dispose()


def other(value: Any) -> Any:
    """Return another value of the same type."""
    match value:
        case None:
            return None
        case bool():
            return not value
        case int():
            return value + 1_000_003
        case float():
            return float(np.nextafter(value, np.inf)) if np.isfinite(value) else 1.0
        case str() if len(value) == 64:
            return value[:-1] + ("0" if value[-1] != "0" else "1")
        case str():
            return value + "x"
        case bytes():
            return flipped(value, random.Random(len(value)))
        case datetime():
            return value + timedelta(microseconds=1)
        case UUID():
            return UUID(int=value.int ^ 1)
        case dict():
            return value | {"more": 1}
        case list():
            return [*value, "more"]
    raise AssertionError(f"{type(value)} is new here")


def for_nothing(table: Table, column: str) -> Any:
    """Return a value for a column that holds none."""
    kind = table.c[column].type
    return 1 if isinstance(getattr(kind, "impl_instance", kind), Integer) else "x"


def meaning(table: Table) -> list[str]:
    """Return the columns that say anything: not the number of a row that nobody refers to."""
    referred = {key.column for each in metadata.sorted_tables for key in each.foreign_keys}
    return [each.name for each in table.c if each.name != "id" or each in referred]


def at(table: Table, row: Row[Any]) -> list[Any]:
    return [column == row._mapping[column.name] for column in table.primary_key]


def stored(engine: Engine, table: Table) -> list[Row[Any]]:
    with engine.connect() as connection:
        return list(connection.execute(select(table)))


def owners_of_rows(engine: Engine) -> Callable[[Case], tuple[str, ...]]:
    """Return what gives name and UUID of a row's recording; nothing where it is of none."""
    tables = metadata.tables
    names = {row.id: (row.name, str(row.uuid)) for row in stored(engine, tables["recording"])}
    groups = {row.id: names[row.recording_id] for row in stored(engine, tables["rate_group"])}

    def owner(case: Case) -> tuple[str, ...]:
        row = case.row._mapping
        if case.table.name == "recording":
            return names[row["id"]]
        if "recording_id" in row:
            return names[row["recording_id"]]
        return groups[row["group_id"]] if "group_id" in row else ()

    return owner


@dataclass(frozen=True)
class Case:
    """One change of one row."""

    table: Table
    row: Row[Any]
    column: str | None  # None: the row is removed

    def __str__(self) -> str:
        what = "removed" if self.column is None else self.column
        keys = [self.row._mapping[column.name] for column in self.table.primary_key]
        return f"{self.table.name} {keys}: {what}"


@LONG
@pytest.mark.soak
def test_a_row_that_is_not_as_it_was_is_named(
    home: Path, engine: Engine, verify: Callable[[], Told]
) -> None:
    rng = seeded()
    owners = owners_of_rows(engine)
    cases: list[Case] = []
    for table in PROVEN:
        rows = stored(engine, table)
        assert rows, f"no row in {table.name}"
        for column in [*meaning(table), None]:
            cases.extend(Case(table, row, column) for row in rng.sample(rows, min(3, len(rows))))
    # The last connection moves the log into the file as it is closed.
    engine.dispose()
    shutil.copy(home / "catalog.db", home / "untouched.db")
    missed = []
    for case in rng.sample(cases, min(CASES, len(cases))):
        with engine.begin() as connection:
            if case.column is None:
                done = connection.execute(delete(case.table).where(*at(case.table, case.row)))
            else:
                value = case.row._mapping[case.column]
                new = for_nothing(case.table, case.column) if value is None else other(value)
                done = connection.execute(
                    update(case.table).where(*at(case.table, case.row)).values({case.column: new})
                )
            assert done.rowcount == 1
        engine.dispose()
        told = verify()
        assert not (home / "catalog.db-wal").exists()
        shutil.copy(home / "untouched.db", home / "catalog.db")
        said = [line for line in told.said.splitlines() if line.startswith("ranvier: ")]
        owner = owners(case) or ("",)
        if told.code != 1 or not any(each in line for each in owner for line in said):
            missed.append((str(case), owner, told))
    assert missed == []
    assert verify().code == 0
