"""Chunk files keep the promises of a sink, in a folder and in a bucket."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from storage.chunk_plan import ChunkOptions
from storage.chunk_sink import ChunkFilesSink
from storage.errors import AlreadyExists
from storage.folders import open_folder
from storage.protocols import RecordingSink
from tests.contracts.recording_sink import GROUPS, RecordingSinkTests
from tests.support.synthetic_recording import SyntheticGroup, SyntheticRecording

pytestmark = pytest.mark.usefixtures("nothing_left_over")


class ChunkSinkTests(RecordingSinkTests):
    """Reads outputs with nothing but gzip and JSON."""

    options = ChunkOptions()

    def sink(self, place: str) -> RecordingSink:
        return ChunkFilesSink(place, self.options)

    def looks_whole(self, place: str) -> bool:
        return open_folder(place).size("manifest.json") is not None

    def read_back(self, place: str) -> list[NDArray[np.float64]]:
        folder = open_folder(place)
        manifest = json.loads(folder.read("manifest.json"))
        chunks: dict[int, list[tuple[int, str]]] = {}
        for file in manifest["files"]:
            if file["name"].endswith(".bin.gz"):
                channel, start, _ = file["name"].removeprefix("channel-").split("_")
                chunks.setdefault(int(channel), []).append((int(start), file["name"]))
        groups = []
        for series in manifest["series"]:
            columns = [
                np.concatenate(
                    [
                        np.frombuffer(gzip.decompress(folder.read(name)), ">f8")
                        for _, name in sorted(chunks[channel])
                    ]
                )
                for channel in range(*series["channels"])
            ]
            groups.append(np.stack(columns, axis=1))
        return groups


class TestNewFolder(ChunkSinkTests):
    """Published by one rename."""


class TestStored(ChunkSinkTests):
    options = ChunkOptions(level=0)


class TestFolderThatIsThere(ChunkSinkTests):
    """Published by moving the files."""

    def sink(self, place: str) -> RecordingSink:
        Path(place).mkdir(exist_ok=True)
        (Path(place) / "notes.txt").write_text("somebody's")
        return super().sink(place)

    def test_files_of_others_stay(self, where: str) -> None:
        self.sink(where).write(SyntheticRecording(*GROUPS))
        assert (Path(where) / "notes.txt").read_text() == "somebody's"


class TestBucket(ChunkSinkTests):
    """Published by putting the manifest last."""

    @pytest.fixture
    def where(self, bucket_url: str) -> str:
        return bucket_url


def test_overwriting_replaces_another_recording(tmp_path: Path) -> None:
    place = str(tmp_path / "out")
    ChunkFilesSink(place).write(SyntheticRecording(*GROUPS))
    other = SyntheticRecording(SyntheticGroup(n_samples=77), name="other")
    with pytest.raises(AlreadyExists, match="another recording"):
        ChunkFilesSink(place).write(other)
    ChunkFilesSink(place, overwrite=True).write(other)
    (values,) = TestNewFolder().read_back(place)
    np.testing.assert_array_equal(values[:, 0], np.arange(77))
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"manifest.json", *(file["name"] for file in manifest["files"])}


def test_the_manifest_says_what_was_written(tmp_path: Path) -> None:
    place = ChunkFilesSink(str(tmp_path / "out"), ChunkOptions(level=2)).write(
        SyntheticRecording(*GROUPS)
    )
    manifest = json.loads((Path(place) / "manifest.json").read_text())
    assert (manifest["format"], manifest["version"]) == ("chunked-gz", 1)
    assert manifest["recording"] == "synthetic"
    assert manifest["options"] == {"chunk_size_mb": 1, "level": 2, "digest": "auto"}
    assert [series["channels"] for series in manifest["series"]] == [[0, 2], [2, 5], [5, 6], [6, 7]]
    assert [series["segments"] for series in manifest["series"]] == [2, 1, 1, 40]
    assert [series["samples"] for series in manifest["series"]] == [300_000, 5000, 1, 4000]
    assert [series["dtype"] for series in manifest["series"]] == [
        "int16", "float32", "uint8", "int64",
    ]  # fmt: skip
    samples = sum(file.get("samples", 0) for file in manifest["files"])
    assert samples == 2 * 300_000 + 3 * 5000 + 1 + 4000


def test_progress_adds_up_to_every_sample(tmp_path: Path) -> None:
    done: list[int] = []
    sink = ChunkFilesSink(str(tmp_path / "out"), advance=done.append)
    sink.write(SyntheticRecording(*GROUPS))
    assert sum(done) == 2 * 300_000 + 3 * 5000 + 1 + 4000
