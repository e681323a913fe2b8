"""The journal of an upload: what the platform has already, so that nothing is sent twice.

It is a log of the output's folder, one for each target. Each line is a JSON list of entries, since
threads that finish together are written together:

- ``{"import": nonce, "integration_id", "content", "files"}``: an import is about to be created.
  The keys of its files derive from the nonce, so that a second try uses the same ones.
  ``content`` is the digest of the list of its files.
- ``{"created": id}``: the platform took it with the first batch of its manifest.
- ``{"accepted": n}``: the platform took batch ``n``, counted from 0.
- ``{"file": path, "digest", "bytes", "confirmed_by": "md5" or "length", "etag"}``: a file arrived.

What arrived is kept across imports: a file counts as uploaded when the last one that arrived under
its path (which holds the channel's id) had its digest. An output that was converted again with
other content therefore sends what differs, in a new import, and never what is the same.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from storage.folders import Folder
from storage.pennsieve.client import Hosts
from storage.pennsieve.targets import Target

log = logging.getLogger(__name__)

FOLDER = ".upload"


@dataclass(slots=True)
class BegunImport:
    """The last import that a journal knows.

    ``before`` is what had arrived before it: the import is of all files that differ from that.
    """

    nonce: str
    integration_id: str
    content: str
    before: Mapping[str, str]
    id: str | None = None
    accepted: set[int] = field(default_factory=set)


def journal_name(hosts: Hosts, target: Target) -> str:
    """Return the log's name for a target; a made-up integration id does not tell targets apart."""
    run = None if target.made_up else target.integration_id
    identity = json.dumps([hosts.api2, run, target.dataset_id, target.package_id])
    return f"{FOLDER}/{hashlib.sha256(identity.encode()).hexdigest()}.jsonl"


class Journal:
    """One target's journal. Threads may share it; each entry rests once its call returns.

    Parameters
    ----------
    folder, name
        Which log. A folder in a bucket counts its log's records once, so that it must be one that
        nobody else has added records by: open it anew.
    """

    def __init__(self, folder: Folder, name: str) -> None:
        self._folder = folder
        self.name = name
        self._pending: list[dict[str, Any]] = []
        self._pending_lock = threading.Lock()
        self._writer = threading.Lock()
        self.confirmed: dict[str, str] = {}
        self.last: BegunImport | None = None
        content = folder.read_log(name)
        self._torn = (folder.size(name) or 0) > len(content)
        for line in content.splitlines():
            for entry in self._entries(line):
                self._take(entry)

    def begin(self, integration_id: str, content: str, files: int) -> BegunImport:
        """Note that an import is about to be created, and give it its nonce."""
        self._add(
            {
                "import": str(uuid.uuid4()),
                "integration_id": integration_id,
                "content": content,
                "files": files,
            }
        )
        return cast(BegunImport, self.last)

    def created(self, import_id: str) -> None:
        """Note that the platform took the import with its first batch."""
        self._add({"created": import_id})

    def accepted(self, batch: int) -> None:
        """Note that the platform took a further batch."""
        self._add({"accepted": batch})

    def confirm(self, path: str, digest: str, size: int, confirmed_by: str, etag: str) -> None:
        """Note that a file arrived."""
        self._add(
            {
                "file": path,
                "digest": digest,
                "bytes": size,
                "confirmed_by": confirmed_by,
                "etag": etag,
            }
        )

    def _entries(self, line: bytes) -> list[dict[str, Any]]:
        if not line:
            return []
        try:
            entries = json.loads(line)
        except ValueError:
            log.warning("journal: skipping a damaged line of %d bytes in %s", len(line), self.name)
            return []
        return [entry for entry in entries if isinstance(entry, dict)]

    def _take(self, entry: Mapping[str, Any]) -> None:
        if "import" in entry:
            self.last = BegunImport(
                str(entry["import"]),
                str(entry["integration_id"]),
                str(entry["content"]),
                dict(self.confirmed),
            )
        elif "file" in entry:
            self.confirmed[str(entry["file"])] = str(entry["digest"])
        elif self.last is not None and "created" in entry:
            self.last.id = str(entry["created"])
            self.last.accepted.add(0)
        elif self.last is not None and "accepted" in entry:
            self.last.accepted.add(int(entry["accepted"]))

    def _add(self, entry: dict[str, Any]) -> None:
        with self._pending_lock:
            self._pending.append(entry)
        # The log takes one writer at a time. Whoever gets the turn writes for all that wait, so
        # that a slow log (an object in a bucket for each line) does not hold thirty threads up.
        with self._writer:
            with self._pending_lock:
                entries, self._pending = self._pending, []
            if not entries:
                return
            try:
                if self._torn:
                    # A crash left half a line: end it, so that ours is a line of its own.
                    self._folder.append(self.name, b"")
                    self._torn = False
                line = json.dumps(entries, separators=(",", ":"))
                self._folder.append(self.name, line.encode())
            except BaseException:
                with self._pending_lock:
                    self._pending = entries + self._pending
                raise
            for written in entries:
                self._take(written)
