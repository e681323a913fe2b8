"""Finding the files of recordings that a request means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from storage.byte_files import fingerprint
from storage.errors import NotFound, RanvierError
from storage.side_files import is_side_file
from storage.sources import Skipped, find_recordings


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A file that may hold a recording.

    Parameters
    ----------
    url
        Where it is.
    label
        What others may call it: names of files may carry names of people.
    bytes
        Its length.
    reason
        Why it cannot be taken in, where that is known without looking into it.
    failed
        Whether the place could not be looked into at all.
    aside
        Whether it is no recording, but something that belongs to one which is not there.
    """

    url: str
    label: str = ""
    bytes: int = 0
    reason: str | None = None
    failed: bool = False
    aside: bool = False


def find_files(sources: Sequence[str], must_hold: bool = True) -> tuple[Found, ...]:
    """Return every file that may hold a recording, among files, folders, patterns and prefixes.

    A place that cannot be looked into is found as well, with the reason, and stops no other.

    Raises
    ------
    NotFound
        If there is none, and there must be.
    """
    places, unreadable = _places(sources)
    if must_hold and not places:
        raise NotFound(f"{', '.join(sources)}: nothing in there looks like a recording")
    found = []
    for number, place in enumerate(places, 1):
        label = f"file {number} of {len(places)}"
        if isinstance(place, Skipped):
            aside = is_side_file(place.url) and place.url not in sources
            found.append(
                Found(
                    url=place.url,
                    label=label,
                    reason=place.reason,
                    failed=place.url in unreadable,
                    aside=aside,
                )
            )
        else:
            found.append(Found(url=place, label=label, bytes=_bytes(place)))
    return tuple(found)


def _places(sources: Sequence[str]) -> tuple[list[str | Skipped], set[str]]:
    """Return what is found, each place once, and which sources cannot be looked into."""
    places: dict[str, str | Skipped] = {}
    unreadable = set()
    for source in sources:
        try:
            for place in find_recordings([source]):
                places.setdefault(place.url if isinstance(place, Skipped) else place, place)
        except RanvierError as error:
            places.setdefault(source, Skipped(source, str(error)))
            unreadable.add(source)
    return list(places.values()), unreadable


def _bytes(url: str) -> int:
    try:
        return int(fingerprint(url)["bytes"])
    except RanvierError:
        # A Zarr folder in a bucket, or a file that has gone; whoever opens it will say so.
        return 0
