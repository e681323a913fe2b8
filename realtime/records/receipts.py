"""What is answered to a chunk that was stored, or refused."""

from __future__ import annotations

from typing import Any

from realtime.records.page import seconds
from realtime.runtime.problems import problem_of
from storage.catalog_rows import RecordingEntry, StoredGroup
from storage.errors import ChunkConflict, RanvierError, RecordingSealed
from storage.ingest import Receipt


def receipt_body(entry: RecordingEntry, group: StoredGroup, receipt: Receipt) -> dict[str, Any]:
    """Return the receipt by its published names."""
    return {
        "status": "duplicate" if receipt.duplicate else "stored",
        "recording_id": entry.name,
        "start": seconds(receipt.start, group.rate),
        "end": seconds(receipt.start + receipt.n_samples, group.rate),
        "num_samples": receipt.n_samples,
        "checksum": receipt.checksum,
        "sequence": receipt.sequence,
    }


def refusal_body(error: RanvierError) -> dict[str, Any]:
    """Return what a batch says of a chunk that was refused."""
    return {"status": "refused", "problem": problem_of(error)}


def outcome(result: Receipt | RanvierError) -> str:
    """Return what the meters call it."""
    match result:
        case Receipt():
            return "duplicate" if result.duplicate else "stored"
        case ChunkConflict():
            return "conflict"
        case RecordingSealed():
            return "sealed"
        case _:
            return "refused"
