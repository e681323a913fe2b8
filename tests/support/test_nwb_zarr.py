"""The NWB-Zarr folders: zarr reads back what the descriptions say, and the oddities are there."""

from __future__ import annotations

import json
import pickletools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from numcodecs.blosc import Blosc

from tests.support.nwb_files import START, TABLE, SeriesSpec, numbers
from tests.support.nwb_zarr import TWO_SERIES, write_nwb_zarr_v2, write_nwb_zarr_v3

WRITERS = {2: write_nwb_zarr_v2, 3: write_nwb_zarr_v3}


def opened(folder: Path, path: str, version: Any) -> Any:
    """Return an array, not yet read."""
    return zarr.open_array(folder, path=path, mode="r", zarr_format=version)


def values(folder: Path, path: str, version: int) -> Any:
    """Return the content of an array."""
    return opened(folder, path, version)[...]


@pytest.mark.parametrize("version", WRITERS)
def test_the_numbers_are_there(tmp_path: Path, version: int) -> None:
    folder = WRITERS[version](tmp_path / "a.nwb.zarr")
    raw, slow = TWO_SERIES
    for spec in TWO_SERIES:
        stored = values(folder, f"{spec.path}/data", version)
        np.testing.assert_array_equal(stored, numbers(spec), strict=True)
        assert tuple(values(folder, f"{spec.path}/electrodes", version)) == spec.rows
    np.testing.assert_array_equal(
        values(folder, f"{slow.path}/timestamps", version), slow.timestamps
    )
    start = opened(folder, f"{raw.path}/starting_time", version)
    assert start.shape == ((1,) if version == 2 else ())
    assert start[...] == 1.5
    assert start.attrs["rate"] == 30_000.0
    names = values(folder, f"{TABLE}/channel_name", version)
    assert list(names) == ["CH000", "CH001", "CH002", "CH003", "CH004", "CH005"]


@pytest.mark.parametrize("version", WRITERS)
def test_pieces_at_the_edges_and_links(tmp_path: Path, version: int) -> None:
    raw = SeriesSpec(samples=1000, channels=5, chunks=(300, 2), extremes=True, dtype="float64")
    shared = SeriesSpec(name="shared", timestamps_of="timed", data_of="raw")
    timed = SeriesSpec(name="timed", timestamps=np.arange(1000.0))
    folder = WRITERS[version](tmp_path / "a.nwb.zarr", raw, timed, shared)
    np.testing.assert_array_equal(values(folder, f"{raw.path}/data", version), numbers(raw))
    document = folder / shared.path / (".zattrs" if version == 2 else "zarr.json")
    content = json.loads(document.read_text())
    links = content["zarr_link"] if version == 2 else content["attributes"]["_LINKS"]
    assert {link["name"]: link["path"] for link in links} == {
        "data": "/acquisition/raw/data",
        "timestamps": "/acquisition/timed/timestamps",
    }
    assert not (folder / shared.path / "data").exists()


@pytest.mark.parametrize("scalar_text", ["vlen", "pickle"])
def test_what_zarr_cannot_read_of_format_2(tmp_path: Path, scalar_text: Any) -> None:
    folder = write_nwb_zarr_v2(tmp_path / "a.nwb.zarr", scalar_text=scalar_text)
    for path in ("session_start_time", f"{TABLE}/group"):
        with pytest.raises((TypeError, ValueError)):
            values(folder, path, 2)
    start = bytes(Blosc().decode((folder / "session_start_time" / "0").read_bytes()))
    assert START.isoformat().encode() in start
    group = bytes(Blosc().decode((folder / TABLE / "group" / "0").read_bytes()))
    strings = [argument for _, argument, _ in pickletools.genops(group)]
    assert "hdmf_zarr.utils" in strings
    assert "/general/extracellular_ephys/shank2" in strings


def test_format_3_opens_with_and_without_consolidated_metadata(tmp_path: Path) -> None:
    folder = write_nwb_zarr_v3(tmp_path / "a.nwb.zarr")
    for consolidated in (None, False):
        root = zarr.open_group(folder, mode="r", use_consolidated=consolidated)
        assert root.attrs["neurodata_type"] == "NWBFile"
        start: Any = root["session_start_time"]
        assert str(start[()]) == START.isoformat()
        assert sorted(name for name, _ in root["acquisition"].members()) == ["raw", "slow"]  # type: ignore[union-attr]
