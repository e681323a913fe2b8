"""EDF and BDF files made for tests, byte by byte, without the reader that they are to test.

``write_edf`` makes a valid file; ``edf_bytes`` returns its bytes, and ``patched`` breaks a field.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FIXED = {
    "version": (0, 8), "patient": (8, 80), "recording": (88, 80), "start_date": (168, 8),
    "start_time": (176, 8), "header_bytes": (184, 8), "reserved": (192, 44),
    "n_records": (236, 8), "record_duration": (244, 8), "n_signals": (252, 4),
}  # fmt: skip
SIGNAL = {
    "label": (0, 16), "transducer": (16, 80), "dimension": (96, 8), "physical_min": (104, 8),
    "physical_max": (112, 8), "digital_min": (120, 8), "digital_max": (128, 8),
    "prefilter": (136, 80), "samples": (216, 8), "signal_reserved": (224, 32),
}  # fmt: skip

# Onset and duration in seconds (or as bytes), and one or more texts.
Text = tuple[Any, ...]


@dataclass(frozen=True, kw_only=True)
class SignalSpec:
    """One signal.

    Parameters
    ----------
    digital
        Its numbers, ``records * samples`` of them; by default the sample's number and, added to
        it, 7919 times the signal's place, modulo the range of the type.
    """

    label: str | bytes = ""
    samples: int = 256
    digital: NDArray[np.int64] | None = None
    dimension: str | bytes = "uV"
    physical: tuple[str, str] = ("-3276.8", "3276.7")
    limits: tuple[str, str] | None = None
    transducer: str = ""
    prefilter: str = ""
    reserved: str = ""

    def numbers(self, place: int, records: int, bits: int) -> NDArray[np.int64]:
        """Return its numbers."""
        if self.digital is not None:
            return np.asarray(self.digital, np.int64)
        count = np.arange(records * self.samples, dtype=np.int64) + 7919 * place
        return (count + (1 << (bits - 1))) % (1 << bits) - (1 << (bits - 1))


def signals(count: int = 3, **given: Any) -> tuple[SignalSpec, ...]:
    """Return so many alike signals."""
    return tuple(SignalSpec(label=f"EEG {index}", **given) for index in range(count))


def edf_bytes(
    *,
    signals: Sequence[SignalSpec] = signals(),
    records: int = 10,
    record_s: str = "1",
    plus: str = "",
    bdf: bool = False,
    gaps: Mapping[int, str] | None = None,
    annotations: Sequence[Text] = (),
    first_onset: str = "0",
    annotation_bytes: int = 60,
    annotation_signals: int = 1,
    start: tuple[str, str] = ("24.01.20", "04.05.56"),
    patient: str = "X X X X",
    recording: str = "Startdate 24-JAN-2020 X X X",
    tail: bytes = b"",
) -> bytes:
    """Return the bytes of a file.

    Parameters
    ----------
    plus
        ``C`` or ``D`` for EDF+ and BDF+.
    gaps
        Seconds of pause before a record, by the record's number.
    annotations
        Onset, duration (or None) and texts; each goes into the first record with room for it.
    first_onset
        When the first record begins, in seconds after the start.
    annotation_bytes
        Of each annotation signal, in each record.
    tail
        What follows the last record.
    """
    size, bits = (3, 24) if bdf else (2, 16)
    specs = list(signals)
    texts = plus and annotation_signals
    samples = [spec.samples for spec in specs] + [-(-annotation_bytes // size)] * (texts or 0)
    n_signals = len(samples)
    name = "BDF" if bdf else "EDF"
    head = {
        "version": b"\xffBIOSEMI" if bdf else b"0",
        "patient": patient, "recording": recording, "start_date": start[0],
        "start_time": start[1], "header_bytes": str(256 * (n_signals + 1)),
        "reserved": f"{name}+{plus}" if plus else "24BIT" if bdf else "",
        "n_records": str(records), "record_duration": record_s, "n_signals": str(n_signals),
    }  # fmt: skip
    full = (str(-(1 << (bits - 1))), str((1 << (bits - 1)) - 1))
    rows: list[dict[str, Any]] = []
    for spec in specs:
        low, high = spec.limits or full
        rows.append({
            "label": spec.label, "transducer": spec.transducer, "dimension": spec.dimension,
            "physical_min": spec.physical[0], "physical_max": spec.physical[1],
            "digital_min": low, "digital_max": high, "prefilter": spec.prefilter,
            "samples": str(spec.samples), "signal_reserved": spec.reserved,
        })  # fmt: skip
    for _ in range(texts or 0):
        rows.append({
            "label": f"{name} Annotations", "transducer": "", "dimension": "",
            "physical_min": "-1", "physical_max": "1", "digital_min": full[0],
            "digital_max": full[1], "prefilter": "", "samples": str(samples[-1]),
            "signal_reserved": "",
        })  # fmt: skip
    out = b"".join(_field(head[key], width) for key, (_, width) in FIXED.items())
    for key, (_, width) in SIGNAL.items():
        out += b"".join(_field(row[key], width) for row in rows)
    columns = [
        _encoded(spec.numbers(place, records, bits), records, spec.samples, size)
        for place, spec in enumerate(specs)
    ]
    if texts:
        room = samples[-1] * size
        columns.extend(
            _text_columns(records, record_s, gaps or {}, first_onset, annotations, room, texts)
        )
    if columns:
        out += np.concatenate(columns, axis=1).tobytes() if records else b""
    return out + tail


def write_edf(path: Path, **given: Any) -> Path:
    """Write a file; see ``edf_bytes``."""
    path.write_bytes(edf_bytes(**given))
    return path


def patched(content: bytes, field: str, value: str | bytes, signal: int | None = None) -> bytes:
    """Return a file with another value in a field of its header."""
    if signal is None:
        at, width = FIXED[field]
    else:
        offset, width = SIGNAL[field]
        at = 256 + offset * int(content[252:256]) + width * signal
    return content[:at] + _field(value, width) + content[at + width :]


def _field(value: str | bytes, width: int) -> bytes:
    raw = value if isinstance(value, bytes) else value.encode("ascii")
    assert len(raw) <= width, (value, width)
    return raw.ljust(width)


def _encoded(
    numbers: NDArray[np.int64], records: int, samples: int, size: int
) -> NDArray[np.uint8]:
    assert len(numbers) == records * samples
    wide = numbers.astype("<i8").view(np.uint8).reshape(-1, 8)
    return np.ascontiguousarray(wide[:, :size]).reshape(records, samples * size)


def seconds(value: Fraction) -> bytes:
    """Return seconds with their sign."""
    text = f"{abs(value.numerator) * 10**9 // value.denominator:010d}"
    whole, part = text[:-9], text[-9:].rstrip("0")
    return f"{'-' if value < 0 else '+'}{whole}{'.' + part if part else ''}".encode()


def tal(onset: Any, duration: Any, *texts: str | bytes) -> bytes:
    """Return one list."""
    out = onset if isinstance(onset, bytes) else seconds(Fraction(str(onset)))
    if duration is not None:
        out += b"\x15" + str(duration).encode()
    for text in texts:
        out += b"\x14" + (text if isinstance(text, bytes) else text.encode())
    return out + b"\x14\x00"


def _text_columns(
    records: int,
    record_s: str,
    gaps: Mapping[int, str],
    first_onset: str,
    annotations: Sequence[Text],
    room: int,
    count: int,
) -> list[NDArray[np.uint8]]:
    at = Fraction(first_onset)
    waiting = [tal(*one) for one in annotations]
    rows: list[list[bytes]] = [[] for _ in range(count)]
    for record in range(records):
        at += Fraction(gaps.get(record, "0"))
        for number in range(count):
            content = tal(at, None, "") if number == 0 else b""
            while waiting and len(content) + len(waiting[0]) <= room:
                content += waiting.pop(0)
            rows[number].append(content.ljust(room, b"\0"))
        at += Fraction(record_s)
    assert not waiting, "no room for all annotations"
    return [np.frombuffer(b"".join(row), np.uint8).reshape(records, room) for row in rows]
