"""The JSON chunk of `POST /ingest`, from bytes to an array: parsed once, and checked in full."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray
from pydantic import ValidationError

from realtime.wire.fields import BadField, exact
from realtime.wire.records import ChunkHeader


@dataclass(frozen=True, slots=True)
class PostedChunk:
    """A chunk as it was posted.

    Parameters
    ----------
    header
        Everything but the samples.
    samples
        Shape ``(n_samples, n_channels)``, the transpose of a channel-major array.
    """

    header: ChunkHeader
    samples: NDArray[np.float64]

    @property
    def n_samples(self) -> int:
        """Samples of each channel."""
        return len(self.samples)

    @property
    def start_s(self) -> Fraction:
        """Start in seconds, exactly as it was written."""
        return exact(self.header.start)

    @property
    def duration_s(self) -> Fraction:
        """Duration in seconds, exactly as it was written."""
        return exact(self.header.end) - self.start_s


def parse_chunk(body: bytes) -> PostedChunk:
    """Parse and check the body of a post.

    Raises
    ------
    BadField
        If it is no such chunk; it names the field.
    """
    try:
        message = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadField("body", f"is no JSON ({str(error).partition(chr(10))[0]})") from error
    if not isinstance(message, dict):
        raise BadField("body", f"expected a JSON object, got {_kind(message)}")
    rows = message.pop("samples", None)
    if rows is None:
        raise BadField("samples", "is missing")
    try:
        header = ChunkHeader.model_validate(message)
    except ValidationError as error:
        raise BadField.of(error) from error
    if header.end <= header.start:
        raise BadField("end", f"expected more than start = {header.start}, got {header.end}")
    # Numbers become an array at once. Only true and false would pass as numbers, so they are
    # looked for where the body has such a word at all.
    samples = _array(rows, b"true" in body or b"false" in body)
    if len(samples) != len(header.channels):
        raise BadField(
            "samples", f"{len(samples)} rows; expected {len(header.channels)}, one per channel"
        )
    return PostedChunk(header, samples.T)


def _array(rows: Any, suspicious: bool) -> NDArray[np.float64]:
    if not isinstance(rows, list) or not rows:
        raise BadField("samples", f"expected a list of rows, got {_kind(rows)}")
    if suspicious or not all(isinstance(row, list) for row in rows):
        _explain(rows)
    if len({len(row) for row in rows}) > 1 or not rows[0]:
        _explain(rows)
    try:
        samples = np.array(rows)
    except (ValueError, OverflowError):
        _explain(rows)
        raise
    if samples.ndim != 2 or samples.dtype.kind not in "fiu":
        _explain(rows)
    return samples.astype(np.float64, copy=False)


def _explain(rows: list[Any]) -> None:
    """Raise for the first row or value that is not as it should be, if there is one."""
    for number, row in enumerate(rows):
        if not isinstance(row, list):
            raise BadField(f"samples[{number}]", f"expected a list of numbers, got {_kind(row)}")
        if not row:
            raise BadField(f"samples[{number}]", "is empty; expected at least one sample")
        for index, value in enumerate(row):
            if isinstance(value, bool) or not isinstance(value, int | float):
                hint = "; a gap is left out, not sent as null" if value is None else ""
                raise BadField(
                    f"samples[{number}][{index}]", f"expected a number, got {_kind(value)}{hint}"
                )
        if len(row) != len(rows[0]):
            raise BadField(
                f"samples[{number}]",
                f"{len(row)} values; expected {len(rows[0])}, as in samples[0]",
            )


def _kind(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "a list" if value else "an empty list"
        case _:
            return "an object"
