"""Recordings as NWB files: an ElectricalSeries for each rate group, integers kept as integers.

Voltages are stored with the factors that lead to volts; channels of another unit go to a plain
TimeSeries each kind. A group without gaps has a rate, one with gaps has time stamps; where these
would not grow (overlapping segments of a drifting clock) every segment is a series of its own.
PyNWB lays the file out with empty datasets, which are then filled block by block, so that memory
does not grow with the recording.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from storage.clocks import MICROSECONDS
from storage.errors import AlreadyExists, UsageError
from storage.placed_source import distinct
from storage.protocols import RecordingSource
from storage.recording import Channel, RateGroup, Segment
from storage.spans import Span, cut

if TYPE_CHECKING:
    from pynwb import NWBFile

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
VOLTAGE, NO_UNIT = "uV", "unknown"
VOLTS_IN_MICROVOLTS = 1e6
BLOCK_BYTES = 4 << 20
# What HDF5 packs together; a multiple of this many bytes for each channel.
CHUNK_BYTES = 1 << 20


class NwbSink:
    """Writes a recording to one NWB file; see ``RecordingSink``.

    Parameters
    ----------
    place
        Local path of the file.

    Raises
    ------
    UsageError
        If it is not a local path.
    """

    def __init__(self, place: str, *, overwrite: bool = False) -> None:
        if place.startswith("s3://"):
            raise UsageError(f"{place}: NWB is written to a local file; copy it there")
        self._place = Path(place)
        self._overwrite = overwrite

    def write(self, source: RecordingSource) -> str:
        """Write a whole recording; nothing is done where the same one is already.

        Raises
        ------
        AlreadyExists
            If something else rests there.
        """
        identifier = _identifier(source)
        if self._place.exists():
            if _identifier_of(self._place) == identifier:
                return str(self._place)
            if not self._overwrite or self._place.is_dir():
                raise AlreadyExists(
                    f"{self._place}: holds something else; choose another name, or remove it"
                )
        self._place.parent.mkdir(parents=True, exist_ok=True)
        aside = self._place.with_name(f".{self._place.name}.part.nwb")
        try:
            series = list(_plan(source))
            _lay_out(source, series, identifier, aside)
            with h5py.File(aside, "r+") as file:
                for each in series:
                    _fill(source, each, file["acquisition"][each.name])
            _sync(aside)
            aside.replace(self._place)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise
        return str(self._place)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Series:
    """A series to be written: some channels of a group, over some of its samples."""

    name: str
    group: int
    channels: tuple[int, ...]
    span: Span
    segments: tuple[Segment, ...]
    with_stamps: bool


def _plan(source: RecordingSource) -> Iterator[_Series]:
    plain = [re.sub(r"[/:]+", "_", group.name).strip("_") for group in source.recording.groups]
    for number, name in enumerate(distinct(plain)):
        group = source.recording.groups[number]
        if not group.n_samples:
            continue
        segments = tuple(source.segments(number))
        kinds: dict[tuple[str, float, float], list[int]] = {}
        for index, channel in enumerate(group.channels):
            kinds.setdefault(_kind(channel), []).append(index)
        for part, members in enumerate(kinds.values()):
            called = f"{name}-{part + 1}" if part else name
            whole = Span(0, group.n_samples)
            if len(segments) == 1 or _grows(group, segments):
                yield _Series(
                    name=called,
                    group=number,
                    channels=tuple(members),
                    span=whole,
                    segments=segments,
                    with_stamps=len(segments) > 1,
                )
                continue
            for count, segment in enumerate(segments):
                yield _Series(
                    name=f"{called}-segment{count + 1:04d}",
                    group=number,
                    channels=tuple(members),
                    span=segment.span,
                    segments=(segment,),
                    with_stamps=False,
                )


def _kind(channel: Channel) -> tuple[str, float, float]:
    """Return what channels of one series must share: of voltages the offset, else all scaling."""
    if channel.unit == VOLTAGE:
        return VOLTAGE, 0.0, _volts(channel)[1]
    return (channel.unit or NO_UNIT, *_to_unit(channel))


def _to_unit(channel: Channel) -> tuple[float, float]:
    """Return factor and offset from stored numbers to the channel's unit."""
    scaling = channel.scaling
    to_unit = float(scaling.to_unit)
    return float(scaling.factor) * to_unit, float(scaling.offset) * to_unit


def _volts(channel: Channel) -> tuple[float, float]:
    """Return factor and offset from stored numbers to volts."""
    scaling = channel.scaling
    to_volts = (
        1.0
        if scaling.to_unit == VOLTS_IN_MICROVOLTS
        else float(scaling.to_unit) / VOLTS_IN_MICROVOLTS
    )
    return float(scaling.factor) * to_volts, float(scaling.offset) * to_volts


def _grows(group: RateGroup, segments: Sequence[Segment]) -> bool:
    rate = float(group.exact_rate_hz)
    end = -np.inf
    for segment in segments:
        if segment.start_us <= end:
            return False
        end = segment.start_us + (len(segment.span) - 1) * MICROSECONDS / rate
    return True


def _lay_out(
    source: RecordingSource, series: Sequence[_Series], identifier: str, path: Path
) -> None:
    from pynwb import NWBHDF5IO, NWBFile

    recording = source.recording
    description = "; ".join(recording.notes) or "exported recording"
    if not recording.start_known:
        description = f"start unknown, 1970 stands for it; {description}"
    nwb = NWBFile(
        session_description=description,
        identifier=identifier,
        session_start_time=EPOCH + timedelta(microseconds=recording.start_us),
        session_id=recording.id,
    )
    rows = _add_electrodes(nwb, source)
    for each in series:
        nwb.add_acquisition(_empty_series(nwb, source, each, rows))
    _add_annotations(nwb, source)
    with warnings.catch_warnings():
        # PyNWB compares the length of data and stamps that are not there yet.
        warnings.simplefilter("ignore")
        with NWBHDF5IO(path, "w") as file:
            file.write(nwb)


