"""Finding the electrical series of an NWB file, by walking the tree."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from storage.errors import CorruptRecording, NotFound, UsageError
from storage.nwb_tree import NwbGroup, array_at, find, is_array, is_group

ELECTRICAL = "ElectricalSeries"
SPIKES = "SpikeEventSeries"


@dataclass(frozen=True, slots=True)
class FoundSeries:
    """A series, and where it stands."""

    path: str
    group: NwbGroup

    @property
    def name(self) -> str:
        """Last part of the path."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Discovery:
    """What a search found.

    Parameters
    ----------
    series
        The electrical series, sorted by path.
    skipped
        Why others were left out, one line each.
    """

    series: tuple[FoundSeries, ...]
    skipped: tuple[str, ...] = ()


class SeriesTypes:
    """Tells electrical series from others, by the type and by what an extension derives from."""

    def __init__(self, root: NwbGroup) -> None:
        self._root = root
        self._parents: dict[str, str] | None = None

    def kind(self, neurodata_type: object) -> str:
        """Return ``ElectricalSeries``, ``SpikeEventSeries``, or an empty string."""
        current = str(neurodata_type)
        for _ in range(20):
            if current in (ELECTRICAL, SPIKES):
                return current
            if self._parents is None:
                self._parents = dict(_cached_inheritance(self._root))
            current = self._parents.get(current, "")
        return ""


def _cached_inheritance(root: NwbGroup) -> Iterator[tuple[str, str]]:
    specifications = root.member("specifications")
    pending = [specifications] if is_group(specifications) else []
    while pending:
        group = pending.pop()
        for name in group.names():
            node = group.member(name)
            if is_group(node):
                pending.append(node)
            elif is_array(node) and node.shape in ((), (1,)):
                try:
                    text = json.loads(str(node.values().reshape(-1)[0]))
                except ValueError:
                    continue
                yield from _definitions(text)


def _definitions(specification: object) -> Iterator[tuple[str, str]]:
    if isinstance(specification, list):
        for item in specification:
            yield from _definitions(item)
    elif isinstance(specification, dict):
        defined = specification.get("neurodata_type_def") or specification.get("data_type_def")
        included = specification.get("neurodata_type_inc") or specification.get("data_type_inc")
        if isinstance(defined, str) and isinstance(included, str):
            yield defined, included
        for key in ("groups", "datasets"):
            yield from _definitions(specification.get(key, []))


def discover(root: NwbGroup, places: Sequence[str] = ("acquisition",)) -> Discovery:
    """Return every electrical series below some groups of the file."""
    types = SeriesTypes(root)
    found: dict[object, FoundSeries] = {}
    skipped: list[str] = []
    for place in places:
        top = root.member(place)
        if is_group(top):
            for path, group, kind in _walk(top, place, types, set(), skipped):
                if kind == SPIKES:
                    skipped.append(f"{path}: skipped, spike snippets are no continuous signal")
                    continue
                # Of several ways to one series the shortest is its path.
                known = found.get(group.identity)
                if known is None or path.count("/") < known.path.count("/"):
                    found[group.identity] = FoundSeries(path, group)
    ordered = tuple(sorted(found.values(), key=lambda series: series.path))
    return Discovery(ordered, tuple(skipped))


def _walk(
    group: NwbGroup, path: str, types: SeriesTypes, above: set[object], skipped: list[str]
) -> Iterator[tuple[str, NwbGroup, str]]:
    for name in group.names():
        here = f"{path}/{name}"
        try:
            member = group.member(name)
            if not is_group(member) or member.identity in above:
                continue
            kind = types.kind(member.attributes.get("neurodata_type", ""))
            is_series = bool(kind) or array_at(member, "data") is not None
        except CorruptRecording as error:
            skipped.append(f"{here}: skipped, {error}")
            continue
        if kind:
            yield here, member, kind
        elif not is_series:
            yield from _walk(member, here, types, above | {member.identity}, skipped)


def choose(root: NwbGroup, wanted: Sequence[str]) -> Discovery:
    """Return the series that a person asked for.

    Parameters
    ----------
    root
        Top of the file.
    wanted
        Nothing for all in ``acquisition``; ``all`` for those in ``processing`` too; else names
        or paths, of series or of what holds them.

    Raises
    ------
    NotFound
        If a name or path leads to no series; the message lists those that do.
    UsageError
        If a name fits more than one.
    """
    if not wanted:
        return discover(root)
    everything = discover(root, ("acquisition", "processing"))
    if list(wanted) == ["all"]:
        return everything
    chosen: dict[object, FoundSeries] = {}
    for item in wanted:
        fitting = _by_path(root, everything, item) if "/" in item else _by_name(everything, item)
        chosen.update({series.group.identity: series for series in fitting})
    return Discovery(tuple(sorted(chosen.values(), key=lambda series: series.path)))


def _by_path(root: NwbGroup, everything: Discovery, path: str) -> list[FoundSeries]:
    path = path.strip("/")
    node = find(root, path)
    if is_group(node) and array_at(node, "data") is not None:
        return [FoundSeries(path, node)]
    inside = [series for series in everything.series if series.path.startswith(f"{path}/")]
    if not inside:
        raise NotFound(f"--series {path}: no series stands there; {_listing(root)}")
    return inside


def _by_name(everything: Discovery, name: str) -> list[FoundSeries]:
    fitting = [series for series in everything.series if series.name == name]
    if len(fitting) > 1:
        paths = ", ".join(series.path for series in fitting)
        raise UsageError(f"--series {name}: fits more than one ({paths}); give the path")
    if not fitting:
        fitting = [series for series in everything.series if name in series.path.split("/")]
    if not fitting:
        raise NotFound(f"--series {name}: no series has that name; {_names(everything)}")
    return fitting


def _listing(root: NwbGroup) -> str:
    return _names(discover(root, ("acquisition", "processing")))


def _names(found: Discovery) -> str:
    if not found.series:
        return "the file holds no ElectricalSeries in acquisition or processing"
    return "it has " + ", ".join(series.path for series in found.series)
