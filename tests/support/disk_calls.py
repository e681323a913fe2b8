"""Records what is asked of the disk, and when transactions are committed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event


class DiskCalls:
    """What was flushed, renamed and committed, in order.

    ``seen`` holds ``("fsync", path)``, ``("replace", new path)`` and ``("commit", None)``.
    """

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.seen: list[tuple[str, Path | None]] = []
        fsync, replace = os.fsync, os.replace

        def seen_fsync(descriptor: Any) -> None:
            self.seen.append(("fsync", Path(f"/proc/self/fd/{int(descriptor)}").readlink()))
            fsync(descriptor)

        def seen_replace(old: Any, new: Any) -> None:
            self.seen.append(("replace", Path(new)))
            replace(old, new)

        patch.setattr(os, "fsync", seen_fsync)
        patch.setattr(os, "replace", seen_replace)

    def watch(self, engine: Engine) -> None:
        """Record the commits of a database, too: only those that change something."""
        changes: set[int] = set()

        @event.listens_for(engine, "before_cursor_execute")
        def _executed(
            connection: Any, cursor: Any, statement: str, values: Any, context: Any, many: Any
        ) -> None:
            if statement.lstrip().upper().startswith(("INSERT INTO BLOCK", "INSERT INTO SEAL")):
                changes.add(id(connection))
                self.seen.append((" ".join(statement.split()[:3]).lower(), None))
            elif statement.lstrip().upper().startswith("DELETE FROM CHUNK_BODY"):
                self.seen.append(("delete from chunk_body", None))

        @event.listens_for(engine, "commit")
        def _committed(connection: Any) -> None:
            if id(connection) in changes:
                changes.discard(id(connection))
                self.seen.append(("commit", None))