def _add_electrodes(nwb: NWBFile, source: RecordingSource) -> dict[tuple[int, int], int]:
    """Add a row for each channel that is a voltage, and return the rows by group and channel."""
    rows: dict[tuple[int, int], int] = {}
    voltages = [
        (number, index, channel)
        for number, group in enumerate(source.recording.groups)
        for index, channel in enumerate(group.channels)
        if channel.unit == VOLTAGE
    ]
    if not voltages:
        return rows
    device = nwb.create_device(name="device")
    nwb.add_electrode_column(name="channel_name", description="label of the channel")
    groups: dict[str, Any] = {}
    for number, index, channel in voltages:
        name = channel.group.replace("/", "_").replace(":", "_") or "default"
        if name not in groups:
            groups[name] = nwb.create_electrode_group(
                name=name, description=channel.group, location="unknown", device=device
            )
        nwb.add_electrode(group=groups[name], location="unknown", channel_name=channel.label)
        rows[number, index] = len(rows)
    return rows


def _empty_series(
    nwb: NWBFile, source: RecordingSource, each: _Series, rows: dict[tuple[int, int], int]
) -> Any:
    from hdmf.backends.hdf5.h5_utils import H5DataIO
    from pynwb import TimeSeries
    from pynwb.ecephys import ElectricalSeries

    group = source.recording.groups[each.group]
    channels = [group.channels[index] for index in each.channels]
    n_samples = len(each.span)
    row_bytes = len(channels) * group.dtype.itemsize
    height = min(n_samples, max(1, CHUNK_BYTES // row_bytes))
    timing: dict[str, Any] = {
        "rate": float(group.exact_rate_hz),
        "starting_time": (each.segments[0].start_us - source.recording.start_us) / MICROSECONDS,
    }
    if each.with_stamps:
        timing = {"timestamps": H5DataIO(shape=(n_samples,), dtype=np.float64)}
    common: dict[str, Any] = {
        "name": each.name,
        "description": group.name,
        "data": H5DataIO(
            shape=(n_samples, len(channels)),
            dtype=group.dtype,
            chunks=(height, len(channels)),
            compression="gzip",
            compression_opts=1,
            shuffle=True,
        ),
        **timing,
    }
    scalings = [_volts(channel) for channel in channels]
    if channels[0].unit == VOLTAGE:
        factors = {factor for factor, _ in scalings}
        alike = len(factors) == 1
        return ElectricalSeries(
            electrodes=nwb.create_electrode_table_region(
                region=[rows[each.group, index] for index in each.channels],
                description=group.name,
            ),
            conversion=scalings[0][0] if alike else 1.0,
            channel_conversion=None if alike else [factor for factor, _ in scalings],
            offset=scalings[0][1],
            **common,
        )
    conversion, offset = _to_unit(channels[0])
    return TimeSeries(
        unit=channels[0].unit or NO_UNIT,
        conversion=conversion,
        offset=offset,
        comments=json.dumps({"channels": [channel.label for channel in channels]}),
        **common,
    )


def _add_annotations(nwb: NWBFile, source: RecordingSource) -> None:
    from pynwb.epoch import TimeIntervals

    annotations = source.recording.annotations
    if not annotations:
        return
    table = TimeIntervals(name="annotations", description="annotations of the recording")
    for name, meaning in (
        ("text", "what is noted"),
        ("kind", "note, marker or seizure"),
        ("origin", "what said so"),
        ("channels", "labels of the channels it is about; empty for all"),
    ):
        table.add_column(name=name, description=meaning)
    for each in annotations:
        start_s = each.onset_us / MICROSECONDS
        table.add_row(
            start_time=start_s,
            stop_time=start_s + (each.duration_us or 0) / MICROSECONDS,
            text=each.text,
            kind=each.kind,
            origin=each.source,
            channels=", ".join(each.channels),
        )
    nwb.add_time_intervals(table)


def _fill(source: RecordingSource, each: _Series, node: h5py.Group) -> None:
    group = source.recording.groups[each.group]
    row_bytes = len(group.channels) * group.dtype.itemsize
    chunk = node["data"].chunks[0]
    height = max(1, BLOCK_BYTES // row_bytes // chunk) * chunk
    first, members = each.span.start, list(each.channels)
    for span in cut(each.span, height):
        block = source.read(each.group, span)
        if len(members) < len(group.channels):
            block = block[:, members]
        node["data"][span.start - first : span.stop - first] = block
    if each.with_stamps:
        rate = float(group.exact_rate_hz)
        for segment in each.segments:
            start_s = (segment.start_us - source.recording.start_us) / MICROSECONDS
            for span in cut(segment.span, height):
                index = np.arange(span.start - segment.span.start, span.stop - segment.span.start)
                node["timestamps"][span.start : span.stop] = start_s + index / rate


def _identifier(source: RecordingSource) -> str:
    text = json.dumps([source.recording.id, dict(source.fingerprint)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _identifier_of(path: Path) -> str | None:
    try:
        with h5py.File(path, "r") as file:
            return str(file["identifier"].asstr()[()])
    except (OSError, KeyError, TypeError):
        return None


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
