"""Shards: any reader of Zarr reads ours, ours reads those of zarr, and damage is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from zarr.codecs import BloscCodec, Crc32cCodec
from zarr.codecs.numcodecs import PCodec

from storage.durable import open_durable
from storage.errors import CorruptRecording, UsageError
from storage.spans import Span
from storage.zarr_layout import GROUP_METADATA, ShardLayout
from storage.zarr_shards import ShardReader

# Of pcodec: it is not in the specification.
pytestmark = pytest.mark.filterwarnings("ignore:Numcodecs codecs are not in the Zarr")
TYPES = ("int16", "int32", "float32", "float64")


def layout_of(dtype: str = "int16", codec: str = "blosc", channels: int = 3) -> ShardLayout:
    return ShardLayout((channels,), 1024, 128, np.dtype(dtype), codec, ("channel", "time"))


def noise(layout: ShardLayout, seed: int = 0) -> NDArray[Any]:
    rng = np.random.default_rng(seed)
    values = rng.normal(0, 300, (*layout.leading, layout.shard)).cumsum(axis=-1)
    return values.astype(layout.dtype)


def open_with_zarr(folder: Path, path: str) -> Any:
    return zarr.open_array(str(folder), path=path, mode="r", zarr_format=3)


@pytest.mark.parametrize("codec", ["blosc", "pcodec"])
@pytest.mark.parametrize("dtype", TYPES)
def test_zarr_reads_what_is_written_here(tmp_path: Path, dtype: str, codec: str) -> None:
    layout = layout_of(dtype, codec)
    shards = [noise(layout, seed) for seed in range(2)]
    present = np.ones(layout.chunks, np.bool_)
    present[3] = False
    shards[1][:, 384:512] = 0
    folder = open_durable(str(tmp_path))
    folder.put(
        {
            "zarr.json": GROUP_METADATA,
            "a/zarr.json": layout.metadata(2000, {"rate_hz": [256, 1]}),
            f"a/{layout.key(0)}": layout.encode(shards[0]),
            f"a/{layout.key(1)}": layout.encode(shards[1], present),
        }
    )
    array = open_with_zarr(tmp_path, "a")
    assert array.shape == (3, 2000)
    assert array.dtype == np.dtype(dtype)
    assert array.attrs["rate_hz"] == [256, 1]
    np.testing.assert_array_equal(array[:], np.concatenate(shards, axis=1)[:, :2000])
    assert [name for name, _ in zarr.open_group(str(tmp_path), mode="r").arrays()] == ["a"]


@pytest.mark.parametrize("dtype", ["uint8", "int16"])
def test_arrays_of_other_shapes_are_read_by_zarr(tmp_path: Path, dtype: str) -> None:
    three = ShardLayout((2, 3), 160, 160, np.dtype(dtype), "blosc", ("extreme", "channel", "time"))
    one = ShardLayout((), 1024, 256, np.dtype("float64"), "blosc", ("time",))
    folder = open_durable(str(tmp_path))
    for name, layout in (("three", three), ("one", one)):
        folder.put(
            {
                f"{name}/zarr.json": layout.metadata(layout.shard, {}),
                f"{name}/{layout.key(0)}": layout.encode(noise(layout)),
            }
        )
        np.testing.assert_array_equal(open_with_zarr(tmp_path, name)[:], noise(layout))


@pytest.mark.parametrize("codec", ["blosc", "pcodec"])
@pytest.mark.parametrize("dtype", TYPES)
def test_what_zarr_writes_is_read_here(tmp_path: Path, dtype: str, codec: str) -> None:
    layout = layout_of(dtype, codec)
    codecs: dict[str, Any] = {
        "compressors": [BloscCodec(cname="zstd", clevel=5, shuffle="bitshuffle"), Crc32cCodec()]
    }
    if codec == "pcodec":
        codecs = {"serializer": PCodec(level=8), "compressors": [Crc32cCodec()]}
    array: Any = zarr.create_array(
        str(tmp_path),
        name="a",
        shape=(3, 1024),
        shards=(3, 1024),
        chunks=(3, 128),
        dtype=dtype,
        fill_value=0,
        **codecs,
    )
    array[:] = noise(layout)
    name = f"a/{layout.key(0)}"
    reader = ShardReader(open_durable(str(tmp_path)))
    out = np.empty((3, 500), dtype)
    reader.read(name, (tmp_path / name).stat().st_size, layout, Span(100, 600), out)
    np.testing.assert_array_equal(out, noise(layout)[:, 100:600])


def test_the_metadata_is_that_of_zarr_itself(tmp_path: Path) -> None:
    layout = layout_of()
    zarr.create_array(
        str(tmp_path),
        name="a",
        shape=(3, 2048),
        shards=(3, 1024),
        chunks=(3, 128),
        dtype="int16",
        fill_value=0,
        compressors=[BloscCodec(cname="zstd", clevel=5, shuffle="bitshuffle"), Crc32cCodec()],
        dimension_names=("channel", "time"),
    )
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "zarr.json").write_bytes(layout.metadata(2048, {}))
    theirs, ours = (open_with_zarr(tmp_path, name).metadata for name in "ab")
    assert ours == theirs


@pytest.mark.parametrize("place", ["local", "s3"])
def test_any_part_is_read(place: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    url = str(tmp_path) if place == "local" else request.getfixturevalue("bucket_url")
    layout = layout_of()
    present = np.array([number not in {0, 4, 7} for number in range(layout.chunks)])
    shard = noise(layout) * np.repeat(present, layout.chunk)
    content = layout.encode(shard, present)
    folder = open_durable(url)
    folder.put({"a/shard": content})
    reader = ShardReader(folder)
    rng = np.random.default_rng(0)
    for _ in range(40 if place == "local" else 8):
        start, stop = sorted(rng.integers(0, layout.shard + 1, 2).tolist())
        out = np.full((3, stop - start), -1, np.int16)
        reader.read("a/shard", len(content), layout, Span(start, stop), out)
        np.testing.assert_array_equal(out, shard[:, start:stop])
        np.testing.assert_array_equal(
            layout.decode_all(content, "a", Span(start, stop)), shard[:, start:stop]
        )


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_every_flipped_bit_is_told_or_does_not_matter(data: st.DataObject) -> None:
    layout = layout_of()
    shard = noise(layout)
    content = bytearray(layout.encode(shard))
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(CorruptRecording, match=r"a/shard"):
        layout.decode_all(bytes(content), "a/shard")


def test_errors_name_file_and_chunk(tmp_path: Path) -> None:
    layout = layout_of()
    content = bytearray(layout.encode(noise(layout)))
    content[10] ^= 1
    folder = open_durable(str(tmp_path))
    folder.put({"a/shard": bytes(content)})
    out = np.empty((3, 1024), np.int16)
    reader = ShardReader(folder)
    with pytest.raises(CorruptRecording, match=r"/a/shard, chunk 0: does not match its CRC-32C"):
        reader.read("a/shard", len(content), layout, Span(0, 1024), out)
    # The rest of it is read all the same.
    reader.read("a/shard", len(content), layout, Span(128, 1024), out[:, 128:])
    np.testing.assert_array_equal(out[:, 128:], noise(layout)[:, 128:])
    with pytest.raises(CorruptRecording, match="no such file"):
        reader.read("a/other", len(content), layout, Span(0, 1), out[:, :1])
    (tmp_path / "a" / "shard").write_bytes(content[:50])
    with pytest.raises(CorruptRecording, match="early"):
        reader.read("a/shard", len(content), layout, Span(0, 1024), out)
    with pytest.raises(CorruptRecording, match="index"):
        ShardReader(folder).read("a/shard", 50, layout, Span(0, 1024), out)


def test_an_index_that_points_beyond_the_file_is_refused() -> None:
    layout = layout_of()
    other = ShardLayout((3,), 1024, 128, np.dtype("int16"), "blosc", ("channel", "time"))
    content = layout.encode(noise(layout))
    tail = content[-layout.index_bytes :]
    with pytest.raises(CorruptRecording, match="beyond its 100 bytes"):
        other.read_index(tail, 100, "a")


def test_only_so_many_indexes_are_kept(tmp_path: Path) -> None:
    layout = layout_of()
    content = layout.encode(noise(layout))
    folder = open_durable(str(tmp_path))
    folder.put({str(number): content for number in range(5)})
    reader = ShardReader(folder, kept=2)
    out = np.empty((3, 10), np.int16)
    for number in range(5):
        reader.read(str(number), len(content), layout, Span(0, 10), out)
    (tmp_path / "4").unlink()
    (tmp_path / "0").unlink()
    assert reader.index("4", len(content), layout) is reader.index("4", len(content), layout)
    with pytest.raises(CorruptRecording):
        reader.index("0", len(content), layout)


def test_an_unknown_codec_is_refused() -> None:
    with pytest.raises(UsageError, match="blosc, pcodec"):
        layout_of(codec="zip").metadata(10, {})


def test_a_chunk_of_another_length_is_no_chunk() -> None:
    long, short = layout_of(), layout_of(channels=2)
    content = short.encode(noise(short))
    with pytest.raises(CorruptRecording, match="length"):
        long.decode_all(content, "a")
