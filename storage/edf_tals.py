"""Time-stamped annotation lists: what EDF+ and BDF+ store in place of samples.

A list is ``onset [0x15 duration] 0x14 text 0x14 [text 0x14 ...] 0x00``. The first of a record has
an empty first text and says when the record begins. Times are whole nanoseconds here.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from fractions import Fraction

from storage.recording import Annotation

NANOSECONDS = 1_000_000_000
# Nothing lasts 300 years.
_SECONDS = re.compile(rb"[+-]?\d{1,10}(?:[.,]\d*)?")
_DURATION, _END, _STOP = b"\x15", b"\x14", b"\x00"
LONGEST_TEXT = 1024
SEIZURE = "seizure"


@dataclass(frozen=True, slots=True)
class Tal:
    """One text of a list.

    Parameters
    ----------
    onset_ns
        After the start that the header names.
    duration_ns
        None where there is none.
    text
        As bytes.
    """

    onset_ns: int
    duration_ns: int | None
    text: bytes


@dataclass(frozen=True, slots=True)
class RecordTals:
    """The lists of a record.

    Parameters
    ----------
    onset_ns
        When the record begins; None where it does not say.
    tals
        Its annotations.
    malformed
        Number of lists that could not be read.
    """

    onset_ns: int | None
    tals: tuple[Tal, ...]
    malformed: int


def parse_record(content: bytes) -> RecordTals:
    """Return the lists of one record, those of its further annotation signals included."""
    onset_ns, malformed = None, 0
    tals: list[Tal] = []
    for number, entry in enumerate(content.split(_STOP)):
        if not entry:
            continue
        head, *texts = entry.split(_END)
        begin, _, lasts = head.partition(_DURATION)
        at = _nanoseconds(begin)
        duration = _nanoseconds(lasts) if lasts else None
        if at is None or not texts or (lasts and (duration is None or duration < 0)):
            malformed += 1
            continue
        if number == 0 and not texts[0]:
            onset_ns = at
        tals.extend(Tal(at, duration, text) for text in texts if text)
    return RecordTals(onset_ns, tuple(tals), malformed)


def _nanoseconds(text: bytes) -> int | None:
    if not _SECONDS.fullmatch(text):
        return None
    whole, _, part = text.replace(b",", b".").partition(b".")
    size = int(whole) * NANOSECONDS
    if part:
        # The tenth digit rounds.
        beyond = (int(part[:10].ljust(10, b"0")) + 5) // 10
        size += -beyond if whole.startswith(b"-") else beyond
    return size


def annotation(tal: Tal, start_ns: int, labels: Collection[str]) -> Annotation:
    """Return a text as an annotation.

    Parameters
    ----------
    tal
        The text.
    start_ns
        When the first record begins.
    labels
        Of the channels: ``text@@label`` is about one of them.
    """
    try:
        text = tal.text.decode("utf-8")
    except UnicodeDecodeError:
        text = tal.text.decode("latin-1")
    about: tuple[str, ...] = ()
    plain, mark, label = text.rpartition("@@")
    if mark and label in labels:
        text, about = plain, (label,)
    duration = None if tal.duration_ns is None else round(Fraction(tal.duration_ns, 1000))
    return Annotation(
        onset_us=round(Fraction(tal.onset_ns - start_ns, 1000)),
        duration_us=duration,
        text=text,
        kind="seizure" if text.strip().casefold() == SEIZURE else "note",
        channels=about,
    )


def seconds_text(time_us: int, *, signed: bool = True) -> bytes:
    """Return microseconds as seconds, without digits that say nothing."""
    whole, part = divmod(abs(time_us), 1_000_000)
    sign = "-" if time_us < 0 else "+" if signed else ""
    digits = f".{part:06d}".rstrip("0") if part else ""
    return f"{sign}{whole}{digits}".encode()


def record_tal(onset_us: int) -> bytes:
    """Return the list that a record begins with."""
    return seconds_text(onset_us) + _END + _END + _STOP


def annotation_tals(one: Annotation, start_us: int) -> Iterator[bytes]:
    """Yield the lists of an annotation: one for each channel, and for each part of a long text.

    Parameters
    ----------
    one
        The annotation.
    start_us
        When the first record begins, after the start that the header names.
    """
    head = seconds_text(one.onset_us + start_us)
    if one.duration_us is not None:
        head += _DURATION + seconds_text(max(0, one.duration_us), signed=False)
    text = re.sub("[\x00\x14\x15]", " ", one.text)
    for label in one.channels or ("",):
        mark = f"@@{label}" if label else ""
        for part in _parts(text):
            yield head + _END + (part + mark).encode("utf-8", "replace") + _END + _STOP


def _parts(text: str) -> Iterator[str]:
    """Yield a text in parts that a record of ordinary length can hold."""
    while len(text.encode("utf-8", "replace")) > LONGEST_TEXT:
        kept = text.encode("utf-8", "replace")[:LONGEST_TEXT].decode("utf-8", "ignore")
        yield kept
        text = text[len(kept) :]
    yield text
