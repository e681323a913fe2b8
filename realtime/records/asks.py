"""What a client asks of a window, and what has to be read for it: decided before any is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Literal

from realtime.records.channels import chosen, electroencephalogram, labels_of, microvolts
from realtime.records.page import within
from realtime.signal.filters import Filter, design
from realtime.signal.montages import AS_RECORDED, CUSTOM, Montage, definitions, derive
from realtime.wire.fields import BadField, first_from
from storage.catalog_rows import RecordingEntry, StoredGroup, StoredSegment
from storage.errors import ChannelMismatch, UsageError
from storage.recording_store import RecordingStore
from storage.spans import Span

REMEMBERED = 256  # filters; their design takes 0.6 ms

Units = Literal["uV", "digital"]
Method = Literal["minmax", "minmaxlttb", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What is asked of a window.

    Parameters
    ----------
    start, end
        Seconds from the start of the recording, half-open.
    channels
        Labels, keys or numbers; none for all but dummies.
    group
        Only this rate group.
    max_points
        At most so many values for each channel.
    agg
        How they are chosen.
    units
        Physical values, or the numbers as stored.
    hp, lp, notch
        Corner frequencies of filters in hertz.
    montage
        What is derived from the recorded channels.
    derive
        What the montage ``custom`` shows, each such as ``C3-A1+A2``.
    """

    start: Fraction
    end: Fraction
    channels: tuple[str, ...] = ()
    group: int | None = None
    max_points: int | None = None
    agg: Method = "minmax"
    units: Units = "uV"
    hp: float | None = None
    lp: float | None = None
    notch: float | None = None
    montage: str = AS_RECORDED
    derive: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.end <= self.start:
            raise BadField(
                "end", f"expected more than start = {float(self.start):g}, got {float(self.end):g}"
            )
        if self.units == "digital" and (self.filtered or self.derived):
            raise BadField(
                "units", "digital gives the numbers as stored, without filter or montage"
            )
        if bool(self.derive) != (self.montage == CUSTOM):
            raise BadField(
                "derive", "what is derived goes with montage=custom; give both or none of them"
            )

    @property
    def filtered(self) -> bool:
        """Whether a filter is asked for."""
        return any(corner is not None for corner in (self.hp, self.lp, self.notch))

    @property
    def derived(self) -> bool:
        """Whether a montage is asked for."""
        return self.montage != AS_RECORDED


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What is to be read of one rate group, before anything is read.

    Parameters
    ----------
    span
        The window on the grid, clipped to what is held.
    around
        The same with what the filter has to know on either side.
    members
        Numbers of the channels that are shown, or that what is shown is derived from.
    segments
        Where in ``around`` there are samples.
    derivation
        How what is shown is made of the members.
    """

    group: StoredGroup
    span: Span
    around: Span
    clipped: bool
    members: tuple[int, ...]
    segments: tuple[StoredSegment, ...]
    filtering: Filter | None
    derivation: Montage | None

    @property
    def n_channels(self) -> int:
        """Channels that are shown."""
        return len(self.members if self.derivation is None else self.derivation.labels)

    @property
    def n_samples(self) -> int:
        """Samples of the window, all channels together."""
        return len(self.span) * self.n_channels


def look(
    store: RecordingStore,
    entry: RecordingEntry,
    groups: Sequence[StoredGroup],
    ask: Ask,
) -> list[View]:
    """Return what is to be read, one view for each rate group that has a part in it.

    Raises
    ------
    BadField
        If a channel, group, filter or montage does not fit the recording.
    """
    if ask.group is not None and ask.group not in {group.number for group in groups}:
        raise BadField("group", f"expected 0 to {len(groups) - 1}, got {ask.group}")
    wanted = groups if ask.group is None else [g for g in groups if g.number == ask.group]
    if ask.derived:
        return _derived(store, entry, wanted, ask)
    return [
        _view(store, entry, group, ask, members) for group, members in chosen(wanted, ask.channels)
    ]


def _derived(
    store: RecordingStore,
    entry: RecordingEntry,
    groups: Sequence[StoredGroup],
    ask: Ask,
) -> list[View]:
    # What else there is has other rates.
    group = electroencephalogram(groups)
    if group is None:
        raise BadField("montage", "this recording has no channels yet")
    candidates = microvolts(group)
    try:
        made = derive(ask.montage, labels_of(group, candidates), definitions(ask.derive))
    except (UsageError, ChannelMismatch) as error:
        field = "derive" if ask.montage == CUSTOM else "montage"
        raise BadField(field, str(error).removeprefix(field).removeprefix(":").strip()) from error
    montage, columns = made.chosen(_rows(made, ask))
    members = tuple(candidates[column] for column in columns)
    return [_view(store, entry, group, ask, members, montage)]


def _rows(montage: Montage, ask: Ask) -> tuple[int, ...]:
    """Return which derived channels are asked for: by label, in capitals or not; all, if none."""
    at = {label.casefold(): row for row, label in enumerate(montage.labels)}
    for name in ask.channels:
        if name.casefold() not in at:
            raise BadField(
                "channels",
                f"{name!r} is not in montage {ask.montage}; it has {', '.join(montage.labels)}",
            )
    names = ask.channels or montage.labels
    return tuple(dict.fromkeys(at[name.casefold()] for name in names))


@lru_cache(REMEMBERED)
def _designed(
    rate_hz: float, hp: float | None, lp: float | None, notch: float | None
) -> Filter | None:
    return design(rate_hz, hp, lp, notch)


def _view(
    store: RecordingStore,
    entry: RecordingEntry,
    group: StoredGroup,
    ask: Ask,
    members: tuple[int, ...],
    derivation: Montage | None = None,
) -> View:
    stop = store.stop(entry, group.number)
    first, last = first_from(ask.start, group.rate), first_from(ask.end, group.rate)
    span = Span(min(first, stop), min(last, stop))
    try:
        filtering = _designed(float(group.rate), ask.hp, ask.lp, ask.notch)
    except UsageError as error:
        field, _, reason = str(error).partition(": ")
        raise BadField(field, reason) from error
    around = span
    if filtering is not None and span:
        around = Span(max(0, span.start - filtering.reach), min(stop, span.stop + filtering.reach))
    segments = tuple(store.segments(entry, group.number, around)) if around else ()
    return View(
        group=group,
        span=span,
        around=around,
        clipped=last > stop,
        members=members,
        segments=within(segments, around),
        filtering=filtering,
        derivation=derivation,
    )
