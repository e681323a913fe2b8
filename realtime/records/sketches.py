"""Answers that show a whole recording without its samples: overview and colour density array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import Response

from realtime.records import caching
from realtime.records.channels import chosen, named
from realtime.records.encoders import ALIGNED, JSON, NUMPY, RAW
from realtime.records.page import seconds, within
from realtime.records.windows import curve
from realtime.wire.fields import BadField, exact, first_from
from storage.catalog_rows import RecordingEntry, StoredGroup
from storage.errors import NotFound
from storage.recording_store import RecordingStore
from storage.spans import Span


def overview_answer(
    request: Request,
    store: RecordingStore,
    entry: RecordingEntry,
    px: int,
    start: float,
    end: float | None,
    channels: Sequence[str] | None,
    form: str,
) -> Response:
    """Return the answer with the extremes of bins."""
    parts = _parts(store, entry, start, end, channels)
    tag = _tag(store, entry, parts, ["overview", px, form])
    known = caching.unchanged(request, entry, tag)
    if known is not None:
        return known
    if form != "json" and len(parts) != 1:
        raise BadField("channels", f"they belong to {len(parts)} rate groups; this form holds one")
    groups: list[dict[str, Any]] = []
    numbers: list[NDArray[np.float32]] = []
    for group, members, span in parts:
        seen = store.overview(entry, group.number, span, px, list(members))
        low, high = _extremes(group, members, seen.low, seen.high)
        groups.append(
            {
                "group": group.number,
                "rate_hz": float(group.rate),
                "start": seconds(seen.span.start, group.rate),
                "end": seconds(span.stop, group.rate),
                "bin_sec": seconds(seen.factor, group.rate),
                "samples_per_bin": seen.factor,
                "num_bins": low.shape[1],
                "channels": [group.channels[number].key for number in members],
                "units": [group.channels[number].unit for number in members],
                "low": low,
                "high": high,
            }
        )
        numbers.extend((low, high))
    about: dict[str, Any] = {"patient_id": entry.patient, "recording_id": entry.name}
    headers = caching.headers(entry, tag)
    if form == "json":
        body = orjson.dumps(about | {"groups": groups}, option=NUMPY)
        return Response(body, media_type=JSON, headers=headers)
    for name in ("low", "high"):
        del groups[0][name]
    about |= groups[0] | {"dtype": "<f4", "shape": [2, *numbers[0].shape]}
    return Response(_lined(about, numbers), media_type=RAW, headers=headers)


def _extremes(
    group: StoredGroup, members: Sequence[int], low: NDArray[Any], high: NDArray[Any]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return physical extremes, shape ``(n_channels, n_bins)``; NaN in empty bins."""
    lows = np.empty((len(members), len(low)), np.float32)
    highs = np.empty_like(lows)
    for row, number in enumerate(members):
        scaling = group.channels[number].scaling
        first, second = scaling.apply(low[:, row]), scaling.apply(high[:, row])
        empty = low[:, row] > high[:, row]
        # A negative factor turns the one into the other.
        lows[row] = np.where(empty, np.nan, np.minimum(first, second))
        highs[row] = np.where(empty, np.nan, np.maximum(first, second))
    return lows, highs


def density_answer(
    request: Request,
    store: RecordingStore,
    entry: RecordingEntry,
    px: int,
    start: float,
    end: float | None,
    channels: Sequence[str] | None,
    form: str,
) -> Response:
    """Return the answer with the colour density array."""
    parts = _parts(store, entry, start, end, channels)
    if not parts:
        raise NotFound(f"recording {entry.name!r}: it holds no channels yet")
    # The EEG; what else there is has fewer channels.
    group, members, span = max(parts, key=lambda part: len(part[1]))
    tag = _tag(store, entry, [(group, members, span)], ["dsa", px, form])
    known = caching.unchanged(request, entry, tag)
    if known is not None:
        return known
    found = store.density(entry, group.number, span, px, list(members)) if span else None
    if found is None:
        raise NotFound(
            f"recording {entry.name!r}: there is no colour density array of this part; it is made "
            f"with each whole block, at rates from 16 Hz up"
        )
    about = {
        "patient_id": entry.patient,
        "recording_id": entry.name,
        "group": group.number,
        "start": seconds(found.span.start, group.rate),
        "end": seconds(found.span.stop, group.rate),
        "column_sec": seconds(found.hop, group.rate),
        "row_hz": found.row_hz,
        "floor_db": found.floor_db,
        "step_db": found.step_db,
        "channels": [curve(group.channels[number]).key for number in members],
        "shape": list(found.values.shape),
    }
    headers = caching.headers(entry, tag)
    values = np.ascontiguousarray(found.values)
    if form == "json":
        body = orjson.dumps(about | {"values": values}, option=NUMPY)
        return Response(body, media_type=JSON, headers=headers)
    return Response(_lined(about | {"dtype": "|u1"}, [values]), media_type=RAW, headers=headers)


def _parts(
    store: RecordingStore,
    entry: RecordingEntry,
    start: float,
    end: float | None,
    channels: Sequence[str] | None,
) -> list[tuple[StoredGroup, tuple[int, ...], Span]]:
    if end is not None and end <= start:
        raise BadField("end", f"expected more than start = {start:g}, got {end:g}")
    groups = store.groups(entry)
    parts = []
    for group, members in chosen(groups, named(channels, groups)):
        stop = store.stop(entry, group.number)
        last = stop if end is None else min(stop, first_from(exact(end), group.rate))
        parts.append((group, members, Span(min(first_from(exact(start), group.rate), last), last)))
    return parts


def _tag(
    store: RecordingStore,
    entry: RecordingEntry,
    parts: Sequence[tuple[StoredGroup, tuple[int, ...], Span]],
    about: Sequence[Any],
) -> str:
    held = [
        [
            group.number,
            members,
            span.start,
            span.stop,
            [
                (piece.start, piece.n_samples)
                for piece in within(store.segments(entry, group.number, span), span)
            ],
            # What is not yet in a block has no density.
            [block.number for block in store.catalog.blocks(group, span)] if span else [],
        ]
        for group, members, span in parts
    ]
    return caching.tag_of(entry, [*about, held])


def _lined(about: dict[str, Any], arrays: Sequence[NDArray[Any]]) -> bytes:
    line = orjson.dumps(about)
    line += b" " * (-(len(line) + 1) % ALIGNED) + b"\n"
    return line + b"".join(array.tobytes() for array in arrays)
