"""The head of a recording's chain, kept beside its samples.

Whoever cuts rows off the end of a chain, or takes a whole recording out of the database, leaves a
chain that holds in itself. So sequence and hash of a row rest outside of the database, too, in
``rec/<uuid>/head.json``: of the first rows when a recording is made, and of the last row whenever
blocks are stored, when it is sealed, and when all of it was found to hold. What is cut off
behind the row that the file names is not seen.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from storage import catalog_audit
from storage.audit import canonical_json
from storage.catalog import Catalog
from storage.catalog_rows import RecordingEntry
from storage.errors import Busy, NotFound
from storage.parts import Parts, sweep
from storage.zarr_recordings import RecordingFiles

HEAD = "head.json"


@dataclass(frozen=True, slots=True)
class Head:
    """A row of a chain: its place, and its hash."""

    sequence: int
    hash: str

    def content(self, entry: RecordingEntry) -> bytes:
        """Return the file that tells of it."""
        told = {"recording": str(entry.uuid), "sequence": self.sequence, "hash": self.hash, "v": 1}
        return f"{canonical_json(told)}\n".encode("ascii")


def read_head(files: RecordingFiles, entry: RecordingEntry) -> Head | None:
    """Return the head that rests in the store; None where there is no such file.

    Raises
    ------
    ValueError
        If the file is not what was written.
    """
    try:
        content = files.get(HEAD)
    except NotFound:
        return None
    try:
        told = json.loads(content)
        found = Head(told["sequence"], told["hash"])
    except (ValueError, LookupError, TypeError) as error:
        raise ValueError("it is not what was written") from error
    if found.content(entry) != content:
        raise ValueError("it is not what was written")
    return found


def record_head(catalog: Catalog, files: RecordingFiles, entry: RecordingEntry) -> None:
    """Write the present head. Only under the recording's lease.

    One that the chain does not hold stays: it is the proof that rows are missing.
    """
    try:
        before = read_head(files, entry)
    except ValueError:
        return
    with catalog.reading() as connection:
        now = Head(*catalog_audit.head(connection, entry.id))
        holds = before is None or before.hash == catalog_audit.hash_at(
            connection, entry.id, before.sequence
        )
    if holds and now != before:
        files.put({HEAD: now.content(entry)})


def try_record_head(parts: Parts, entry: RecordingEntry) -> bool:
    """Write the present head unless somebody works on the recording, who will do it then."""
    try:
        with parts.working(entry, "head", waits_s=0) as held:
            # Of a sealed recording nobody else removes what a dead worker left.
            sweep(parts, entry)
            record_head(parts.catalog, parts.files(entry, held), entry)
    except Busy:
        return False
    return True
