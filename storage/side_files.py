"""What lies beside a recording and says when seizures were.

CHB-MIT summaries, ``.seizures`` files and lists of the Siena database; on this machine or under an
``s3://`` prefix. Several that speak of one file are compared.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from datetime import datetime

from storage.byte_files import file_name
from storage.chb_summary import parse_summary
from storage.clocks import MICROSECONDS
from storage.errors import CorruptRecording, NotFound
from storage.folders import Folder, open_folder
from storage.recording import Annotation
from storage.seizures import SUFFIX, Seizure, parse_seizures
from storage.siena_list import SienaSeizure, parse_siena_list, place_siena

SAME_S = 1
# A file of labels is small; a larger one of that name is something else.
MOST_BYTES = 1 << 24
TEXT = "seizure"


def side_annotations(
    url: str, n_seconds: float, start: datetime | None = None
) -> tuple[tuple[Annotation, ...], tuple[str, ...]]:
    """Return the seizures that files beside a recording speak of, and reports for people.

    Seizures beyond the end are kept, and reported. Where a ``.seizures`` file and a summary
    disagree by more than a second, the ``.seizures`` file counts.

    Parameters
    ----------
    url
        The recording: local path or ``s3://`` URL.
    n_seconds
        How long it is.
    start
        When it began, as its header says, to be compared with a list's registration start.
    """
    parent = url.rstrip("/").rpartition("/")[0] or ("/" if url.startswith("/") else ".")
    folder, name = open_folder(parent), file_name(url)
    reports: list[str] = []
    found: list[tuple[str, str, list[Seizure]]] = []
    for side in _beside(folder, name):
        kind, seizures = _read(folder, side, name, start, reports)
        if seizures is not None:
            found.append((kind, side, seizures))
    if not found:
        return (), tuple(reports)
    kind, side, chosen = found[0]
    for _, other, theirs in found[1:]:
        reports.extend(_compare(name, side, chosen, other, theirs))
    annotations = tuple(
        Annotation(
            onset_us=round(seizure.start_s * MICROSECONDS),
            duration_us=None
            if seizure.end_s is None
            else round((seizure.end_s - seizure.start_s) * MICROSECONDS),
            text=TEXT,
            kind="seizure",
            source=kind,
        )
        for seizure in sorted(chosen, key=lambda each: each.start_s)
    )
    beyond = sum(max(each.start_s, each.end_s or 0) > n_seconds for each in chosen)
    if beyond:
        reports.append(
            f"{side}: {beyond} of {len(chosen)} seizures of {name} lie beyond its end at "
            f"{n_seconds:g} s; kept"
        )
    return annotations, tuple(reports)


def orphans(names: Iterable[str]) -> Iterator[str]:
    """Yield the ``.seizures`` files among the names of a folder whose recording is not there."""
    held = set(names)
    for name in sorted(held):
        if name.lower().endswith(SUFFIX) and name[: -len(SUFFIX)] not in held:
            yield name


def is_side_file(name: str) -> bool:
    """Whether a file of this name speaks of recordings rather than being one."""
    lower = file_name(name).lower()
    ends = (SUFFIX, "-summary.txt")
    return lower.endswith(ends) or lower.startswith(("seizures-list", "seizures_list"))


def _names_in(folder: Folder) -> list[str]:
    """Return the names of the files in a folder, those of its folders left out."""
    if folder.url.startswith("s3://"):
        return [name for name in folder.names() if "/" not in name]
    try:
        return sorted(entry.name for entry in os.scandir(folder.url) if entry.is_file())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _beside(folder: Folder, name: str) -> list[str]:
    """Return the side files in the very folder, the most trustworthy first."""
    sides = [each for each in _names_in(folder) if is_side_file(each)]
    own = name + SUFFIX
    return sorted(
        (each for each in sides if each == own or not each.lower().endswith(SUFFIX)),
        key=lambda each: (each != own, each),
    )


def _read(
    folder: Folder, side: str, name: str, start: datetime | None, reports: list[str]
) -> tuple[str, list[Seizure] | None]:
    """Return which kind a side file is, and the seizures that it knows of a recording."""
    lower = side.lower()
    kind = "seizures" if lower.endswith(SUFFIX) else "siena"
    kind = "chb-summary" if lower.endswith("-summary.txt") else kind
    try:
        if (folder.size(side) or 0) > MOST_BYTES:
            raise CorruptRecording(f"{side}: larger than a file of labels can be")
        data = folder.read(side)
        if kind == "seizures":
            return kind, list(parse_seizures(data, side))
        text = data.decode("utf-8-sig", "replace")
        if kind == "chb-summary":
            entries = [each for each in parse_summary(text, side) if each.name == name]
            return kind, list(entries[0].seizures(side)) if entries else None
        listed = parse_siena_list(text, side)
        if all(each.file.casefold() != name.casefold() for each in listed):
            return kind, None
        placed, wrong = place_siena(listed, name, side)
        reports.extend(wrong)
        reports.extend(_late_start(listed, name, side, start))
    except (CorruptRecording, NotFound) as error:
        reports.append(str(error))
        return kind, None
    return kind, placed


def _late_start(
    listed: Iterable[SienaSeizure], name: str, side: str, start: datetime | None
) -> Iterator[str]:
    for entry in listed:
        begun = entry.times.get("registration start")
        if entry.file.casefold() != name.casefold() or begun is None or start is None:
            continue
        clock = start.hour * 3600 + start.minute * 60 + start.second
        apart = min((begun - clock) % 86_400, (clock - begun) % 86_400)
        if apart > SAME_S:
            yield (
                f"{side}: seizure {entry.number}: its registration starts {apart} s off the start "
                f"{start:%H:%M:%S} in the header of {name}"
            )


def _compare(
    name: str, side: str, chosen: list[Seizure], other: str, theirs: list[Seizure]
) -> Iterator[str]:
    if len(chosen) != len(theirs):
        yield (
            f"{name}: {side} has {len(chosen)} seizures, {other} has {len(theirs)}; {side} counts"
        )
        return
    for ours, their in zip(chosen, theirs, strict=True):
        apart = abs(ours.start_s - their.start_s)
        if ours.end_s is not None and their.end_s is not None:
            apart = max(apart, abs(ours.end_s - their.end_s))
        if apart > SAME_S:
            yield (
                f"{name}: {side} and {other} differ by {float(apart):g} s about the seizure at "
                f"{float(ours.start_s):g} s; {side} counts"
            )
