"""Small NWB files of every kind, written with PyNWB, and mutations of them that PyNWB never makes.

``write_nwb`` writes a file from a description of its series, session and electrodes table. The
functions below it change such a file through h5py into something else that exists in the wild: a
rate stored as an array, a series without electrodes, strings of fixed length. Content depends on
the description alone, so two files of one description hold the same numbers.
"""

from __future__ import annotations

import json
import shutil
import warnings
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
from hdmf.backends.hdf5.h5_utils import H5DataIO
from numpy.typing import NDArray
from pynwb import NWBHDF5IO, NWBFile
from pynwb.ecephys import LFP, ElectricalSeries, FilteredEphys, SpikeEventSeries

Numbers = NDArray[Any]
Stamps = NDArray[np.float64]

START = datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)
RAW = "acquisition/raw"
SNIPPET_SAMPLES = 8


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SeriesSpec:
    """An electrical series to be written.

    Parameters
    ----------
    name, samples, channels, dtype
        What it is called, and the shape and type of its data.
    rate_hz, starting_time_s
        Timing of a series without time stamps.
    timestamps
        One time for each sample, in seconds; with these, rate and starting time are not written.
    timestamps_of, data_of
        Name of an earlier series whose time stamps or data (scaling included) this one links to.
    module
        Name of the processing module that holds it; None for acquisition.
    container
        Kind of container around it, in acquisition or in the module.
    container_name
        Name of that container; its kind by default.
    kind
        ``SpikeEventSeries`` writes three-dimensional snippets and needs ``timestamps``.
    electrodes
        Rows of the electrodes table, in the order of the channels; the first ones by default.
    conversion, offset, channel_conversion
        From stored numbers to volts.
    chunks, gzip, shuffle
        HDF5 layout; contiguous without any of them.
    extremes
        Put the largest and smallest numbers of the type, and NaN and infinities of floats, in the
        first samples of the last channel.
    data
        The numbers to write, instead of those of ``numbers``.
    """

    name: str = "raw"
    samples: int = 1000
    channels: int = 4
    dtype: str = "int16"
    rate_hz: float = 1000.0
    starting_time_s: float = 0.0
    timestamps: Stamps | None = None
    timestamps_of: str | None = None
    data_of: str | None = None
    module: str | None = None
    container: Literal["LFP", "FilteredEphys"] | None = None
    container_name: str | None = None
    kind: Literal["ElectricalSeries", "SpikeEventSeries"] = "ElectricalSeries"
    electrodes: Sequence[int] | None = None
    conversion: float = 1e-6
    offset: float = 0.0
    channel_conversion: Sequence[float] | None = None
    chunks: tuple[int, int] | None = None
    gzip: int | None = None
    shuffle: bool = False
    extremes: bool = False
    data: Numbers | None = None

    @property
    def rows(self) -> tuple[int, ...]:
        """Rows of the electrodes table that the channels belong to."""
        return tuple(range(self.channels)) if self.electrodes is None else tuple(self.electrodes)

    @property
    def path(self) -> str:
        """Where the series stands in the file, without a leading slash."""
        parts = ["acquisition"] if self.module is None else ["processing", self.module]
        if self.container is not None:
            parts.append(self.container_name or self.container)
        return "/".join([*parts, self.name])


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSpec:
    """When a session took place.

    Parameters
    ----------
    start
        With its zone; see ``set_start`` for one without.
    reference
        What times count from, where that is not the start.
    """

    start: datetime = START
    reference: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ElectrodesSpec:
    """The electrodes table.

    Parameters
    ----------
    rows
        Length; by default as many as the series name.
    groups
        Electrode groups; the rows are dealt to them in equal consecutive shares.
    columns
        Further columns by name; ``channel_name`` with ``CH000``, ``CH001``, ... by default. Empty
        for a table without names.
    """

    rows: int | None = None
    groups: tuple[str, ...] = ("shank1",)
    columns: Mapping[str, Sequence[Any]] | None = field(default=None)

    def length(self, series: Sequence[SeriesSpec]) -> int:
        """Return how many rows the table of these series has."""
        if self.rows is not None:
            return self.rows
        return max((max(spec.rows, default=-1) + 1 for spec in series), default=0)

    def group_of(self, row: int, length: int) -> str:
        """Return the name of a row's electrode group."""
        return self.groups[row * len(self.groups) // length]

    def named_columns(self, length: int) -> Mapping[str, Sequence[Any]]:
        """Return the further columns."""
        if self.columns is not None:
            return self.columns
        return {"channel_name": [f"CH{row:03d}" for row in range(length)]}


def numbers(spec: SeriesSpec) -> Numbers:
    """Return the stored numbers of a series, shape ``(samples, channels)``.

    Channel 0 carries the sample number (modulo the range of an integer type), the others noise
    that depends on the name of the series alone.
    """
    if spec.data is not None:
        return spec.data
    dtype = np.dtype(spec.dtype)
    rng = np.random.default_rng(zlib.crc32(spec.name.encode()))
    shape = (spec.samples, spec.channels)
    values: Numbers
    if dtype.kind == "f":
        values = (rng.standard_normal(shape) * 300).astype(dtype)
        first = np.arange(spec.samples).astype(dtype)
        special = [np.nan, np.inf, -np.inf, np.finfo(dtype).max, np.finfo(dtype).tiny, -0.0]
    else:
        info = np.iinfo(dtype)
        low, high = max(int(info.min), -(1 << 13)), min(int(info.max), 1 << 13)
        values = rng.integers(low, high, shape, endpoint=True).astype(dtype)
        first = (np.arange(spec.samples, dtype=np.uint64)).astype(dtype)
        special = [info.min, info.max, 0, 1, info.max - 1]
    if spec.extremes:
        count = min(len(special), spec.samples)
        values[:count, -1] = np.array(special[:count], dtype)
    if spec.channels:
        values[:, 0] = first
    return values


# --- time stamps ---------------------------------------------------------------------------------


def uniform_times(samples: int, rate_hz: float, start_s: float = 0.0) -> Stamps:
    """Return evenly spaced time stamps."""
    times: Stamps = start_s + np.arange(samples) / rate_hz
    return times


def jittered_times(
    samples: int, rate_hz: float, start_s: float = 0.0, jitter: float = 0.1, seed: int = 1
) -> Stamps:
    """Return time stamps that are off by up to ``jitter`` periods."""
    rng = np.random.default_rng(seed)
    off = rng.uniform(-jitter, jitter, samples) / rate_hz
    return uniform_times(samples, rate_hz, start_s) + off


def with_gaps(times: Stamps, gaps_s: Mapping[int, float]) -> Stamps:
    """Return time stamps where the sample at each key, and all after it, come later."""
    later = times.copy()
    for index, seconds in gaps_s.items():
        later[index:] += seconds
    return later


def without_samples(samples: int, rate_hz: float, missing: Sequence[int]) -> Stamps:
    """Return ``samples`` evenly spaced time stamps of a clock that skipped some ticks."""
    ticks = np.setdiff1d(np.arange(samples + len(missing)), np.asarray(missing))[:samples]
    times: Stamps = ticks / rate_hz
    return times


def with_step_back(times: Stamps, index: int, seconds: float) -> Stamps:
    """Return time stamps where the sample at ``index``, and all after it, come earlier."""
    return with_gaps(times, {index: -seconds})


def with_repeat(times: Stamps, index: int) -> Stamps:
    """Return time stamps where the sample at ``index`` has the time of the one before."""
    repeated = times.copy()
    repeated[index] = repeated[index - 1]
    return repeated


def with_nan(times: Stamps, *indices: int) -> Stamps:
    """Return time stamps of which some are missing."""
    holed = times.copy()
    holed[list(indices)] = np.nan
    return holed


# --- writing -------------------------------------------------------------------------------------


def build_nwb(
    *series: SeriesSpec,
    session: SessionSpec = SessionSpec(),
    electrodes: ElectrodesSpec = ElectrodesSpec(),
) -> NWBFile:
    """Return a file in memory; see ``write_nwb``."""
    file = NWBFile(
        session_description="made for a test",
        identifier="test",
        session_start_time=session.start,
        timestamps_reference_time=session.reference or session.start,
        file_create_date=[START],
    )
    _add_electrodes(file, series, electrodes)
    made: dict[str, Any] = {}
    containers: dict[str, Any] = {}
    for spec in series:
        made[spec.name] = item = _series(file, spec, made)
        if spec.module is not None and spec.module not in file.processing:
            file.create_processing_module(name=spec.module, description="made for a test")
        home = file if spec.module is None else file.processing[spec.module]
        add = home.add_acquisition if spec.module is None else home.add
        if spec.container is None:
            add(item)
            continue
        where = spec.path.rpartition("/")[0]
        if where not in containers:
            kind = LFP if spec.container == "LFP" else FilteredEphys
            containers[where] = kind(name=spec.container_name or spec.container)
            add(containers[where])
        containers[where].add_electrical_series(item)
    return file


def write_nwb(
    path: Path,
    *series: SeriesSpec,
    session: SessionSpec = SessionSpec(),
    electrodes: ElectrodesSpec = ElectrodesSpec(),
) -> Path:
    """Write an NWB file with PyNWB.

    Parameters
    ----------
    path
        Where to; an existing file is replaced.
    series
        What it holds, added in this order.
    session, electrodes
        When it took place, and the electrodes table.

    Returns
    -------
    Path
        The same path.
    """
    file = build_nwb(*series, session=session, electrodes=electrodes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with NWBHDF5IO(path, "w") as io:
            io.write(file)
    places = {spec.name: spec.path for spec in series}
    with h5py.File(path, "r+") as stored:
        for spec in series:
            if spec.data_of is not None:  # PyNWB would copy
                del stored[spec.path]["data"]
                stored[spec.path]["data"] = h5py.SoftLink(f"/{places[spec.data_of]}/data")
    return path


def _add_electrodes(
    file: NWBFile, series: Sequence[SeriesSpec], electrodes: ElectrodesSpec
) -> None:
    length = electrodes.length(series)
    if not length:
        return
    device = file.create_device(name="probe")
    groups = {
        name: file.create_electrode_group(
            name=name, description="a shank", location="CA1", device=device
        )
        for name in electrodes.groups
    }
    columns = electrodes.named_columns(length)
    for name in columns:
        file.add_electrode_column(name=name, description=f"{name} of the electrode")
    for row in range(length):
        group = groups[electrodes.group_of(row, length)]
        cells = {name: values[row] for name, values in columns.items()}
        file.add_electrode(group=group, location="CA1", **cells)


def _series(file: NWBFile, spec: SeriesSpec, made: Mapping[str, Any]) -> Any:
    region = file.create_electrode_table_region(
        region=list(spec.rows), description="electrodes of the series"
    )
    arguments: dict[str, Any] = {
        "name": spec.name,
        "electrodes": region,
        "conversion": spec.conversion,
        "offset": spec.offset,
    }
    if spec.channel_conversion is not None:
        arguments["channel_conversion"] = np.asarray(spec.channel_conversion, np.float64)
    if spec.timestamps_of is not None:
        arguments["timestamps"] = made[spec.timestamps_of]
    elif spec.timestamps is not None:
        arguments["timestamps"] = spec.timestamps
    else:
        arguments["rate"] = spec.rate_hz
        arguments["starting_time"] = spec.starting_time_s
    if spec.data_of is not None:
        data: Any = made[spec.data_of].data
    elif spec.kind == "SpikeEventSeries":
        data = np.repeat(numbers(spec)[:, :, np.newaxis], SNIPPET_SAMPLES, axis=2)
    else:
        data = numbers(spec)
        if spec.chunks is not None or spec.gzip is not None or spec.shuffle:
            data = H5DataIO(
                data,
                chunks=spec.chunks or True,
                compression=None if spec.gzip is None else "gzip",
                compression_opts=spec.gzip,
                shuffle=spec.shuffle,
            )
    kind = SpikeEventSeries if spec.kind == "SpikeEventSeries" else ElectricalSeries
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return kind(data=data, **arguments)


# --- mutations: the data -------------------------------------------------------------------------


def make_one_dimensional(path: Path, series: str = RAW) -> None:
    """Keep the first channel only, as a one-dimensional array."""
    with h5py.File(path, "r+") as file:
        _replace(file[series], "data", file[series]["data"][:, 0])


def make_channels_first(path: Path, series: str = RAW) -> None:
    """Store the data transposed, shape ``(channels, samples)``."""
    with h5py.File(path, "r+") as file:
        _replace(file[series], "data", file[series]["data"][()].T.copy())


def make_empty(path: Path, series: str = RAW) -> None:
    """Leave no sample, shape ``(0, channels)``, and no time stamp."""
    with h5py.File(path, "r+") as file:
        _replace(file[series], "data", file[series]["data"][:0])
        if "timestamps" in file[series]:
            _replace(file[series], "timestamps", file[series]["timestamps"][:0])


def store_as(path: Path, dtype: str, series: str = RAW) -> None:
    """Store the data in another type, for example big-endian ``>i2``."""
    with h5py.File(path, "r+") as file:
        _replace(file[series], "data", file[series]["data"][()].astype(dtype))


def move_data_out(path: Path, target: Path, series: str = RAW) -> None:
    """Move the data into a second file beside, and leave an external link to it.

    Delete ``target`` afterwards for a link that leads nowhere.
    """
    with h5py.File(path, "r+") as file, h5py.File(target, "w") as other:
        file.copy(file[series]["data"], other, name="data")
        del file[series]["data"]
        file[series]["data"] = h5py.ExternalLink(target.name, "/data")


# --- mutations: the scaling ----------------------------------------------------------------------


def set_unit(path: Path, unit: str | None, series: str = RAW) -> None:
    """Give the data another unit, or none."""
    with h5py.File(path, "r+") as file:
        _set(file[series]["data"].attrs, "unit", unit)


def set_conversion(path: Path, conversion: Any, series: str = RAW) -> None:
    """Give the data another conversion, of whatever type (``np.float32``), or none."""
    with h5py.File(path, "r+") as file:
        _set(file[series]["data"].attrs, "conversion", conversion)


def set_offset(path: Path, offset: Any, series: str = RAW) -> None:
    """Give the data another offset, of whatever type, or none."""
    with h5py.File(path, "r+") as file:
        _set(file[series]["data"].attrs, "offset", offset)


# --- mutations: the timing -----------------------------------------------------------------------


def set_rate(path: Path, rate: Any, series: str = RAW) -> None:
    """Give the series another rate, of whatever type (``np.array([1000.0])``, 0), or none."""
    with h5py.File(path, "r+") as file:
        _set(file[series]["starting_time"].attrs, "rate", rate)


def add_rate(path: Path, rate_hz: float, series: str = RAW) -> None:
    """Give a series with time stamps a rate as well."""
    with h5py.File(path, "r+") as file:
        start = file[series].create_dataset("starting_time", data=0.0)
        start.attrs["rate"] = rate_hz
        start.attrs["unit"] = "seconds"


def drop_timing(path: Path, series: str = RAW) -> None:
    """Leave neither rate nor time stamps."""
    with h5py.File(path, "r+") as file:
        for name in ("starting_time", "timestamps"):
            if name in file[series]:
                del file[series][name]


def shorten_timestamps(path: Path, by: int = 1, series: str = RAW) -> None:
    """Leave fewer time stamps than samples."""
    with h5py.File(path, "r+") as file:
        _replace(file[series], "timestamps", file[series]["timestamps"][:-by])


def set_start(path: Path, text: str | None, *, reference: str | None = "same") -> None:
    """Write the start of the session as this text, without an offset from UTC for example.

    Parameters
    ----------
    path
        The file.
    text
        ``session_start_time``; None leaves it out.
    reference
        ``timestamps_reference_time``; ``same`` for the same text, None leaves it out.
    """
    with h5py.File(path, "r+") as file:
        for name, value in (
            ("session_start_time", text),
            ("timestamps_reference_time", text if reference == "same" else reference),
        ):
            if name in file:
                del file[name]
            if value is not None:
                file.create_dataset(name, data=value)


# --- mutations: the electrodes -------------------------------------------------------------------

TABLE = "general/extracellular_ephys/electrodes"


def drop_region(path: Path, series: str = RAW) -> None:
    """Leave the series without electrodes."""
    with h5py.File(path, "r+") as file:
        del file[series]["electrodes"]


def set_region(path: Path, rows: Sequence[int], series: str = RAW) -> None:
    """Let the series name other rows of the table, out of its range for example."""
    with h5py.File(path, "r+") as file:
        _replace(file[series], "electrodes", np.asarray(rows, np.int64))


def drop_column(path: Path, *columns: str) -> None:
    """Take columns out of the electrodes table."""
    with h5py.File(path, "r+") as file:
        table = file[TABLE]
        for column in columns:
            del table[column]
        kept = [name for name in table.attrs["colnames"] if name not in columns]
        table.attrs["colnames"] = np.array(kept, h5py.string_dtype())


# --- mutations: the whole file -------------------------------------------------------------------


def make_fixed_strings(path: Path) -> None:
    """Store every text, in attributes and in datasets, as bytes of fixed length."""
    with h5py.File(path, "r+") as file:
        for node in list(_nodes(file)):
            for name, value in list(node.attrs.items()):
                if isinstance(value, str):
                    node.attrs[name] = np.bytes_(value.encode())
                elif isinstance(value, np.ndarray) and isinstance(value.flat[0], str):
                    node.attrs[name] = np.array([item.encode() for item in value.flat])
            if isinstance(node, h5py.Dataset) and h5py.check_string_dtype(node.dtype) is not None:
                value = node[()]
                text = np.bytes_(value) if isinstance(value, bytes) else np.array(list(value), "S")
                _replace(node.parent, node.name.rpartition("/")[2], text)


def make_extension_type(path: Path, series: str = RAW, *, depth: int = 1) -> None:
    """Give a series a type of an extension, whose namespace the file carries.

    Parameters
    ----------
    path
        The file.
    series
        Which series.
    depth
        How many types lie between this one and ``ElectricalSeries``, itself included.
    """
    types = [
        {
            "neurodata_type_def": f"TestSeries{level}",
            "neurodata_type_inc": f"TestSeries{level - 1}" if level > 1 else "ElectricalSeries",
            "doc": "A series of an extension.",
        }
        for level in range(1, depth + 1)
    ]
    namespace = {
        "name": "ndx-test",
        "version": "0.1.0",
        "doc": "An extension.",
        "author": "A. Test",
        "contact": "test@example.org",
        "schema": [
            {"namespace": "core", "neurodata_types": ["ElectricalSeries"]},
            {"source": "ndx-test.extensions"},
        ],
    }
    with h5py.File(path, "r+") as file:
        cached = file["specifications"].create_group("ndx-test/0.1.0")
        text = h5py.string_dtype()
        cached.create_dataset("namespace", data=json.dumps({"namespaces": [namespace]}), dtype=text)
        cached.create_dataset("ndx-test.extensions", data=json.dumps({"groups": types}), dtype=text)
        file[series].attrs["namespace"] = "ndx-test"
        file[series].attrs["neurodata_type"] = f"TestSeries{depth}"


def truncate(path: Path, kept: float = 0.5) -> None:
    """Cut a file off, as an interrupted copy does."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.truncate(int(size * kept))


def write_plain_hdf5(path: Path) -> Path:
    """Write an HDF5 file that is no NWB file."""
    with h5py.File(path, "w") as file:
        file.create_dataset("samples", data=np.arange(10))
    return path


def write_text(path: Path) -> Path:
    """Write a text file."""
    path.write_text("This is no NWB file.\n" * 100)
    return path


def copied(source: Path, target: Path) -> Path:
    """Copy a file, to mutate the copy."""
    shutil.copyfile(source, target)
    return target


def _replace(group: Any, name: str, value: Any) -> None:
    attributes = dict(group[name].attrs)
    del group[name]
    dataset = group.create_dataset(name, data=value)
    for key, attribute in attributes.items():
        dataset.attrs[key] = attribute


def _set(attributes: Any, name: str, value: Any) -> None:
    if value is None:
        if name in attributes:
            del attributes[name]
    else:
        attributes[name] = value


def _nodes(file: Any) -> Iterator[Any]:
    yield file
    found: list[Any] = []
    file.visititems(lambda name, node: found.append(node))
    yield from (node for node in found if not node.name.startswith("/specifications"))
