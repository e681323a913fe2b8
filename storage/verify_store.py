"""Proof: everything that is said of a recording is computed anew from what rests.

The chain of the catalogue says what came in, and what was written where. Here its rows are chained
again, every other row of the catalogue is compared with it, every file is hashed, and every chunk's
canonical bytes are made from the samples as they rest, and hashed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage import catalog_chunks, catalog_recordings
from storage.audit import AuditRow, chunk_digest
from storage.awaited import Awaited
from storage.catalog_check import NONSENSE, RowsReport, check_rows
from storage.catalog_rows import (
    LIVE,
    BlockEntry,
    ChunkEntry,
    RecordingEntry,
    StoredGroup,
)
from storage.errors import Busy, CorruptRecording, NotFound, RanvierError, StorageError
from storage.geometry import block_span, blocks_of
from storage.heads import HEAD, Head, read_head, try_record_head
from storage.parts import Parts
from storage.sealing import final_metadata
from storage.spans import Span
from storage.zarr_layout import GROUP_METADATA
from storage.zarr_recordings import (
    METADATA,
    RecordingFiles,
    array_metadata,
    block_layouts,
    samples_each,
)

Advance = Callable[[int], None]
RESTORE = "restore it from a copy"


@dataclass(frozen=True, slots=True)
class VerifyProblem:
    """Something that is not as it came in.

    Parameters
    ----------
    sequence
        The row of the chain that does not hold; None where no row speaks of it.
    where
        The file, the samples or the row.
    message
        One line.
    """

    sequence: int | None
    where: str
    message: str

    def __str__(self) -> str:
        row = "" if self.sequence is None else f"audit row {self.sequence}: "
        return f"{row}{self.where}: {self.message}"


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What was computed anew, and what does not hold.

    Parameters
    ----------
    problems
        The first one names the first row of the chain that does not hold.
    rows, chunks, blocks, files
        How many were checked.
    samples
        Of all channels.
    head
        Hash of the last row of the chain.
    unknown
        Files that nothing speaks of yet: being written, or left by workers that died.
    vouched
        Up to which row the chain was found to be that which the store itself vouches for; rows
        that were cut off behind it are not missed.
    """

    problems: tuple[VerifyProblem, ...]
    rows: int
    chunks: int
    blocks: int
    files: int
    samples: int
    head: str
    unknown: tuple[str, ...] = ()
    vouched: int = 0

    @property
    def ok(self) -> bool:
        """Whether everything holds."""
        return not self.problems


@dataclass
class _Chain:
    """Where the chain speaks of what; and the hash of the row that the store speaks of."""

    vouched: Head | None = None
    found: str | None = None
    chunks: dict[tuple[int | None, int | None], int] = field(default_factory=dict)
    blocks: dict[tuple[int | None, str, str], AuditRow] = field(default_factory=dict)
    blobs: dict[str, AuditRow] = field(default_factory=dict)
    sealed: AuditRow | None = None

    def add(self, row: AuditRow) -> None:
        detail = _mapping(row.detail)
        if self.vouched is not None and row.sequence == self.vouched.sequence:
            self.found = row.hash
        if row.event == "chunk":
            self.chunks[row.group, row.start] = row.sequence
        elif row.event == "block":
            place = (row.group, str(detail.get("number")), str(detail.get("generation")))
            self.blocks[place] = row
        elif row.event == "blob":
            self.blobs[str(detail.get("name"))] = row
        elif row.event == "sealed":
            self.sealed = row


def _mapping(value: object) -> dict[str, Any]:
    """Return what an untouched row holds as a mapping, and something for any other."""
    if not isinstance(value, Mapping):
        return {}
    return {str(key): held for key, held in value.items()}


def verify(parts: Parts, entry: RecordingEntry, progress: Advance | None = None) -> VerifyReport:
    """Compute everything anew.

    Parameters
    ----------
    progress
        Called with the number of samples (of all channels) that were hashed.
    """
    return _Verifying(parts, entry, progress or (lambda samples: None)).run()


