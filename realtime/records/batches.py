"""Many chunks in one post: an Arrow stream with a row for each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from realtime.wire.fields import BadField

MOST_CHUNKS = 4096
COLUMNS = ("start_sample", "samples", "group", "shift_us")


@dataclass(frozen=True, slots=True)
class BatchRow:
    """A chunk of a batch: its place on the grid of a group, and its bytes as they are stored."""

    start: int
    body: bytes
    group: int
    shift_us: int


def batch_rows(body: bytes) -> list[BatchRow]:
    """Return the chunks of an Arrow IPC stream.

    Columns: ``start_sample`` (integer), ``samples`` (binary: little-endian, channel after
    channel, in the group's stored type), and if wanted ``group`` and ``shift_us`` (integers).

    Raises
    ------
    BadField
        If it is no such stream.
    """
    try:
        with pa.ipc.open_stream(body) as stream:
            names = stream.schema.names
            for name in COLUMNS[:2]:
                if name not in names:
                    raise BadField(name, f"this column is missing; found {', '.join(names)}")
            if unknown := sorted(set(names) - set(COLUMNS)):
                raise BadField(unknown[0], f"expected the columns {', '.join(COLUMNS)}")
            rows: list[BatchRow] = []
            for batch in stream:
                if len(rows) + batch.num_rows > MOST_CHUNKS:
                    raise BadField("body", f"more than {MOST_CHUNKS} chunks; send several batches")
                batch.validate(full=True)
                rows.extend(_rows(batch, len(rows)))
    except (pa.ArrowException, OSError) as error:
        reason = str(error).partition("\n")[0][:200]
        raise BadField("body", f"is no Arrow IPC stream of chunks ({reason})") from error
    if not rows:
        raise BadField("body", "holds no chunk")
    return rows


def _rows(batch: Any, before: int) -> Iterator[BatchRow]:
    starts = _integers(batch, "start_sample", before)
    groups = _integers(batch, "group", before)
    shifts = _integers(batch, "shift_us", before)
    samples = batch.column("samples")
    kind = samples.type
    if not (pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
        raise BadField("samples", f"expected a column of binary, got {kind}")
    for number, (start, group, shift_us) in enumerate(zip(starts, groups, shifts, strict=True)):
        body = samples[number].as_py()
        if body is None:
            raise BadField(f"samples[{before + number}]", "is null")
        yield BatchRow(start, body, group, shift_us)


def _integers(batch: Any, name: str, before: int) -> list[int]:
    if name not in batch.schema.names:
        return [0] * int(batch.num_rows)
    column = batch.column(name)
    if not pa.types.is_integer(column.type):
        raise BadField(name, f"expected a column of integers, got {column.type}")
    values: list[int] = column.to_pylist()
    for number, value in enumerate(values):
        if value is None or (value < 0 and name != "shift_us"):
            raise BadField(f"{name}[{before + number}]", f"expected 0 or more, got {value}")
    return values
