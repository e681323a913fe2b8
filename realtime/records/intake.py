"""Where a posted chunk belongs: which recording, which rate group, which place on its grid."""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from starlette.concurrency import run_in_threadpool

from realtime.records.quantise import MICROVOLTS, POSTED_UNIT, Calibration
from realtime.wire.chunk_json import PostedChunk
from realtime.wire.fields import BadField, grid_index, rate_of
from storage.catalog_rows import (
    LIVE,
    NewChannel,
    NewGroup,
    NewRecording,
    RecordingEntry,
    StoredGroup,
)
from storage.errors import AlreadyExists, NotFound
from storage.geometry import choose_geometry
from storage.ingest import NewChunk
from storage.recording_store import RecordingStore
from storage.scaling import Scaling

HOLE_S = 24 * 3600
RATE_SLACK_S = Fraction(2, 1_000_000)
MOST_KNOWN = 4096
FARTHEST = 2**53  # beyond, a place on the grid is no exact double
FARTHEST_S = 10**9  # the same as of a chunk in JSON
MOST_SHIFT_US = FARTHEST_S * 1_000_000


@dataclass(slots=True)
class Inlet:
    """A rate group that takes chunks.

    Parameters
    ----------
    labels
        Of its channels, in order.
    """

    group: StoredGroup
    calibration: Calibration
    labels: tuple[str, ...]


@dataclass(slots=True)
class Known:
    """A recording that takes chunks, as it was when last looked at."""

    entry: RecordingEntry
    inlets: list[Inlet] = field(default_factory=list)

    @property
    def declared(self) -> bool:
        """Whether its channels were declared before the first chunk."""
        return any(inlet.group.declared for inlet in self.inlets)

    def inlet_of(self, labels: tuple[str, ...]) -> Inlet | None:
        """Return the group with just these channels in this order, by label or key."""
        for inlet in self.inlets:
            if labels in (inlet.labels, inlet.group.keys):
                return inlet
        return None


class Intake:
    """Finds the place of each chunk, and opens recordings and groups for new ones.

    Parameters
    ----------
    store
        Where recordings rest.
    """

    def __init__(self, store: RecordingStore) -> None:
        self._store = store
        self._known: OrderedDict[tuple[str, str], Known] = OrderedDict()
        self._opening: dict[tuple[str, str], asyncio.Lock] = {}

    async def place(self, posted: PostedChunk, source: str) -> NewChunk:
        """Return a posted chunk as it is to be stored.

        Parameters
        ----------
        posted
            The chunk.
        source
            Who posted it, for the audit trail.

        Raises
        ------
        BadField
            If it does not fit the recording.
        """
        header = posted.header
        whose = (header.patient_id, header.recording_id)
        labels = tuple(header.channels)
        known = self._known.get(whose)
        inlet = None if known is None else known.inlet_of(labels)
        if known is None or inlet is None:
            known, inlet = await self._open(whose, posted, source)
        return _placed(posted, known.entry, inlet, source)

    async def known(self, entry: RecordingEntry) -> Known:
        """Return a recording that exists, with its groups."""
        whose = (entry.patient, entry.name)
        known = self._known.get(whose)
        if known is None or known.entry.uuid != entry.uuid:
            known = await run_in_threadpool(self._load, entry)
            self._remember(whose, known)
        return known

    def forget(self, entry: RecordingEntry) -> None:
        """Look at a recording afresh when it is next needed."""
        self._known.pop((entry.patient, entry.name), None)

    async def _open(
        self, whose: tuple[str, str], posted: PostedChunk, source: str
    ) -> tuple[Known, Inlet]:
        lock = self._opening.setdefault(whose, asyncio.Lock())
        try:
            async with lock:
                known, inlet = await run_in_threadpool(self._find_or_create, whose, posted, source)
        finally:
            if not lock.locked():
                self._opening.pop(whose, None)
        self._remember(whose, known)
        return known, inlet

    def _find_or_create(
        self, whose: tuple[str, str], posted: PostedChunk, source: str
    ) -> tuple[Known, Inlet]:
        patient, name = whose
        labels = tuple(posted.header.channels)
        try:
            entry = self._store.catalog.find(name, patient)
        except NotFound:
            new = NewRecording(patient=patient, name=name, kind=LIVE, groups=(_opened(posted),))
            try:
                entry = self._store.create(new, actor=source)
            except AlreadyExists:
                # Another process opened it meanwhile, with other channels.
                entry = self._store.catalog.find(name, patient)
        takes_chunks(entry)
        known = self._load(entry)
        inlet = known.inlet_of(labels)
        if inlet is None:
            group = _opened(posted)
            _fits_beside(known, labels)
            self._store.catalog.add_group(entry, group, actor=source)
            known = self._load(entry)
            inlet = known.inlet_of(labels)
            assert inlet is not None
        return known, inlet

    def _load(self, entry: RecordingEntry) -> Known:
        return Known(
            entry,
            [
                Inlet(
                    group,
                    Calibration.of(group),
                    tuple(channel.label for channel in group.channels),
                )
                for group in self._store.catalog.groups(entry)
            ],
        )

    def _remember(self, whose: tuple[str, str], known: Known) -> None:
        self._known[whose] = known
        self._known.move_to_end(whose)
        while len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)


