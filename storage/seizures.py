"""``.seizures`` files: annotations in the MIT format of the WFDB library, beside an EDF file.

A word of 16 bits, little-endian, is a code (the upper six bits) and the samples since the one
before. ``[`` (32) and ``]`` (33) are the onset and the end of a seizure.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from fractions import Fraction

from storage.errors import CorruptRecording

SUFFIX = ".seizures"
ONSET, END = 32, 33
SKIP, NUM, SUB, CHN, AUX = 59, 60, 61, 62, 63
RESOLUTION = re.compile(rb"## time resolution: ([0-9.]+)")


@dataclass(frozen=True, slots=True)
class Seizure:
    """Onset and end in seconds after the start of the recording; the end may be unknown."""

    start_s: Fraction
    end_s: Fraction | None


def parse_seizures(data: bytes, where: str) -> tuple[Seizure, ...]:
    """Return the seizures of a ``.seizures`` file.

    Raises
    ------
    CorruptRecording
        If it is no such file, is cut short, or its onsets and ends do not alternate.
    """
    rate_hz: Fraction | None = None
    found: list[Seizure] = []
    onset: int | None = None
    sample = at = 0
    while True:
        if at + 2 > len(data):
            raise CorruptRecording(f"{where}: cut short, expected a word of zeros at its end")
        word = int.from_bytes(data[at : at + 2], "little")
        at += 2
        code, delta = word >> 10, word & 0x3FF
        if word == 0:
            break
        if code == SKIP:
            if at + 4 > len(data):
                raise CorruptRecording(f"{where}: cut short within an offset")
            high, low = struct.unpack_from("<hH", data, at)
            sample += high * 65536 + low
            at += 4
        elif code == AUX:
            text = data[at : at + delta]
            at += delta + delta % 2
            if len(text) < delta:
                raise CorruptRecording(f"{where}: cut short within a text")
            if said := RESOLUTION.match(text):
                rate_hz = Fraction(said[1].decode())
        elif code not in (NUM, SUB, CHN):
            sample += delta
            if code == ONSET:
                if onset is not None:
                    raise CorruptRecording(
                        f"{where}: a seizure begins at sample {sample} within the one of {onset}"
                    )
                onset = sample
            elif code == END:
                if onset is None or sample < onset:
                    raise CorruptRecording(
                        f"{where}: a seizure ends at sample {sample}, none began"
                    )
                found.append(_seizure(onset, sample, rate_hz, where))
                onset = None
    if onset is not None:
        raise CorruptRecording(f"{where}: the seizure of sample {onset} does not end")
    return tuple(found)


def _seizure(onset: int, end: int, rate_hz: Fraction | None, where: str) -> Seizure:
    if not rate_hz:
        raise CorruptRecording(f"{where}: does not say its time resolution before its seizures")
    if onset < 0:
        raise CorruptRecording(f"{where}: a seizure begins at sample {onset}")
    return Seizure(onset / rate_hz, end / rate_hz)
