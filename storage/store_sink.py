"""Any recording into the store: block after block, then its seal.

A block goes straight into the Zarr store; its chunks, one for each gap-free stretch of it, and the
block itself enter the catalogue in one transaction. Whoever is killed goes on at the first block
that is missing.
"""

from __future__ import annotations

import hashlib
import heapq
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from storage.audit import samples_digest
from storage.catalog_rows import (
    BlobEntry,
    NewChannel,
    NewGroup,
    NewRecording,
    RecordingEntry,
    StoredGroup,
)
from storage.edf_original import rebuild
from storage.errors import (
    AlreadyExists,
    Busy,
    CorruptRecording,
    UnsupportedRecording,
    UsageError,
)
from storage.geometry import block_span, choose_geometry
from storage.grid_source import Placed, PlacedBlock, by_blocks, grid_time_us, place
from storage.heads import record_head
from storage.identity_keys import key_of
from storage.leases import Held
from storage.parts import Parts, sweep
from storage.protocols import (
    MASKED_ANNOTATIONS,
    OriginalSource,
    RecordingSource,
    has_original,
    has_stamps,
)
from storage.recording import RateGroup
from storage.sealing import finish
from storage.spans import Span
from storage.store_commits import HashedChunk, commit_blob, commit_block
from storage.stored_recording import StoredRecording
from storage.windows import WindowReader
from storage.zarr_recordings import RecordingFiles

Advance = Callable[[int], None]
# Types that are kept as they are, and which wider one holds all values of another exactly.
WIDER = {
    "int8": "int16",
    "uint8": "int16",
    "uint16": "int32",
    "float16": "float32",
    "uint32": "float64",
    "int64": "float64",
    "uint64": "float64",
    **{name: name for name in ("int16", "int32", "float32", "float64")},
}
MOST_EXACT = 2**53


@dataclass(frozen=True, slots=True)
class StoreResult:
    """What became of a recording.

    Parameters
    ----------
    outcome
        ``stored``; ``unchanged``: the same is there already; ``refused``: something else is.
    entry
        The recording in the catalogue; None where it was refused.
    reason
        One line for people; None where it was stored.
    """

    outcome: str
    entry: RecordingEntry | None
    reason: str | None = None


