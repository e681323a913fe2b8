"""Fields of a message: what is wrong with one, and how numbers of seconds and rates are read."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from pydantic import ValidationError

from storage.errors import UsageError

TOLERANCE_S = Fraction(1, 1_000_000_000)
SLOWEST_HZ, FASTEST_HZ = Fraction(1, 1_000_000), 10_000_000
MOST_DENOMINATOR = 10**9
# Of text, whose exponent or length could make the reading of it endless.
RATE = re.compile(r"[0-9]{1,12}(\.[0-9]{1,12})?(/[0-9]{1,12})?")
MOST_SHOWN = 40  # characters


class BadField(UsageError):
    """A field of a request is not as it must be.

    Parameters
    ----------
    field
        Its place, for example ``samples[3][17]``.
    message
        What was found, what was expected, and what to do.
    others
        Further fields that are wrong, with the reasons.
    """

    def __init__(self, field: str, message: str, others: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(f"{field}: {message}")
        self.errors = [(field, message), *others]

    @classmethod
    def of(cls, error: ValidationError) -> BadField:
        """Return the same of a failed validation."""
        wrong = [(place(item["loc"]), str(item["msg"])) for item in error.errors()]
        return cls(*wrong[0], wrong[1:])


def place(location: Sequence[Any]) -> str:
    """Return ``groups[0].channels[2].label`` for ``("groups", 0, "channels", 2, "label")``."""
    text = ""
    for part in location:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else str(part)
    return text or "body"


def exact(seconds: float) -> Fraction:
    """Return the decimal number that a double was written as."""
    return Fraction(repr(seconds))


def rate_of(n_samples: int, start: float, end: float) -> Fraction:
    """Return the simplest rate at which so many samples fill ``[start, end)``.

    The simplest is the ratio of the smallest denominator that the two doubles, each known to a
    nanosecond or its last bit, allow: 100 samples in a third of a second are 300 Hz.

    Raises
    ------
    BadField
        If it is not between 1e-6 and 1e7 Hz.
    """
    duration = exact(end) - exact(start)
    slack = max(TOLERANCE_S, 2 * Fraction(math.ulp(end)))
    slack = min(slack, duration / 1000)
    rate = simplest(n_samples / (duration + slack), n_samples / (duration - slack))
    return _plausible(rate, "end", f"{n_samples} samples from {start} to {end} s")


def simplest(low: Fraction, high: Fraction) -> Fraction:
    """Return the fraction of the smallest denominator in ``[low, high]``, both positive.

    By the continued fractions of the two ends, as in the Stern-Brocot tree (Graham, Knuth,
    Patashnik, "Concrete Mathematics", 4.5).
    """
    whole = low.numerator // low.denominator
    if whole == low:
        return Fraction(whole)
    if whole + 1 <= high:
        return Fraction(whole + 1)
    rest = simplest(1 / (high - whole), 1 / (low - whole))
    return whole + 1 / rest


def read_rate(value: float | str, field: str) -> Fraction:
    """Return a rate from a number or a ratio such as ``2997/10``.

    Raises
    ------
    BadField
        If it is none, or not between 1e-6 and 1e7 Hz.
    """
    try:
        rate = _ratio(value) if isinstance(value, str) else exact(value)
    except (ValueError, ZeroDivisionError) as error:
        shown = value[:MOST_SHOWN] if isinstance(value, str) else value
        raise BadField(field, f"expected a number or a ratio such as 2997/10, got {shown!r}") from (
            error
        )
    return _plausible(rate, field, str(value))


def _ratio(text: str) -> Fraction:
    if not RATE.fullmatch(text):
        raise ValueError(text[:MOST_SHOWN])
    above, _, below = text.partition("/")
    return Fraction(above) / Fraction(below or 1)


def _plausible(rate: Fraction, field: str, found: str) -> Fraction:
    if not SLOWEST_HZ <= rate <= FASTEST_HZ or rate.denominator > MOST_DENOMINATOR:
        raise BadField(
            field,
            f"expected a rate between 1e-6 and 1e7 Hz, a ratio of numbers below "
            f"{MOST_DENOMINATOR}, got {found}",
        )
    return rate


def grid_index(start_s: Fraction, rate: Fraction) -> int:
    """Return the place of an instant on the grid of a rate.

    Raises
    ------
    BadField
        If it lies more than a microsecond beside a place of the grid.
    """
    at = start_s * rate
    index = round(at)
    if abs(at - index) > rate / 1_000_000:
        before = math.floor(at)
        raise BadField(
            "start",
            f"{float(start_s)} s is no place on the grid of {float(rate):g} Hz; the nearest are "
            f"{float(before / rate)} and {float((before + 1) / rate)} s",
        )
    return index


def first_from(seconds: Fraction, rate: Fraction) -> int:
    """Return the first place of the grid that is not before an instant, to a nanosecond."""
    return max(0, math.ceil((seconds - TOLERANCE_S) * rate))
