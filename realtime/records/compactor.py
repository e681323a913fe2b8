"""Moves whole blocks of live recordings from the catalogue into the store, while they come in."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import Counter

from realtime.runtime.meters import Meters
from storage.catalog_rows import LIVE, RecordingEntry
from storage.errors import Busy, RanvierError
from storage.recording_store import RecordingStore

log = logging.getLogger(__name__)


class Compactor:
    """A thread that compacts what has grown, again and again.

    One that fails on a recording says so, counts it, and goes on with the others: the samples are
    safe in the catalogue, and the next round tries again.

    Parameters
    ----------
    store
        Where recordings rest.
    period_s
        Rest between two rounds; 0 for no compaction.
    meters
        Counts blocks and failures.
    """

    def __init__(self, store: RecordingStore, period_s: float, meters: Meters) -> None:
        self._store = store
        self._period_s = period_s
        self._blocks: Counter = meters.counter("blocks_compacted", "Blocks moved into the store")
        self._failures: Counter = meters.counter("compactions_failed", "Compactions that failed")
        self._grown: dict[int, RecordingEntry] = {}
        self._lock = threading.Lock()
        self._work = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def note(self, entry: RecordingEntry) -> None:
        """Remember that a recording has grown."""
        with self._lock:
            self._grown[entry.id] = entry

    @contextmanager
    def resting(self) -> Iterator[None]:
        """Wait for the recording at hand, and begin no other one meanwhile.

        Who seals a recording would be refused while this thread works on it.
        """
        with self._work:
            yield

    def start(self) -> None:
        """Start the thread; it begins with what an earlier process left."""
        if self._period_s <= 0:
            return
        self._thread = threading.Thread(target=self._run, name="compactor")
        self._thread.start()

    def stop(self) -> None:
        """Finish the recording at hand, and end the thread."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def round(self) -> int:
        """Compact everything that has grown since the last time; return the blocks written."""
        with self._lock:
            grown, self._grown = self._grown, {}
        blocks = 0
        for entry in grown.values():
            if self._stop.is_set():
                break
            try:
                with self._work:
                    written = self._store.compact(entry)
            except Busy:
                # Another process has it; what remains is for the next round.
                self.note(entry)
                continue
            except RanvierError as error:
                self._failed(entry)
                log.error("compaction of %s failed, trying again: %s", entry.uuid, error)
                continue
            except Exception:
                # Whatever it is, it must not keep the thread from the others.
                self._failed(entry)
                log.exception("compaction of %s failed, trying again", entry.uuid)
                continue
            blocks += written
            self._blocks.inc(written)
        return blocks

    def _failed(self, entry: RecordingEntry) -> None:
        self.note(entry)
        self._failures.inc()

    def _run(self) -> None:
        found = False
        while not self._stop.wait(self._period_s):
            try:
                if not found:
                    for entry in self._store.catalog.recordings():
                        if entry.kind == LIVE and not entry.sealed:
                            self.note(entry)
                    found = True
                self.round()
            except RanvierError as error:
                self._failures.inc()
                log.error("compaction failed, trying again: %s", error)
            except Exception:
                # The outermost frame of the thread: whatever it is, it must not end quietly.
                self._failures.inc()
                log.exception("compaction failed, trying again")