class StoreSink:
    """Writes recordings into the store.

    Parameters
    ----------
    parts
        The store.
    key_path
        File with the key that seals names of people.
    patient
        Whose recording it is.
    name
        What it is to be called; None for the source's own id.
    kind
        Format of the source.
    codec
        ``blosc`` or ``pcodec``.
    drop_identity
        Whether the two fields of the header that name people are not kept.
    actor
        Who stores it, for the chain.
    progress
        Called with the number of samples (of all channels) that were stored, or found stored.
    source_sha256
        SHA-256 of the file, for sources that do not tell it themselves.
    """

    def __init__(
        self,
        parts: Parts,
        key_path: Path | None,
        *,
        patient: str,
        name: str | None,
        kind: str,
        codec: str = "blosc",
        drop_identity: bool = False,
        actor: str = "ingest",
        progress: Advance | None = None,
        source_sha256: str | None = None,
    ) -> None:
        self._parts = parts
        self._key_path = key_path
        self._patient = patient
        self._name = name
        self._kind = kind
        self._codec = codec
        self._drop_identity = drop_identity
        self._actor = actor
        self._advance: Advance = progress or (lambda samples: None)
        self._source_sha256 = source_sha256

    def write(self, source: RecordingSource) -> str:
        """Store a whole recording and return where its files are.

        Raises
        ------
        AlreadyExists
            If the patient has another recording of that name.
        """
        entry = self._store(source)[1]
        return f"{self._parts.folder.url}/{self._parts.files(entry).root}"

    def store(self, source: RecordingSource) -> StoreResult:
        """Store a whole recording and say what became of it.

        Raises
        ------
        Busy
            If somebody else is storing it.
        RecordingError
            If the source cannot be read.
        """
        try:
            outcome, entry = self._store(source)
        except AlreadyExists as error:
            return StoreResult("refused", None, str(error))
        reason = None
        if outcome == "unchanged":
            reason = f"the same is stored as {entry.name!r} ({entry.uuid})"
        return StoreResult(outcome, entry, reason)

    def _store(self, source: RecordingSource) -> tuple[str, RecordingEntry]:
        sha256 = source.sha256 if has_original(source) else self._source_sha256
        catalog = self._parts.catalog
        name = self._name or source.recording.id
        if sha256 is not None:
            same = [each for each in catalog.by_source(sha256) if each.patient == self._patient]
            for entry in same:
                if entry.sealed:
                    return "unchanged", entry
            # An attempt that was killed goes on under the name that it began with.
            name = same[0].name if same else name
        if (
            has_original(source)
            and not self._drop_identity
            and any(part == "identity" for part, _ in source.blobs())
        ):
            # Before anything is stored: without the key it would not be finished.
            key_of(catalog, self._need_key())
        placed = [list(place(source, number)) for number in _numbers(source)]
        entry = catalog.create(self._declaration(source, name, sha256), self._actor)
        with self._parts.working(entry, "ingest") as held:
            entry = catalog.refresh(entry)
            if entry.sealed:
                self._check_same(source, entry, placed)
                return "unchanged", entry
            _Storing(self._parts, held, entry, source, self._actor, self._advance).run(
                placed, known=sha256 is not None, blobs=self._store_blobs
            )
            return "stored", catalog.refresh(entry)

    def _declaration(self, source: RecordingSource, name: str, sha256: str | None) -> NewRecording:
        recording = source.recording
        notes = list(recording.notes)
        if self._drop_identity and has_original(source):
            notes.append("the fields of the header that may name people were not kept")
        return NewRecording(
            patient=self._patient,
            name=name,
            kind=self._kind,
            start_us=recording.start_us if recording.start_known else None,
            source_sha256=sha256,
            notes=notes,
            groups=[_declare(recording.groups[number], self._codec) for number in _numbers(source)],
        )

    def _check_same(
        self, source: RecordingSource, entry: RecordingEntry, placed: list[list[Placed]]
    ) -> None:
        """Compare a source with a sealed recording, sample for sample.

        Raises
        ------
        AlreadyExists
            If they differ.
        """
        other = AlreadyExists(
            f"recording {entry.name!r} of patient {entry.patient!r} exists, and holds other "
            "samples; give this one another name"
        )
        groups = self._parts.catalog.groups(entry)
        for group, number, stretches in zip(groups, _numbers(source), placed, strict=True):
            chunks = {each.start: each for each in self._parts.catalog.chunks(group)}
            for block in by_blocks(iter(stretches), group):
                data = read_block(source, number, block, group)
                for hashed in hash_pieces(entry, group, block, data):
                    chunk = chunks.pop(hashed.span.start, None)
                    if chunk is None or (chunk.sha256, chunk.shift_us) != (
                        hashed.sha256,
                        hashed.shift_us,
                    ):
                        raise other
            if chunks:
                raise other

    def _store_blobs(
        self, held: Held, entry: RecordingEntry, source: OriginalSource, files: RecordingFiles
    ) -> None:
        """Keep all that the file holds besides samples, and prove that it can be rebuilt."""
        kept = {blob.name for blob in self._parts.catalog.blobs(entry)}
        parts: dict[str, bytes] = {}
        for name, content in source.blobs():
            held.keep()
            if name == "identity" or (name == "annotations" and MASKED_ANNOTATIONS in parts):
                parts[name] = b"".join(content)
                if self._drop_identity:
                    continue
                if name not in kept:
                    key = key_of(self._parts.catalog, self._need_key())
                    sealed = key.seal(parts[name], f"{entry.uuid}/{name}")
                    size = len(parts[name])
                    self._put_blob(held, entry, files, name, size, sealed, encrypted=True)
                continue
            packed, size = _pack(content)
            parts[name] = zlib.decompress(packed, wbits=31)
            if name not in kept:
                self._put_blob(held, entry, files, name, size, packed)
        self._prove(held, entry, source, parts)

    def _put_blob(
        self,
        held: Held,
        entry: RecordingEntry,
        files: RecordingFiles,
        name: str,
        size: int,
        content: bytes,
        *,
        encrypted: bool = False,
    ) -> None:
        key = f"blobs/{name}.{'sealed' if encrypted else 'gz'}"
        files.put({key: content})
        digest = hashlib.sha256(content).hexdigest()
        with self._parts.catalog.writing() as connection:
            new = BlobEntry(name=name, key=key, bytes=size, sha256=digest, encrypted=encrypted)
            commit_blob(connection, held, entry, new, self._actor)

    def _prove(
        self, held: Held, entry: RecordingEntry, source: OriginalSource, parts: dict[str, bytes]
    ) -> None:
        """Rebuild the file from what is stored, and compare its digest.

        Raises
        ------
        CorruptRecording
            If it is another one.
        """
        stored = StoredRecording(self._parts, WindowReader(self._parts), entry)
        digest = hashlib.sha256()
        for piece in rebuild(
            parts["header"],
            parts.get("identity"),
            parts.get("annotations"),
            parts.get("tail"),
            stored.read,
            [group.n_samples for group in stored.recording.groups],
        ):
            held.keep()
            digest.update(piece)
        if digest.hexdigest() != source.sha256:
            raise CorruptRecording(
                f"{source.recording.id}: the file that is rebuilt from the store is not the one "
                "that was read; it may have been changed meanwhile, store it under another name"
            )

    def _need_key(self) -> Path:
        if self._key_path is None:
            raise UsageError(
                "the fields of the header that name people are sealed with a key, and none was "
                "given; name a file for it, or have the fields dropped"
            )
        return self._key_path


