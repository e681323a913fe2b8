"""Tags that name content: a window that has not changed is not sent again."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from realtime.records.asks import View
from storage.catalog_rows import RecordingEntry

FORMS = 2  # counts changes of the encoders, which change the bytes of the same samples
SEALED = "private, max-age=31536000, immutable"
LIVE = "private, no-cache"
VARY = "Accept, Authorization"


def tag_of(entry: RecordingEntry, about: Sequence[Any]) -> str:
    """Return a strong tag for an answer that is made of nothing else.

    Samples that are stored never change. So what there is of a span, and what was asked, settle
    every byte of the answer.
    """
    text = orjson.dumps([FORMS, str(entry.uuid), entry.sealed, *about], default=str)
    return f'"{hashlib.sha256(text).hexdigest()[:40]}"'


def facts(view: View) -> list[Any]:
    """Return what settles the samples of a view."""
    return [
        view.group.number,
        view.span.start,
        view.span.stop,
        view.around.start,
        view.around.stop,
        view.members,
        [(piece.start, piece.n_samples, piece.shift_us) for piece in view.segments],
    ]


def headers(entry: RecordingEntry, tag: str) -> dict[str, str]:
    """Return the headers for whoever keeps the answer."""
    return {
        "ETag": tag,
        "Cache-Control": SEALED if entry.sealed else LIVE,
        "Vary": VARY,
    }


def unchanged(request: Request, entry: RecordingEntry, tag: str) -> Response | None:
    """Return the answer 304 if the client has what it asks for."""
    known = request.headers.get("if-none-match")
    if known is None:
        return None
    tags = {each.strip().removeprefix("W/") for each in known.split(",")}
    if tag not in tags and "*" not in tags:
        return None
    return Response(status_code=304, headers=headers(entry, tag))
