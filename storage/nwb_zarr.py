"""NWB files in Zarr, versions 2 and 3, as hdmf-zarr writes them.

The tree is read from the JSON documents themselves, numbers through zarr. zarr cannot open the
version 2 arrays that hold the start time (bytes of variable length, or a pickle), so text of that
version is decoded here; a pickle is walked as data and never executed. Links and references are
attributes. Source: hdmf-zarr's storage specification, and files of versions 0.3 to 0.14.
"""

from __future__ import annotations

import json
import os
import pickletools
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise, product
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from storage.errors import CorruptRecording, NotFound, UnsupportedRecording
from storage.folders import Folder, open_folder
from storage.nwb_tree import NwbArray, NwbGroup
from storage.spans import Span
from storage.zarr_arrays import ZarrArray, decompress

TEXT_OPCODES = ("SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "UNICODE")


@dataclass(frozen=True, slots=True)
class Node:
    """A group or array as its documents describe it; ``array`` is None for a group."""

    attributes: dict[str, Any]
    array: dict[str, Any] | None
    members: dict[str, Node] = field(default_factory=dict)


class ZarrNwbFile:
    """An NWB file in Zarr, on disk or in a bucket.

    Raises
    ------
    NotFound
        If there is no such folder.
    UnsupportedRecording
        If it is not Zarr.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self.folder: Folder = open_folder(self.url)
        self.zarr_format = self._detect()
        self.top = _read_tree(self.folder, self.zarr_format)
        self._linked: dict[str, ZarrNwbFile] = {}

    def _detect(self) -> int:
        if self.folder.size("zarr.json") is not None:
            return 3
        if self.folder.size(".zgroup") is not None:
            return 2
        if not self.url.startswith("s3://") and Path(self.url).is_dir():
            raise UnsupportedRecording(
                f"{self.url}: a folder without .zgroup or zarr.json, so no Zarr file"
            )
        raise NotFound(f"{self.url}: there is no such file")

    @property
    def fingerprint(self) -> dict[str, str | int]:
        """Digest of the names, sizes and times of all files in the folder and in linked ones."""
        linked = {
            f"linked {source}": file.folder.signature() for source, file in self._linked.items()
        }
        return {"files": self.folder.signature(), **linked}

    @property
    def root(self) -> NwbGroup:
        """The top group."""
        return ZarrNwbGroup(self, "", self.top)

    def linked(self, source: str) -> ZarrNwbFile:
        """Return the file that a link names, relative to this one."""
        if source in ("", "."):
            return self
        if source not in self._linked:
            scheme, _, rest = self.url.rpartition("://")
            path = os.path.normpath(os.path.join(rest, source))
            self._linked[source] = ZarrNwbFile(f"{scheme}://{path}" if scheme else path)
        return self._linked[source]

    def node(self, path: str) -> Node | None:
        """Return the node at a path, without following links."""
        node: Node | None = self.top
        for name in path.strip("/").split("/") if path.strip("/") else []:
            node = node.members.get(name) if node else None
        return node

    def close(self) -> None:
        """Let go of the files that links led to."""
        self._linked.clear()


class ZarrNwbGroup:
    """A group."""

    is_group: Literal[True] = True

    def __init__(self, file: ZarrNwbFile, path: str, node: Node) -> None:
        self._file = file
        self._node = node
        self.path = path
        self._links: dict[str, dict[str, str]] = {
            link["name"]: link
            for key in ("zarr_link", "_LINKS")
            for link in node.attributes.get(key, [])
        }

    @property
    def attributes(self) -> Mapping[str, object]:
        """Strings as ``str``, references as paths."""
        return {key: _plain(value) for key, value in self._node.attributes.items()}

    @property
    def identity(self) -> object:
        """File and path of the group."""
        return (self._file.url, self.path)

    def names(self) -> Iterator[str]:
        """Yield the names of all members, links included, sorted."""
        return iter(sorted({*self._node.members, *self._links}))

    def member(self, name: str) -> NwbGroup | NwbArray | None:
        """Return a member, links followed, or None where there is none."""
        file, path = self._file, f"{self.path}/{name}".strip("/")
        node = self._node.members.get(name)
        for _ in range(10):
            if node is not None or name not in self._links:
                break
            link = self._links[name]
            try:
                file = self._file.linked(link.get("source", "."))
            except NotFound as error:
                raise CorruptRecording(
                    f"{path}: a link that leads nowhere ({error}); put the file that it names "
                    "beside this one"
                ) from error
            path = link["path"].strip("/")
            node = file.node(path)
            if node is None:
                raise CorruptRecording(f"{self.path}/{name}: a link that leads nowhere ({path})")
        if node is None:
            return None
        if node.array is None:
            return ZarrNwbGroup(file, path, node)
        return ZarrNwbArray(file, path, node)


class ZarrNwbArray:
    """An array."""

    is_group: Literal[False] = False

    def __init__(self, file: ZarrNwbFile, path: str, node: Node) -> None:
        self._file = file
        self._node = node
        self._meta = node.array or {}
        self.path = path
        self.shape: tuple[int, ...] = tuple(self._meta["shape"])
        self._array: ZarrArray | None = None

    @property
    def attributes(self) -> Mapping[str, object]:
        """Strings as ``str``, references as paths."""
        return {key: _plain(value) for key, value in self._node.attributes.items()}

    @property
    def root(self) -> NwbGroup:
        """The top group of the file that holds the array."""
        return self._file.root

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Type of the numbers; object for text."""
        name = self._meta.get("dtype") or self._meta.get("data_type")
        try:
            return np.dtype(str(name) if name != "string" else "O")
        except TypeError as error:
            raise UnsupportedRecording(f"{self.path}: Zarr type {name!r} is not known") from error

    @property
    def chunk_shape(self) -> tuple[int, ...] | None:
        """Shape of the pieces that are stored together."""
        return self._opened.chunk_shape

    @property
    def _opened(self) -> ZarrArray:
        if self._array is None:
            self._array = ZarrArray(self._file.url, self.path, self._file.zarr_format)
        return self._array

    def values(self) -> NDArray[np.generic]:
        """Return all of a small array; text as objects of ``str``, references as paths."""
        if self.dtype.kind == "O" and self._file.zarr_format == 2:
            return self._text()
        content = self._opened.read(*(Span(0, size) for size in self.shape))
        if content.dtype.kind == "S":
            content = np.char.decode(content.astype(np.bytes_), "utf-8", "replace")
        if content.dtype.kind in "OTU":
            return np.array([str(item) for item in content.reshape(-1)], object)
        return content

    def read(self, *axes: Span) -> NDArray[np.generic]:
        """Return a block, one span for each axis."""
        return self._opened.read(*axes)

    def read_chunk(self, *corner: int) -> NDArray[np.generic]:
        """Return one stored chunk, cut at the array's end."""
        sizes = zip(corner, self._opened.chunk_shape, self.shape, strict=True)
        return self._opened.read(*(Span(at, min(at + size, end)) for at, size, end in sizes))

    def _text(self) -> NDArray[np.generic]:
        codecs = [codec.get("id") for codec in self._meta.get("filters") or []]
        separator = self._meta.get("dimension_separator", ".")
        counts = [-(-n // size) for n, size in zip(self.shape, self._meta["chunks"], strict=True)]
        items: list[str] = []
        for place in product(*(range(count) for count in counts)):
            name = f"{self.path}/{separator.join(map(str, place))}"
            try:
                packed = self._file.folder.read(name)
            except NotFound:
                items.extend([""] * int(np.prod(self._meta["chunks"])))
                continue
            raw = decompress(self._meta.get("compressor"), packed)
            items.extend(_decode_text(raw, str(codecs[-1] if codecs else ""), self.path))
        return np.array(items[: int(np.prod(self.shape))], object)


def _decode_text(raw: bytes, codec: str, where: str) -> list[str]:
    try:
        if codec in ("vlen-utf8", "vlen-bytes"):
            return list(_framed(raw))
        if codec == "json2":
            return [str(item) for item in json.loads(raw)[:-2]]
        if codec == "pickle":
            return _pickled(raw)
    except (LookupError, ValueError, struct.error) as error:
        raise CorruptRecording(f"{where}: text cannot be decoded ({error})") from error
    raise UnsupportedRecording(f"{where}: text in Zarr codec {codec!r} is not known")


def _pickled(raw: bytes) -> list[str]:
    """Return the texts of a pickled array, or the paths of its references."""
    texts: list[str] = []
    memo: list[str | None] = []
    last: str | None = None
    for opcode, argument, _ in pickletools.genops(raw):
        if opcode.name == "MEMOIZE":
            memo.append(last)
            continue
        last = None
        if opcode.name in TEXT_OPCODES:
            last = str(argument)
        elif opcode.name in ("BINGET", "LONG_BINGET"):
            last = memo[int(argument or 0)]
        if last is not None:
            texts.append(last)
    # The array's type comes first, and ends with its byte order.
    items = texts[texts.index("|") + 1 :]
    if "ZarrReference" not in items:
        return items
    return [path for key, path in pairwise(items) if key == "path"]


def _framed(raw: bytes) -> Iterator[str]:
    (count,) = struct.unpack_from("<I", raw)
    at = 4
    for _ in range(count):
        (length,) = struct.unpack_from("<I", raw, at)
        yield raw[at + 4 : at + 4 + length].decode("utf-8", "replace")
        at += 4 + length


def _plain(value: Any) -> object:
    if isinstance(value, dict):
        reference = value.get("_REFERENCE") or value.get("value")
        if isinstance(reference, dict) and "path" in reference:
            return str(reference["path"])
    return value


def _read_tree(folder: Folder, zarr_format: int) -> Node:
    consolidated = _consolidated(folder, zarr_format)
    if consolidated is not None:
        documents: Iterator[tuple[str, bytes | dict[str, Any]]] = iter(consolidated.items())
    else:
        names = [name for name in folder.names() if name.rpartition("/")[2] in DOCUMENTS]
        documents = ((name, folder.read(name)) for name in names)
    top = Node({}, None)
    for name, content in documents:
        document = json.loads(content) if isinstance(content, bytes) else content
        if not isinstance(document, dict):
            raise ValueError(f"{name} is no JSON object")
        path, _, kind = name.rpartition("/")
        _add(top, path, kind, document)
    return top


DOCUMENTS = (".zgroup", ".zarray", ".zattrs", "zarr.json")


def _consolidated(folder: Folder, zarr_format: int) -> dict[str, Any] | None:
    try:
        if zarr_format == 2:
            found: dict[str, Any] = json.loads(folder.read(".zmetadata"))["metadata"]
            return found
        root = json.loads(folder.read("zarr.json"))
        if not isinstance(root, dict):
            return None
        inline = (root.get("consolidated_metadata") or {}).get("metadata")
        if not inline:
            return None
        return {"zarr.json": root, **{f"{path}/zarr.json": node for path, node in inline.items()}}
    except (NotFound, KeyError):
        return None


def _add(top: Node, path: str, kind: str, document: dict[str, Any]) -> None:
    parts = path.split("/") if path else []
    node, parent = top, None
    for name in parts:
        parent = node
        node = node.members.setdefault(name, Node({}, None))
    if kind == ".zattrs":
        node.attributes.update(document)
    elif kind == "zarr.json":
        node.attributes.update(document.get("attributes") or {})
    if parent is not None and (kind == ".zarray" or document.get("node_type") == "array"):
        parent.members[parts[-1]] = Node(node.attributes, document, node.members)
