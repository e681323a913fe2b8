"""Which channel of the platform is which of ours: decided here, without any call."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from storage.errors import CorruptRecording, Rejected

RATE_TOLERANCE = 0.02
WRITABLE_KEYS = (
    "name",
    "start",
    "end",
    "unit",
    "rate",
    "channelType",
    "group",
    "lastAnnotation",
    "spikeDuration",
    "viewerAssetId",
)
REQUIRED_KEYS = ("name", "start", "end", "unit", "rate", "type", "lastAnnotation", "properties")

Metadata = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RemoteChannel:
    """A channel as the platform lists it; any field but its id may be missing."""

    id: str
    content: Metadata
    properties: tuple[Metadata, ...] = ()


@dataclass(frozen=True, slots=True)
class Match:
    """Our channels, by index: those that the platform has, and those that it lacks."""

    found: Mapping[int, RemoteChannel]
    missing: tuple[int, ...]

    @property
    def ids(self) -> dict[int, str]:
        """Ids of the channels that the platform has."""
        return {index: remote.id for index, remote in self.found.items()}


def read_listing(listed: object, subject: str) -> list[RemoteChannel]:
    """Read the platform's list of channels, or the single one that it returns for one.

    Raises
    ------
    Rejected
        If an entry has no id.
    """
    entries = [listed] if isinstance(listed, dict) else listed
    if not isinstance(entries, list):
        raise Rejected(f"{subject}: expected a list of channels, found {type(listed).__name__}")
    channels = []
    for entry in entries:
        content = entry.get("content") if isinstance(entry, dict) else None
        if not isinstance(content, dict) or not content.get("id"):
            raise Rejected(f"{subject}: expected every channel to have content with an id")
        properties = tuple(entry.get("properties") or ())
        channels.append(RemoteChannel(str(content["id"]), content, properties))
    return channels


def match(ours: Mapping[int, Metadata], theirs: Iterable[RemoteChannel]) -> Match:
    """Give each of our channels at most one of theirs, and each of theirs to at most one of ours.

    Two agree in name and type (in any case), in group (one without a group agrees with any) and
    in rate within 2 % (a rate of zero agrees with none). Where several agree, equal groups come
    first, then the closest rate, so that a second run finds the same pairs as the first.
    """
    by_name = defaultdict(list)
    for remote in theirs:
        by_name[_kind(remote.content, "channelType")].append(remote)
    pairs = []
    for index, metadata in ours.items():
        for remote in by_name[_kind(metadata, "type")]:
            distance = _distance(metadata, remote.content)
            if distance is not None:
                pairs.append((distance, index, remote.id, remote))
    found: dict[int, RemoteChannel] = {}
    taken: set[str] = set()
    for _, index, remote_id, remote in sorted(pairs, key=lambda pair: pair[:3]):
        if index not in found and remote_id not in taken:
            found[index] = remote
            taken.add(remote_id)
    return Match(found, tuple(index for index in ours if index not in found))


def _kind(channel: Metadata, type_key: str) -> tuple[str, str]:
    return _text(channel.get("name")), _text(channel.get(type_key))


def _text(value: object) -> str:
    return str(value or "").strip().casefold()


def _distance(ours: Metadata, theirs: Metadata) -> tuple[bool, float] | None:
    """Return how far apart two channels of one name are, or None where they are not the same."""
    our_rate, their_rate = ours.get("rate"), theirs.get("rate")
    if not our_rate or not their_rate:
        return None
    off = abs(1.0 - float(our_rate) / float(their_rate))
    group = theirs.get("group")
    if off >= RATE_TOLERANCE or (group and str(group).strip() != str(ours.get("group")).strip()):
        return None
    return (not group, off)


def creation(ours: Metadata) -> dict[str, Any]:
    """Return the body that creates one of our channels.

    Raises
    ------
    CorruptRecording
        If its metadata lacks what the platform requires.
    """
    lacking = [key for key in REQUIRED_KEYS if key not in ours]
    if lacking or not str(ours["name"]).strip():
        raise CorruptRecording(
            f"channel {ours.get('name')!r}: expected a name and all of {', '.join(REQUIRED_KEYS)},"
            f" missing {', '.join(lacking) or 'a name'}; convert the recording again"
        )
    body = {("channelType" if key == "type" else key): value for key, value in ours.items()}
    if body.get("id") is None:
        body.pop("id", None)
    return body


def extension(ours: Metadata, theirs: RemoteChannel) -> dict[str, Any] | None:
    """Return the body that makes a channel cover our data too; None where it does already.

    A channel never shrinks: other imports may lie in it.
    """
    known = theirs.content
    start = min(value for value in (known.get("start"), ours["start"]) if value is not None)
    end = max(value for value in (known.get("end"), ours["end"]) if value is not None)
    if (start, end) == (known.get("start"), known.get("end")):
        return None
    body = creation(ours) | {key: known[key] for key in WRITABLE_KEYS if known.get(key) is not None}
    if known.get("group") is None:
        body.pop("group", None)
    return body | {
        "id": theirs.id,
        "start": start,
        "end": end,
        "properties": [dict(item) for item in theirs.properties],
    }