class _Storing:
    """One recording on its way into the store."""

    def __init__(
        self,
        parts: Parts,
        held: Held,
        entry: RecordingEntry,
        source: RecordingSource,
        actor: str,
        advance: Advance,
    ) -> None:
        self._parts = parts
        self._held = held
        self._entry = entry
        self._source = source
        self._actor = actor
        self._advance = advance
        self._files = parts.files(entry, held)
        self._groups = parts.catalog.groups(entry)

    def run(
        self,
        placed: list[list[Placed]],
        known: bool,
        blobs: Callable[[Held, RecordingEntry, OriginalSource, RecordingFiles], None],
    ) -> None:
        """Store what is missing, then seal."""
        sweep(self._parts, self._entry)
        record_head(self._parts.catalog, self._files, self._entry)
        numbers = _numbers(self._source)
        stops = [each[-1].span.stop if each else 0 for each in placed]
        chunks = [
            {chunk.start: chunk.sha256 for chunk in self._parts.catalog.chunks(group)}
            for group in self._groups
        ]
        for group, block in _in_order(self._groups, placed):
            self._held.keep()
            there = chunks[group.number]
            if any(piece.start in there for piece in block.pieces):
                if not known:
                    self._check_stored(group, numbers[group.number], block, there)
            else:
                self._store_block(group, numbers[group.number], block, stops[group.number])
            self._advance(len(block.dense) * len(group.channels))
        if has_original(self._source):
            blobs(self._held, self._entry, self._source, self._files)
        self._store_annotations(stops)
        if not finish(self._parts, self._held, self._entry, self._files, self._actor):
            raise Busy(
                f"recording {self._entry.name!r}: somebody else adds to it; try again when they "
                "have finished"
            )

    def _store_block(self, group: StoredGroup, number: int, block: PlacedBlock, stop: int) -> None:
        data = read_block(self._source, number, block, group)
        first = block_span(block.number, group.block_samples).start
        held: list[Span] = []
        for piece in block.pieces:
            start = piece.start - first
            if held and held[-1].stop == start:
                start = held.pop().start
            held.append(Span(start, piece.span.stop - first))
        stamps = self._stamps(group, number, block)
        written, rests = self._files.write_block(group, block.number, 0, data, held, stop, stamps)
        chunks = list(hash_pieces(self._entry, group, block, rests))
        with self._parts.catalog.writing() as connection:
            commit_block(
                connection, self._held, self._entry, group, written, self._actor, chunks=chunks
            )

    def _stamps(
        self, group: StoredGroup, number: int, block: PlacedBlock
    ) -> NDArray[np.float64] | None:
        source = self._source
        stamps = source.stamps_s(number, block.dense) if has_stamps(source) else None
        if stamps is None:
            return None
        return np.asarray(_scattered(stamps[None], block, group)[0], np.float64)

    def _check_stored(
        self, group: StoredGroup, number: int, block: PlacedBlock, there: dict[int, str]
    ) -> None:
        data = read_block(self._source, number, block, group)
        for hashed in hash_pieces(self._entry, group, block, data):
            if there.get(hashed.span.start) != hashed.sha256:
                raise AlreadyExists(
                    f"recording {self._entry.name!r} of patient {self._entry.patient!r}: an "
                    "attempt to store it was begun with other samples; give it another name"
                )

    def _store_annotations(self, stops: list[int]) -> None:
        catalog, entry = self._parts.catalog, self._entry
        annotations = self._source.recording.annotations
        if not annotations or catalog.annotations(entry, history=True):
            return
        ends = [
            grid_time_us(group.rate, stop) for group, stop in zip(self._groups, stops, strict=True)
        ]
        end = max(ends, default=0)
        catalog.add_annotations(
            entry, [(each, each.onset_us > end) for each in annotations], self._actor
        )


