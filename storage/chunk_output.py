"""Where an output is made ready, and how it appears: whole or not at all.

A new local folder is written beside its place and renamed. Into a folder that is there already, and
into a bucket, the files go first and the manifest last; whoever finds no manifest finds no output.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from storage import chunk_manifest
from storage.chunk_format import PLATFORM_NAME, FileEntry
from storage.chunk_manifest import ChunkManifest, read_manifest
from storage.errors import AlreadyExists, DigestMismatch, NotFound, StorageError
from storage.folders import Folder, LocalFolder, open_folder

STAGING = ".staging"
PARTS = ".parts"
PLAN = ".plan.json"


@dataclass(frozen=True, slots=True)
class Output:
    """A place for an output.

    Parameters
    ----------
    url
        Where it is to appear.
    staging
        Where it is made.
    """

    url: str
    staging: str

    @property
    def in_bucket(self) -> bool:
        """Whether files are put in place at once, since objects cannot be renamed."""
        return self.url.startswith("s3://")

    def data(self) -> Folder:
        """Return the folder that files are written to before they are published."""
        return open_folder(self.url if self.in_bucket else self.staging)


def place_output(url: str) -> Output:
    """Return where an output for ``url`` is made ready."""
    if url.startswith("s3://"):
        return Output(url.rstrip("/"), url.rstrip("/"))
    final = Path(url).absolute()
    if final.exists() and not final.is_dir():
        raise AlreadyExists(f"{final}: is a file, expected a folder for the output")
    if final.exists():
        return Output(str(final), str(final / STAGING))
    return Output(str(final), str(_place_beside(final)))


def _place_beside(final: Path, ending: str = "") -> Path:
    return final.parent / f".{final.name}{STAGING}{ending}"


@contextmanager
def only_writer(output: Output) -> Iterator[None]:
    """Hold the output for this process; on a bucket nothing can be held.

    Raises
    ------
    AlreadyExists
        If another process is writing there.
    """
    if output.in_bucket:
        yield
        return
    path = Path(output.staging + ".lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever held the lock removes its file: what was opened may be that one, not ours.
            held = path.exists() and os.path.samestat(os.fstat(lock.fileno()), path.stat())
        except BlockingIOError:
            held = False
        if not held:
            raise AlreadyExists(
                f"{output.url}: another conversion is writing there; wait for it to end"
            )
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
            # Left by a writer that died when its new folder had just appeared.
            _place_beside(Path(output.url), ".lock").unlink(missing_ok=True)


def existing_manifest(output: Output) -> ChunkManifest | None:
    """Return the manifest of a finished output, or None where there is none."""
    try:
        return read_manifest(open_folder(output.url))
    except NotFound:
        return None


def is_intact(folder: Folder, files: Iterable[FileEntry]) -> bool:
    """Whether every file of a manifest is there with its length."""
    return all(folder.size(entry.name) == entry.bytes for entry in files)


def check_free(output: Output, plan: dict[str, Any], overwrite: bool) -> None:
    """Refuse a place where something else rests.

    Raises
    ------
    AlreadyExists
        If there are chunk files that this plan did not write, and they are not to be replaced.
    """
    if overwrite:
        return
    manifest = existing_manifest(output)
    if manifest is not None:
        differing = [
            key
            for key in plan["options"]
            if manifest.head.get("options", {}).get(key) != plan["options"][key]
        ]
        if differing or output.in_bucket:
            what = f"other options ({', '.join(differing)})" if differing else "another source"
            raise AlreadyExists(
                f"{output.url}: holds an output made with {what}; "
                "choose another folder, or replace it with --overwrite"
            )
        return
    folder = open_folder(output.url)
    if output.in_bucket and _staged_plan(folder) == plan:
        return
    ours = _names_moved(output)
    for name in folder.names("channel-"):
        if PLATFORM_NAME.fullmatch(name) and name not in ours:
            raise AlreadyExists(
                f"{output.url}: holds {name} of an output without a manifest; choose another "
                "folder, or replace it with --overwrite"
            )


def _names_moved(output: Output) -> set[str]:
    try:
        return {entry.name for entry in read_manifest(open_folder(output.staging)).files}
    except StorageError:
        return set()


def begin_staging(output: Output, plan: dict[str, Any]) -> bool:
    """Make the staging place ready for a plan, and keep what an equal plan has left there.

    Returns
    -------
    bool
        Whether an earlier attempt goes on.
    """
    folder = output.data()
    if _staged_plan(folder) == plan:
        return True
    if output.in_bucket:
        folder.delete_tree(PARTS)
        # Files are replaced one by one from now on, so nothing may call them an output.
        folder.delete(chunk_manifest.NAME)
    else:
        folder.delete_tree("")
    folder.write(PLAN, [json.dumps(plan).encode()])
    return False


def _staged_plan(folder: Folder) -> object:
    try:
        return json.loads(folder.read(PLAN))
    except (NotFound, ValueError):
        return None


def drop_staging(output: Output) -> None:
    """Remove what was made ready, without publishing it."""
    folder = output.data()
    if output.in_bucket:
        folder.delete_tree(PARTS)
        folder.delete(PLAN)
    else:
        folder.delete_tree("")


def publish(output: Output, manifest: ChunkManifest, overwrite: bool) -> None:
    """Make a finished output appear.

    Raises
    ------
    DigestMismatch
        If a file does not have the length that was written.
    AlreadyExists
        If the place was taken meanwhile.
    """
    staged = output.data()
    for entry in manifest.files:
        size = staged.size(entry.name)
        if size is None and not output.in_bucket:
            size = open_folder(output.url).size(entry.name)
        if size != entry.bytes:
            raise DigestMismatch(
                f"{output.staging}/{entry.name}: is {size} bytes, {entry.bytes} were written; "
                "another program may have changed it, convert again"
            )
    if output.in_bucket:
        _publish_in_bucket(output, manifest, overwrite)
    elif Path(output.url).exists() and not _is_empty_beside(output):
        _publish_by_moving(output, manifest, overwrite)
    else:
        _publish_by_rename(output, manifest)


def _is_empty_beside(output: Output) -> bool:
    """Whether someone has made the output's folder meanwhile, and left it empty."""
    final = Path(output.url)
    return Path(output.staging).parent != final and not any(final.iterdir())


