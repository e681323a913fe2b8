"""The text fields of EDF headers: numbers, dates and units as people really write them."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import datetime
from fractions import Fraction

from storage.errors import UnsupportedRecording

NUMBER_WIDTH = 8
MOST_DECIMALS = NUMBER_WIDTH - 2
MICROVOLTS = {
    "uv": 1.0, "microv": 1.0, "microvolt": 1.0, "microvolts": 1.0,
    "mv": 1e3, "millivolt": 1e3, "millivolts": 1e3,
    "nv": 1e-3, "nanovolt": 1e-3, "nanovolts": 1e-3,
    "v": 1e6, "volt": 1e6, "volts": 1e6,
}  # fmt: skip
# How a Greek mu looks: micro sign, mu, UTF-8 read as Latin-1 and stored as UTF-8 again,
# Shift-JIS, and the code pages of DOS.
_MICRO = re.compile("Âµ|Î¼|\x83Ê|µ|μ|æ")
# Exponents are bounded: a number must not cost more memory than its text.
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,2})?")
_DATE = re.compile(r"(\d{1,2})[.:/, -](\d{1,2})[.:/, -](\d{2}|yy)")
_TIME = re.compile(r"(\d{1,2})[.:/, -](\d{1,2})[.:/, -](\d{1,2})")
_STARTDATE = re.compile(r"Startdate +(\d{1,2})-([A-Z]{3})-(\d{4})(?: |$)", re.IGNORECASE)
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
CLIPPED_DATE = "01.01.85"


def verbatim(raw: bytes) -> str:
    """Return a field as it stands, byte for character, without the padding at its end."""
    return raw.decode("latin-1").replace("\0", " ").rstrip(" ")


def readable(text: str) -> str:
    """Return a verbatim field as people read it: UTF-8 where it is, nothing unprintable."""
    with suppress(UnicodeDecodeError, UnicodeEncodeError):
        text = text.encode("latin-1").decode("utf-8")
    return "".join(char if char.isprintable() else " " for char in text).strip()


def number(text: str) -> Fraction | None:
    """Return the number in a field, or None if there is none; a decimal comma is a point."""
    text = text.strip()
    if text.count(",") == 1 and "." not in text:
        text = text.replace(",", ".")
    if not _NUMBER.fullmatch(text):
        return None
    return Fraction(text)


def whole_number(text: str) -> int | None:
    """Return the integer in a field, or None if there is none."""
    found = number(text)
    return int(found) if found is not None and found.denominator == 1 else None


def has_comma(text: str) -> bool:
    """Whether a number is written with a decimal comma."""
    return "," in text and number(text) is not None


def microvolts(dimension: str) -> float | None:
    """Return how many microvolts one of the unit is, or None if it is no voltage.

    Parameters
    ----------
    dimension
        The verbatim field.
    """
    plain = unit_text(dimension)
    if plain == "MV":
        return None
    return MICROVOLTS.get(plain.casefold())


def unit_text(dimension: str) -> str:
    """Return the unit with every kind of mu as ``u``."""
    # Before unprintable bytes go: those of Shift-JIS are among them.
    plain = _MICRO.sub("u", dimension)
    return _MICRO.sub("u", readable(plain))


def start_time(date: str, time: str, recording: str) -> tuple[datetime | None, int, list[str]]:
    """Return the start, the seconds of its day, and what was odd about it.

    Parameters
    ----------
    date, time, recording
        The fields of the header. The year in a ``Startdate`` of the recording field settles the
        century; without one, 85 to 99 are of the last century.

    Returns
    -------
    datetime or None
        None where the date is unknown or impossible; the seconds count then from midnight.
    """
    notes = []
    clock = _TIME.fullmatch(time.strip())
    hour, minute, second = (int(part) for part in clock.groups()) if clock else (0, 0, 0)
    if clock is None or hour > 23 or minute > 59 or second > 59:
        notes.append(f"start time {time.strip()!r} is none; times count from the first sample")
        return None, 0, notes
    seconds = (hour * 60 + minute) * 60 + second
    found = _DATE.fullmatch(date.strip())
    if found is not None and (date.count(".") < 2 or time.count(".") < 2):
        notes.append(f"start {date.strip()} {time.strip()} is not written with points")
    full = _STARTDATE.match(recording)
    day, month, year = _full_date(full) if full else (0, 0, 0)
    if found is not None and found[3] != "yy":
        given = int(found[1]), int(found[2]), int(found[3])
        if given == (1, 1, 85) and recording.startswith("Startdate X"):
            return None, seconds, notes
        if (day, month, year % 100) != given and not (full and given[:2] == (0, 0)):
            if full:
                notes.append(
                    f"start date {date.strip()} and that of the recording field differ; "
                    "the first is taken"
                )
            day, month = given[:2]
            year = given[2] + (1900 if given[2] >= 85 else 2000)
    try:
        return datetime(year, month, day, hour, minute, second), seconds, notes  # noqa: DTZ001
    except ValueError:
        if date.strip() not in ("00.00.00", ""):
            notes.append(f"start date {date.strip()!r} is none")
        notes.append("the start date is unknown")
        return None, seconds, notes


def _full_date(found: re.Match[str]) -> tuple[int, int, int]:
    month = found[2].upper()
    return int(found[1]), MONTHS.index(month) + 1 if month in MONTHS else 0, int(found[3])


def number_text(value: Fraction | int, what: str, width: int = NUMBER_WIDTH) -> str:
    """Return a number in decimal digits that fit a field, exactly.

    Raises
    ------
    UnsupportedRecording
        If it has more digits than the field: none is ever cut off.
    """
    value = Fraction(value)
    for decimals in range(MOST_DECIMALS + 1):
        scaled = value * 10**decimals
        if scaled.denominator == 1:
            text = _decimal(int(scaled), decimals)
            if len(text) <= width:
                return text
            break
    raise UnsupportedRecording(
        f"{what}: {float(value):.12g} does not fit the {width} characters that EDF has for it"
    )


def fits(value: Fraction, width: int = NUMBER_WIDTH) -> bool:
    """Whether a number can be written into a field exactly."""
    try:
        number_text(value, "", width)
    except UnsupportedRecording:
        return False
    return True


def nearest(value: Fraction, direction: int = 0) -> Fraction | None:
    """Return the nearest number that a field can hold, or None if it is too large for any.

    Parameters
    ----------
    value
        The number.
    direction
        -1 for one that is not larger, 1 for one that is not smaller.
    """
    for decimals in range(MOST_DECIMALS, -1, -1):
        scaled = value * 10**decimals
        whole = {-1: scaled.__floor__, 0: scaled.__round__, 1: scaled.__ceil__}[direction]()
        if len(_decimal(whole, decimals)) <= NUMBER_WIDTH:
            return Fraction(whole, 10**decimals)
    return None


def _decimal(scaled: int, decimals: int) -> str:
    sign, digits = "-" if scaled < 0 else "", str(abs(scaled)).rjust(decimals + 1, "0")
    if not decimals:
        return sign + digits
    text = f"{digits[:-decimals]}.{digits[-decimals:]}".rstrip("0").rstrip(".")
    return sign + text
