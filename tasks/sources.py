"""Finding the files that a request means, and naming their outputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from storage.buckets import BucketFolder
from storage.errors import NotFound
from storage.nwb import recording_id


def find_sources(given: Sequence[str]) -> tuple[str, ...]:
    """Return every NWB file among files, folders and ``s3://`` prefixes, each once.

    Raises
    ------
    NotFound
        If a folder or prefix holds none.
    """
    found: dict[str, None] = {}
    for item in given:
        urls = list(_expand(item))
        if not urls:
            raise NotFound(f"{item}: holds no .nwb file and no .nwb.zarr folder")
        found.update(dict.fromkeys(urls))
    return tuple(found)


def is_single(given: Sequence[str], found: Sequence[str]) -> bool:
    """Whether a person named one file itself, not a folder that happens to hold one."""
    return len(given) == 1 and len(found) == 1 and given[0].rstrip("/") == found[0]


def _expand(item: str) -> Iterator[str]:
    item = item.rstrip("/")
    if item.lower().endswith((".nwb", ".zarr")):
        yield item
    elif item.startswith("s3://"):
        yield from _in_bucket(item)
    elif Path(item).is_dir() and not _is_zarr(Path(item)):
        yield from _in_folder(Path(item))
    else:
        yield item


def _is_zarr(folder: Path) -> bool:
    return (folder / ".zgroup").exists() or (folder / "zarr.json").exists()


def _in_folder(folder: Path) -> Iterator[str]:
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.suffix.lower() in (".nwb", ".zarr"):
            yield str(path)
        elif path.is_dir():
            yield from _in_folder(path)


def _in_bucket(url: str) -> Iterator[str]:
    folder = BucketFolder(url)
    seen = set()
    for name in sorted(folder.names()):
        parts = name.split("/")
        ends = [at for at, part in enumerate(parts) if part.lower().endswith((".nwb", ".zarr"))]
        if ends:
            seen.add("/".join(parts[: ends[0] + 1]))
    yield from (f"{folder.url}/{name}" for name in sorted(seen))


def output_urls(found: Sequence[str], output: str | None, single: bool) -> tuple[str, ...]:
    """Return where the output of each source goes.

    One file goes to ``output`` itself, default ``<stem>-pennsieve`` beside it; several go to a
    folder of their own each below it, default ``pennsieve`` beside the first. Of equal stems the
    later ones get a number.
    """
    if single:
        return (output or _beside(found[0], f"{recording_id(found[0])}-pennsieve"),)
    parent = (output or _beside(found[0], "pennsieve")).rstrip("/")
    # In the order of the files; a name that another file has by itself is never given away.
    stems = [recording_id(url) for url in found]
    taken: dict[str, None] = {}
    for stem in stems:
        name, number = stem, 1
        while name in taken or (number > 1 and name in stems):
            number += 1
            name = f"{stem}-{number}"
        taken[name] = None
    return tuple(f"{parent}/{name}" for name in taken)


def _beside(url: str, name: str) -> str:
    folder, slash, _ = url.rstrip("/").rpartition("/")
    return f"{folder}{slash}{name}"