def _publish_in_bucket(output: Output, manifest: ChunkManifest, overwrite: bool) -> None:
    folder = open_folder(output.url)
    if overwrite:
        _delete_stale(folder, manifest)
    folder.write(chunk_manifest.NAME, manifest.lines())
    drop_staging(output)


def _publish_by_rename(output: Output, manifest: ChunkManifest) -> None:
    staged = LocalFolder(Path(output.staging))
    staged.write(chunk_manifest.NAME, manifest.lines())
    staged.delete_tree(PARTS)
    staged.delete(PLAN)
    _flush(staged.path)
    staged.path.rename(output.url)
    _flush(Path(output.url).parent)


def _publish_by_moving(output: Output, manifest: ChunkManifest, overwrite: bool) -> None:
    final, staged = LocalFolder(Path(output.url)), LocalFolder(Path(output.staging))
    if staged.path.parent != final.path:
        raise AlreadyExists(
            f"{output.url}: appeared while its output was being made; choose another folder"
        )
    staged.write(chunk_manifest.NAME, manifest.lines())
    final.delete(chunk_manifest.NAME)
    for entry in manifest.files:
        if staged.size(entry.name) is not None:
            (staged.path / entry.name).replace(final.path / entry.name)
    if overwrite:
        _delete_stale(final, manifest)
    _flush(final.path)
    (staged.path / chunk_manifest.NAME).replace(final.path / chunk_manifest.NAME)
    _flush(final.path)
    final.delete_tree(STAGING)


def _delete_stale(folder: Folder, manifest: ChunkManifest) -> None:
    current = {entry.name for entry in manifest.files}
    for name in list(folder.names("channel-")):
        if name not in current and PLATFORM_NAME.fullmatch(name):
            folder.delete(name)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        raise StorageError(f"{path}: cannot be flushed to disk ({error})") from error
    finally:
        os.close(descriptor)
