"""Into which EDF files a recording goes, and into how long records.

A record holds whole samples of every signal, its duration has at most 8 characters, and all
signals of a file pause together. A stretch that does not fill its last record is padded.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from storage.edf_fields import fits, nearest
from storage.errors import UnsupportedRecording
from storage.protocols import RecordingSource
from storage.recording import RateGroup

MICROSECONDS = 1_000_000
LONGEST_S, SHORTEST_S = Fraction(60), Fraction(1, 20)
# The specification asks for shorter records.
MOST_RECORD_BYTES = 61_440
MOST_TRIED = 50_000
TOO_LONG_S = 10**8
SHORTER_S = tuple(Fraction(1, one * 10**zeros) for zeros in range(5) for one in (1, 2, 5))


@dataclass(frozen=True, slots=True)
class Stretches:
    """The gap-free stretches of a rate group: samples, and when the first was taken."""

    rate: Fraction
    channels: int
    lengths: NDArray[np.int64]
    starts_us: NDArray[np.int64]
    record_s: Fraction | None = None

    @property
    def common(self) -> int:
        """The largest number that divides all lengths."""
        return int(np.gcd.reduce(self.lengths)) if len(self.lengths) else 0


@dataclass(frozen=True, slots=True)
class FilePlan:
    """One file.

    Parameters
    ----------
    groups
        Numbers of the rate groups that go into it.
    record_s
        Duration of its records.
    samples
        Of each signal of a group in a record.
    counts
        Records of each stretch.
    starts_us
        When each stretch begins.
    drift
        By how many samples times of the file and of the recording differ at most.
    """

    groups: tuple[int, ...]
    record_s: Fraction
    samples: tuple[int, ...]
    counts: NDArray[np.int64]
    starts_us: NDArray[np.int64]
    drift: float = 0.0


def stretches_of(source: RecordingSource, number: int) -> Stretches:
    """Return where a rate group has gaps."""
    group = source.recording.groups[number]
    found = np.array(
        [(len(one.span), one.start_us) for one in source.segments(number)], np.int64
    ).reshape(-1, 2)
    return Stretches(
        _rate(group), len(group.channels), found[:, 0], found[:, 1], _given_duration(group)
    )


def _rate(group: RateGroup) -> Fraction:
    """Return the rate; a double that is hardly off a simple ratio means that one."""
    if group.ratio is not None:
        return group.ratio
    exact = Fraction(group.rate_hz)
    simple = exact.limit_denominator(10_000)
    return simple if abs(simple - exact) <= exact / 10**12 else exact


def _given_duration(group: RateGroup) -> Fraction | None:
    """Return the duration of the records that the samples came in, if they came in records."""
    if not group.channels:
        return None
    text = group.channels[0].details.get("samples", "").strip()
    return Fraction(int(text)) / group.exact_rate_hz if text.isdigit() and int(text) else None


def divide(groups: Sequence[Stretches], sample_bytes: int, *, one_file: bool) -> list[FilePlan]:
    """Return as few files as hold all groups.

    Parameters
    ----------
    groups
        Where each rate group has gaps.
    sample_bytes
        Bytes of a sample.
    one_file
        Whether there may be only one.

    Raises
    ------
    UnsupportedRecording
        If a group cannot be written at all, or if one file does not do.
    """
    plans: list[FilePlan] = []
    for number in range(len(groups)):
        for at, plan in enumerate(plans):
            joined = _plan([*plan.groups, number], groups, sample_bytes)
            if isinstance(joined, FilePlan):
                plans[at] = joined
                break
        else:
            alone = _plan([number], groups, sample_bytes)
            if isinstance(alone, str):
                raise UnsupportedRecording(f"rate group {number}: {alone}; export as NWB or CSV")
            plans.append(alone)
    if one_file and len(plans) > 1:
        why = _plan(list(range(len(groups))), groups, sample_bytes)
        raise UnsupportedRecording(
            f"its {len(groups)} rate groups do not go into one file: {why}; give the name of a "
            "folder, for a file each"
        )
    return plans


def _plan(
    numbers: Sequence[int], all_groups: Sequence[Stretches], sample_bytes: int
) -> FilePlan | str:
    """Return a file for these groups, or why there is none."""
    groups = [all_groups[number] for number in numbers]
    fastest = max(groups, key=lambda group: group.rate)
    half_us = MICROSECONDS / fastest.rate / 2
    for group in groups:
        if len(group.lengths) != len(fastest.lengths):
            return "they do not pause together"
        apart = np.abs(group.starts_us - fastest.starts_us).max(initial=0)
        if apart > max(half_us, 1):
            return "they do not begin together"
    unit_s = _shortest(groups)
    if unit_s is None:
        if len(groups) > 1:
            return "no duration of a record holds whole samples of each"
        return _inexact(numbers[0], groups[0])
    if not len(fastest.lengths):
        given = groups[0].record_s
        record_s = given if given and _divides(unit_s, given) else unit_s * _near(1 / unit_s)
        return _made(numbers, groups, record_s) or "they do not last equally long"
    bytes_per_s = sum(float(group.rate) * group.channels for group in groups) * sample_bytes
    for record_s in _exact_durations(groups, unit_s, bytes_per_s):
        plan = _made(numbers, groups, record_s)
        if plan is not None:
            return plan
    for record_s in _padded_durations(unit_s, bytes_per_s):
        plan = _made(numbers, groups, record_s)
        if plan is not None and _leaves_gaps(plan, half_us):
            return plan
    if len(groups) == 1:
        return _inexact(numbers[0], groups[0])
    return "they do not last equally long, or pause for less than a record"


def _shortest(groups: Sequence[Stretches]) -> Fraction | None:
    """Return the shortest duration of few enough decimals that holds whole samples, if any does.

    Every other is a multiple of it.
    """
    numerator = math.gcd(*(group.rate.numerator for group in groups))
    denominator = math.lcm(*(group.rate.denominator for group in groups))
    shortest = Fraction(denominator, numerator)
    rest = shortest.denominator
    twos = fives = 0
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    # At most six digits after the point.
    shortest *= rest * 2 ** max(0, twos - 6) * 5 ** max(0, fives - 6)
    return shortest if shortest < TOO_LONG_S else None


def _exact_durations(
    groups: Sequence[Stretches], unit_s: Fraction, bytes_per_s: float
) -> Iterator[Fraction]:
    """Yield durations of which every stretch is a multiple, best first."""
    given = {group.record_s for group in groups}
    common_s = _common(group.common / group.rate for group in groups)
    if len(given) == 1 and None not in given:
        (record_s,) = given
        whole = record_s and _divides(unit_s, record_s) and _divides(record_s, common_s)
        if record_s and whole and fits(record_s):
            yield record_s
    most = common_s / unit_s
    if most.denominator != 1:
        return
    times = range(1, min(int(most), MOST_TRIED) + 1)
    found = [unit_s * number for number in times if int(most) % number == 0]
    longest = max(LONGEST_S, unit_s)
    found = [one for one in found if SHORTEST_S <= one <= longest and fits(one)]
    yield from sorted(found, key=lambda one: _badness(one, bytes_per_s))


def _badness(record_s: Fraction, bytes_per_s: float) -> float:
    """Return how far a duration is from a second, or from the longest that is allowed."""
    aim = min(1.0, MOST_RECORD_BYTES / max(bytes_per_s, 1.0))
    return abs(math.log(float(record_s) / aim))


def _padded_durations(unit_s: Fraction, bytes_per_s: float) -> Iterator[Fraction]:
    tried = set()
    if unit_s > LONGEST_S:
        return
    for aim in SHORTER_S:
        record_s = unit_s * max(1, int(aim / unit_s))
        too_large = float(record_s) * bytes_per_s > MOST_RECORD_BYTES and record_s > unit_s
        if record_s not in tried and fits(record_s) and not (too_large and aim > SHORTEST_S):
            tried.add(record_s)
            yield record_s
    if unit_s not in tried and fits(unit_s):
        yield unit_s


def _made(
    numbers: Sequence[int], groups: Sequence[Stretches], record_s: Fraction
) -> FilePlan | None:
    """Return the file with records so long, if the groups have equally many of them."""
    samples = [int(group.rate * record_s) for group in groups]
    counts = [-(-group.lengths // held) for group, held in zip(groups, samples, strict=True)]
    if any((other != counts[0]).any() for other in counts[1:]):
        return None
    fastest = max(groups, key=lambda group: group.rate)
    return FilePlan(tuple(numbers), record_s, tuple(samples), counts[0], fastest.starts_us)


def _leaves_gaps(plan: FilePlan, half_us: Fraction) -> bool:
    """Whether padded stretches end before the next begins."""
    ends = plan.starts_us + np.array(plan.counts * float(plan.record_s * MICROSECONDS))
    return bool((plan.starts_us[1:] - ends[:-1] >= -float(half_us)).all())


def _inexact(number: int, group: Stretches) -> FilePlan | str:
    """Return a file whose rate is so near that no sample is misplaced by a quarter of itself."""
    longest = int(group.lengths.max(initial=1))
    per_second = max(1, round(float(group.rate)))
    for held in range(per_second, per_second + 2000):
        record_s = nearest(held / group.rate)
        if record_s is None or not record_s:
            continue
        drift = abs(float(held / record_s / group.rate) - 1) * longest
        if drift <= 0.25:
            counts = -(-group.lengths // held)
            plan = FilePlan((number,), record_s, (held,), counts, group.starts_us, drift)
            if _leaves_gaps(plan, MICROSECONDS / group.rate / 2):
                return plan
    return f"no duration of a record comes near enough to {float(group.rate)} Hz"


def _common(parts: Iterator[Fraction]) -> Fraction:
    """Return the largest duration of which all are multiples."""
    found = Fraction(0)
    for part in parts:
        found = Fraction(
            math.gcd(found.numerator * part.denominator, part.numerator * found.denominator),
            found.denominator * part.denominator,
        )
    return found


def _divides(part: Fraction, whole: Fraction) -> bool:
    return part > 0 and (whole / part).denominator == 1


def _near(ratio: Fraction) -> int:
    return max(1, round(ratio))
