"""Opening recordings of any format, which is told by content; finding them in folders."""

from __future__ import annotations

import fnmatch
import glob
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from storage.buckets import BucketFolder
from storage.byte_files import file_name, open_bytes
from storage.errors import NotFound, RanvierError, StorageError, UnsupportedRecording
from storage.protocols import RecordingSource
from storage.side_files import is_side_file, orphans

FORMATS = (
    "EDF, EDF+, BDF, BDF+, GDF, XDF, NWB (HDF5 or Zarr), CSV of muse-lsl or Mind Monitor, raw text "
    "of the OpenBCI GUI"
)
# What a name promises; of a file whose first bytes do not, the reader of its kind says why.
SUFFIXES = {
    ".edf": "edf", ".bdf": "bdf", ".rec": "edf", ".gdf": "gdf", ".xdf": "xdf", ".nwb": "nwb",
}  # fmt: skip
# Text that may be a recording, and mostly is something else.
TEXT_SUFFIXES = (".csv", ".txt")
OF_FILES = (*SUFFIXES.keys() - {".nwb"}, *TEXT_SUFFIXES)
RECOGNISED = (*SUFFIXES, *TEXT_SUFFIXES, ".zarr")
HEAD_BYTES = 4096
MAGIC = (
    (b"0       ", "edf"),
    (b"\xffBIOSEMI", "bdf"),
    (b"GDF ", "gdf"),
    (b"XDF:", "xdf"),
    (b"\x89HDF\r\n\x1a\n", "nwb"),
    (b"timestamps,", "muse-lsl"),
    (b"TimeStamp,", "mind-monitor"),
    (b"%OpenBCI", "openbci"),
)
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
ZARR_MARKS = ("zarr.json", ".zgroup")


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something that looks like a recording, or belongs to one, and cannot be taken in."""

    url: str
    reason: str


def kind_of(url: str) -> str:
    """Return the format of a file or folder, by its first bytes, else by its name.

    One of ``edf``, ``bdf``, ``gdf``, ``xdf``, ``nwb``, ``muse-lsl``, ``mind-monitor`` and
    ``openbci``.

    Raises
    ------
    NotFound
        If there is nothing of that name.
    UnsupportedRecording
        If it is none of them.
    """
    suffix = Path(file_name(url).lower()).suffix
    if suffix == ".zarr" or (suffix not in OF_FILES and _is_zarr(url)):
        return "nwb"
    with open_bytes(url) as file:
        head = file.read(HEAD_BYTES).removeprefix(BYTE_ORDER_MARK)
    for magic, kind in MAGIC:
        if head.startswith(magic):
            return kind
    if suffix in SUFFIXES:
        return SUFFIXES[suffix]
    raise UnsupportedRecording(f"{file_name(url)}: is none of the formats that are read: {FORMATS}")


def open_recording(url: str) -> RecordingSource:
    """Open a recording of any format.

    Parameters
    ----------
    url
        Local path or ``s3://`` URL, of a file or a Zarr folder.

    Raises
    ------
    NotFound
        If there is nothing of that name.
    RecordingError
        If it is of no known format, holds nothing to use, or is damaged.
    """
    kind = kind_of(url)
    # Each reader brings libraries along that the others need not wait for.
    if kind in ("edf", "bdf"):
        from storage.edf import EdfSource

        return EdfSource(url)
    if kind == "gdf":
        from storage.gdf import GdfSource

        return GdfSource(url)
    if kind == "xdf":
        from storage.xdf import XdfSource

        return XdfSource(url)
    if kind == "nwb":
        from storage.nwb import NwbSource

        return NwbSource(url)
    if kind == "muse-lsl":
        from storage.muse_csv import MuseCsvSource

        return MuseCsvSource(url)
    if kind == "mind-monitor":
        from storage.mind_monitor import MindMonitorSource

        return MindMonitorSource(url)
    from storage.openbci_txt import OpenBciSource

    return OpenBciSource(url)


def find_recordings(given: Sequence[str]) -> Iterator[str | Skipped]:
    """Yield every recording among files, folders, globs and ``s3://`` prefixes, each once.

    What a person names is always yielded, or skipped with a reason; below a folder, files that
    are no recordings are passed over in silence, and a ``.seizures`` file without its recording
    is reported. A file that looks like a recording is yielded, damaged or not: whoever opens it
    is told.
    """
    seen: set[str] = set()
    for item in given:
        for found in _expand(item):
            place = found.url if isinstance(found, Skipped) else found
            if place not in seen:
                seen.add(place)
                yield found


def _expand(item: str) -> Iterator[str | Skipped]:
    if item.startswith("s3://"):
        yield from _in_bucket(item)
        return
    path = Path(item)
    if path.is_dir() and not _is_zarr(item):
        yield from _in_folder(path)
    elif path.exists():
        yield from _named(item.rstrip("/"))
    elif glob.has_magic(item):
        fitting = sorted(glob.glob(item, recursive=True))
        if not fitting:
            yield Skipped(item, f"{item}: no file fits")
        for each in fitting:
            yield from _expand(each) if Path(each).is_dir() else _candidate(each)
    else:
        yield Skipped(item, f"{item}: there is no such file or folder")


def _named(url: str) -> Iterator[str | Skipped]:
    try:
        kind_of(url)
    except RanvierError as error:
        yield Skipped(url, str(error))
    else:
        yield url


def _candidate(url: str) -> Iterator[str | Skipped]:
    """Yield a file if it is a recording, going by its name before looking into it."""
    suffix = Path(file_name(url).lower()).suffix
    if suffix not in RECOGNISED or is_side_file(url):
        return
    try:
        kind_of(url)
    except UnsupportedRecording:
        # A table, a list or a letter.
        return
    except StorageError as error:
        yield Skipped(url, str(error))
    else:
        yield url


def _in_folder(folder: Path) -> Iterator[str | Skipped]:
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        yield Skipped(str(folder), f"{folder}: cannot be listed ({error.strerror})")
        return
    yield from _orphans(str(folder), (entry.name for entry in entries if entry.is_file()))
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_file() or _is_nwb_folder(entry):
            yield from _candidate(str(entry))
        elif entry.is_dir() and not _is_zarr(str(entry)):
            # A Zarr folder of another name is data of its own kind, such as a store of ours.
            yield from _in_folder(entry)


def _is_nwb_folder(entry: Path) -> bool:
    suffix = entry.suffix.lower()
    return suffix == ".zarr" or (suffix == ".nwb" and _is_zarr(str(entry)))


def _orphans(folder: str, names: Iterable[str]) -> Iterator[Skipped]:
    for name in orphans(names):
        yield Skipped(
            f"{folder}/{name}",
            f"{name}: seizures of a recording that is not there ({name.rpartition('.')[0]})",
        )


def _in_bucket(url: str) -> Iterator[str | Skipped]:
    url = url.rstrip("/")
    prefix = url
    if glob.has_magic(url):
        prefix = url[: min(url.index(sign) for sign in "*?[" if sign in url)].rpartition("/")[0]
    folder = BucketFolder(prefix)
    names = list(folder.names())
    if not names and prefix == url:
        # A single object has nothing below it.
        yield from _named(url)
        return
    groups: dict[str, list[str]] = {}
    recordings: dict[str, None] = {}
    for name in names:
        parts = name.split("/")
        ends = [at for at, part in enumerate(parts) if part.lower().endswith(".zarr")]
        whole = "/".join(parts[: ends[0] + 1]) if ends else name
        if prefix == url or _fits(f"{prefix}/{whole}", url):
            recordings[whole] = None
            if not ends:
                groups.setdefault(name.rpartition("/")[0], []).append(parts[-1])
    if not recordings:
        yield Skipped(url, f"{url}: no object fits")
    if prefix == url:
        for place, held in sorted(groups.items()):
            yield from _orphans(f"{prefix}/{place}".rstrip("/"), held)
    for name in sorted(recordings):
        if not any(part.startswith(".") for part in name.split("/")):
            yield from _candidate(f"{prefix}/{name}")


def _fits(url: str, pattern: str) -> bool:
    """Whether a URL fits a glob, in which ``**`` stands for any number of folders."""
    return _parts_fit(url.split("/"), pattern.split("/"))


def _parts_fit(parts: list[str], patterns: list[str]) -> bool:
    if not patterns:
        return not parts
    if patterns[0] == "**":
        return any(_parts_fit(parts[at:], patterns[1:]) for at in range(len(parts) + 1))
    return (
        bool(parts)
        and fnmatch.fnmatchcase(parts[0], patterns[0])
        and _parts_fit(parts[1:], patterns[1:])
    )


def _is_zarr(url: str) -> bool:
    if url.startswith("s3://"):
        try:
            return any(BucketFolder(url).size(mark) is not None for mark in ZARR_MARKS)
        except NotFound:
            return False
    return Path(url).is_dir() and any((Path(url) / mark).exists() for mark in ZARR_MARKS)
