"""Verification finds every kind of damage, and nothing where there is none."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from storage.chunk_plan import ChunkOptions
from storage.chunk_sink import ChunkFilesSink
from storage.chunk_verify import MOST_PROBLEMS, verify_files, verify_source
from storage.errors import CorruptRecording, NotFound
from storage.folders import open_folder
from storage.scaling import Scaling
from tests.contracts.recording_sink import GROUPS
from tests.support.synthetic_recording import SyntheticGroup, SyntheticRecording

pytestmark = pytest.mark.usefixtures("nothing_left_over")

SMALL = SyntheticGroup(n_samples=50, n_channels=2, gaps_us={20: 10_000})
MODES = {
    "compressed": ChunkOptions(),
    "compressed with CRC": ChunkOptions(digest="crc32"),
    "stored": ChunkOptions(level=0),
    "stored with SHA": ChunkOptions(level=0, digest="sha256"),
}


def output(folder: Path, mode: str = "compressed", *groups: SyntheticGroup) -> Path:
    """Write an output."""
    source = SyntheticRecording(*(groups or (SMALL,)))
    return Path(ChunkFilesSink(str(folder / "out"), MODES[mode]).write(source))


def problems(place: Path) -> tuple[str, ...]:
    """Return what verification against the manifest finds."""
    return verify_files(open_folder(str(place))).problems


def problems_of(place: Path, mode: str, *groups: SyntheticGroup) -> tuple[str, ...]:
    """Return what verification against a recording finds."""
    source = SyntheticRecording(*(groups or (SMALL,)))
    return verify_source(open_folder(str(place)), source, MODES[mode]).problems


def first_chunk(place: Path) -> Path:
    """Return the first chunk file."""
    return sorted(place.glob("*.gz"))[0]


@pytest.mark.parametrize("mode", MODES)
def test_nothing_is_found_where_nothing_is_wrong(tmp_path: Path, mode: str) -> None:
    place = output(tmp_path, mode, *GROUPS)
    done: list[int] = []
    found = verify_files(open_folder(str(place)), done.append)
    samples = 2 * 300_000 + 3 * 5000 + 1 + 4000
    assert found.problems == ()
    assert found.samples == sum(done) == samples
    manifest = json.loads((place / "manifest.json").read_text())
    assert found.files == len(manifest["files"])
    assert found.bytes == sum(file["bytes"] for file in manifest["files"])
    again = verify_source(open_folder(str(place)), SyntheticRecording(*GROUPS), MODES[mode])
    assert again.problems == ()
    assert (again.files, again.bytes, again.samples) == (found.files, found.bytes, found.samples)


@pytest.mark.parametrize("mode", MODES)
def test_any_changed_byte_of_any_file_is_found(tmp_path: Path, mode: str) -> None:
    place = output(tmp_path, mode)
    manifest = json.loads((place / "manifest.json").read_text())
    listed = {file["name"]: file for file in manifest["files"]}
    for path in (first_chunk(place), place / "channel-00001.metadata.json"):
        content = path.read_bytes()
        by_crc = "sha256" not in listed[path.name]
        for at in range(len(content)):
            if by_crc and 4 <= at < 10:
                # Time and system in the gzip header mean nothing, and no CRC covers them.
                continue
            path.write_bytes(content[:at] + bytes([content[at] ^ 0x02]) + content[at + 1 :])
            (found,) = problems(place)
            assert path.name in found
            assert "\n" not in found
        path.write_bytes(content)
    assert problems(place) == ()


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "cut short": lambda content: content[:-1],
    "emptied": lambda content: b"",
    "lengthened": lambda content: content + b"\x00",
    "doubled": lambda content: content * 2,
    "another member": lambda content: gzip.compress(gzip.decompress(content)[:-8]),
    "not gzip": lambda content: b"\x00" * len(content),
    "unpacked": gzip.decompress,
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_files_are_named(tmp_path: Path, mode: str, damage: str) -> None:
    place = output(tmp_path, mode)
    path = first_chunk(place)
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    (found,) = problems(place)
    assert path.name in found
    assert "\n" not in found
    (found,) = problems_of(place, mode)
    assert path.name in found


@pytest.mark.parametrize("mode", MODES)
def test_a_missing_file_is_named(tmp_path: Path, mode: str) -> None:
    place = output(tmp_path, mode)
    for path in (first_chunk(place), place / "channel-00001.metadata.json"):
        content = path.read_bytes()
        path.unlink()
        for found in (problems(place), problems_of(place, mode)):
            assert len(found) == 1
            assert path.name in found[0]
        path.write_bytes(content)


def test_a_chunk_that_nobody_listed_is_named(tmp_path: Path) -> None:
    place = output(tmp_path)
    stray = place / "channel-00009_1_2.bin.gz"
    stray.write_bytes(first_chunk(place).read_bytes())
    (place / "notes.txt").write_text("somebody's")
    (found,) = problems(place)
    assert stray.name in found


def test_a_manifest_that_lies_about_samples_is_found(tmp_path: Path) -> None:
    for mode in MODES:
        place = output(tmp_path / mode, mode)
        path = place / "manifest.json"
        content = json.loads(path.read_text())
        content["files"][0]["samples"] += 1
        path.write_text(json.dumps(content))
        (found,) = problems(place)
        assert content["files"][0]["name"] in found


def test_files_that_changed_places_are_found(tmp_path: Path) -> None:
    for mode in MODES:
        place = output(tmp_path / mode, mode)
        one, other = (next(place.glob(f"channel-0000{n}_*")) for n in (0, 1))
        swapped = one.read_bytes(), other.read_bytes()
        other.write_bytes(swapped[0])
        one.write_bytes(swapped[1])
        assert len(problems(place)) == 2
        assert len(problems_of(place, mode)) == 2


def test_another_recording_is_found_sample_by_sample(tmp_path: Path) -> None:
    class Changed(SyntheticGroup):
        def numbers(self, span):  # type: ignore[no-untyped-def]
            block = super().numbers(span)
            if span.start <= 33 < span.stop:
                block[33 - span.start, 1] += 5
            return block

    place = output(tmp_path)
    changed = Changed(n_samples=50, n_channels=2, gaps_us={20: 10_000})
    (found,) = problems_of(place, "compressed", changed)
    assert "channel-00001_" in found
    assert "sample 13 " in found


def test_numbers_of_other_bits_are_found(tmp_path: Path) -> None:
    floats = SyntheticGroup(n_samples=9, n_channels=1, dtype="float64")
    place = output(tmp_path, "compressed", floats)
    path = first_chunk(place)
    values = np.frombuffer(gzip.decompress(path.read_bytes()), ">f8").copy()
    values[0] = -0.0
    path.write_bytes(gzip.compress(values.tobytes()))
    (found,) = problems_of(place, "compressed", floats)
    assert "sample 0 " in found


@pytest.mark.parametrize(
    "other",
    [
        SyntheticGroup(n_samples=50, n_channels=3, gaps_us={20: 10_000}),
        SyntheticGroup(n_samples=50, n_channels=1, gaps_us={20: 10_000}),
        SyntheticGroup(n_samples=49, n_channels=2, gaps_us={20: 10_000}),
        SyntheticGroup(n_samples=50, n_channels=2, gaps_us={21: 10_000}),
        SyntheticGroup(n_samples=50, n_channels=2, gaps_us={20: 10_000}, rate_hz=1000.001),
        SyntheticGroup(n_samples=50, n_channels=2, gaps_us={20: 10_000}, scaling=Scaling(1.0001)),
    ],
)
def test_a_recording_of_another_shape_time_or_scale_is_found(
    tmp_path: Path, other: SyntheticGroup
) -> None:
    found = problems_of(output(tmp_path), "compressed", other)
    assert found
    assert all("\n" not in line for line in found)


def test_the_first_problems_are_enough(tmp_path: Path) -> None:
    group = SyntheticGroup(n_samples=50, n_channels=40)
    place = output(tmp_path, "compressed", group)
    for path in place.glob("*.gz"):
        path.write_bytes(b"")
    assert len(problems(place)) == MOST_PROBLEMS
    assert len(problems_of(place, "compressed", group)) == MOST_PROBLEMS


def test_without_a_manifest_there_is_no_output(tmp_path: Path) -> None:
    place = output(tmp_path)
    (place / "manifest.json").unlink()
    with pytest.raises(NotFound, match=r"manifest\.json"):
        problems(place)
    (place / "manifest.json").write_text('{"format": "chunked-gz", "version": 1}')
    with pytest.raises(CorruptRecording, match="files"):
        problems(place)
