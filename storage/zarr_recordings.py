"""The Zarr files of a recording: which there are, how a block is written, and how it is read.

::

    rec/<uuid>/g<generation>/sig/<group>        (channels, samples)
    rec/<uuid>/g<generation>/mm64/<group>       (2, channels, samples / 64), and mm1024: overview
    rec/<uuid>/g<generation>/dsa/<group>        (channels, rows, columns), colour density
    rec/<uuid>/g<generation>/stamps/<group>     (samples), time stamps of the source
    rec/<uuid>/overview/mm1024/<group>          the same of the whole recording, and mm16384;
                                                written when it is sealed
    rec/<uuid>/blobs/<name>                     what is no sample

All but the metadata (``zarr.json``) is written once. The metadata is a function of the catalogue
and of the length, so that it can be told whether it was changed.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from storage.catalog_rows import BlockEntry, StoredGroup
from storage.density import density_block, density_shape
from storage.durable import DurableFolder, Replacing
from storage.errors import CorruptRecording, DigestMismatch, NotFound
from storage.geometry import block_span, blocks_of
from storage.overview import BLOCK_LEVELS, WHOLE_LEVELS, pyramid
from storage.spans import Span
from storage.zarr_layout import GROUP_METADATA, ShardLayout
from storage.zarr_shards import ShardReader

METADATA = "zarr.json"
WHOLE_SHARD_BYTES = 8 << 20
WHOLE_SHARD_BINS = 32768
WHOLE_CHUNK_BINS = 2048


@dataclass(frozen=True, slots=True)
class WrittenBlock:
    """A block that rests in the store; see ``BlockEntry``."""

    number: int
    generation: int
    key: str
    bytes: int
    sha256: str
    files: Mapping[str, str]

    def entry(self, through: int) -> BlockEntry:
        """Return it as the catalogue holds it."""
        return BlockEntry(
            number=self.number,
            generation=self.generation,
            through=through,
            key=self.key,
            bytes=self.bytes,
            sha256=self.sha256,
            files=self.files,
        )


def block_layouts(group: StoredGroup) -> dict[str, ShardLayout]:
    """Return the arrays that a block of a group may have a piece of, by their names."""
    channels, block = len(group.channels), group.block_samples
    byte, stamp = np.dtype(np.uint8), np.dtype(np.float64)
    layouts = {
        "sig": ShardLayout(
            (channels,), block, group.chunk_samples, group.dtype, group.codec, ("channel", "time")
        ),
        "stamps": ShardLayout((), block, group.chunk_samples, stamp, "blosc", ("time",)),
    }
    for level in BLOCK_LEVELS:
        axes = ("extreme", "channel", "time")
        bins = block // level
        layouts[f"mm{level}"] = ShardLayout((2, channels), bins, bins, group.dtype, "blosc", axes)
    shape = density_shape(group.rate)
    if shape is not None and block % shape.hop == 0:
        columns = block // shape.hop
        layouts["dsa"] = ShardLayout(
            (channels, shape.rows),
            columns,
            columns,
            byte,
            "blosc",
            ("channel", "frequency", "time"),
        )
    return layouts


def whole_layout(group: StoredGroup, level: int) -> ShardLayout:
    """Return the array of one level of a whole recording."""
    channels = len(group.channels)
    most = WHOLE_SHARD_BYTES // (2 * max(1, channels) * group.dtype.itemsize)
    bins = 1 << max(4, min(WHOLE_SHARD_BINS, most).bit_length() - 1)
    if level == WHOLE_LEVELS[1]:
        bins //= WHOLE_LEVELS[1] // WHOLE_LEVELS[0]
    axes = ("extreme", "channel", "time")
    return ShardLayout((2, channels), bins, min(bins, WHOLE_CHUNK_BINS), group.dtype, "blosc", axes)


def samples_each(group: StoredGroup, array: str) -> int:
    """Return how many samples an element of an array stands for."""
    if array.startswith("mm"):
        return int(array[2:])
    shape = density_shape(group.rate)
    return shape.hop if array == "dsa" and shape is not None else 1


def block_key(generation: int, array: str, group: StoredGroup, number: int) -> str:
    """Return where a block's piece of an array rests, below the recording's folder."""
    layout = block_layouts(group)[array]
    return f"g{generation}/{array}/{group.number}/{layout.key(number)}"


def whole_key(group: StoredGroup, level: int, number: int) -> str:
    """Return where a shard of a level of the whole recording rests."""
    return f"overview/mm{level}/{group.number}/{whole_layout(group, level).key(number)}"


def array_metadata(folder: str, array: str, group: StoredGroup, length: int) -> dict[str, bytes]:
    """Return the metadata of an array and of the groups above it, by their keys.

    Parameters
    ----------
    folder
        ``g<generation>`` or ``overview``.
    array
        Its name.
    length
        Samples of the group, whatever an element stands for.
    """
    each = samples_each(group, array)
    whole = folder == "overview"
    layout = whole_layout(group, each) if whole else block_layouts(group)[array]
    attributes: dict[str, Any] = {
        "rate_hz": [group.rate.numerator, group.rate.denominator],
        "samples_per_element": each,
        "channels": list(group.keys),
    }
    if array == "sig" or array.startswith("mm"):
        scalings = [channel.scaling for channel in group.channels]
        attributes |= {
            "units": [channel.unit for channel in group.channels],
            "factors": [_number(scaling.factor) for scaling in scalings],
            "offsets": [_number(scaling.offset) for scaling in scalings],
            "to_units": [_number(scaling.to_unit) for scaling in scalings],
        }
    return {
        METADATA: GROUP_METADATA,
        f"{folder}/{METADATA}": GROUP_METADATA,
        f"{folder}/{array}/{METADATA}": GROUP_METADATA,
        f"{folder}/{array}/{group.number}/{METADATA}": layout.metadata(
            -(-length // each), attributes
        ),
    }


class RecordingFiles:
    """The files of one recording.

    Parameters
    ----------
    folder
        The store.
    reader
        Reads its shards.
    recording
        Whose files.
    replacing
        Asked with keys before files with another content are replaced; None: they never are.
    """

    def __init__(
        self,
        folder: DurableFolder,
        reader: ShardReader,
        recording: UUID,
        replacing: Replacing | None = None,
    ) -> None:
        self._folder = folder
        self._reader = reader
        self._replacing = replacing
        self._metadata: dict[str, bytes] = {}
        self.root = f"rec/{recording}"

    def name(self, key: str) -> str:
        """Return a file's name in the store."""
        return f"{self.root}/{key}"

    def where(self, key: str) -> str:
        """Return what to call a file in an error."""
        return f"{self._folder.url}/{self.root}/{key}"

    def get(self, key: str) -> bytes:
        """Return a file's content."""
        return self._folder.read(self.name(key))

    def has(self, key: str) -> bool:
        """Return whether there is such a file."""
        return self._folder.size(self.name(key)) is not None

    def put(self, files: Mapping[str, bytes]) -> None:
        """Write files for good.

        Raises
        ------
        Busy
            If another worker has taken the recording over.
        """
        named = {self.name(key): content for key, content in files.items()}
        self._folder.put(named, self._may_replace if self._replacing else None)

    def _may_replace(self, names: Sequence[str]) -> None:
        assert self._replacing is not None
        self._replacing([name.removeprefix(f"{self.root}/") for name in names])

    def put_metadata(self, files: Mapping[str, bytes]) -> None:
        """Write metadata, but for what was written from here before."""
        fresh = {key: text for key, text in files.items() if self._metadata.get(key) != text}
        self.put(fresh)
        self._metadata |= fresh

    def write_block(
        self,
        group: StoredGroup,
        number: int,
        generation: int,
        samples: NDArray[np.generic],
        held: Sequence[Span],
        length: int,
        stamps: NDArray[np.float64] | None = None,
    ) -> tuple[WrittenBlock, NDArray[np.generic]]:
        """Write a block with its overview and density, and read its samples back.

        Parameters
        ----------
        samples
            Shape ``(n_channels, block_samples)``; zeros where nothing is held.
        held
            Which of them are there, counted from the start of the block.
        length
            Samples that the group's arrays are to hold from now on.
        stamps
            Time stamps of the samples.

        Returns
        -------
        tuple
            What was written, and the samples as they rest.

        Raises
        ------
        DigestMismatch
            If what was read back is not what was written.
        """
        layouts = block_layouts(group)
        pieces: dict[str, NDArray[Any]] = {"sig": samples}
        for level, bins in pyramid(samples, held).items():
            pieces[f"mm{level}"] = bins
        if "dsa" in layouts:
            channels = [(channel.scaling, channel.unit) for channel in group.channels]
            pieces["dsa"] = density_block(samples, held, group.rate, channels)
        if stamps is not None:
            pieces["stamps"] = stamps
        files: dict[str, bytes] = {}
        metadata: dict[str, bytes] = {}
        for array, piece in pieces.items():
            layout = layouts[array]
            present = None
            if array in ("sig", "stamps"):
                present = chunks_held(held, layout.chunk, layout.chunks)
            files[block_key(generation, array, group, number)] = layout.encode(piece, present)
            metadata |= array_metadata(f"g{generation}", array, group, length)
        # Samples first: arrays never seem longer than they are.
        self.put(files)
        self.put_metadata(metadata)
        own = block_key(generation, "sig", group, number)
        # The samples first, and not kept: a block's memory is then not needed thrice.
        content = self._read_back(own, files.pop(own))
        size, digest = len(content), hashlib.sha256(content).hexdigest()
        layout, where = layouts["sig"], self.where(own)
        rests = layout.decode_all(content, where)
        del content
        if not _same(rests, samples, layout.chunk):
            raise DigestMismatch(
                f"{where}: holds other samples than were written; the codec or the memory of this "
                "machine fails, check it and start again"
            )
        digests: dict[str, str] = {}
        for key, written in files.items():
            digests[key] = hashlib.sha256(self._read_back(key, written)).hexdigest()
        return WrittenBlock(number, generation, own, size, digest, digests), rests

    def _read_back(self, key: str, written: bytes) -> bytes:
        content = self._folder.read(self.name(key))
        if content != written:
            raise DigestMismatch(
                f"{self.where(key)}: is not what was written; the medium may be damaged, or "
                "another process writes there; start again"
            )
        return content

    def read_samples(
        self, group: StoredGroup, block: BlockEntry, span: Span, out: NDArray[np.generic]
    ) -> None:
        """Read a part of a block, counted from its start, into ``(n_channels, n_samples)``.

        Raises
        ------
        CorruptRecording
            If the file is not what was written.
        """
        layout = block_layouts(group)["sig"]
        self._reader.read(self.name(block.key), block.bytes, layout, span, out)

    def read_stamps(
        self, group: StoredGroup, blocks: Mapping[int, BlockEntry], span: Span
    ) -> NDArray[np.float64] | None:
        """Return the time stamps of a span, or None if a block of it has none.

        Raises
        ------
        CorruptRecording
            If a file is not what was written.
        """
        stamps = np.empty(len(span), np.float64)
        for number in blocks_of(span, group.block_samples):
            place = block_span(number, group.block_samples)
            inside = place.intersect(span)
            piece = None
            if number in blocks:
                piece = self.read_piece(group, blocks[number], "stamps")
            if piece is None:
                return None
            stamps[inside.start - span.start : inside.stop - span.start] = piece[
                inside.start - place.start : inside.stop - place.start
            ]
        return stamps

    def read_piece(self, group: StoredGroup, block: BlockEntry, array: str) -> NDArray[Any] | None:
        """Return a block's piece of another array, or None if it has none.

        Raises
        ------
        CorruptRecording
            If the file is not what was written.
        """
        key = block_key(block.generation, array, group, block.number)
        if key not in block.files:
            return None
        return self._read_shard(key, block_layouts(group)[array])

    def read_whole(self, group: StoredGroup, level: int, number: int, bins: Span) -> NDArray[Any]:
        """Return a part of a shard of a level of the whole recording.

        Raises
        ------
        CorruptRecording
            If the file is not what was written.
        """
        return self._read_shard(whole_key(group, level, number), whole_layout(group, level), bins)

    def _read_shard(self, key: str, layout: ShardLayout, span: Span | None = None) -> NDArray[Any]:
        where = self.where(key)
        try:
            content = self._folder.read(self.name(key))
        except NotFound as error:
            raise CorruptRecording(f"{error}; restore it from a copy") from error
        return layout.decode_all(content, where, span)


def _same(one: NDArray[np.generic], other: NDArray[np.generic], piece: int) -> bool:
    """Return whether two blocks have the same bytes, NaN among them; compared in pieces."""
    return one.shape == other.shape and all(
        one[:, start : start + piece].tobytes() == other[:, start : start + piece].tobytes()
        for start in range(0, one.shape[1], piece)
    )


def chunks_held(held: Iterable[Span], chunk: int, chunks: int) -> NDArray[np.bool_]:
    """Return which chunks of a block hold any sample."""
    there = np.zeros(chunks, np.bool_)
    for span in held:
        there[span.start // chunk : -(-span.stop // chunk)] = True
    return there


def _number(value: Any) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None
