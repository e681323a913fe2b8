"""NWB files in HDF5: the tree through h5py, and fast decoding of gzip-compressed chunks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
from numpy.typing import NDArray

from storage.buckets import ObjectFile
from storage.errors import CorruptRecording, NotFound, UnsupportedRecording
from storage.inflate import inflate
from storage.nwb_tree import NwbArray, NwbGroup
from storage.spans import Span

FIRST_PLUGIN_FILTER = 256


class Hdf5Array:
    """A dataset."""

    is_group: Literal[False] = False

    def __init__(self, dataset: h5py.Dataset, files: set[str]) -> None:
        self._dataset = dataset
        self._files = files
        files.update(_files_of(dataset))
        self.path = str(dataset.name).strip("/")
        self.shape: tuple[int, ...] = dataset.shape or ()
        self.dtype: np.dtype[np.generic] = dataset.dtype
        self.chunk_shape: tuple[int, ...] | None = dataset.chunks

    @cached_property
    def attributes(self) -> Mapping[str, object]:
        """Strings as ``str``, references as paths."""
        return _attributes(self._dataset)

    @cached_property
    def _filters(self) -> list[int]:
        plist = self._dataset.id.get_create_plist()
        return [plist.get_filter(i)[0] for i in range(plist.get_nfilters())]

    @cached_property
    def _decodes_itself(self) -> bool:
        return self._filters in (
            [h5py.h5z.FILTER_DEFLATE],
            [h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_DEFLATE],
        )

    @property
    def root(self) -> NwbGroup:
        """The top group of the file that holds the array."""
        return Hdf5Group(self._dataset.file["/"], self._files)

    def values(self) -> NDArray[np.generic]:
        """Return all of a small array; text as objects of ``str``, references as paths."""
        content = np.asarray(self._dataset[()])
        if content.dtype.kind in "OS":
            flat = [_plain(self._dataset.file, item) for item in content.reshape(-1)]
            content = np.array(flat, dtype=object).reshape(content.shape)
        return content

    def read(self, *axes: Span) -> NDArray[np.generic]:
        """Return a block, one span for each axis."""
        out = np.empty([len(axis) for axis in axes], self.dtype)
        if out.size:
            self._load_plugins()
            try:
                self._dataset.read_direct(out, tuple(slice(a.start, a.stop) for a in axes))
            except (OSError, RuntimeError) as error:
                raise CorruptRecording(
                    f"{_place(self._dataset)}: samples from {axes[0].start} on cannot be read "
                    f"({_first_line(error)}); the file may be cut short, or need an HDF5 filter "
                    "that is not installed"
                ) from error
        return out

    def read_chunk(self, *corner: int) -> NDArray[np.generic]:
        """Return one stored chunk; gzip is decoded outside HDF5's global lock."""
        chunk_shape = self.chunk_shape or self.shape
        kept = tuple(
            Span(at, min(at + size, end))
            for at, size, end in zip(corner, chunk_shape, self.shape, strict=True)
        )
        if not self._decodes_itself:
            return self.read(*kept)
        try:
            info = self._dataset.id.get_chunk_info_by_coord(corner)
            if info.byte_offset is None or info.filter_mask:
                return self.read(*kept)
            _, packed = self._dataset.id.read_direct_chunk(corner)
            n_bytes = int(np.prod(chunk_shape)) * self.dtype.itemsize
            raw = inflate(packed, gzip=False, expected_bytes=n_bytes)
        except (OSError, RuntimeError, ValueError) as error:
            raise CorruptRecording(
                f"{_place(self._dataset)}: the chunk at {corner} cannot be decoded "
                f"({_first_line(error)}); the file is damaged there"
            ) from error
        if len(raw) != n_bytes:
            raise CorruptRecording(
                f"{_place(self._dataset)}: the chunk at {corner} holds {len(raw)} bytes, "
                f"expected {n_bytes}; the file is damaged there"
            )
        if self._filters[0] == h5py.h5z.FILTER_SHUFFLE:
            planes = np.frombuffer(raw, np.uint8).reshape(self.dtype.itemsize, -1)
            whole = np.ascontiguousarray(planes.T).view(self.dtype)
        else:
            whole = np.frombuffer(raw, self.dtype)
        return whole.reshape(chunk_shape)[tuple(slice(0, len(span)) for span in kept)]

    def _load_plugins(self) -> None:
        if any(code >= FIRST_PLUGIN_FILTER for code in self._filters):
            import hdf5plugin  # noqa: F401  (registers its filters)


