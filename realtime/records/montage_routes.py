"""The route that says which montages can be made of a recording."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import orjson
from fastapi import APIRouter, Depends, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from realtime.records import caching
from realtime.records.access import READ, Opened, opened
from realtime.records.channels import electroencephalogram, labels_of, microvolts
from realtime.records.encoders import JSON
from realtime.records.openapi import problems
from realtime.records.state import PartsOf
from realtime.signal.electrodes import electrodes
from realtime.signal.montages import (
    AS_RECORDED,
    CUSTOM,
    MONTAGES,
    TITLES,
    Definition,
    definitions,
    possible,
)
from realtime.wire.fields import BadField
from realtime.wire.records import MontageItem
from storage.catalog_rows import StoredGroup
from storage.errors import UsageError

MOST_DERIVED = 256

router = APIRouter()
Derive = Annotated[
    list[Annotated[str, Field(max_length=200)]] | None,
    Query(
        max_length=MOST_DERIVED,
        description="What the montage `custom` shows, one each: `Active-Reference` or "
        "`Label=Active-Reference`. The reference is an electrode, several joined by `+` (their "
        "mean; in an address `+` is written `%2B`, and a blank counts as one), or `average` (the "
        "mean of all electrodes connected with the active one). What cannot be made from the "
        "recorded channels is left out.",
        examples=[["C3-A1+A2", "Left=Fp1-F7", "Cz-average"]],
    ),
]


@router.get(
    "/recordings/{recording_id}/montages",
    response_model=list[MontageItem],
    responses={
        304: {"description": "Not changed since."},
        **problems(401, 403, 404, 409, 422),
    },
)
def montages(
    request: Request,
    found: Annotated[Opened, Depends(opened(READ))],
    parts: PartsOf,
    derive: Derive = None,
) -> Response:
    """Return which montages can be made of what was recorded, and which of their channels.

    With `derive`, also of the montage `custom` that is made of it. A montage of which nothing can
    be made has a `reason`.
    """
    try:
        custom = definitions(tuple(derive or ()))
    except UsageError as error:
        raise BadField("derive", str(error).removeprefix("derive: ")) from error
    items = offered(parts.store.groups(found.entry), custom)
    body = orjson.dumps([item.model_dump() for item in items])
    tag = caching.tag_of(found.entry, ["montages", body.decode()])
    answer = caching.unchanged(request, found.entry, tag)
    if answer is None:
        headers = caching.headers(found.entry, tag)
        answer = Response(body, media_type=JSON, headers=headers)
    # Not for ever, not even of a sealed recording: a later version may know more montages.
    answer.headers["Cache-Control"] = caching.LIVE
    return answer


def offered(
    groups: Sequence[StoredGroup], custom: tuple[Definition, ...] = ()
) -> list[MontageItem]:
    """Return what can be made of the channels of a recording, montage after montage."""
    shown = [
        (group, number)
        for group in groups
        for number, channel in enumerate(group.channels)
        if not channel.dummy
    ]
    group = electroencephalogram(groups)
    candidates = () if group is None else microvolts(group)
    labels = () if group is None else labels_of(group, candidates)
    used = {candidates[column] for column in electrodes(labels).columns}
    ours: list[str] = []
    others: list[str] = []
    for one, number in shown:
        is_electrode = one is group and number in used
        (ours if is_electrode else others).append(one.channels[number].key)
    recorded = MontageItem(
        name=AS_RECORDED,
        title=TITLES[AS_RECORDED],
        # Where there is no electrode, nothing is beside the point.
        channels=ours or others,
        missing=[],
        others=others if ours else [],
        reason=None if shown else "this recording has no channels yet",
    )
    items = [recorded]
    for name in MONTAGES:
        if name == AS_RECORDED or (name == CUSTOM and not custom):
            continue
        made = possible(name, labels, custom if name == CUSTOM else ())
        items.append(
            MontageItem(
                name=name,
                title=TITLES[name],
                channels=list(made.labels),
                missing=list(made.missing),
                others=others,
                reason=made.reason,
            )
        )
    return items
