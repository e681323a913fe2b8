"""What the catalogue gives and takes: recordings, rate groups, channels, blocks, chunks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from typing import Any
from uuid import UUID

import numpy as np

from storage.recording import Annotation, Channel
from storage.scaling import Scaling

DTYPES = ("int16", "int32", "float32", "float64")
LIVE = "live"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingEntry:
    """A recording in the catalogue.

    Parameters
    ----------
    id
        Number of its row; only good within one database.
    uuid
        What it is called in the store.
    patient, name
        The client's ``patient_id`` and ``recording_id``.
    kind
        ``live``, or the format of the file that it came from.
    start_us
        Microseconds since 1970 UTC; None where nobody knows.
    """

    id: int
    uuid: UUID
    patient: str
    name: str
    kind: str
    start_us: int | None
    sealed: bool
    created_at: datetime
    source_sha256: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def finished(self) -> bool:
        """Whether people should see it: a file that is still being taken in is not."""
        return self.sealed or self.kind == LIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class NewChannel:
    """A channel to be declared; see ``Channel``.

    Parameters
    ----------
    dummy
        It holds nothing; kept for export and hidden otherwise.
    """

    label: str
    unit: str = "uV"
    scaling: Scaling = field(default_factory=Scaling)
    dummy: bool = False
    electrode_group: str = "default"
    details: Mapping[str, str] = field(default_factory=dict, hash=False)

    @classmethod
    def of(cls, channel: Channel) -> NewChannel:
        """Return the declaration of a source's channel; one without a name is a dummy."""
        return cls(
            label=channel.label,
            unit=channel.unit,
            scaling=channel.scaling,
            dummy=not any(letter.isalnum() for letter in channel.label),
            electrode_group=channel.group,
            details=dict(channel.details),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredChannel(NewChannel):
    """A channel of the catalogue; its ``key`` is unique in the recording."""

    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewGroup:
    """A rate group to be declared.

    Parameters
    ----------
    dtype
        ``int16``, ``int32``, ``float32`` or ``float64``.
    chunk_samples, block_samples
        Length of a Zarr chunk and of a shard.
    declared
        Values are integers on a grid that the scaling tells.
    """

    name: str
    rate_hz: Fraction
    dtype: np.dtype[Any]
    chunk_samples: int
    block_samples: int
    channels: Sequence[NewChannel]
    codec: str = "blosc"
    declared: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredGroup:
    """A rate group of the catalogue; ``number`` counts within the recording."""

    id: int
    recording_id: int
    number: int
    name: str
    rate: Fraction
    dtype: np.dtype[Any]
    codec: str
    chunk_samples: int
    block_samples: int
    declared: bool
    channels: tuple[StoredChannel, ...]
    keys: tuple[str, ...]

    @property
    def bytes_per_sample(self) -> int:
        """Bytes of one sample of all channels."""
        return len(self.channels) * self.dtype.itemsize


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRecording:
    """A recording to be declared."""

    patient: str
    name: str
    kind: str
    groups: Sequence[NewGroup] = ()
    start_us: int | None = None
    source_sha256: str | None = None
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class StoredSegment:
    """A stretch of a group's grid that is held without gaps.

    Parameters
    ----------
    shift_us
        How much later than their place on the grid the samples really were taken.
    """

    start: int
    n_samples: int
    shift_us: int = 0

    @property
    def stop(self) -> int:
        """The index after its last sample."""
        return self.start + self.n_samples


@dataclass(frozen=True, slots=True)
class ChunkEntry:
    """An accepted chunk: its place, its digest, and its row in the chain."""

    start: int
    n_samples: int
    shift_us: int
    sha256: str
    sequence: int

    @property
    def stop(self) -> int:
        """The index after its last sample."""
        return self.start + self.n_samples


@dataclass(frozen=True, slots=True)
class InboxChunk:
    """A chunk whose samples still lie in the catalogue."""

    start: int
    n_samples: int
    body: bytes
    sha256: str
    sequence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockEntry:
    """A block of the catalogue."""

    number: int
    generation: int
    through: int
    key: str
    bytes: int
    sha256: str
    files: Mapping[str, str] = field(hash=False)


@dataclass(frozen=True, slots=True)
class Holdings:
    """What is held of a span, all of it at one moment.

    Parameters
    ----------
    segments
        Which samples there are, within the span.
    blocks
        The counting generation of each block that the span meets.
    inbox
        Chunks that the span meets and that still lie in the catalogue; where a block of the same
        place exists, they win over it.
    through
        Sequence of the last row of the chain.
    """

    segments: tuple[StoredSegment, ...]
    blocks: tuple[BlockEntry, ...]
    inbox: tuple[InboxChunk, ...]
    through: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobEntry:
    """A file of a recording that holds no samples."""

    name: str
    key: str
    bytes: int
    sha256: str
    encrypted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAnnotation:
    """One version of an annotation."""

    uuid: UUID
    version: int
    annotation: Annotation
    beyond_end: bool
    voided: bool
    author: str
    reason: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantinedChunk:
    """A chunk that was refused because other samples are stored for its span."""

    group: int
    start: int
    n_samples: int
    sha256: str
    source: str
    received_at: datetime
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ComputedResult:
    """Something that was computed from a recording."""

    name: str
    source_digest: str
    parameters: Mapping[str, Any]
    processing_version: str
    result: Any
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingSummary:
    """What a list of recordings says of one.

    Parameters
    ----------
    duration_sec
        End of the last sample of any group, after the recording's start.
    channels
        Keys of all channels but dummies, group after group.
    size_bytes
        Of its blocks, blobs and waiting chunks.
    """

    entry: RecordingEntry
    duration_sec: float
    channels: tuple[str, ...]
    rates_hz: tuple[float, ...]
    size_bytes: int


def listed(value: object) -> tuple[Any, ...]:
    """Return a list of the database; what is none was not written by us, even if it is empty."""
    if not isinstance(value, list):
        raise TypeError(f"{value!r} stands where a list was written")
    return tuple(value)
