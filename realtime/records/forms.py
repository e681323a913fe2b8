"""In which form an answer is wanted: by parameter, or by what the client accepts."""

from __future__ import annotations

from typing import Literal

from realtime.records.encoders import ARROW, COLUMNS, JSON, RAW
from realtime.runtime.problems import Problem

Form = Literal["json", "columns", "arrow", "raw", "i16", "f32"]
MEDIA: dict[Form, str] = {
    "json": JSON,
    "columns": COLUMNS,
    "arrow": ARROW,
    "raw": RAW,
    "i16": RAW,
    "f32": RAW,
}
OFFERED: dict[str, Form] = {JSON: "json", COLUMNS: "columns", ARROW: "arrow", RAW: "raw"}


def form_of(asked: Form | None, accept: str | None) -> Form:
    """Return the form of an answer.

    Raises
    ------
    Problem
        406 if none of the forms is accepted.
    """
    if asked is not None:
        return asked
    if not accept:
        return "json"
    for kind in _by_weight(accept):
        if kind in {"*/*", "application/*"}:
            return "json"
        if kind in OFFERED:
            return OFFERED[kind]
    raise Problem(406, f"Accept {accept[:100]}: the forms are {', '.join(OFFERED)}")


def _by_weight(accept: str) -> list[str]:
    weighted: list[tuple[float, int, str]] = []
    for part in accept.split(","):
        kind, *parameters = (piece.strip().lower() for piece in part.split(";"))
        weight = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                try:
                    weight = float(parameter[2:])
                except ValueError:
                    weight = 0.0
        if weight > 0:
            weighted.append((-weight, len(weighted), kind))
    return [kind for _, _, kind in sorted(weighted)]
