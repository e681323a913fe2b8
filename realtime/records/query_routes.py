"""The route that gives samples: a window of a recording, in every form."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Annotated

import orjson
from fastapi import APIRouter, Header, Query
from starlette.requests import Request
from starlette.responses import Response

from realtime.records import caching, encoders
from realtime.records.access import READ, CallerOf, find
from realtime.records.asks import Ask, Method, Units, View, look
from realtime.records.channels import named
from realtime.records.encoders import JSON, RAW
from realtime.records.forms import MEDIA, Form, form_of
from realtime.records.montage_routes import Derive
from realtime.records.openapi import problems
from realtime.records.page import Page
from realtime.records.state import Parts, PartsOf
from realtime.records.windows import read
from realtime.runtime.problems import Problem
from realtime.signal.montages import AS_RECORDED, MONTAGES
from realtime.wire.fields import BadField, exact
from storage.catalog_rows import RecordingEntry

JSON_S = 60  # of the seed's form, which takes 50 bytes for each sample
BINARY_FACTOR = 16  # binary forms take so many times more than the others
MOST_EXTENTS = 64  # of each group, in a header

router = APIRouter(tags=["query"])
Instant = Annotated[float, Query(ge=0, le=1e10, allow_inf_nan=False)]
Corner = Annotated[float | None, Query(gt=0, le=1e7, allow_inf_nan=False)]
BYTES = {"schema": {"type": "string", "format": "binary"}}
EEG_EXAMPLE = {
    "FP1-F7": [{"timestamp": 2996.0, "value": -12.5}, {"timestamp": 2996.00390625, "value": None}]
}


@router.get(
    "/eeg",
    response_model=None,
    responses={
        200: {
            "description": "The window. Headers: `X-Start`, `X-End` (as it was answered), "
            "`X-Clipped` (whether it reached beyond what is held), `X-Rate-Hz`, `X-Extents` (a "
            "list of `[start, end]` for each rate group, the first 64), `X-Gaps`, `X-Method`.",
            "content": {
                JSON: {
                    "schema": {
                        "type": "object",
                        "additionalProperties": {
                            "type": "array",
                            "items": {
                                "type": "object",
                                "required": ["timestamp", "value"],
                                "properties": {
                                    "timestamp": {"type": "number"},
                                    "value": {"type": ["number", "null"]},
                                },
                            },
                        },
                    },
                    "example": EEG_EXAMPLE,
                },
                encoders.COLUMNS: {"schema": {"type": "object"}},
                encoders.ARROW: BYTES,
                RAW: BYTES,
            },
        },
        304: {"description": "Not changed since."},
        **problems(401, 403, 404, 406, 409, 413, 422),
    },
)
def eeg(
    request: Request,
    caller: CallerOf,
    parts: PartsOf,
    patient_id: Annotated[str, Query(max_length=200, examples=["chb01"])],
    recording_id: Annotated[str, Query(max_length=200, examples=["chb01_03.edf"])],
    start: Annotated[Instant, Query(description="Seconds, included.", examples=[2996])],
    end: Annotated[Instant, Query(description="Seconds, not included.", examples=[3006])],
    channels: Annotated[
        list[str] | None, Query(description="Labels, keys or numbers; repeated or with commas.")
    ] = None,
    group: Annotated[int | None, Query(ge=0, description="Only this rate group.")] = None,
    max_points: Annotated[
        int | None, Query(ge=2, le=1_000_000, description="At most so many values per channel.")
    ] = None,
    agg: Annotated[Method, Query(description="How they are chosen; minmax is exact.")] = "minmax",
    units: Annotated[
        Units | None,
        Query(description="`uV` (the default of json, columns, f32) or `digital` (of the others)."),
    ] = None,
    hp: Annotated[Corner, Query(description="High pass, Hz.")] = None,
    lp: Annotated[Corner, Query(description="Low pass, Hz.")] = None,
    notch: Annotated[Corner, Query(description="Notch, Hz.")] = None,
    montage: Annotated[
        str, Query(max_length=40, description=f"{', '.join(MONTAGES)} (as `derive` says).")
    ] = AS_RECORDED,
    derive: Derive = None,
    format: Annotated[Form | None, Query(description="Wins over the Accept header.")] = None,  # noqa: A002
    accept: Annotated[str | None, Header()] = None,
) -> Response:
    """Return a window `[start, end)` of a recording.

    JSON holds the channels' keys only, each with a list of `{timestamp, value}` in seconds from
    the start and microvolts, null in gaps. `columns` has one list per channel, `arrow` is an
    Arrow IPC stream, `raw` a line of JSON and then numbers, channel after channel (`i16`: stored
    integers, `f32`: physical values).
    """
    caller.demand(READ)
    form = form_of(format, accept)
    entry = find(parts.store.catalog, caller, recording_id, patient_id)
    groups = parts.store.groups(entry)
    if units is None:
        plain = form in {"arrow", "raw", "i16"} and not (hp or lp or notch)
        units = "digital" if plain and montage == AS_RECORDED else "uV"
    if (form == "i16" and units != "digital") or (form == "f32" and units == "digital"):
        raise BadField(
            "format", f"{form} cannot hold these units; i16 has the numbers as stored, f32 uV"
        )
    ask = Ask(
        start=exact(start),
        end=exact(end),
        channels=named(channels, groups),
        group=group,
        max_points=max_points,
        agg=agg,
        units=units,
        hp=hp,
        lp=lp,
        notch=notch,
        montage=montage,
        derive=tuple(derive or ()),
    )
    views = look(parts.store, entry, groups, ask)
    tag = caching.tag_of(
        entry,
        ["eeg", form, ask.units, ask.agg, ask.max_points, hp, lp, notch, montage]
        + [caching.facts(view) for view in views]
        + [view.derivation.facts() for view in views if view.derivation is not None],
    )
    known = caching.unchanged(request, entry, tag)
    if known is not None:
        return known
    _check_size(parts, views, ask, form)
    pages = [read(parts.store, entry, view, ask, parts.window_limit) for view in views]
    return Response(
        _encoded(entry, pages, form),
        media_type=MEDIA[form],
        headers={
            **caching.headers(entry, tag),
            "Accept-Ranges": "none",
            **_about(views, pages),
        },
    )


def _check_size(parts: Parts, views: Sequence[View], ask: Ask, form: Form) -> None:
    """Refuse a window that is too large for its form, and say how to ask for it."""
    if form not in {"json", "columns"} and len(views) > 1:
        raise BadField(
            "group",
            f"the channels belong to {len(views)} rate groups, and this form holds one; choose "
            f"group={views[0].group.number} or another, or some channels of one",
        )
    if ask.agg != "none" and ask.max_points is not None:
        points = sum(min(len(view.span), ask.max_points) * view.n_channels for view in views)
    else:
        points = sum(view.n_samples for view in views)
        length = max((len(view.span) / view.group.rate for view in views), default=Fraction(0))
        if form == "json" and length > JSON_S:
            raise Problem(
                413,
                f"{float(length):g} s are too long for this form of JSON, which takes at most "
                f"{JSON_S} s; add max_points=2000, or ask for format=columns, arrow or raw",
                limit_sec=JSON_S,
            )
    limit = parts.window_limit
    if form not in {"json", "columns"}:
        limit *= BINARY_FACTOR
    if points > limit:
        raise Problem(
            413,
            f"{points} samples are more than {limit}, the most of format={form}; add "
            f"max_points=2000, ask for fewer channels or a shorter window"
            + ("" if limit > parts.window_limit else ", or for format=arrow or raw"),
            limit_samples=limit,
        )


def _encoded(entry: RecordingEntry, pages: Sequence[Page], form: Form) -> bytes:
    if form == "json":
        return encoders.seed_json(pages)
    about = {"patient_id": entry.patient, "recording_id": entry.name}
    if form == "columns":
        return encoders.columns(pages, about)
    if not pages:
        raise BadField("channels", "this recording has no channels yet")
    if form == "arrow":
        return encoders.arrow(pages[0], about)
    return encoders.raw(pages[0], about, form)


def _about(views: Sequence[View], pages: Sequence[Page]) -> dict[str, str]:
    extents = [page.extents for page in pages]
    starts = [page.span.start / page.rate for page in pages]
    ends = [page.span.stop / page.rate for page in pages]
    return {
        "X-Start": repr(float(min(starts, default=0))),
        "X-End": repr(float(max(ends, default=0))),
        "X-Clipped": "true" if any(view.clipped for view in views) else "false",
        "X-Rate-Hz": ", ".join(str(page.rate) for page in pages),
        "X-Extents": orjson.dumps([each[:MOST_EXTENTS] for each in extents]).decode(),
        "X-Gaps": str(sum(max(0, len(each) - 1) for each in extents)),
        "X-Method": ", ".join(sorted({page.method for page in pages})),
    }