def read_block(
    source: RecordingSource, number: int, block: PlacedBlock, group: StoredGroup
) -> NDArray[np.generic]:
    """Return a block's samples, shape ``(n_channels, block_samples)``, zeros in gaps.

    Raises
    ------
    UnsupportedRecording
        If the source's numbers are too great for the type that they are stored as.
    """
    dtype = source.recording.groups[number].dtype
    dense: NDArray[np.generic] = np.empty((len(group.channels), len(block.dense)), dtype)
    source.read(number, block.dense, out=dense.T)
    if dtype != group.dtype:
        dense = _widened(dense, group)
    if len(block.pieces) == 1 and len(block.dense) == group.block_samples:
        return dense
    return _scattered(dense, block, group)


def _widened(numbers: NDArray[np.generic], group: StoredGroup) -> NDArray[np.generic]:
    if numbers.dtype.kind in "iu" and group.dtype.kind == "f":
        low, high = int(numbers.min()), int(numbers.max())
        if max(-low, high) > MOST_EXACT:
            raise UnsupportedRecording(
                f"rate group {group.name!r}: holds integers up to {max(-low, high)}; only those up "
                f"to {MOST_EXACT} can be stored exactly"
            )
    return numbers.astype(group.dtype)


def _scattered(
    dense: NDArray[np.generic], block: PlacedBlock, group: StoredGroup
) -> NDArray[np.generic]:
    first = block_span(block.number, group.block_samples).start
    samples = np.zeros((len(dense), group.block_samples), dense.dtype)
    at = block.dense.start
    for piece in block.pieces:
        samples[:, piece.start - first : piece.span.stop - first] = dense[
            :, piece.dense.start - at : piece.dense.stop - at
        ]
    return samples


def hash_pieces(
    entry: RecordingEntry, group: StoredGroup, block: PlacedBlock, samples: NDArray[np.generic]
) -> Iterator[HashedChunk]:
    """Yield the chunks that a block's stretches make, with their digests."""
    first = block_span(block.number, group.block_samples).start
    for piece in block.pieces:
        data = samples[:, piece.start - first : piece.span.stop - first].T
        digest = samples_digest(entry.uuid, group.number, group.keys, piece.start, data)
        yield HashedChunk(piece.span, piece.shift_us, digest)


def _numbers(source: RecordingSource) -> list[int]:
    """Return the source's numbers of the groups that have any channel."""
    return [number for number, group in enumerate(source.recording.groups) if group.channels]


def _in_order(
    groups: tuple[StoredGroup, ...], placed: list[list[Placed]]
) -> Iterator[tuple[StoredGroup, PlacedBlock]]:
    """Yield the blocks of all groups in the order of time, as a file has them."""

    def of(group: StoredGroup) -> Iterator[tuple[Fraction, int, PlacedBlock]]:
        for block in by_blocks(iter(placed[group.number]), group):
            yield block.number * group.block_samples / group.rate, group.number, block

    for _, number, block in heapq.merge(*map(of, groups), key=lambda each: each[:2]):
        yield groups[number], block


def _declare(group: RateGroup, codec: str) -> NewGroup:
    name = WIDER.get(group.dtype.name)
    if name is None:
        raise UnsupportedRecording(
            f"rate group {group.name!r}: numbers of type {group.dtype}; expected integers or "
            "floating-point numbers of up to 64 bits"
        )
    dtype = np.dtype(name)
    rate = group.exact_rate_hz
    geometry = choose_geometry(rate, len(group.channels), dtype.itemsize)
    return NewGroup(
        name=group.name,
        rate_hz=rate,
        dtype=dtype,
        chunk_samples=geometry.chunk_samples,
        block_samples=geometry.block_samples,
        channels=[NewChannel.of(channel) for channel in group.channels],
        codec=codec,
    )


def _pack(content: Iterable[bytes]) -> tuple[bytes, int]:
    """Return content as a gzip file without a name or a time, and its length."""
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    parts, size = [], 0
    for piece in content:
        parts.append(packer.compress(piece))
        size += len(piece)
    return b"".join([*parts, packer.flush()]), size
