"""The step of writing a recording of the store as a file."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from storage.audit import AuditEvent
from storage.catalog import RecordingEntry
from storage.errors import AlreadyExists, DigestMismatch, UsageError
from storage.excerpt import Excerpt
from storage.protocols import RecordingSink, RecordingSource
from storage.recording_store import RecordingStore
from tasks.requests import ExportRequest
from tasks.results import ExportResult
from tasks.stores import store_by_environment

ACTOR = "export"


def export_recording(request: ExportRequest) -> ExportResult:
    """Write a recording, or a stretch of it, and note that in its chain.

    Raises
    ------
    NotFound
        If there is no such recording, or its very file is wanted and it came from none.
    AlreadyExists
        If something else rests at the output.
    """
    with store_by_environment() as store:
        entry = store.catalog.find(request.recording, request.patient)
        if request.original:
            notes = _write_original(store, entry, request.output, request.overwrite)
        else:
            with _stretch(store.source(entry), request) as source:
                sink = _sink(request)
                sink.write(source)
                notes = getattr(sink, "notes", ())
        detail = {
            "format": "original" if request.original else request.format,
            "start_s": request.start_s,
            "end_s": request.end_s,
        }
        store.catalog.log(entry, [AuditEvent(event="exported", source=ACTOR, detail=detail)])
        return ExportResult(
            recording_id=entry.name,
            patient_id=entry.patient,
            uuid=str(entry.uuid),
            output=request.output,
            format="original" if request.original else request.format,
            notes=notes,
        )


def _stretch(source: RecordingSource, request: ExportRequest) -> RecordingSource:
    if request.start_s is None and request.end_s is None:
        return source
    recording = source.recording
    last_us = max(
        (
            source.bounds_us(number)[1]
            for number, one in enumerate(recording.groups)
            if one.n_samples
        ),
        default=recording.start_us,
    )
    start_us = round((request.start_s or 0.0) * 1e6)
    # The last sample is within the stretch, so that its end lies after it.
    end_us = last_us + 1 - recording.start_us
    if request.end_s is not None:
        end_us = round(request.end_s * 1e6)
    return Excerpt(source, start_us, end_us)


def _sink(request: ExportRequest) -> RecordingSink:
    """Return what writes a format; each brings libraries that the others need not wait for."""
    if request.format in ("edf", "bdf"):
        from storage.edf_export import EdfSink

        _check_suffix(request)
        return EdfSink(request.output, overwrite=request.overwrite)
    if request.format == "nwb":
        from storage.nwb_export import NwbSink

        return NwbSink(request.output, overwrite=request.overwrite)
    if request.format == "csv":
        from storage.csv_export import CsvSink

        return CsvSink(request.output, overwrite=request.overwrite)
    from storage.chunk_sink import ChunkFilesSink

    return ChunkFilesSink(request.output, overwrite=request.overwrite)


def _check_suffix(request: ExportRequest) -> None:
    # The name decides between 16 and 24 bits; a folder gets what the samples need.
    suffix = Path(request.output).suffix.lower()
    other = ".bdf" if request.format == "edf" else ".edf"
    if suffix == other or (request.format == "bdf" and suffix != ".bdf"):
        raise UsageError(
            f"--output {request.output}: expected a name that ends in .{request.format} for "
            f"--format {request.format}"
        )


def _write_original(
    store: RecordingStore, entry: RecordingEntry, output: str, overwrite: bool
) -> tuple[str, ...]:
    if output.startswith("s3://"):
        raise UsageError(f"{output}: the very file is written to a local path; copy it there")
    path = Path(output)
    if path.is_dir():
        raise AlreadyExists(f"{output}: is a folder; choose the name of a file")
    if path.exists() and not overwrite:
        raise AlreadyExists(
            f"{output}: is there already; choose another name, or replace it with --overwrite"
        )
    content = store.original(entry)
    whole = any(blob.name == "identity" for blob in store.catalog.blobs(entry))
    _put(path, _proven(content, entry) if whole else content)
    if whole:
        return ()
    return ("who it is of was dropped when it came in: the header names nobody",)


def _put(path: Path, content: Iterator[bytes]) -> None:
    """Write a file aside, piece by piece, then let it appear."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.part")
    try:
        with open(aside, "wb") as file:
            for piece in content:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def _proven(content: Iterator[bytes], entry: RecordingEntry) -> Iterator[bytes]:
    """Pass a file on, and fail at its end, before it appears, if it is not what came in."""
    digest = hashlib.sha256()
    for piece in content:
        digest.update(piece)
        yield piece
    if digest.hexdigest() != entry.source_sha256:
        raise DigestMismatch(
            f"{entry.name}: the file that came in had the SHA-256 {entry.source_sha256}, what was "
            f"rebuilt has {digest.hexdigest()}; run: ranvier recordings verify {entry.uuid}"
        )
