"""NWB-Zarr folders as hdmf-zarr writes them, made without it.

``write_nwb_zarr_v2`` repeats the layout of hdmf-zarr up to 0.13 (Zarr v2, attributes ``zarr_dtype``
and ``zarr_link``, object references pickled), ``write_nwb_zarr_v3`` that of 0.14 and later (Zarr
v3, ``_DTYPE``, ``_LINKS``, ``_REFERENCE``). Both take the descriptions of
``tests.support.nwb_files``, so a test can write one file both ways, and compare. ``write_real``
makes real ones to compare with, in a throwaway environment.
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
import struct
import subprocess
import sys
import types
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal
from unittest import mock

import numpy as np
from numcodecs.blosc import Blosc
from numcodecs.zstd import Zstd
from numpy.typing import NDArray

from tests.support.nwb_files import (
    START,
    TABLE,
    ElectrodesSpec,
    SeriesSpec,
    SessionSpec,
    numbers,
    uniform_times,
    with_gaps,
)

NWB_VERSION = "2.11.0"
SPECIFICATION = f"specifications/core/{NWB_VERSION}/namespace"

# One series with time stamps and a gap, one with a rate and a starting time.
TWO_SERIES = (
    SeriesSpec(
        name="raw",
        samples=1000,
        channels=4,
        dtype="int16",
        rate_hz=30_000.0,
        starting_time_s=1.5,
        conversion=1.95e-7,
        channel_conversion=(1.0, 2.0, 1.0, 1.5),
        electrodes=(3, 2, 1, 0),
    ),
    SeriesSpec(
        name="slow",
        samples=600,
        channels=2,
        dtype="float32",
        timestamps=with_gaps(uniform_times(600, 1000.0), {400: 0.5}),
        electrodes=(4, 5),
    ),
)
TWO_GROUPS = ElectrodesSpec(groups=("shank1", "shank2"))


@dataclass(frozen=True)
class _Reference:
    """Points at another object of the file."""

    path: str
    object_id: str


@dataclass
class _Array:
    """A dataset. Texts and references are lists; a scalar is an array or list of one."""

    content: NDArray[Any] | list[str] | list[_Reference]
    attributes: dict[str, Any] = field(default_factory=dict)
    dimensions: tuple[str, ...] = ()
    scalar: bool = False
    chunks: tuple[int, ...] | None = None
    as_bytes: bool = False


@dataclass
class _Group:
    """A group, with links to objects that stand elsewhere in the file."""

    attributes: dict[str, Any] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)


Tree = dict[str, _Array | _Group]


def write_nwb_zarr_v2(
    path: Path,
    *series: SeriesSpec,
    session: SessionSpec = SessionSpec(),
    electrodes: ElectrodesSpec | None = None,
    consolidated: bool = True,
    scalar_text: Literal["vlen", "pickle"] = "vlen",
) -> Path:
    """Write an NWB-Zarr folder of Zarr format 2.

    Parameters
    ----------
    path
        Folder to write; an existing one is replaced.
    series
        What it holds; ``TWO_SERIES`` by default.
    session, electrodes
        When it took place, and the electrodes table; ``TWO_GROUPS`` for ``TWO_SERIES``.
    consolidated
        Write ``.zmetadata``, as all but the oldest versions do.
    scalar_text
        Codec of the start times and the identifier; ``pickle`` as in files that hdmf-zarr 0.3 to
        0.6 exported from HDF5.

    Returns
    -------
    Path
        The same path.
    """
    tree = _tree(series, session, electrodes)
    shutil.rmtree(path, ignore_errors=True)
    metadata: dict[str, Any] = {}
    source_id = tree[""].attributes["object_id"]
    for name, node in tree.items():
        folder = path / name
        folder.mkdir(parents=True)
        prefix = f"{name}/" if name else ""
        if isinstance(node, _Group):
            attributes = dict(node.attributes)
            if node.links:
                attributes["zarr_link"] = [
                    {"name": link, "path": f"/{target}", "source": "."}
                    for link, target in node.links.items()
                ]
            metadata[f"{prefix}.zgroup"] = {"zarr_format": 2}
        else:
            pickled = scalar_text == "pickle" and node.scalar and isinstance(node.content, list)
            array, attributes, chunks = _v2_array(name, node, source_id, pickled=pickled)
            metadata[f"{prefix}.zarray"] = array
            for key, chunk in chunks:
                (folder / key).write_bytes(chunk)
        if attributes:
            metadata[f"{prefix}.zattrs"] = attributes
    for name, content in metadata.items():
        (path / name).write_text(json.dumps(content, indent=4, sort_keys=True))
    if consolidated:
        whole = {"metadata": metadata, "zarr_consolidated_format": 1}
        (path / ".zmetadata").write_text(json.dumps(whole, indent=4, sort_keys=True))
    return path


def write_nwb_zarr_v3(
    path: Path,
    *series: SeriesSpec,
    session: SessionSpec = SessionSpec(),
    electrodes: ElectrodesSpec | None = None,
    consolidated: bool = True,
) -> Path:
    """Write an NWB-Zarr folder of Zarr format 3; parameters as in ``write_nwb_zarr_v2``."""
    tree = _tree(series, session, electrodes)
    shutil.rmtree(path, ignore_errors=True)
    metadata: dict[str, Any] = {}
    for name, node in tree.items():
        folder = path / name
        folder.mkdir(parents=True)
        if isinstance(node, _Group):
            attributes: dict[str, Any] = {}
            if node.links:
                attributes["_LINKS"] = [
                    {"source": ".", "path": f"/{target}", "name": link}
                    for link, target in node.links.items()
                ]
            attributes.update(node.attributes)
            metadata[name] = {"attributes": attributes, "zarr_format": 3, "node_type": "group"}
        else:
            metadata[name], chunks = _v3_array(node)
            for key, chunk in chunks:
                (folder / key).parent.mkdir(parents=True, exist_ok=True)
                (folder / key).write_bytes(chunk)
    if consolidated:
        metadata[""]["consolidated_metadata"] = {
            "kind": "inline",
            "must_understand": False,
            "metadata": {name: dict(node) for name, node in metadata.items() if name},
        }
    for name, content in metadata.items():
        (path / name / "zarr.json").write_text(json.dumps(content, indent=2))
    return path


def write_real(folder: Path, pythons: tuple[str, str] = ("3.11", "3.12")) -> list[Path]:
    """Write ``TWO_SERIES`` with hdmf-zarr itself, once for each format.

    Downloads hdmf-zarr and what it needs into a throwaway environment; needs ``uv`` and a Python
    3.12. For a person to run, when hdmf-zarr changes:
    ``python -c "from tests.support.nwb_zarr import *; write_real(Path('/tmp/real'))"``.

    Parameters
    ----------
    folder
        Where to write both.
    pythons
        Version or path of the Python for each format.

    Returns
    -------
    list of Path
        The folder of format 2 and that of format 3.
    """
    code = (
        "import sys\n"
        "from hdmf_zarr.nwb import NWBZarrIO\n"
        "from tests.support.nwb_files import build_nwb\n"
        "from tests.support.nwb_zarr import TWO_GROUPS, TWO_SERIES\n"
        "with NWBZarrIO(sys.argv[1], mode='w') as io:\n"
        "    io.write(build_nwb(*TWO_SERIES, electrodes=TWO_GROUPS))\n"
    )
    repository = Path(__file__).parents[2]
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for version, python, package in (
        ("v2", pythons[0], "hdmf-zarr<0.14"),
        ("v3", pythons[1], "hdmf-zarr>=0.14"),
    ):
        target = folder / f"two_series_{version}.nwb.zarr"
        uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
        command = [uv, "run", "--isolated", "--no-project", "--python", python, "--with", package]
        subprocess.run(
            [*command, "python", "-c", code, str(target)],
            cwd=repository,
            env=os.environ | {"PYTHONPATH": str(repository)},
            check=True,
        )
        written.append(target)
    return written


# --- what the file holds -------------------------------------------------------------------------


def _tree(
    series: Sequence[SeriesSpec], session: SessionSpec, electrodes: ElectrodesSpec | None
) -> Tree:
    if electrodes is None:
        electrodes = ElectrodesSpec() if series else TWO_GROUPS
    series = series or TWO_SERIES
    root = _typed("", "NWBFile", {".specloc": "specifications", "nwb_version": NWB_VERSION})
    tree: Tree = {"": root}
    for name in ("acquisition", "analysis", "general", "general/devices"):
        tree[name] = _Group()
    tree["general/devices/probe"] = _typed("general/devices/probe", "Device")
    tree["general/extracellular_ephys"] = _Group()
    for name in electrodes.groups:
        path = f"general/extracellular_ephys/{name}"
        tree[path] = group = _typed(
            path, "ElectrodeGroup", {"description": "a shank", "location": "CA1"}
        )
        group.links["device"] = "general/devices/probe"
    _add_table(tree, electrodes, electrodes.length(series))
    for name in ("processing", "stimulus", "stimulus/presentation", "stimulus/templates"):
        tree[name] = _Group()
    places = {spec.name: spec.path for spec in series}
    for spec in series:
        _add_series(tree, spec, places)
    start = session.start.isoformat()
    reference = (session.reference or session.start).isoformat()
    tree["identifier"] = _Array(["test"], scalar=True)
    tree["session_description"] = _Array(["made for a test"], scalar=True)
    tree["session_start_time"] = _Array([start], scalar=True, as_bytes=True)
    tree["timestamps_reference_time"] = _Array([reference], scalar=True, as_bytes=True)
    tree["file_create_date"] = _Array(
        [START.isoformat()], dimensions=("num_modifications",), as_bytes=True
    )
    for depth in range(1, 4):
        tree["/".join(SPECIFICATION.split("/")[:depth])] = _Group()
    tree[SPECIFICATION] = _Array(['{"namespaces":[]}'], scalar=True)
    return tree


def _add_table(tree: Tree, electrodes: ElectrodesSpec, length: int) -> None:
    columns = electrodes.named_columns(length)
    names = ["location", "group", *columns, "group_name"]
    tree[TABLE] = _typed(
        TABLE,
        "ElectrodesTable",
        {"colnames": names, "description": "metadata about extracellular electrodes"},
    )
    owners = [electrodes.group_of(row, length) for row in range(length)]
    paths = [f"general/extracellular_ephys/{owner}" for owner in owners]
    contents: dict[str, Any] = {
        "location": ["CA1"] * length,
        "group": [_Reference(path, _object_id(path)) for path in paths],
        "group_name": owners,
    }
    for name, values in columns.items():
        texts = all(isinstance(value, str) for value in values)
        contents[name] = list(values) if texts else np.asarray(values)
    descriptions = {
        "location": "Location of the electrode (channel).",
        "group": "Reference to the ElectrodeGroup.",
        "group_name": "Name of the ElectrodeGroup.",
    }
    for name in names:
        description = descriptions.get(name, f"{name} of the electrode")
        tree[f"{TABLE}/{name}"] = _Array(
            contents[name],
            _type(f"{TABLE}/{name}", "VectorData", {"description": description}),
            dimensions=("dim0",),
        )
    identifiers = _type(f"{TABLE}/id", "ElementIdentifiers", {})
    tree[f"{TABLE}/id"] = _Array(np.arange(length), identifiers, dimensions=("num_rows",))


def _add_series(tree: Tree, spec: SeriesSpec, places: dict[str, str]) -> None:
    if spec.module is not None:
        module = f"processing/{spec.module}"
        tree.setdefault(module, _typed(module, "ProcessingModule", {"description": "a module"}))
    if spec.container is not None:
        container = spec.path.rpartition("/")[0]
        tree.setdefault(container, _typed(container, spec.container))
    texts = {"comments": "no comments", "description": "no description"}
    tree[spec.path] = group = _typed(spec.path, "ElectricalSeries", texts)
    if spec.data_of is not None:
        group.links["data"] = f"{places[spec.data_of]}/data"
    else:
        tree[f"{spec.path}/data"] = _Array(
            numbers(spec),
            {
                "unit": "volts",
                "conversion": spec.conversion,
                "offset": spec.offset,
                "resolution": -1.0,
            },
            dimensions=("num_times", "num_channels"),
            chunks=spec.chunks,
        )
    region = _type(
        f"{spec.path}/electrodes",
        "DynamicTableRegion",
        {"description": "electrodes of the series", "table": _Reference(TABLE, _object_id(TABLE))},
    )
    tree[f"{spec.path}/electrodes"] = _Array(
        np.asarray(spec.rows, np.int64), region, dimensions=("num_rows",)
    )
    if spec.channel_conversion is not None:
        tree[f"{spec.path}/channel_conversion"] = _Array(
            np.asarray(spec.channel_conversion, np.float64),
            {"axis": 1},
            dimensions=("num_channels",),
        )
    if spec.timestamps_of is not None:
        group.links["timestamps"] = f"{places[spec.timestamps_of]}/timestamps"
    elif spec.timestamps is not None:
        tree[f"{spec.path}/timestamps"] = _Array(
            spec.timestamps, {"interval": 1, "unit": "seconds"}, dimensions=("num_times",)
        )
    else:
        tree[f"{spec.path}/starting_time"] = _Array(
            np.array([spec.starting_time_s]), {"rate": spec.rate_hz, "unit": "seconds"}, scalar=True
        )


def _typed(path: str, kind: str, attributes: dict[str, Any] | None = None) -> _Group:
    return _Group(_type(path, kind, attributes or {}))


def _type(path: str, kind: str, attributes: dict[str, Any]) -> dict[str, Any]:
    common = {"DynamicTableRegion", "VectorData", "ElementIdentifiers"}
    return {
        **attributes,
        "namespace": "hdmf-common" if kind in common else "core",
        "neurodata_type": kind,
        "object_id": _object_id(path),
    }


@cache
def _object_id(path: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, path))


# --- Zarr format 2 -------------------------------------------------------------------------------

BLOSC = {"blocksize": 0, "clevel": 5, "cname": "lz4", "id": "blosc", "shuffle": 1}
JSON2 = {
    "allow_nan": True,
    "check_circular": True,
    "encoding": "utf-8",
    "ensure_ascii": True,
    "id": "json2",
    "indent": None,
    "separators": [",", ":"],
    "skipkeys": False,
    "sort_keys": True,
    "strict": True,
}
Chunks = list[tuple[str, bytes]]


def _v2_array(
    path: str, node: _Array, source_id: str, *, pickled: bool
) -> tuple[dict[str, Any], dict[str, Any], Chunks]:
    attributes = dict(node.attributes)
    for key, value in attributes.items():
        if isinstance(value, _Reference):
            target = _v2_reference(value, source_id)
            attributes[key] = {"value": target, "zarr_dtype": "object"}
    if node.dimensions:
        attributes["_ARRAY_DIMENSIONS"] = list(node.dimensions)
    content = node.content
    array: dict[str, Any] = {"compressor": BLOSC, "filters": None, "order": "C", "zarr_format": 2}
    compress = Blosc(cname="lz4", clevel=5, shuffle=Blosc.SHUFFLE).encode
    if isinstance(content, np.ndarray):
        kind = content.dtype.name
        array["dtype"] = content.dtype.str
        array["fill_value"] = 0.0 if content.dtype.kind == "f" else 0
        array["shape"] = list(content.shape)
        array["chunks"] = list(node.chunks or [max(1, side) for side in content.shape])
        pieces = [
            (".".join(map(str, key)), bytes(compress(piece)))
            for key, piece in _cut(content, array["chunks"])
        ]
    else:
        array |= {"dtype": "|O", "fill_value": 0, "shape": [len(content)], "chunks": [len(content)]}
        if path == SPECIFICATION:
            kind = "str"
            array |= {"filters": [JSON2], "compressor": None}
            pieces = [("0", json.dumps([*content, "|O", [1]], separators=(",", ":")).encode())]
        elif any(isinstance(item, _Reference) for item in content):
            kind = "object"
            array["filters"] = [{"id": "pickle", "protocol": 5}]
            references = [_v2_reference(item, source_id) for item in content]  # type: ignore[arg-type]
            pieces = [("0", bytes(compress(_pickled_references(references))))]
        else:
            texts = [str(item) for item in content]
            kind = "bytes" if node.as_bytes else "str"
            codec = "vlen-bytes" if node.as_bytes else "vlen-utf8"
            array["filters"] = [{"id": codec}]
            framed = _framed(texts)
            if pickled:
                array["filters"] = [{"id": "pickle", "protocol": 5}]
                framed = pickle.dumps(np.array(texts, object), protocol=5)
            pieces = [("0", bytes(compress(framed)))]
    attributes["zarr_dtype"] = "scalar" if node.scalar else kind
    return array, attributes, pieces


def _v2_reference(reference: _Reference, source_id: str) -> dict[str, str]:
    return {
        "source": ".",
        "path": f"/{reference.path}",
        "object_id": reference.object_id,
        "source_object_id": source_id,
    }


def _pickled_references(references: list[dict[str, str]]) -> bytes:
    """Pickle an array of hdmf-zarr's references, which are dictionaries of a class of its own."""
    module = types.ModuleType("hdmf_zarr.utils")
    kind = type("ZarrReference", (dict,), {"__module__": module.__name__})
    module.ZarrReference = kind  # type: ignore[attr-defined]
    array = np.empty(len(references), object)
    for index, reference in enumerate(references):
        array[index] = kind(reference)
    package = types.ModuleType("hdmf_zarr")
    with mock.patch.dict(sys.modules, {"hdmf_zarr": package, module.__name__: module}):
        return pickle.dumps(array, protocol=5)


