"""``Seizures-list-PNxx.txt`` of the Siena database: seizures by clock times, ``HH.MM.SS``.

The times count from the registration start that stands beside each. Impossible ones occur in the
published lists; they are reported, not mended.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction

from storage.errors import CorruptRecording
from storage.seizures import Seizure

DAY_S = 86_400
_CLOCK = re.compile(r"(\d{1,2})[.:](\d{2})[.:](\d{2})")
_ENTRY = re.compile(r"seizure\s+n\D*(\d+)\b.*", re.IGNORECASE)
_KEYS = {
    "file name": "file",
    "registration start time": "registration start",
    "registration end time": "registration end",
    "seizure start time": "start",
    "start time": "start",
    "seizure end time": "end",
    "end time": "end",
}


@dataclass(slots=True)
class SienaSeizure:
    """A seizure of a list: its number, its file, and its clock times in seconds after midnight."""

    number: int
    file: str = ""
    times: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


def parse_siena_list(text: str, where: str) -> tuple[SienaSeizure, ...]:
    """Return the seizures of a list, in its order.

    Raises
    ------
    CorruptRecording
        If it names none.
    """
    found: list[SienaSeizure] = []
    for number, raw in enumerate(text.splitlines(), 1):
        line = " ".join(raw.split())
        if entry := _ENTRY.fullmatch(line):
            found.append(SienaSeizure(int(entry[1])))
            continue
        said = _field(line)
        if said is None or not found:
            continue
        key, value = said
        if key == "file":
            found[-1].file = value
            continue
        clock = _CLOCK.fullmatch(value)
        if clock is None or int(clock[1]) > 23 or int(clock[2]) > 59 or int(clock[3]) > 59:
            found[-1].wrong.append(f"line {number}: {value!r:.40} is no time like 19.58.36")
        else:
            found[-1].times[key] = int(clock[1]) * 3600 + int(clock[2]) * 60 + int(clock[3])
    if not found:
        raise CorruptRecording(f"{where}: names no seizure; is it a list of the Siena database?")
    return tuple(found)


def place_siena(
    entries: tuple[SienaSeizure, ...], file: str, where: str
) -> tuple[list[Seizure], list[str]]:
    """Return the seizures of one file in seconds after its start, and what is impossible."""
    placed: list[Seizure] = []
    reports: list[str] = []
    for entry in entries:
        if entry.file.casefold() == file.casefold():
            here = f"{where}: seizure {entry.number}"
            seizure, wrong = _place(entry)
            reports.extend(f"{here}: {reason}" for reason in (*entry.wrong, *wrong))
            if seizure is not None:
                placed.append(seizure)
    return placed, reports


def _place(entry: SienaSeizure) -> tuple[Seizure | None, Iterator[str]]:
    reasons: list[str] = []
    begun, over = entry.times.get("registration start"), entry.times.get("registration end")
    start, end = entry.times.get("start"), entry.times.get("end")
    if begun is None or start is None:
        return None, iter(["has no registration start or no start; left out"])
    start_s = (start - begun) % DAY_S
    length_s = DAY_S if over is None else (over - begun) % DAY_S
    if start_s > length_s:
        return None, iter(
            [f"starts {start_s} s after a registration of {length_s} s began; left out"]
        )
    end_s = None if end is None else (end - begun) % DAY_S
    if end_s is None:
        reasons.append("has no end")
    elif not start_s < end_s <= length_s:
        reasons.append(
            f"ends {end_s} s after the registration began, expected {start_s} to {length_s} s; "
            "only its start is kept"
        )
        end_s = None
    return Seizure(Fraction(start_s), None if end_s is None else Fraction(end_s)), iter(reasons)


def _field(line: str) -> tuple[str, str] | None:
    for written, key in _KEYS.items():
        if line.lower().startswith(written):
            return key, line[len(written) :].strip(" :")
    return None
