"""The routes that give pictures instead of samples: overviews and spectra."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import orjson
from fastapi import APIRouter, Depends, Header, Query
from starlette.requests import Request
from starlette.responses import Response

from realtime.records import caching
from realtime.records.access import READ, Opened, opened
from realtime.records.asks import Ask, look
from realtime.records.channels import chosen
from realtime.records.encoders import JSON, RAW
from realtime.records.forms import Form, form_of
from realtime.records.openapi import problems
from realtime.records.sketches import density_answer, overview_answer
from realtime.records.state import PartsOf
from realtime.records.windows import read
from realtime.runtime.problems import Problem
from realtime.signal.spectrogram import spectrogram
from realtime.wire.fields import BadField, exact
from storage.spans import Span

SPECTRUM_S = 600

router = APIRouter(tags=["query"])
OpenedToRead = Annotated[Opened, Depends(opened(READ))]
Instant = Annotated[float, Query(ge=0, le=1e10, allow_inf_nan=False)]
BYTES = {"schema": {"type": "string", "format": "binary"}}


@router.get(
    "/recordings/{recording_id}/overview",
    response_model=None,
    responses={
        200: {
            "description": "Lowest and highest value of each bin; null in bins without samples. "
            "As raw numbers: all lowest, then all highest, channel after channel, as f32.",
            "content": {JSON: {"schema": {"type": "object"}}, RAW: BYTES},
        },
        304: {"description": "Not changed since."},
        **problems(401, 403, 404, 406, 409, 422),
    },
)
def overview(
    request: Request,
    found: OpenedToRead,
    parts: PartsOf,
    px: Annotated[int, Query(ge=1, le=20_000, description="Bins, at most.")] = 2000,
    start: Annotated[Instant, Query()] = 0,
    end: Annotated[Instant | None, Query(description="The end, if not given.")] = None,
    channels: Annotated[list[str] | None, Query()] = None,
    format: Annotated[Form | None, Query(description="json or f32.")] = None,  # noqa: A002
    accept: Annotated[str | None, Header()] = None,
) -> Response:
    """Return the extremes of a whole recording, or a part of it, at so many pixels."""
    form = form_of(format, accept)
    if form not in {"json", "raw", "f32"}:
        raise BadField("format", f"expected json or f32, got {form}")
    return overview_answer(request, parts.store, found.entry, px, start, end, channels, form)


@router.get(
    "/recordings/{recording_id}/dsa",
    response_model=None,
    responses={
        200: {
            "description": "The colour density array: decibels over time and frequency for each "
            "channel, as bytes; 0 where there is none. As JSON, or as raw bytes after a line of "
            "JSON, `[column][row][channel]`.",
            "content": {JSON: {"schema": {"type": "object"}}, RAW: BYTES},
        },
        304: {"description": "Not changed since."},
        **problems(401, 403, 404, 406, 409, 422),
    },
)
def dsa(
    request: Request,
    found: OpenedToRead,
    parts: PartsOf,
    px: Annotated[int, Query(ge=1, le=20_000, description="Columns, at most.")] = 2000,
    start: Annotated[Instant, Query()] = 0,
    end: Annotated[Instant | None, Query(description="The end, if not given.")] = None,
    channels: Annotated[list[str] | None, Query()] = None,
    format: Annotated[Form | None, Query(description="json or raw.")] = None,  # noqa: A002
    accept: Annotated[str | None, Header()] = None,
) -> Response:
    """Return how much of each frequency there is over time, computed when blocks were stored."""
    form = form_of(format, accept)
    if form not in {"json", "raw"}:
        raise BadField("format", f"expected json or raw, got {form}")
    return density_answer(request, parts.store, found.entry, px, start, end, channels, form)


@router.get(
    "/recordings/{recording_id}/spectrogram",
    response_model=None,
    responses={
        200: {
            "description": "Power spectral density in decibels of squared units per hertz, "
            "`power_db[window][frequency]`; null where a window touches a gap.",
            "content": {JSON: {"schema": {"type": "object"}}},
        },
        304: {"description": "Not changed since."},
        **problems(401, 403, 404, 409, 413, 422),
    },
)
def spectrum(
    request: Request,
    found: OpenedToRead,
    parts: PartsOf,
    channel: Annotated[str, Query(max_length=200, description="Label, key or number.")],
    start: Annotated[Instant, Query()],
    end: Annotated[Instant, Query()],
    window: Annotated[float, Query(gt=0, le=60, description="Seconds.")] = 2.0,
    step: Annotated[float, Query(gt=0, le=60, description="Seconds.")] = 0.5,
    fmax: Annotated[float, Query(gt=0, le=1e6, description="Highest frequency, Hz.")] = 70.0,
) -> Response:
    """Return the spectrogram of one channel over at most ten minutes."""
    entry = found.entry
    groups = parts.store.groups(entry)
    members = chosen(groups, [channel])
    key = members[0][0].channels[members[0][1][0]].key
    ask = Ask(start=exact(start), end=exact(end), channels=(key,))
    view = look(parts.store, entry, groups, ask)[0]
    tag = caching.tag_of(entry, ["spectrogram", window, step, fmax, caching.facts(view)])
    known = caching.unchanged(request, entry, tag)
    if known is not None:
        return known
    rate_hz = float(view.group.rate)
    columns = len(view.span) / rate_hz / step * min(fmax, rate_hz / 2) * window
    if len(view.span) / view.group.rate > SPECTRUM_S or columns > parts.window_limit:
        raise Problem(
            413,
            f"{len(view.span) / rate_hz:g} s in steps of {step:g} s are too many; at most "
            f"{SPECTRUM_S} s and {parts.window_limit} values: ask for a part, or for longer steps",
        )
    page = read(parts.store, entry, view, ask, parts.window_limit)
    stretches = [
        Span(segment.start - page.span.start, segment.stop - page.span.start)
        for segment in page.segments
    ]
    made = spectrogram(page.values[0], rate_hz, window, step, fmax, stretches)
    with np.errstate(divide="ignore"):
        decibels = np.maximum(10 * np.log10(made.density), -200.0)
    body = orjson.dumps(
        {
            "recording_id": entry.name,
            "channel": page.curves[0].key,
            "unit": f"dB {page.curves[0].unit}^2/Hz",
            "times": page.span.start / rate_hz + made.times_s,
            "frequencies": np.ascontiguousarray(made.frequencies_hz),
            "power_db": np.ascontiguousarray(np.round(decibels, 2)),
        },
        option=orjson.OPT_SERIALIZE_NUMPY,
    )
    return Response(body, media_type=JSON, headers=caching.headers(entry, tag))