# --- Zarr format 3 -------------------------------------------------------------------------------


def _v3_array(node: _Array) -> tuple[dict[str, Any], Chunks]:
    content = node.content
    attributes: dict[str, Any] = {}
    if isinstance(content, np.ndarray):
        values = content.reshape(()) if node.scalar else content
        attributes["_DTYPE"] = values.dtype.name
        data_type: str = values.dtype.name
        shape = list(values.shape)
        grid = list(node.chunks or [max(1, side) for side in shape])
        fill: Any = 0.0 if values.dtype.kind == "f" else 0
        endian = {"configuration": {"endian": "little"}} if values.dtype.itemsize > 1 else {}
        codec: dict[str, Any] = {"name": "bytes", **endian}
        pieces = [
            (key, piece.astype(piece.dtype.newbyteorder("<")).tobytes())
            for key, piece in _cut(values, grid)
            if piece.any()
        ]
    else:
        texts = [f"/{one.path}" if isinstance(one, _Reference) else one for one in content]
        referring = any(isinstance(one, _Reference) for one in content)
        attributes["_DTYPE"] = "object_reference" if referring else "str"
        data_type, fill = "string", ""
        shape = [] if node.scalar else [len(texts)]
        grid = list(shape)
        codec = {"name": "vlen-utf8", "configuration": {}}
        pieces = [((0,) * len(shape), _framed(texts))]
    for key, value in node.attributes.items():
        refers = isinstance(value, _Reference)
        attributes[key] = (
            {"_REFERENCE": {"source": ".", "path": f"/{value.path}"}} if refers else value
        )
    if node.dimensions:
        attributes["_ARRAY_DIMENSIONS"] = list(node.dimensions)
    metadata = {
        "shape": shape,
        "data_type": data_type,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": grid}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": fill,
        "codecs": [codec, {"name": "zstd", "configuration": {"level": 0, "checksum": False}}],
        "attributes": attributes,
        "zarr_format": 3,
        "node_type": "array",
        "storage_transformers": [],
    }
    compress = Zstd(level=0).encode
    return metadata, [
        ("/".join(["c", *map(str, key)]), bytes(compress(piece))) for key, piece in pieces
    ]


# --- both ----------------------------------------------------------------------------------------


def _cut(
    values: NDArray[Any], grid: Sequence[int]
) -> Iterator[tuple[tuple[int, ...], NDArray[Any]]]:
    """Yield the pieces of an array, those at the far edges padded with zeros."""
    counts = [-(-side // step) for side, step in zip(values.shape, grid, strict=True)]
    for key in np.ndindex(*counts):
        inside = tuple(
            slice(index * step, (index + 1) * step) for index, step in zip(key, grid, strict=True)
        )
        piece = np.zeros(tuple(grid), values.dtype)
        part = values[inside]
        piece[tuple(slice(0, side) for side in part.shape)] = part
        yield key, piece


def _framed(texts: Sequence[str]) -> bytes:
    """Return texts as numcodecs frames them: their number, then length and bytes of each."""
    encoded = [text.encode() for text in texts]
    parts = [struct.pack("<I", len(encoded))]
    for item in encoded:
        parts += [struct.pack("<I", len(item)), item]
    return b"".join(parts)
