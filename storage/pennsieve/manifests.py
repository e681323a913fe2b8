"""Import manifests: the list of files that an import is to receive, sent in batches."""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from storage.chunk_format import FileEntry
from storage.errors import Rejected
from storage.pennsieve.client import Client, segment
from storage.pennsieve.targets import Target

BODY_BYTES = 1 << 20
BODY_SHARE = 0.8
ENTRIES_MEASURED = 100
CHANNEL_PART = re.compile(r"channel-\d+")


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of a manifest: where it goes, and what is in it."""

    path: str
    digest: str

    def wire(self, nonce: str) -> dict[str, str]:
        """Return the entry as the platform takes it."""
        return {"upload_key": upload_key(nonce, self), "file_path": self.path}


def entry_of(file: FileEntry, channel_ids: Mapping[int, str]) -> Entry:
    """Return a file's entry: its base name, with the channel's id for ``channel-<index>``."""
    base = file.name.rpartition("/")[2]
    channel_id = channel_ids[file.channel]
    return Entry(CHANNEL_PART.sub(lambda _: channel_id, base, count=1), file.digest)


def upload_key(nonce: str, entry: Entry) -> str:
    """Return the key of a file in an import: always the same for the same import and content."""
    return str(uuid.uuid5(uuid.UUID(nonce), f"{entry.path}\n{entry.digest}"))


def content_digest(entries: Iterable[Entry]) -> str:
    """Return a digest of a whole manifest, whatever its keys."""
    digest = hashlib.sha256()
    for entry in entries:
        digest.update(f"{entry.path} {entry.digest}\n".encode())
    return digest.hexdigest()


def batch_size(entries: Sequence[Entry]) -> int:
    """Return how many entries fit into one request.

    The platform takes 1 MiB; four fifths of it are filled, judged by the mean length of the first
    hundred entries.
    """
    nonce = str(uuid.UUID(int=0))
    measured = [len(json.dumps(entry.wire(nonce))) + 1 for entry in entries[:ENTRIES_MEASURED]]
    return max(1, int(BODY_SHARE * BODY_BYTES / (sum(measured) / len(measured))))


def batches(entries: Sequence[Entry]) -> list[Sequence[Entry]]:
    """Cut a manifest into requests."""
    if not entries:
        return []
    size = batch_size(entries)
    return [entries[start : start + size] for start in range(0, len(entries), size)]


def create_import(
    client: Client, target: Target, integration_id: str, nonce: str, batch: Sequence[Entry]
) -> str:
    """Create an import with the first batch of its manifest and return its id.

    It is asked for again when no answer came: at worst the platform keeps an import that never
    receives a file.
    """
    answer = client.call(
        "POST",
        f"{client.hosts.api2}/import",
        params={"dataset_id": target.dataset_id},
        body={
            "integration_id": integration_id,
            "package_id": target.package_id,
            "import_type": "timeseries",
            "files": [entry.wire(nonce) for entry in batch],
        },
    )
    created = answer.json()
    import_id = created.get("id") if isinstance(created, dict) else None
    if not import_id:
        raise Rejected(f"{answer.subject}: expected the id of the new import, found none")
    return str(import_id)


def add_batch(
    client: Client, target: Target, import_id: str, nonce: str, batch: Sequence[Entry]
) -> None:
    """Add a further batch; the same keys may come twice."""
    client.call(
        "POST",
        f"{client.hosts.api2}/import/{segment(import_id)}/files",
        params={"dataset_id": target.dataset_id},
        body={"files": [entry.wire(nonce) for entry in batch]},
    )
