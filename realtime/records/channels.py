"""Which channels are meant: by label, by key or by number; and which are of electrodes."""

from __future__ import annotations

from collections.abc import Sequence

from realtime.signal.electrodes import electrodes
from realtime.wire.fields import BadField
from storage.catalog_rows import StoredGroup


def named(values: Sequence[str] | None, groups: Sequence[StoredGroup]) -> tuple[str, ...]:
    """Return the names in a repeated, or comma-separated, parameter.

    A value that is a label as it stands is not cut at its commas.
    """
    known = {
        name
        for group in groups
        for channel in group.channels
        for name in (channel.label, channel.key)
    }
    names: list[str] = []
    for value in values or ():
        names.extend([value] if value in known else [part.strip() for part in value.split(",")])
    return tuple(name for name in names if name)


def chosen(
    groups: Sequence[StoredGroup], names: Sequence[str]
) -> list[tuple[StoredGroup, tuple[int, ...]]]:
    """Return the numbers of the channels that are meant, for each group that has some.

    Parameters
    ----------
    groups
        Of the recording, or one of them.
    names
        A label means all channels that bear it, a key one of them; a number counts all channels
        of the groups, from 0. None mean all but dummies.

    Raises
    ------
    BadField
        If there is no such channel.
    """
    if not names:
        kept = [
            (group, tuple(n for n, channel in enumerate(group.channels) if not channel.dummy))
            for group in groups
        ]
        return [(group, members) for group, members in kept if members]
    places = [(group, number) for group in groups for number in range(len(group.channels))]
    found: dict[int, list[int]] = {}
    for name in names:
        hits = [
            (group, number)
            for group, number in places
            if name in {group.channels[number].label, group.channels[number].key}
        ]
        if not hits and name.isdecimal() and int(name) < len(places):
            hits = [places[int(name)]]
        if not hits:
            labels = [group.channels[number].key for group, number in places]
            shown = ", ".join(labels[:40]) + (", ..." if len(labels) > 40 else "")
            raise BadField("channels", f"there is no channel {name!r}; there are {shown}")
        for group, number in hits:
            members = found.setdefault(group.number, [])
            if number not in members:
                members.append(number)
    return [(group, tuple(found[group.number])) for group in groups if group.number in found]


def microvolts(group: StoredGroup) -> tuple[int, ...]:
    """Return the numbers of the channels of which a montage may be made."""
    return tuple(
        number
        for number, channel in enumerate(group.channels)
        if channel.unit == "uV" and not channel.dummy
    )


def labels_of(group: StoredGroup, members: Sequence[int]) -> tuple[str, ...]:
    """Return the labels of some channels of a group."""
    return tuple(group.channels[number].label for number in members)


def electroencephalogram(groups: Sequence[StoredGroup]) -> StoredGroup | None:
    """Return the group with the most electrodes; of several, the one with the most channels."""

    def size(group: StoredGroup) -> tuple[int, int]:
        graph = electrodes(labels_of(group, microvolts(group)))
        return len(graph.scalp), len(group.channels)

    return max(groups, key=size, default=None)
