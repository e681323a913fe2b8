"""Proof: everything that is said of a recording is computed anew from what rests.

The chain of the catalogue says what came in, and what was written where. Here its rows are chained
again, every other row of the catalogue is compared with it, every file is hashed, and every chunk's
canonical bytes are made from the samples as they rest, and hashed.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage import catalog_chunks
from storage.audit import AuditRow, chunk_digest
from storage.catalog_check import RowsReport, check_rows
from storage.catalog_rows import (
    BlockEntry,
    ChunkEntry,
    RecordingEntry,
    StoredGroup,
)
from storage.compaction import Parts
from storage.errors import CorruptRecording, NotFound
from storage.geometry import block_span, blocks_of
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
PAGE = 10_000


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
        Files of the recording that nothing speaks of; left by workers that died.
    """

    problems: tuple[VerifyProblem, ...]
    rows: int
    chunks: int
    blocks: int
    files: int
    samples: int
    head: str
    unknown: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether everything holds."""
        return not self.problems


@dataclass
class _Chain:
    """Where the chain speaks of what."""

    chunks: dict[tuple[int | None, int | None], int] = field(default_factory=dict)
    blocks: dict[tuple[int | None, Any, Any], AuditRow] = field(default_factory=dict)
    blobs: dict[str, AuditRow] = field(default_factory=dict)
    sealed: AuditRow | None = None

    def add(self, row: AuditRow) -> None:
        detail = _mapping(row.detail)
        if row.event == "chunk":
            self.chunks[row.group, row.start] = row.sequence
        elif row.event == "block":
            self.blocks[row.group, detail.get("number"), detail.get("generation")] = row
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
        self._chunks = self._blocks = self._samples = 0

    def run(self) -> VerifyReport:
        """Do it."""
        rows = RowsReport(0, "")
        with self._readable():
            self._entry = self._parts.catalog.refresh(self._entry)
            rows = check_rows(self._parts.catalog, self._entry)
            for problem in rows.problems:
                self._add_row_problem(problem)
        with self._readable():
            self._read_chain()
        with self._readable():
            for group in self._parts.catalog.groups(self._entry):
                self._check_group(group)
        with self._readable():
            self._check_blobs()
            self._check_quarantine()
        if self._chain.sealed is not None:
            with self._readable():
                self._check_sealed_files(self._chain.sealed)
        unknown = [
            name
            for name in self._parts.folder.names(f"{self._files.root}/")
            if name.removeprefix(f"{self._files.root}/") not in self._known
        ]
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
        )

    @contextmanager
    def _readable(self) -> Iterator[None]:
        """Tell of rows that hold what nobody wrote, and cannot even be read."""
        try:
            yield
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            reason = str(error).partition("\n")[0][:200] or type(error).__name__
            message = f"rows of this recording cannot be read ({reason}); they were changed"
            self._problems.append(VerifyProblem(None, "catalogue", message))

    def _read_chain(self) -> None:
        after = 0
        while page := self._parts.catalog.audit(self._entry, after, PAGE):
            for row in page:
                self._chain.add(row)
            after = page[-1].sequence

    def _add_row_problem(self, problem: Any) -> None:
        text = str(getattr(problem, "text", problem))
        sequence = getattr(problem, "sequence", None)
        if sequence is None and (told := re.search(r"audit row (\d+)", text)):
            sequence = int(told[1])
        self._problems.append(VerifyProblem(sequence, "catalogue", text))

    # --- samples ---------------------------------------------------------------------------------

    def _check_group(self, group: StoredGroup) -> None:
        catalog = self._parts.catalog
        with catalog.reading() as connection:
            blocks = list(catalog_chunks.all_blocks(connection, group))
            chunks = catalog_chunks.chunks(connection, group)
        for block in blocks:
            self._check_block_files(group, block)
        touched = sorted(
            {
                number
                for chunk in chunks
                for number in blocks_of(Span(chunk.start, chunk.stop), group.block_samples)
            }
        )
        for number in touched:
            self._check_chunks(group, number)
            self._decoded = dict(list(self._decoded.items())[-2:])
        self._decoded = {}
        if self._chain.sealed is None:
            self._check_growing_metadata(group, blocks)

    def _check_block_files(self, group: StoredGroup, block: BlockEntry) -> None:
        self._blocks += 1
        row = self._chain.blocks.get((group.number, block.number, block.generation))
        # What the chain says counts, not what the table says.
        told = {block.key: block.sha256, **block.files}
        sequence = None
        if row is not None:
            sequence = row.sequence
            detail = _mapping(row.detail)
            told = {str(detail.get("key")): str(row.checksum), **_mapping(detail.get("files"))}
        for key, digest in told.items():
            self._check_file(key, digest, sequence)

    def _check_file(self, key: str, digest: str, sequence: int | None) -> bytes | None:
        self._known.add(key)
        where = self._files.where(key)
        try:
            content = self._parts.folder.read(self._files.name(key))
        except NotFound:
            self._problems.append(
                VerifyProblem(sequence, where, "the file is gone; restore it from a copy")
            )
            return None
        found = hashlib.sha256(content).hexdigest()
        if found != digest:
            message = f"its SHA-256 is {found}, {digest} was written; restore it from a copy"
            self._problems.append(VerifyProblem(sequence, where, message))
        return content

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
            except CorruptRecording as error:
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
        self._problems.append(VerifyProblem(sequence, where, message))

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
            except (CorruptRecording, NotFound):
                # Told for each chunk that it concerns, and for the file by its digest.
                decoded = None
            self._decoded[block.key] = decoded
        return self._decoded[block.key]

    # --- metadata and other files ----------------------------------------------------------------

    def _check_sealed_files(self, row: AuditRow) -> None:
        files = _mapping(_mapping(row.detail).get("files"))
        for key, digest in files.items():
            self._check_file(key, digest, row.sequence)
        for group in self._parts.catalog.groups(self._entry):
            blocks = self._parts.catalog.blocks(group)
            length = self._parts.catalog.extent(group)
            for key, content in final_metadata(group, blocks, length).items():
                if files.get(key) != hashlib.sha256(content).hexdigest():
                    message = "its metadata does not fit the catalogue"
                    self._problems.append(
                        VerifyProblem(row.sequence, self._files.where(key), message)
                    )

    def _check_growing_metadata(self, group: StoredGroup, blocks: list[BlockEntry]) -> None:
        """Compare the metadata of arrays that still grow with what it can be."""
        arrays = {tuple(key.split("/")[:2]) for each in blocks for key in (each.key, *each.files)}
        for folder, array in sorted(arrays):
            for key in (METADATA, f"{folder}/{METADATA}", f"{folder}/{array}/{METADATA}"):
                self._check_metadata(key, [GROUP_METADATA])
            own = f"{folder}/{array}/{group.number}/{METADATA}"
            lengths = self._lengths(group, blocks, folder, array, own)
            self._check_metadata(
                own, (array_metadata(folder, array, group, length)[own] for length in lengths)
            )

    def _lengths(
        self, group: StoredGroup, blocks: list[BlockEntry], folder: str, array: str, own: str
    ) -> Iterator[int]:
        """Yield the lengths that an array may have: a worker may have died before its commit."""
        first = max(block.number for block in blocks) + 1
        prefix = f"{self._files.root}/{folder}/{array}/{group.number}/c/"
        present = [
            int(name.rpartition("/")[2])
            for name in self._parts.folder.names(prefix)
            if name.rpartition("/")[2].isdigit()
        ]
        for count in range(first, max([first - 1, *present]) + 2):
            yield count * group.block_samples
        yield self._parts.catalog.extent(group)
        if self._entry.kind != "live":
            # The length of the file, which only the file tells until all of it is stored.
            try:
                shape = json.loads(self._parts.folder.read(self._files.name(own)))["shape"]
                yield int(shape[-1]) * samples_each(group, array)
            except (NotFound, ValueError, KeyError, TypeError, IndexError):
                return

    def _check_metadata(self, key: str, expected: Iterable[bytes]) -> None:
        if key in self._known:
            return
        self._known.add(key)
        message = "its metadata is not what was written; seal the recording to write it again"
        try:
            content = self._parts.folder.read(self._files.name(key))
            if any(content == each for each in expected):
                return
        except NotFound:
            message = "the metadata is gone; seal the recording to write it again"
        self._problems.append(VerifyProblem(None, self._files.where(key), message))

    def _check_blobs(self) -> None:
        for blob in self._parts.catalog.blobs(self._entry):
            row = self._chain.blobs.get(blob.name)
            key, digest = blob.key, blob.sha256
            if row is not None:
                key, digest = str(_mapping(row.detail).get("key")), str(row.checksum)
            self._check_file(key, digest, None if row is None else row.sequence)

    def _check_quarantine(self) -> None:
        groups = {group.number: group for group in self._parts.catalog.groups(self._entry)}
        for one in self._parts.catalog.quarantined(self._entry):
            group = groups[one.group]
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
                self._problems.append(VerifyProblem(None, where, message))