class Hdf5Group:
    """A group."""

    is_group: Literal[True] = True

    def __init__(self, group: h5py.Group, files: set[str]) -> None:
        self._group = group
        self._files = files
        files.add(group.file.filename)
        self.path = str(group.name).strip("/")

    @cached_property
    def attributes(self) -> Mapping[str, object]:
        """Strings as ``str``, references as paths."""
        return _attributes(self._group)

    @property
    def identity(self) -> object:
        """File and address of the group."""
        info = h5py.h5o.get_info(self._group.id)
        return (info.fileno, info.addr)

    def names(self) -> Iterator[str]:
        """Yield the names of all members, sorted."""
        return iter(sorted(self._group))

    def member(self, name: str) -> NwbGroup | NwbArray | None:
        """Return a member, links followed, or None where there is none."""
        try:
            node = self._group[name]
        except (KeyError, OSError) as error:
            link = self._group.get(name, getlink=True)
            if link is None:
                return None
            target = getattr(link, "filename", "") or getattr(link, "path", "")
            raise CorruptRecording(
                f"{_place(self._group)}/{name}: a link that leads nowhere ({target}); "
                "put the file that it names beside this one"
            ) from error
        if isinstance(node, h5py.Group):
            return Hdf5Group(node, self._files)
        return Hdf5Array(node, self._files)


class Hdf5NwbFile:
    """An NWB file in HDF5, on disk or in a bucket.

    Raises
    ------
    NotFound
        If there is no such file.
    UnsupportedRecording
        If it is not an HDF5 file.
    CorruptRecording
        If it is one, and cannot be opened.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._object: ObjectFile | None = None
        self._files: set[str] = set()
        try:
            if url.startswith("s3://"):
                self._object = ObjectFile(url)
                self._file = h5py.File(self._object, "r")
            else:
                self._file = h5py.File(url, "r", locking=False)
        except FileNotFoundError as error:
            raise NotFound(f"{url}: there is no such file") from error
        except PermissionError as error:
            raise NotFound(f"{url}: may not be read by this user") from error
        except OSError as error:
            reason = _first_line(error)
            if "signature not found" in reason:
                raise UnsupportedRecording(
                    f"{url}: not an HDF5 file, so not an NWB file of that kind"
                ) from error
            raise CorruptRecording(
                f"{url}: the HDF5 file cannot be opened ({reason}); it may be cut short, "
                "copy it again"
            ) from error

    @property
    def root(self) -> NwbGroup:
        """The top group."""
        return Hdf5Group(self._file["/"], self._files)

    @property
    def fingerprint(self) -> dict[str, str | int]:
        """Size, and time of change or tag, of the file and of those that links led to."""
        if self._object is not None:
            return {"bytes": self._object.size, "etag": self._object.tag}
        found: dict[str, str | int] = {}
        for name in sorted(self._files - {self.url}):
            stat = Path(name).stat()
            found[f"linked {Path(name).name}"] = f"{stat.st_size} {stat.st_mtime_ns}"
        stat = Path(self.url).stat()
        return {"bytes": stat.st_size, "modified_ns": stat.st_mtime_ns, **found}

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()
        if self._object is not None:
            self._object.close()


def _files_of(dataset: h5py.Dataset) -> set[str]:
    """Return the files that hold a dataset's samples.

    Raises
    ------
    CorruptRecording
        If one of them is missing: HDF5 itself would read zeros in its place.
    """
    own = str(dataset.file.filename)
    files = {own}
    if dataset.is_virtual:
        for source in dataset.virtual_sources():
            name = own if source.file_name == "." else str(Path(own).parent / source.file_name)
            if not Path(name).exists():
                raise CorruptRecording(
                    f"{_place(dataset)}: a virtual dataset whose source {source.file_name} is "
                    "missing; put it beside this file"
                )
            files.add(name)
    return files


def _attributes(node: h5py.HLObject) -> dict[str, object]:
    return {str(name): _plain(node.file, value) for name, value in node.attrs.items()}


def _plain(file: h5py.File, value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, h5py.Reference):
        return str(file[value].name) if value else ""
    if isinstance(value, np.ndarray) and value.dtype.kind in "OS":
        return np.array([_plain(file, item) for item in value.reshape(-1)], dtype=object)
    return value


def _place(node: h5py.HLObject) -> str:
    return f"{Path(node.file.filename).name}:{node.name}"


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
