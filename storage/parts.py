"""What a store is made of, and how one works on a recording of it alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from storage.catalog import Catalog
from storage.catalog_rows import RecordingEntry
from storage.durable import DurableFolder
from storage.leases import WAITS_S, Held, lease
from storage.store_commits import check_unnamed
from storage.zarr_recordings import RecordingFiles
from storage.zarr_shards import ShardReader


@dataclass(frozen=True, slots=True)
class Parts:
    """What a store is made of."""

    catalog: Catalog
    folder: DurableFolder
    reader: ShardReader

    @contextmanager
    def working(
        self, entry: RecordingEntry, purpose: str, waits_s: float = WAITS_S
    ) -> Iterator[Held]:
        """Work on a recording alone: its folder is locked where that can be, and it is leased.

        Parameters
        ----------
        purpose
            What for; others are told.
        waits_s
            How long to wait for whoever works on it now.

        Raises
        ------
        Busy
            If somebody else works on it for longer.
        """
        with (
            self.folder.alone(f"rec/{entry.uuid}", waits_s),
            lease(self.catalog, entry, purpose, waits_s=waits_s) as held,
        ):
            yield held

    def files(self, entry: RecordingEntry, held: Held | None = None) -> RecordingFiles:
        """Return the files of a recording; who holds it may replace what nothing names yet."""
        if held is None:
            return RecordingFiles(self.folder, self.reader, entry.uuid)
        worker = held

        def replacing(keys: Sequence[str]) -> None:
            # Renewed first: nobody else enters anything from here until the files are replaced.
            worker.renew()
            with self.catalog.reading() as connection:
                check_unnamed(connection, entry, keys)

        return RecordingFiles(self.folder, self.reader, entry.uuid, replacing)


def sweep(parts: Parts, entry: RecordingEntry) -> None:
    """Remove what a worker that died had written aside. Only under the recording's lease."""
    for name in list(parts.folder.leftovers(f"rec/{entry.uuid}")):
        parts.folder.delete(name)
