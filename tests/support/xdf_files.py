"""Small XDF files, written by hand."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray

FORMATS = {"int16": "int16", "int32": "int32", "float32": "float32", "float64": "double64"}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class XdfSpec:
    """A stream: its values (or texts), a stamp for each, and what its header says."""

    name: str
    stamps: NDArray[np.float64]
    values: NDArray[Any] | None = None
    texts: Sequence[str] = ()
    type: str = "EEG"
    nominal_hz: float = 0.0
    labels: Sequence[str] = ()
    units: Sequence[str] = ()
    clock_offsets: Sequence[tuple[float, float]] = field(default_factory=tuple)
    chunk: int = 50


def write_xdf(path: Path, *streams: XdfSpec, started: str | None = None) -> Path:
    """Write a file; samples of the streams come in turns, in chunks."""
    date = f"<datetime>{started}</datetime>" if started else ""
    parts = [b"XDF:", _chunk(1, f"<info><version>1.0</version>{date}</info>".encode())]
    for number, stream in enumerate(streams, 1):
        parts.append(_chunk(2, _header(stream), number))
    for number, stream in enumerate(streams, 1):
        parts.extend(
            _chunk(4, struct.pack("<dd", *offset), number) for offset in stream.clock_offsets
        )
    longest = max(len(stream.stamps) for stream in streams)
    for at in range(0, longest, min(stream.chunk for stream in streams)):
        for number, stream in enumerate(streams, 1):
            if at % stream.chunk == 0 and at < len(stream.stamps):
                parts.append(_chunk(3, _samples(stream, at), number))
    parts.extend(
        _chunk(6, f"<info><sample_count>{len(stream.stamps)}</sample_count></info>".encode(), n)
        for n, stream in enumerate(streams, 1)
    )
    path.write_bytes(b"".join(parts))
    return path


def _chunk(tag: int, content: bytes, stream: int | None = None) -> bytes:
    body = struct.pack("<H", tag)
    if stream is not None:
        body += struct.pack("<I", stream)
    body += content
    return b"\x04" + struct.pack("<I", len(body)) + body


def _header(stream: XdfSpec) -> bytes:
    count = 1 if stream.values is None else stream.values.shape[1]
    form = "string" if stream.values is None else FORMATS[stream.values.dtype.name]
    channels = "".join(
        f"<channel><label>{escape(label)}</label><unit>{escape(unit)}</unit></channel>"
        for label, unit in zip(stream.labels, stream.units, strict=True)
    )
    return (
        f"<info><name>{escape(stream.name)}</name><type>{stream.type}</type>"
        f"<channel_count>{count}</channel_count><nominal_srate>{stream.nominal_hz}</nominal_srate>"
        f"<channel_format>{form}</channel_format><created_at>0</created_at>"
        f"<desc><channels>{channels}</channels></desc></info>"
    ).encode()


def _samples(stream: XdfSpec, at: int) -> bytes:
    stop = min(at + stream.chunk, len(stream.stamps))
    parts = [b"\x04" + struct.pack("<I", stop - at)]
    for index in range(at, stop):
        parts.append(b"\x08" + struct.pack("<d", stream.stamps[index]))
        if stream.values is None:
            text = stream.texts[index].encode()
            parts.append(b"\x04" + struct.pack("<I", len(text)) + text)
        else:
            row = stream.values[index]
            parts.append(row.astype(row.dtype.newbyteorder("<")).tobytes())
    return b"".join(parts)
