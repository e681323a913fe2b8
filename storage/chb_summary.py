"""``chbNN-summary.txt`` of CHB-MIT: which file of a case holds which seizures.

Seizures are paired by their order, never by their numbers, which the published files get wrong.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fractions import Fraction

from storage.errors import CorruptRecording
from storage.seizures import Seizure

_CLOCK = re.compile(r"(\d{1,2}):(\d{2}):(\d{2})")
_FIELD = re.compile(r"([^:]+):\s*(.*)")
_SECONDS = re.compile(r"(\d+)\s*seconds?")
_SEIZURE = re.compile(r"seizure\s*\d*\s+(start|end)\s+time")


@dataclass(slots=True)
class SummaryFile:
    """What a summary says of one file.

    Parameters
    ----------
    name
        As the summary writes it.
    channels
        Labels that hold from the latest list of channels on.
    start_s, end_s
        Clock times in seconds after midnight; hours may exceed 23. None where there are none.
    declared
        Number of seizures it is said to have.
    times
        ``(start or end, seconds)`` as they stand.
    """

    name: str
    channels: tuple[str, ...] = ()
    start_s: int | None = None
    end_s: int | None = None
    declared: int | None = None
    times: list[tuple[str, int]] = field(default_factory=list)

    def seizures(self, where: str) -> tuple[Seizure, ...]:
        """Return the seizures.

        Raises
        ------
        CorruptRecording
            If their number is not what the summary says, or they do not begin and end in turn.
        """
        here = f"{where}: {self.name}"
        if self.declared is None:
            raise CorruptRecording(f"{here}: does not say its number of seizures")
        kinds = [kind for kind, _ in self.times]
        if kinds != ["start", "end"] * (len(kinds) // 2):
            raise CorruptRecording(f"{here}: starts and ends of seizures do not alternate")
        if len(kinds) != 2 * self.declared:
            raise CorruptRecording(
                f"{here}: declares {self.declared} seizures and lists {len(kinds) // 2}"
            )
        values = [Fraction(seconds) for _, seconds in self.times]
        pairs = list(zip(values[::2], values[1::2], strict=True))
        for start, end in pairs:
            if end <= start:
                raise CorruptRecording(f"{here}: a seizure from {start} s to {end} s")
        return tuple(Seizure(start, end) for start, end in pairs)


def parse_summary(text: str, where: str) -> tuple[SummaryFile, ...]:
    """Return what a summary says of each file, in its order.

    Raises
    ------
    CorruptRecording
        If a line is of none of the known kinds; the message has its number.
    """
    files: list[SummaryFile] = []
    channels: list[str] = []
    for number, raw in enumerate(text.splitlines(), 1):
        line = " ".join(raw.split())
        if not line or not line.strip("*"):
            continue
        here = f"{where}: line {number}"
        said = _FIELD.fullmatch(line)
        if said is None:
            raise CorruptRecording(f"{here}: {line!r:.60} is no line of a summary")
        key, value = said[1].strip().lower(), said[2].strip()
        if key == "data sampling rate":
            continue
        if key in ("channels in edf files", "channels changed"):
            channels = []
        elif re.fullmatch(r"channel \d+", key):
            channels.append(value)
        elif key == "file name":
            files.append(SummaryFile(value, tuple(channels)))
        elif not files:
            raise CorruptRecording(f"{here}: {line!r:.60} stands before any 'File Name:'")
        elif key == "file start time":
            files[-1].start_s = _clock_s(value, here)
        elif key == "file end time":
            files[-1].end_s = _clock_s(value, here)
        elif key == "number of seizures in file":
            if not value.isdecimal():
                raise CorruptRecording(f"{here}: {value!r:.40} is no number of seizures")
            files[-1].declared = int(value)
        elif kind := _SEIZURE.fullmatch(key):
            seconds = _SECONDS.fullmatch(value)
            if seconds is None:
                raise CorruptRecording(
                    f"{here}: {value!r:.40}, expected a time like '2996 seconds'"
                )
            files[-1].times.append((kind[1], int(seconds[1])))
        else:
            raise CorruptRecording(f"{here}: {line!r:.60} is no line of a summary")
    if not files:
        raise CorruptRecording(f"{where}: names no file; is it a CHB-MIT summary?")
    return tuple(files)


def _clock_s(value: str, here: str) -> int:
    said = _CLOCK.fullmatch(value)
    if said is None or int(said[2]) > 59 or int(said[3]) > 59:
        raise CorruptRecording(f"{here}: {value!r:.40} is no time like 24:44:29")
    return int(said[1]) * 3600 + int(said[2]) * 60 + int(said[3])
