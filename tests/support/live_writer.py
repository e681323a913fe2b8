"""A process that takes chunks in, compacts and seals, and tells each answer as soon as it has it.

``python -m tests.support.live_writer HOME`` prints ``start sha256 sequence`` for each chunk, and
``sealed``. Pieces come late into a block that is stored, and one is offered a second time.
"""

from __future__ import annotations

import sys
from pathlib import Path

from storage.catalog import RecordingEntry
from storage.recording_store import RecordingStore
from storage.spans import Span
from tests.support.stores import BLOCK, append, chunk, live

STEP = 4000
SPANS = tuple(Span(at, at + STEP) for at in range(0, 3 * BLOCK, STEP))
LATE = (SPANS[1], SPANS[6])
NAME = "live"


def open_home(home: Path) -> RecordingStore:
    """Open a store whose parts lie in folders that are to be made."""
    return RecordingStore.open(
        str(home / "new" / "deep" / "store"),
        str(home / "made" / "for" / "it" / "catalog.db"),
        home / "keys" / "of" / "it" / "identity.key",
    )


def finish(store: RecordingStore, entry: RecordingEntry) -> RecordingEntry:
    """Move what can be moved, and seal."""
    store.compact(entry)
    return store.seal(entry)


def main() -> None:
    """Do it."""
    with open_home(Path(sys.argv[1])) as store:
        entry, group = live(store, name=NAME, channels=2)

        def take(spans: tuple[Span, ...]) -> None:
            for span in spans:
                (receipt,) = append(store, [chunk(entry, group, span)])
                print(receipt.start, receipt.checksum, receipt.sequence, flush=True)

        early = tuple(span for span in SPANS if span not in LATE)
        take((*early[:6], early[2]))
        store.compact(entry)
        take(early[6:])
        take(LATE[:1])
        store.compact(entry)
        take(LATE[1:])
        finish(store, entry)
        print("sealed", flush=True)


if __name__ == "__main__":
    main()