def _placed(posted: PostedChunk, entry: RecordingEntry, inlet: Inlet, source: str) -> NewChunk:
    group = inlet.group
    n_samples = posted.n_samples
    if abs(posted.duration_s - n_samples / group.rate) > RATE_SLACK_S:
        raise BadField(
            "samples",
            f"{n_samples} for each channel from {posted.header.start} to {posted.header.end} s "
            f"are {n_samples / float(posted.duration_s):g} Hz; these channels have "
            f"{float(group.rate):g} Hz",
        )
    start = grid_index(posted.start_s, group.rate)
    if start + n_samples > FARTHEST:
        raise BadField("start", f"place {start} of the grid is beyond {FARTHEST}, the last one")
    _not_too_long(group, n_samples, "samples")
    stored = inlet.calibration.stored(posted.samples.T, posted.header.unit)
    return NewChunk(
        entry=entry,
        group=group,
        start=start,
        n_samples=n_samples,
        body=stored.tobytes(),
        source=source,
        allow_hole=posted.header.gap,
    )


def _opened(posted: PostedChunk) -> NewGroup:
    """Return the group that the first chunk of undeclared channels opens."""
    header = posted.header
    rate = rate_of(posted.n_samples, header.start, header.end)
    grid_index(posted.start_s, rate)
    if header.start > HOLE_S and not header.gap:
        raise BadField(
            "start",
            f"{header.start} s is more than 24 h after the start of a recording that has no chunk "
            f"yet; say gap: true if that is meant",
        )
    microvolts = MICROVOLTS.get(header.unit)
    shape = choose_geometry(rate, len(header.channels), np.dtype(np.float64).itemsize)
    return NewGroup(
        name=f"{_plain(rate)} Hz",
        rate_hz=rate,
        dtype=np.dtype(np.float64),
        chunk_samples=shape.chunk_samples,
        block_samples=shape.block_samples,
        declared=False,
        channels=[
            NewChannel(
                label=label,
                unit=header.unit if microvolts is None else "uV",
                scaling=Scaling(to_unit=1.0 if microvolts is None else microvolts),
                details={POSTED_UNIT: header.unit},
            )
            for label in header.channels
        ],
    )


def _plain(rate: Fraction) -> str:
    return f"{float(rate):g}" if math.isfinite(float(rate)) else str(rate)


def _fits_beside(known: Known, labels: Sequence[str]) -> None:
    """Refuse further channels where they cannot be told from those that are there."""
    if known.declared:
        groups = "; ".join(", ".join(inlet.labels[:40]) for inlet in known.inlets)
        raise BadField(
            "channels",
            f"these are none of the groups of channels that were declared ({groups}); send all "
            f"channels of a group, in its order",
        )
    for inlet in known.inlets:
        shared = [label for label in labels if label in inlet.labels]
        if shared:
            raise BadField(
                "channels",
                f"{', '.join(shared[:10])} came at {float(inlet.group.rate):g} Hz together with "
                f"{', '.join(inlet.labels[:40])}; send the same channels at the same rate again, "
                f"or others",
            )


def takes_chunks(entry: RecordingEntry) -> None:
    """Refuse chunks for a recording that came from a file.

    Raises
    ------
    AlreadyExists
        If it did.
    """
    if entry.kind != LIVE:
        raise AlreadyExists(
            f"recording {entry.name!r} came from a file and takes no chunks; choose another "
            f"recording_id"
        )


def binary_chunk(
    entry: RecordingEntry,
    inlet: Inlet,
    start: int,
    body: bytes,
    source: str,
    shift_us: int = 0,
    allow_hole: bool = False,
) -> NewChunk:
    """Return a chunk that was posted in the form in which it is stored.

    Raises
    ------
    BadField
        If its length does not fit the channels, or a value is no number.
    """
    group = inlet.group
    if start > FARTHEST_S * group.rate or start >= FARTHEST:
        raise BadField(
            "start_sample", f"expected a place within {FARTHEST_S} s of the start, got {start}"
        )
    if abs(shift_us) > MOST_SHIFT_US:
        raise BadField(
            "shift_us",
            f"expected at most {MOST_SHIFT_US} either way, got {shift_us}; check the time of the "
            f"chunk",
        )
    per_sample = len(group.channels) * group.dtype.itemsize
    if not body or len(body) % per_sample:
        raise BadField(
            "body",
            f"{len(body)} bytes; expected a multiple of {per_sample}: {len(group.channels)} "
            f"channels of {group.dtype.name}, channel after channel",
        )
    _not_too_long(group, len(body) // per_sample, "body")
    if group.dtype.kind == "f":
        values: NDArray[np.floating] = np.frombuffer(body, inlet.calibration.dtype)
        if not np.isfinite(values).all():
            raise BadField("body", "holds NaN or infinity; a gap is left out")
    return NewChunk(
        entry=entry,
        group=group,
        start=start,
        n_samples=len(body) // per_sample,
        body=body,
        source=source,
        shift_us=shift_us,
        allow_hole=allow_hole,
    )


def _not_too_long(group: StoredGroup, n_samples: int, field: str) -> None:
    if n_samples > group.block_samples:
        raise BadField(
            field,
            f"{n_samples} samples of each channel; send at most {group.block_samples} at once",
        )