class _Verifying:
    """One verification."""

    def __init__(self, parts: Parts, entry: RecordingEntry, advance: Advance) -> None:
        self._parts = parts
        self._entry = entry
        self._advance = advance
        self._files: RecordingFiles = parts.files(entry)
        self._problems: list[VerifyProblem] = []
        self._known: set[str] = set()
        self._chain = _Chain()
        self._decoded: dict[str, NDArray[Any] | None] = {}
        self._unread = False
        self._chunks = self._blocks = self._samples = 0

    def run(self) -> VerifyReport:
        """Do it."""
        rows = RowsReport(0, "")
        with self._reading("head"):
            self._read_head()
        with self._reading("audit"):
            rows = check_rows(self._parts.catalog, self._entry, self._chain.add)
            for problem in rows.problems:
                self._add(problem.sequence, "catalogue", problem.text)
        with self._reading("head"):
            self._check_head(rows)
        groups: tuple[StoredGroup, ...] = ()
        with self._reading("rate_group or channel"):
            groups = self._parts.catalog.groups(self._entry)
        for group in groups:
            with self._reading("chunk or block"):
                self._check_group(group)
        with self._reading("blob"):
            self._check_blobs()
        with self._reading("quarantine"):
            self._check_quarantine(groups)
        if self._chain.sealed is not None:
            with self._reading("seal or segment"):
                self._check_sealed_files(self._chain.sealed, groups)
        unknown: list[str] = []
        with self._reading("block or blob"):
            unknown = self._check_strange_files()
        if not self._problems and self._chain.vouched != Head(rows.rows, rows.head):
            # What was proven now is not to be cut off later.
            with suppress(StorageError):
                try_record_head(self._parts, self._entry)
        last = self._chain.sealed.sequence if self._chain.sealed else 0
        self._problems.sort(key=lambda each: (each.sequence is None, each.sequence or last))
        return VerifyReport(
            problems=tuple(self._problems),
            rows=rows.rows,
            chunks=self._chunks,
            blocks=self._blocks,
            files=len(self._known),
            samples=self._samples,
            head=rows.head,
            unknown=tuple(unknown),
            vouched=0 if self._chain.vouched is None else self._chain.vouched.sequence,
        )

    def _add(self, sequence: object, where: str, message: str) -> None:
        number = sequence if isinstance(sequence, int) else None
        self._problems.append(VerifyProblem(number, where, message))

    @contextmanager
    def _reading(self, what: str) -> Iterator[None]:
        """Tell of rows that hold what nobody wrote, and of what cannot even be read."""
        try:
            yield
        except Busy:
            raise
        except (*NONSENSE, RanvierError, MemoryError) as error:
            self._unread = True
            reason = str(error).partition("\n")[0][:300] or type(error).__name__
            self._add(None, "catalogue", f"the proof stopped at its {what} rows or files: {reason}")

    # --- the head of the chain -------------------------------------------------------------------

    def _read_head(self) -> None:
        """Read it before the chain, which may grow meanwhile."""
        try:
            self._chain.vouched = read_head(self._files, self._entry)
        except ValueError as error:
            self._known.add(HEAD)
            self._add(None, self._files.where(HEAD), f"{error}; {RESTORE}")

    def _check_head(self, rows: RowsReport) -> None:
        vouched, chain = self._chain.vouched, self._chain
        where = self._files.where(HEAD)
        if vouched is None:
            # Written before the first file is entered.
            if (chain.blocks or chain.blobs or chain.sealed) and not self._files.has(HEAD):
                self._add(None, where, f"the file is gone; {RESTORE}")
            self._known.add(HEAD)
            return
        self._known.add(HEAD)
        if chain.found != vouched.hash:
            message = (
                f"row {vouched.sequence} of the chain had the hash {vouched.hash}; the catalogue "
                f"has {rows.rows} rows and not that one: rows were cut off or replaced"
            )
            self._add(None if chain.found is None else vouched.sequence, where, message)

    # --- samples ---------------------------------------------------------------------------------

    def _check_group(self, group: StoredGroup) -> None:
        catalog = self._parts.catalog
        with catalog.reading() as connection:
            blocks = list(catalog_chunks.all_blocks(connection, group))
            chunks = catalog_chunks.chunks(connection, group)
        for block in blocks:
            self._check_block_files(group, block)
        # Where they begin: a changed length would touch as many blocks as it says.
        touched = sorted({chunk.start // group.block_samples for chunk in chunks})
        for number in touched:
            self._check_chunks(group, number)
            self._decoded = dict(list(self._decoded.items())[-2:])
        self._decoded = {}
        if self._chain.sealed is None:
            self._check_growing_metadata(group, blocks, chunks)

    def _check_block_files(self, group: StoredGroup, block: BlockEntry) -> None:
        self._blocks += 1
        row = self._chain.blocks.get((group.number, str(block.number), str(block.generation)))
        # What the chain says counts, not what the table says.
        told = {block.key: block.sha256, **block.files}
        sequence = None
        if row is not None:
            sequence = row.sequence
            detail = _mapping(row.detail)
            told = {str(detail.get("key")): str(row.checksum), **_mapping(detail.get("files"))}
        for key, digest in told.items():
            self._check_file(key, digest, sequence)

    def _check_file(self, key: str, digest: str, sequence: int | None) -> None:
        self._known.add(key)
        where = self._files.where(key)
        try:
            content = self._parts.folder.read(self._files.name(key))
        except NotFound:
            self._add(sequence, where, f"the file is gone; {RESTORE}")
            return
        except StorageError as error:
            self._add(sequence, where, f"{error}; {RESTORE}")
            return
        found = hashlib.sha256(content).hexdigest()
        if found != digest:
            message = f"its SHA-256 is {found}, {digest} was written; {RESTORE}"
            self._add(sequence, where, message)

    def _check_chunks(self, group: StoredGroup, number: int) -> None:
        """Hash the chunks that begin in a block, all of them as of one moment."""
        span = block_span(number, group.block_samples)
        with self._parts.catalog.reading() as connection:
            chunks = [
                chunk
                for chunk in catalog_chunks.chunks(connection, group, span)
                if chunk.start >= span.start
            ]
            stop = max((chunk.stop for chunk in chunks), default=span.stop)
            wide = Span(span.start, max(stop, span.stop))
            bodies = {
                each.start: each.body for each in catalog_chunks.inbox(connection, group, wide)
            }
            blocks = {
                block.number: block for block in catalog_chunks.blocks(connection, group, wide)
            }
        for chunk in chunks:
            body = bodies.get(chunk.start)
            try:
                if body is None:
                    body = self._stored_bytes(group, chunk, blocks)
                self._compare(group, chunk, body)
            except (CorruptRecording, StorageError) as error:
                self._add_chunk_problem(group, chunk, str(error))
            self._chunks += 1
            self._samples += chunk.n_samples * len(group.channels)
            self._advance(chunk.n_samples * len(group.channels))

    def _compare(self, group: StoredGroup, chunk: ChunkEntry, body: bytes) -> None:
        digest = chunk_digest(
            self._entry.uuid,
            group.number,
            group.keys,
            group.dtype.name,
            chunk.start,
            chunk.n_samples,
            body,
        )
        if digest != chunk.sha256:
            self._add_chunk_problem(
                group, chunk, f"the SHA-256 of the samples is {digest}, {chunk.sha256} came in"
            )

    def _add_chunk_problem(self, group: StoredGroup, chunk: ChunkEntry, message: str) -> None:
        sequence = self._chain.chunks.get((group.number, chunk.start), chunk.sequence)
        where = f"group {group.number}, samples {chunk.start} to {chunk.stop}"
        self._add(sequence, where, message)

    def _stored_bytes(
        self, group: StoredGroup, chunk: ChunkEntry, blocks: dict[int, BlockEntry]
    ) -> bytes:
        whole = Span(chunk.start, chunk.stop)
        samples: NDArray[Any] = np.empty((len(group.channels), len(whole)), group.dtype)
        for number in blocks_of(whole, group.block_samples):
            block = block_span(number, group.block_samples)
            inside = block.intersect(whole)
            if number not in blocks:
                raise CorruptRecording("they lie neither in a block nor in the catalogue")
            part = Span(inside.start - block.start, inside.stop - block.start)
            target = samples[:, inside.start - whole.start : inside.stop - whole.start]
            decoded = self._decode(group, blocks[number])
            if decoded is None:
                # Somewhere in the block is damage; perhaps not in these samples.
                self._files.read_samples(group, blocks[number], part, target)
            else:
                target[...] = decoded[:, part.start : part.stop]
        return samples.astype(group.dtype.newbyteorder("<"), copy=False).tobytes()

    def _decode(self, group: StoredGroup, block: BlockEntry) -> NDArray[Any] | None:
        if block.key not in self._decoded:
            layout = block_layouts(group)["sig"]
            decoded = None
            try:
                content = self._parts.folder.read(self._files.name(block.key))
                decoded = layout.decode_all(content, self._files.where(block.key))
            except (CorruptRecording, StorageError):
                # Told for each chunk that it concerns, and for the file by its digest.
                decoded = None
            self._decoded[block.key] = decoded
        return self._decoded[block.key]

    # --- metadata and other files ----------------------------------------------------------------

    def _check_sealed_files(self, row: AuditRow, groups: tuple[StoredGroup, ...]) -> None:
        files = _mapping(_mapping(row.detail).get("files"))
        for key, digest in files.items():
            self._check_file(key, digest, row.sequence)
        for group in groups:
            blocks = self._parts.catalog.blocks(group)
            # A changed number of a generation would stand for as many files.
            strange = [each for each in blocks if f"g{each.generation}/{METADATA}" not in files]
            if strange:
                message = f"generation {strange[0].generation} was not there when it was sealed"
                self._add(row.sequence, self._files.where(strange[0].key), message)
                continue
            length = self._parts.catalog.extent(group)
            for key, content in final_metadata(group, blocks, length).items():
                if files.get(key) != hashlib.sha256(content).hexdigest():
                    message = "its metadata does not fit the catalogue"
                    self._add(row.sequence, self._files.where(key), message)

    def _check_growing_metadata(
        self, group: StoredGroup, blocks: list[BlockEntry], chunks: list[ChunkEntry]
    ) -> None:
        """Compare the metadata of arrays that still grow with what it can be."""
        newest: dict[tuple[str, str], int] = {}
        for block in blocks:
            for key in (block.key, *block.files):
                folder, array, *_ = key.split("/")
                newest[folder, array] = max(block.number, newest.get((folder, array), 0))
        stops = [chunk.stop for chunk in chunks]
        for (folder, array), number in sorted(newest.items()):
            for key in (METADATA, f"{folder}/{METADATA}", f"{folder}/{array}/{METADATA}"):
                self._check_metadata(key, lambda content: content == GROUP_METADATA)
            own = f"{folder}/{array}/{group.number}/{METADATA}"
            fits = partial(self._fits, group, folder, array, stops, number)
            self._check_metadata(own, fits)

    def _fits(
        self,
        group: StoredGroup,
        folder: str,
        array: str,
        stops: list[int],
        newest: int,
        content: bytes,
    ) -> bool:
        """Return whether it is what was written for a length that the array may have had.

        Every generation keeps the length that the recording had when its last block was written:
        whole blocks, or all of it where a sealing was cut short. An ingest writes the length of
        its file, which only the file tells until all of it is stored.
        """
        try:
            elements = int(json.loads(content)["shape"][-1])
        except (ValueError, LookupError, TypeError):
            return False
        each = samples_each(group, array)
        length = elements * each
        whole = length % group.block_samples == 0 and length > newest * group.block_samples
        cut_short = elements in {-(-stop // each) for stop in stops}
        if not (whole or cut_short or self._entry.kind != LIVE):
            return False
        own = f"{folder}/{array}/{group.number}/{METADATA}"
        return content == array_metadata(folder, array, group, length)[own]

    def _check_metadata(self, key: str, fits: Callable[[bytes], bool]) -> None:
        if key in self._known:
            return
        self._known.add(key)
        message = "its metadata is not what was written; seal the recording to write it again"
        try:
            if fits(self._parts.folder.read(self._files.name(key))):
                return
        except NotFound:
            message = "the metadata is gone; seal the recording to write it again"
        except StorageError as error:
            message = f"{error}; {RESTORE}"
        self._add(None, self._files.where(key), message)

    def _check_strange_files(self) -> list[str]:
        """Tell of files that nothing speaks of; return those that a worker may have left."""
        folder, root = self._parts.folder, self._files.root
        names = [*folder.names(f"{root}/"), *folder.leftovers(root)]
        keys = [name.removeprefix(f"{root}/") for name in names]
        strange = [key for key in keys if key not in self._known]
        if self._unread or not strange:
            return []
        closed = self._chain.sealed is not None
        with self._parts.catalog.reading() as connection:
            now = catalog_recordings.by_id(connection, self._entry.id)
            awaited = Awaited(connection, now, closed)
        left = []
        for key in strange:
            # Work goes on meanwhile: files are entered, renamed, and replaced.
            if key in awaited.entered or not self._files.has(key):
                continue
            if awaited.may_be(key) or now.sealed != closed:
                left.append(self._files.name(key))
            else:
                self._add(None, self._files.where(key), "nothing speaks of this file; remove it")
        return left

    def _check_blobs(self) -> None:
        for blob in self._parts.catalog.blobs(self._entry):
            row = self._chain.blobs.get(blob.name)
            key, digest = blob.key, blob.sha256
            if row is not None:
                key, digest = str(_mapping(row.detail).get("key")), str(row.checksum)
            self._check_file(key, digest, None if row is None else row.sequence)

    def _check_quarantine(self, groups: tuple[StoredGroup, ...]) -> None:
        by_number = {group.number: group for group in groups}
        for one in self._parts.catalog.quarantined(self._entry):
            group = by_number[one.group]
            digest = chunk_digest(
                self._entry.uuid,
                group.number,
                group.keys,
                group.dtype.name,
                one.start,
                one.n_samples,
                one.body,
            )
            if digest != one.sha256:
                where = f"group {one.group}, refused samples from {one.start} on"
                message = f"their SHA-256 is {digest}, {one.sha256} was offered"
                self._add(None, where, message)
