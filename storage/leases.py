"""Leases: one process at a time works on a recording.

A lease is a row with an end. Whoever works renews it now and then; who dies lets it run out. That a
lease was lost in the middle is noticed at the next renewal, and again within the transaction that
enters the work's result (``check``), so that nobody enters what another has meanwhile redone.
A lease of a process of this machine that has ended is taken over at once.
"""

from __future__ import annotations

import json
import os
import platform
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from storage import database
from storage.catalog import Catalog
from storage.catalog_rows import RecordingEntry
from storage.catalog_tables import lease as table
from storage.errors import Busy

LASTS_S = 120.0
# Most holders need it for less; only whoever needs it for longer is worth telling of.
WAITS_S = 3.0
_ASKS_EVERY_S = 0.05
# A running process renews after this part of the time.
_RENEW_AFTER = 1 / 3


class Held:
    """A lease that was given: the right to work on a recording, for a while."""

    def __init__(
        self, catalog: Catalog, entry: RecordingEntry, purpose: str, lasts_s: float
    ) -> None:
        self.entry = entry
        self.purpose = purpose
        self._catalog = catalog
        self._lasts_s = lasts_s
        self._holder = json.dumps(_this_process() | {"lease": secrets.token_hex(8)})
        self._renewed = 0.0

    def keep(self) -> None:
        """Renew it if a good part of its time is over; cheap otherwise.

        Raises
        ------
        Busy
            If it ran out and somebody else has taken it.
        """
        if not 0 <= _now_s() - self._renewed <= self._lasts_s * _RENEW_AFTER:
            self.renew()

    def renew(self) -> None:
        """Let it last anew from now on.

        Raises
        ------
        Busy
            If it ran out and somebody else has taken it.
        """
        with self._catalog.writing() as connection:
            self.check(connection)
            self._take(connection)

    def check(self, connection: Connection) -> None:
        """Make sure, within a writing transaction, that nobody else has taken it.

        Raises
        ------
        Busy
            If somebody has.
        """
        query = select(table.c.holder, table.c.purpose, table.c.until).where(
            table.c.recording_id == self.entry.id
        )
        # Nobody takes it over while this transaction lasts.
        row = connection.execute(query.with_for_update()).first()
        if row is None or row.holder != self._holder:
            by = "" if row is None else f" by {_described(row.holder)} for {row.purpose}"
            raise Busy(
                f"recording {self.entry.name!r}: the lease for {self.purpose} ran out after "
                f"{self._lasts_s:g} s and was taken{by}; try again"
            )

    def _acquire(self, waits_s: float) -> None:
        due = time.monotonic() + waits_s
        while True:
            try:
                self._try()
            except Busy:
                if time.monotonic() >= due:
                    raise
                time.sleep(_ASKS_EVERY_S)
            else:
                return

    def _try(self) -> None:
        with self._catalog.writing() as connection:
            now = self._catalog.database.now(connection)
            query = select(table).where(table.c.recording_id == self.entry.id).with_for_update()
            row = connection.execute(query).first()
            if row is not None and row.until > now and not _has_ended(row.holder):
                raise self._busy(row.holder, row.purpose, row.until)
            if not self._take(connection, None if row is None else row.holder):
                # Another process was faster.
                row = connection.execute(query).one()
                raise self._busy(row.holder, row.purpose, row.until)

    def _busy(self, holder: str, purpose: str, until: datetime) -> Busy:
        return Busy(
            f"recording {self.entry.name!r}: {_described(holder)} works on it ({purpose}); try "
            f"again in a while, its lease ends at {until:%Y-%m-%d %H:%M:%S} UTC unless renewed"
        )

    def _take(self, connection: Connection, before: str | None = None) -> bool:
        """Write the row, over nobody's or that holder's; return whether that was so."""
        due = self._catalog.database.now(connection) + timedelta(seconds=self._lasts_s)
        values = {"holder": self._holder, "purpose": self.purpose, "until": due}
        insert: Any = sqlite_insert if connection.dialect.name == "sqlite" else postgres_insert
        taken: Any = connection.execute(
            insert(table)
            .values(recording_id=self.entry.id, **values)
            .on_conflict_do_update(
                index_elements=[table.c.recording_id],
                set_=values,
                where=table.c.holder.in_([self._holder, before or self._holder]),
            )
            .returning(table.c.holder)
        ).first()
        self._renewed = _now_s()
        return bool(taken)

    def _release(self) -> None:
        with self._catalog.writing() as connection:
            connection.execute(
                delete(table).where(
                    table.c.recording_id == self.entry.id, table.c.holder == self._holder
                )
            )


@contextmanager
def lease(
    catalog: Catalog,
    entry: RecordingEntry,
    purpose: str,
    lasts_s: float = LASTS_S,
    waits_s: float = WAITS_S,
) -> Iterator[Held]:
    """Work on a recording alone.

    Parameters
    ----------
    purpose
        What for; others are told.
    lasts_s
        How long it lasts after each renewal.
    waits_s
        How long to wait for whoever works on it now.

    Raises
    ------
    Busy
        If somebody else works on it for longer; the message says who.
    """
    held = Held(catalog, entry, purpose, lasts_s)
    held._acquire(waits_s)
    try:
        yield held
    finally:
        held._release()


def _now_s() -> float:
    """Return the time by the clock that ends leases, which steps and goes on during sleep."""
    return database.utc_now().timestamp()


def _described(holder: str) -> str:
    who = json.loads(holder)
    return f"process {who['pid']} on {who['host']}"


def _has_ended(holder: str) -> bool:
    """Return whether a holder is a process of this machine that is no more."""
    who, own = json.loads(holder), _this_process()
    if own["place"] is None or who["place"] != own["place"]:
        return False
    return bool(_started(who["pid"]) != who["started"])


def _this_process() -> dict[str, Any]:
    pid = os.getpid()
    return {"host": platform.node(), "pid": pid, "place": _place(), "started": _started(pid)}


@lru_cache(maxsize=1)
def _place() -> str | None:
    """Return what tells where numbers of processes mean the same: this boot, this container."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"  # noqa: PTH115
    except OSError:
        return None


def _started(pid: int) -> int | None:
    """Return when a process began, in ticks after the boot; None where there is no such one."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The name of the program is in brackets and may hold anything.
    fields = state.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])
