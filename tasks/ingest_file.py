"""The step of taking one file into the store."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from storage.byte_files import open_bytes
from storage.catalog import RecordingEntry
from storage.chunk_files import Advance, silent
from storage.errors import AlreadyExists, NotFound, RanvierError, UnsupportedRecording
from storage.identity_keys import key_of
from storage.naming import name_recording
from storage.protocols import RecordingSource, has_original, person_of
from storage.recording import Annotation, Recording
from storage.recording_store import RecordingStore
from storage.settings import RecordsSettings, records_settings
from storage.side_files import side_annotations
from storage.sources import kind_of, open_recording
from tasks.finding import Found
from tasks.requests import IngestRequest
from tasks.results import IngestResult, Outcome
from tasks.stores import store_of

log = logging.getLogger(__name__)

ACTOR = "ingest"
PIECE_BYTES = 1 << 20


def ingest_file(request: IngestRequest, found: Found, advance: Advance = silent) -> IngestResult:
    """Take one file into the store; what goes wrong with it is its result."""
    # Until it is known that the file names nobody, its own name may be that of a person.
    private = True
    outcome: Outcome = "failed"
    again = False
    try:
        settings = records_settings()
        with store_of(settings) as store, open_recording(found.url) as source:
            private = person_of(source) is not None
            return replace(
                _take_in(request, found, source, store, settings, advance), label=found.label
            )
    except (UnsupportedRecording, AlreadyExists) as error:
        outcome, reason = "refused", str(error)
    except RanvierError as error:
        reason, again = str(error), error.retryable
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        reason = f"{where}{error.strerror or error}; a rerun goes on where this one stopped"
    except Exception as error:  # outermost frame: this file failed, others go on
        log.debug("ingest failed: %s", found.label, exc_info=not private)
        reason = f"{found.url}: {type(error).__name__}: {error}".partition("\n")[0]
    return IngestResult(
        source=found.url,
        outcome=outcome,
        reason=reason,
        again=again,
        private=private,
        label=found.label,
    )


def _take_in(
    request: IngestRequest,
    found: Found,
    source: RecordingSource,
    store: RecordingStore,
    settings: RecordsSettings,
    advance: Advance,
) -> IngestResult:
    recording = source.recording
    sha256 = None if has_original(source) else _sha256(found.url)
    names = name_recording(
        source,
        found.url,
        lambda: key_of(store.catalog, settings.identity_path),
        request.patient,
        request.recording_id,
        sha256,
    )
    samples = sum(group.n_samples * len(group.channels) for group in recording.groups)
    sink = store.sink(
        patient=names.patient,
        name=names.recording,
        kind=kind_of(found.url),
        codec=request.codec,
        drop_identity=request.drop_identity,
        actor=ACTOR,
        progress=_in_bytes(advance, found.bytes, samples),
        source_sha256=sha256,
    )
    taken = sink.store(source)
    if taken.entry is None:
        return IngestResult(
            source=found.url, outcome="refused", reason=taken.reason, private=names.made
        )
    beside, reports = side_annotations(found.url, _seconds(source), _start(recording))
    added = _annotate(store, taken.entry, beside, _seconds(source))
    return IngestResult(
        source=found.url,
        outcome="unchanged" if taken.outcome == "unchanged" and not added else "stored",
        recording_id=taken.entry.name,
        patient_id=taken.entry.patient,
        uuid=str(taken.entry.uuid),
        private=names.made,
        described=tuple(
            f"{group.name}: {len(group.channels)} channels x {group.n_samples} samples at "
            f"{float(group.exact_rate_hz):.10g} Hz"
            for group in recording.groups
        ),
        notes=(*recording.notes, *reports),
        annotations=added,
        samples=samples,
    )


def _sha256(url: str) -> str | None:
    """Return the SHA-256 of a file, so that the same one is known again; None for a folder."""
    try:
        with open_bytes(url) as file:
            digest = hashlib.sha256()
            while piece := file.read(PIECE_BYTES):
                digest.update(piece)
            return digest.hexdigest()
    except NotFound:
        return None


def _annotate(
    store: RecordingStore, entry: RecordingEntry, beside: Sequence[Annotation], end_s: float
) -> int:
    """Enter the annotations that were never there, and return how many; voided ones stay so."""
    held = {_key(one.annotation) for one in store.catalog.annotations(entry, history=True)}
    new = [one for one in beside if _key(one) not in held]
    if new:
        end_us = round(end_s * 1e6)
        flagged = [(one, one.onset_us + (one.duration_us or 0) > end_us) for one in new]
        store.catalog.add_annotations(entry, flagged, ACTOR)
    return len(new)


def _key(one: Annotation) -> tuple[object, ...]:
    return (one.onset_us, one.duration_us, one.text, one.kind, one.source, one.channels)


def _seconds(source: RecordingSource) -> float:
    recording = source.recording
    ends = [
        source.bounds_us(number)[1] - recording.start_us + 1e6 / group.rate_hz
        for number, group in enumerate(recording.groups)
        if group.n_samples
    ]
    return max(ends, default=0.0) / 1e6


def _start(recording: Recording) -> datetime | None:
    if not recording.start_known:
        return None
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=recording.start_us)


def _in_bytes(advance: Advance, n_bytes: int, samples: int) -> Advance:
    """Return what takes progress in samples, and tells of it in bytes of the file."""
    done = told = 0

    def take(more: int) -> None:
        nonlocal done, told
        done += more
        now = n_bytes * done // samples if samples else n_bytes
        advance(now - told)
        told = now

    return take
