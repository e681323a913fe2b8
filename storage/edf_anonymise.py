"""Header fields of EDF and BDF that name nobody."""

from __future__ import annotations

from datetime import datetime

from storage.edf_fields import CLIPPED_DATE, MONTHS
from storage.edf_header import with_identity
from storage.errors import UsageError

PATIENT = "X X X X"
FIELD_BYTES = 80
START_DATE = slice(168, 176)


def anonymous_identity() -> bytes:
    """Return patient and recording fields in which everything is unknown."""
    return identity_fields(PATIENT, recording_field(None))


def identity_fields(patient: str, recording: str) -> bytes:
    """Return the two fields as bytes.

    Raises
    ------
    UsageError
        If one is longer than 80 characters, or not in ASCII.
    """
    for text in (patient, recording):
        if len(text) > FIELD_BYTES or not text.isascii() or not text.isprintable():
            raise UsageError(
                f"{text!r}: expected at most {FIELD_BYTES} printable ASCII characters for a field "
                "of an EDF header"
            )
    return (patient.ljust(FIELD_BYTES) + recording.ljust(FIELD_BYTES)).encode("ascii")


def recording_field(day: datetime | None) -> str:
    """Return a recording field that says the start date, if at all, and nothing else."""
    if day is None:
        return "Startdate X X X X"
    return f"Startdate {day.day:02d}-{MONTHS[day.month - 1]}-{day.year:04d} X X X"


def anonymise(header: bytes, *, clip_date: bool = False) -> bytes:
    """Return a header that names nobody.

    Parameters
    ----------
    header
        Its bytes.
    clip_date
        Put the date that stands for an unknown one in place of the start date; the time stays.
    """
    header = with_identity(header, anonymous_identity())
    if clip_date:
        date = CLIPPED_DATE.encode("ascii")
        header = header[: START_DATE.start] + date + header[START_DATE.stop :]
    return header
