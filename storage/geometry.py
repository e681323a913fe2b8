"""How a rate group is cut into blocks and chunks, and in which units its overview is counted.

A block is what compaction writes at once, and the shard of the Zarr array; a chunk is what one
read decodes. Blocks hold whole bins of every level of the overview, chunks divide blocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from storage.spans import Span

LEVELS = (64, 1024, 16384)
UNIT = LEVELS[-1]
BLOCK_S = 640
CHUNK_S = 10
BLOCK_BYTES = 16 << 20
LEAST_CHUNK_BYTES = 16 << 10
MOST_CHUNK_BYTES = 2 << 20
DENSITY_S = 4


@dataclass(frozen=True, slots=True)
class Geometry:
    """Samples of each channel in a block and in a chunk."""

    block_samples: int
    chunk_samples: int


def choose_geometry(rate_hz: Fraction, n_channels: int, itemsize: int) -> Geometry:
    """Return the cut for a rate group.

    Blocks last about 640 s, are multiples of 16384 samples and hold at most 16 MB unless a single
    such unit does not fit. Chunks last about 10 s, unless they were tiny or huge then; a block is
    a power of two of them, and they are multiples of 64 samples.
    """
    sample_bytes = max(1, n_channels * itemsize)
    units = max(1, round(BLOCK_S * rate_hz / UNIT))
    block = UNIT * max(1, min(units, BLOCK_BYTES // (UNIT * sample_bytes)))
    chunk = block
    while chunk % (2 * LEVELS[0]) == 0 and (
        chunk * sample_bytes > MOST_CHUNK_BYTES
        or (
            abs(chunk // 2 - CHUNK_S * rate_hz) < abs(chunk - CHUNK_S * rate_hz)
            and chunk // 2 * sample_bytes >= LEAST_CHUNK_BYTES
        )
    ):
        chunk //= 2
    return Geometry(block, chunk)


def density_hop(rate_hz: Fraction) -> int:
    """Return the samples of one column of the colour density array: a power of two near 4 s."""
    hop = LEVELS[0]
    while hop < UNIT and abs(2 * hop - DENSITY_S * rate_hz) < abs(hop - DENSITY_S * rate_hz):
        hop *= 2
    return hop


def block_span(number: int, block_samples: int) -> Span:
    """Return the grid span of a block."""
    return Span(number * block_samples, (number + 1) * block_samples)


def blocks_of(span: Span, block_samples: int) -> range:
    """Return the numbers of the blocks that a span touches."""
    if not span:
        return range(0)
    return range(span.start // block_samples, -(-span.stop // block_samples))
