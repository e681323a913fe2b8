"""Files, folders and prefixes as people name them."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage.buckets import BucketFolder
from storage.errors import NotFound
from tasks.sources import find_sources, is_single, output_urls


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_a_folder_gives_all_files_below_it_sorted_and_nothing_else(tmp_path: Path) -> None:
    touch(
        tmp_path / "b.nwb",
        tmp_path / "sub" / "a.NWB",
        tmp_path / "c.nwb.zarr" / "inner.nwb",
        tmp_path / ".hidden" / "d.nwb",
        tmp_path / "notes.txt",
    )
    names = [Path(url).relative_to(tmp_path).as_posix() for url in find_sources([str(tmp_path)])]
    assert names == ["b.nwb", "c.nwb.zarr", "sub/a.NWB"]


def test_each_file_is_taken_once(tmp_path: Path) -> None:
    touch(tmp_path / "a.nwb")
    found = find_sources([str(tmp_path / "a.nwb"), str(tmp_path)])
    assert found == (str(tmp_path / "a.nwb"),)


def test_a_folder_without_recordings_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"holds no \.nwb file"):
        find_sources([str(tmp_path)])


def test_a_prefix_gives_files_and_zarr_folders(bucket_url: str) -> None:
    folder = BucketFolder(bucket_url)
    for name in ("x/a.nwb", "x/b.nwb.zarr/.zgroup", "x/b.nwb.zarr/d/0.0", "x/c.txt"):
        folder.write(name, [b"1"])
    assert find_sources([f"{bucket_url}/x/"]) == (
        f"{bucket_url}/x/a.nwb",
        f"{bucket_url}/x/b.nwb.zarr",
    )


def test_one_file_goes_to_the_output_itself() -> None:
    assert is_single(["/in/a.nwb"], ["/in/a.nwb"])
    assert output_urls(["/in/a.nwb"], "/out", True) == ("/out",)
    assert output_urls(["/in/a.nwb"], None, True) == ("/in/a-pennsieve",)


def test_a_folder_that_holds_one_file_is_not_that_file() -> None:
    assert not is_single(["/in"], ["/in/a.nwb"])
    assert output_urls(["/in/a.nwb"], "/out", False) == ("/out/a",)


def test_equal_stems_get_numbers() -> None:
    found = ["/in/a.nwb", "/in/x/a.nwb", "/in/y/a.nwb.zarr", "/in/b.nwb"]
    assert output_urls(found, "s3://bucket/out/", False) == (
        "s3://bucket/out/a",
        "s3://bucket/out/a-2",
        "s3://bucket/out/a-3",
        "s3://bucket/out/b",
    )
