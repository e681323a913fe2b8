"""Overviews and colour density of a stored recording, the live end of it as well."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.catalog_rows import RecordingEntry, StoredGroup
from storage.compaction import chunk_samples
from storage.density import Density, density_shape, join_columns
from storage.errors import UsageError
from storage.geometry import block_span, blocks_of
from storage.overview import (
    BLOCK_LEVELS,
    WHOLE_LEVELS,
    Overview,
    choose_bins,
    empty_bins,
    merge_bins,
    merge_samples,
)
from storage.sealing import bins_of, overview_piece
from storage.spans import Span
from storage.windows import HeldSpan, WindowReader, chosen_rows
from storage.zarr_recordings import whole_layout

# Waiting chunks that adjoin are joined up to so many samples, and reduced at once.
JOINED = 1 << 16


def read_overview(
    reader: WindowReader,
    entry: RecordingEntry,
    number: int,
    span: Span,
    max_bins: int,
    channels: Sequence[int] | None = None,
) -> Overview:
    """Return the extremes of a span in at most ``max_bins`` bins; no sample of it is left out.

    Bins begin at multiples of their length, so the first one may begin before the span, and the
    last one may end after it: each tells the extremes of all of its samples.

    Raises
    ------
    UsageError
        If there is no such group or channel, or no bin is allowed.
    """
    if max_bins < 1:
        raise UsageError(f"max_bins is {max_bins}; expected at least 1")
    group = reader.group(entry, number)
    chosen = None if channels is None else chosen_rows(group, channels)
    stop = reader.stop(entry, group)
    clipped = span.intersect(Span(0, stop))
    if not clipped:
        bins = empty_bins(group.dtype, len(group.channels), 0)
        return _overview(Span(clipped.start, clipped.start), 1, bins, chosen)
    levels = (*BLOCK_LEVELS, *WHOLE_LEVELS) if entry.sealed else BLOCK_LEVELS
    level, factor = choose_bins(clipped, max_bins, levels)
    cut = bins_of(clipped, factor)
    aligned = Span(cut.start * factor, min(cut.stop * factor, stop))
    # Bins of a level tell by themselves where nothing is.
    facts = reader.held(entry, group, aligned, segments=level == 1)
    bins = empty_bins(group.dtype, len(group.channels), len(cut))
    if level == 1:
        samples = reader.samples(entry, group, facts, aligned)
        held = [
            Span(each.start - aligned.start, each.stop - aligned.start)
            for each in facts.within(aligned)
        ]
        merge_samples(bins, samples, 0, factor, held)
    else:
        if facts.whole and level in WHOLE_LEVELS:
            _merge_whole(reader, entry, group, facts, aligned, level, factor, bins)
        else:
            _merge_blocks(reader, entry, group, facts, aligned, level, factor, bins)
        _merge_inbox(group, facts, aligned, factor, bins)
    return _overview(aligned, factor, bins, chosen)


def _overview(span: Span, factor: int, bins: NDArray[Any], chosen: list[int] | None) -> Overview:
    if chosen is not None:
        bins = bins[:, chosen]
    return Overview(span, factor, bins[0].T, bins[1].T)


def _merge_whole(
    reader: WindowReader,
    entry: RecordingEntry,
    group: StoredGroup,
    facts: HeldSpan,
    span: Span,
    level: int,
    factor: int,
    bins: NDArray[Any],
) -> None:
    shard = whole_layout(group, level).shard
    wanted = bins_of(span, level)
    there = {
        number
        for block in facts.blocks
        for number in blocks_of(block_span(block, group.block_samples), shard * level)
    }
    for number in blocks_of(wanted, shard):
        if number not in there:
            continue
        whole = block_span(number, shard)
        inside = whole.intersect(wanted)
        part = Span(inside.start - whole.start, inside.stop - whole.start)
        piece = reader.files(entry).read_whole(group, level, number, part)
        merge_bins(bins, piece, inside.start - wanted.start, factor // level)


def _merge_blocks(
    reader: WindowReader,
    entry: RecordingEntry,
    group: StoredGroup,
    facts: HeldSpan,
    span: Span,
    level: int,
    factor: int,
    bins: NDArray[Any],
) -> None:
    files = reader.files(entry)
    for number, block in facts.blocks.items():
        place = block_span(number, group.block_samples)
        if place.intersect(span):
            piece = overview_piece(files, group, block, level)
            merge_bins(bins, piece, (place.start - span.start) // level, factor // level)


def _merge_inbox(
    group: StoredGroup, facts: HeldSpan, span: Span, factor: int, bins: NDArray[Any]
) -> None:
    run: list[NDArray[Any]] = []
    start = stop = -1
    for chunk in facts.inbox:
        if chunk.start != stop or stop - start > JOINED:
            _merge_run(run, start, span, factor, bins)
            run, start = [], chunk.start
        run.append(chunk_samples(group, chunk))
        stop = chunk.start + chunk.n_samples
    _merge_run(run, start, span, factor, bins)


def _merge_run(
    run: list[NDArray[Any]], start: int, span: Span, factor: int, bins: NDArray[Any]
) -> None:
    if run:
        samples = np.concatenate(run, axis=1)
        held = [Span(0, samples.shape[1])]
        merge_samples(bins, samples, start - span.start, factor, held)


def read_density(
    reader: WindowReader,
    entry: RecordingEntry,
    number: int,
    span: Span | None = None,
    max_columns: int | None = None,
    channels: Sequence[int] | None = None,
) -> Density | None:
    """Return the colour density array of a span, or None for a rate too low to have one.

    It covers what is stored in blocks; what waits in the inbox is not in it yet.

    Parameters
    ----------
    span
        On the group's grid; None for all.
    max_columns
        Neighbouring columns are joined, the highest value of each row counting, until there are
        at most so many.
    channels
        Which channels; None for all.
    """
    group = reader.group(entry, number)
    shape = density_shape(group.rate)
    if shape is None:
        return None
    facts = reader.held(entry, group, span, segments=False, inbox=False)
    wanted = Span(0, facts.stop)
    wanted = bins_of(wanted if span is None else span.intersect(wanted), shape.hop)
    count = 1 if max_columns is None else max(1, -(-len(wanted) // max(1, max_columns)))
    rows = chosen_rows(group, range(len(group.channels)) if channels is None else channels)
    each = group.block_samples // shape.hop
    values = np.zeros((len(rows), shape.rows, -(-len(wanted) // count)), np.uint8)
    for block_number, block in sorted(facts.blocks.items()):
        place = block_span(block_number, each)
        inside = place.intersect(wanted)
        piece = reader.files(entry).read_piece(group, block, "dsa") if inside else None
        if piece is None:
            continue
        piece = piece[rows][..., inside.start - place.start : inside.stop - place.start]
        _join(values, piece, inside.start - wanted.start, count)
    span = Span(wanted.start * shape.hop, wanted.stop * shape.hop)
    return Density(span, shape.hop * count, shape.row_hz(group.rate), values.transpose(2, 1, 0))


def _join(values: NDArray[np.uint8], piece: NDArray[np.uint8], at: int, count: int) -> None:
    ahead = at % count
    padded = np.pad(piece, ((0, 0), (0, 0), (ahead, 0))) if ahead else piece
    joined = join_columns(padded, count)
    target = values[..., at // count : at // count + joined.shape[-1]]
    np.maximum(target, joined, out=target)
