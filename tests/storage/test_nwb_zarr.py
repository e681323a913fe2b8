"""NWB-Zarr of both versions is read as the same recording in HDF5 is."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from storage.errors import CorruptRecording, NotFound, RanvierError, UnsupportedRecording
from storage.nwb import NwbOptions, NwbSource
from storage.spans import Span
from tests.support.moto_server import MotoServer
from tests.support.nwb_files import ElectrodesSpec, SeriesSpec, write_nwb
from tests.support.nwb_zarr import (
    TWO_GROUPS,
    TWO_SERIES,
    write_nwb_zarr_v2,
    write_nwb_zarr_v3,
)
from tests.support.outputs import assert_output, convert, expected_of

pytestmark = pytest.mark.usefixtures("nothing_left_over")

WRITERS: dict[str, Callable[..., Path]] = {"v2": write_nwb_zarr_v2, "v3": write_nwb_zarr_v3}
MANY = (
    *TWO_SERIES,
    SeriesSpec(name="in_lfp", container="LFP", channels=3, rate_hz=250.0),
    SeriesSpec(
        name="shared_time", module="ecephys", container="LFP", samples=600, channels=1,
        timestamps_of="slow", electrodes=(5,),
    ),
    SeriesSpec(name="shared_data", data_of="raw", channels=4, electrodes=(0, 1, 2, 3)),
)  # fmt: skip


@pytest.mark.parametrize("consolidated", [True, False])
@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("series", [(), ("all",)])
def test_gives_what_the_same_in_hdf5_gives(
    tmp_path: Path, writer: str, consolidated: bool, series: tuple[str, ...]
) -> None:
    twin = write_nwb(tmp_path / "a.nwb", *MANY, electrodes=TWO_GROUPS)
    source = WRITERS[writer](
        tmp_path / "a.nwb.zarr", *MANY, electrodes=TWO_GROUPS, consolidated=consolidated
    )
    result = convert(source, tmp_path / "out", series=series)
    assert result.outcome == "stored", result.reason
    assert_output(tmp_path / "out", expected_of(twin, series="all" if series else None))


@pytest.mark.parametrize("writer", WRITERS)
def test_classic_too(tmp_path: Path, writer: str) -> None:
    specs = (SeriesSpec(samples=3000, offset=1e-3, channel_conversion=(1.0, 0.3, 2.0, 7.0)),)
    twin = write_nwb(tmp_path / "a.nwb", *specs)
    source = WRITERS[writer](tmp_path / "a.nwb.zarr", *specs, electrodes=ElectrodesSpec())
    assert convert(source, tmp_path / "out", classic=True).outcome == "stored"
    assert_output(tmp_path / "out", expected_of(twin, classic=True))


def test_start_times_in_a_pickle_are_read_without_running_it(tmp_path: Path) -> None:
    twin = write_nwb(tmp_path / "a.nwb", *TWO_SERIES, electrodes=TWO_GROUPS)
    source = write_nwb_zarr_v2(tmp_path / "a.nwb.zarr", electrodes=TWO_GROUPS, scalar_text="pickle")
    assert convert(source, tmp_path / "out").outcome == "stored"
    assert_output(tmp_path / "out", expected_of(twin))


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("dtype", ["int8", "uint16", "int32", "int64", "float32", "float64"])
def test_every_type_in_many_chunks(tmp_path: Path, writer: str, dtype: str) -> None:
    spec = SeriesSpec(samples=3000, channels=5, dtype=dtype, chunks=(700, 2), extremes=True)
    twin = write_nwb(tmp_path / "a.nwb", spec)
    source = WRITERS[writer](tmp_path / "a.nwb.zarr", spec, electrodes=ElectrodesSpec())
    assert convert(source, tmp_path / "out").outcome == "stored"
    assert_output(tmp_path / "out", expected_of(twin))


@pytest.mark.parametrize("writer", WRITERS)
def test_groups_without_their_column_come_from_the_references(tmp_path: Path, writer: str) -> None:
    source = WRITERS[writer](tmp_path / "a.nwb.zarr", electrodes=TWO_GROUPS, consolidated=False)
    shutil.rmtree(source / "general/extracellular_ephys/electrodes/group_name")
    with NwbSource(str(source)) as opened:
        groups = [[channel.group for channel in g.channels] for g in opened.recording.groups]
    assert groups == [["shank2", "shank1", "shank1", "shank1"], ["shank2", "shank2"]]


@pytest.mark.parametrize("writer", WRITERS)
def test_data_linked_from_another_folder(tmp_path: Path, writer: str) -> None:
    target = WRITERS[writer](tmp_path / "big.nwb.zarr")
    source = WRITERS[writer](tmp_path / "a.nwb.zarr", consolidated=False)
    shutil.rmtree(source / "acquisition/raw/data")
    link = {"name": "data", "path": "/acquisition/raw/data", "source": f"../{target.name}"}
    if writer == "v2":
        edit(source / "acquisition/raw/.zattrs", lambda it: it.update(zarr_link=[link]))
    else:
        edit(
            source / "acquisition/raw/zarr.json", lambda it: it["attributes"].update(_LINKS=[link])
        )
    with NwbSource(str(source)) as opened, NwbSource(str(target)) as other:
        np.testing.assert_array_equal(opened.read(0, Span(0, 1000)), other.read(0, Span(0, 1000)))
    shutil.rmtree(target)
    with pytest.raises(CorruptRecording, match=r"leads nowhere.*big\.nwb\.zarr"):
        NwbSource(str(source))


def edit(path: Path, change: Callable[[Any], object]) -> None:
    """Change a JSON file."""
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize("writer", WRITERS)
def test_a_missing_chunk_is_the_fill_value(tmp_path: Path, writer: str) -> None:
    spec = SeriesSpec(samples=3000, channels=1, chunks=(1000, 1))
    source = WRITERS[writer](tmp_path / "a.nwb.zarr", spec, electrodes=ElectrodesSpec())
    data = source / "acquisition/raw/data"
    (data / ("1.0" if writer == "v2" else "c/1/0")).unlink()
    with NwbSource(str(source)) as opened:
        read = opened.read(0, Span(0, 3000))[:, 0]
    expected = np.arange(3000)
    expected[1000:2000] = 0
    np.testing.assert_array_equal(read, expected)


@pytest.mark.parametrize("writer", WRITERS)
def test_a_damaged_chunk_is_said(tmp_path: Path, writer: str) -> None:
    spec = SeriesSpec(samples=3000, channels=1, chunks=(1000, 1))
    source = WRITERS[writer](tmp_path / "a.nwb.zarr", spec, electrodes=ElectrodesSpec())
    data = source / "acquisition/raw/data"
    chunk = data / ("1.0" if writer == "v2" else "c/1/0")
    chunk.write_bytes(chunk.read_bytes()[:30])
    with NwbSource(str(source)) as opened:
        opened.read(0, Span(0, 1000))
        with pytest.raises(CorruptRecording, match="acquisition/raw/data") as caught:
            opened.read(0, Span(500, 1500))
        assert "\n" not in str(caught.value)


def documents(folder: Path) -> list[Path]:
    """Return the JSON documents of a Zarr folder."""
    names = (".zgroup", ".zarray", ".zattrs", "zarr.json", ".zmetadata")
    return [path for path in sorted(folder.rglob("*")) if path.name in names]


def below_the_top(folder: Path) -> list[Path]:
    """Return the JSON documents of all but the folder itself."""
    return [path for path in documents(folder) if path.parent != folder]


def start_times(folder: Path) -> list[Path]:
    """Return the folders of the start times."""
    return [folder / name for name in ("session_start_time", "timestamps_reference_time")]


def start_chunks(folder: Path) -> list[Path]:
    """Return the chunks that hold the start times."""
    return [path for place in start_times(folder) for path in place.iterdir() if path.name in "0c"]


def mistype(path: Path) -> None:
    """Give an array a type that nobody knows."""
    edit(path, lambda it: it.update({key: "<Q9" for key in ("dtype", "data_type") if key in it}))


BROKEN: dict[str, tuple[Callable[[Path], list[Path]], Callable[[Path], object]]] = {
    "documents that are no JSON": (documents, lambda path: path.write_text("{")),
    "empty documents": (documents, lambda path: path.write_bytes(b"")),
    "documents that are lists": (documents, lambda path: path.write_text("[]")),
    "no documents below the top": (below_the_top, Path.unlink),
    "arrays without a shape": (
        documents, lambda path: edit(path, lambda it: it.pop("shape", None)),
    ),
    "types that are not known": (documents, mistype),
    "start times that are gone": (start_times, shutil.rmtree),
    "start times of other bytes": (start_chunks, lambda path: path.write_bytes(bytes(20))),
}  # fmt: skip


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_is_said_in_one_line(tmp_path: Path, name: str, writer: str) -> None:
    source = WRITERS[writer](tmp_path / "a.nwb.zarr", consolidated=False)
    find, spoil = BROKEN[name]
    found = find(source)
    assert found
    for path in found:
        spoil(path)
    with pytest.raises(RanvierError) as caught:
        NwbSource(str(source))
    assert "\n" not in str(caught.value)
    assert "a.nwb.zarr" in str(caught.value)


def test_a_codec_of_code_is_refused(tmp_path: Path) -> None:
    source = write_nwb_zarr_v2(tmp_path / "a.nwb.zarr", consolidated=False)
    for name in ("session_start_time", "timestamps_reference_time"):
        edit(source / name / ".zarray", lambda it: it.update(compressor={"id": "pickle"}))
    with pytest.raises(UnsupportedRecording, match="pickle"):
        NwbSource(str(source))


def test_other_folders_are_no_zarr(tmp_path: Path) -> None:
    folder = tmp_path / "a.nwb.zarr"
    folder.mkdir()
    with pytest.raises(UnsupportedRecording, match="no Zarr"):
        NwbSource(str(folder))
    with pytest.raises(NotFound):
        NwbSource(str(tmp_path / "none.zarr"))


@pytest.mark.parametrize("writer", WRITERS)
def test_any_changed_chunk_changes_the_fingerprint(tmp_path: Path, writer: str) -> None:
    source = WRITERS[writer](tmp_path / "a.nwb.zarr")
    seen = set()
    for path in sorted((source / "acquisition").rglob("*")):
        if path.is_file():
            with NwbSource(str(source)) as opened:
                seen.add(str(opened.fingerprint))
            stat = path.stat()
            os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1000))
    assert len(seen) > 5


@pytest.mark.parametrize("writer", WRITERS)
def test_in_a_bucket(tmp_path: Path, bucket_url: str, moto: MotoServer, writer: str) -> None:
    twin = write_nwb(tmp_path / "a.nwb", *TWO_SERIES, electrodes=TWO_GROUPS)
    source = WRITERS[writer](tmp_path / "a.nwb.zarr", electrodes=TWO_GROUPS)
    prefix = bucket_url.removeprefix(f"s3://{moto.bucket}/")
    for path in source.rglob("*"):
        if path.is_file():
            key = f"{prefix}/a.nwb.zarr/{path.relative_to(source).as_posix()}"
            moto.s3.put_object(Bucket=moto.bucket, Key=key, Body=path.read_bytes())
    result = convert(f"{bucket_url}/a.nwb.zarr", tmp_path / "out")
    assert result.outcome == "stored", result.reason
    assert_output(tmp_path / "out", expected_of(twin))
    with pytest.raises(NotFound):
        NwbSource(f"{bucket_url}/none.nwb.zarr", NwbOptions())
