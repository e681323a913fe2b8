"""Many chunks in one post: an Arrow stream with a row for each."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from realtime.wire.fields import BadField

MOST_CHUNKS = 4096
COLUMNS = ("start_sample", "samples", "group", "shift_us")
HEADER, COMPRESSION = 2, 3  # numbers of fields in the tables Message and RecordBatch


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
        If it is no such stream, or packed: it could unpack to any size.
    """
    # 27 MB, and 0.03 s.
    import pyarrow as pa

    try:
        _demand_plain(body)
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
    except (
        *(pa.ArrowException, OSError, struct.error, MemoryError),
        *(ValueError, TypeError, LookupError, ArithmeticError),
    ) as error:
        reason = str(error).partition("\n")[0][:200]
        raise BadField("body", f"is no Arrow IPC stream of chunks ({reason})") from error
    if not rows:
        raise BadField("body", "holds no chunk")
    return rows


def _demand_plain(body: bytes) -> None:
    import pyarrow as pa

    for message in pa.ipc.MessageReader.open_stream(body):
        if message.type == "record batch":
            metadata = message.metadata.to_pybytes()
            (root,) = struct.unpack_from("<I", metadata)
            header = _field(metadata, root, HEADER)
            (forth,) = struct.unpack_from("<I", metadata, header)
            if _field(metadata, header + forth, COMPRESSION):
                raise BadField("body", "is compressed; send the Arrow stream without compression")
        elif message.type != "schema":
            raise BadField("body", f"holds a {message.type}; send plain columns only")


def _field(metadata: bytes, table: int, number: int) -> int:
    """Return where a field of a FlatBuffers table lies; 0 if it is absent."""
    (back,) = struct.unpack_from("<i", metadata, table)
    (size,) = struct.unpack_from("<H", metadata, table - back)
    at = 4 + 2 * number
    if at >= size:
        return 0
    (offset,) = struct.unpack_from("<H", metadata, table - back + at)
    return table + int(offset) if offset else 0


def _rows(batch: Any, before: int) -> Iterator[BatchRow]:
    import pyarrow as pa

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
    import pyarrow as pa

    column = batch.column(name)
    if not pa.types.is_integer(column.type):
        raise BadField(name, f"expected a column of integers, got {column.type}")
    values: list[int] = column.to_pylist()
    for number, value in enumerate(values):
        if value is None or (value < 0 and name != "shift_us"):
            raise BadField(f"{name}[{before + number}]", f"expected 0 or more, got {value}")
    return values
