"""An output appears whole or not at all, whenever its writer dies; the next run completes it."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from storage.chunk_output import (
    check_free,
    existing_manifest,
    is_intact,
    only_writer,
    place_output,
)
from storage.chunk_sink import ChunkFilesSink
from storage.chunk_verify import verify_files, verify_source
from storage.errors import AlreadyExists, RanvierError
from storage.folders import Folder, open_folder
from storage.protocols import RecordingSource
from tests.support.crashing_writes import options, other_recording, recording
from tests.support.outputs import everything_in
from tests.support.synthetic_recording import SyntheticGroup, SyntheticRecording

pytestmark = pytest.mark.usefixtures("nothing_left_over")

FEWEST_STEPS = 10


def die_at_every_step(place: str, over_another: bool = False, template: Path | None = None) -> int:
    """Let a process die before each step of writing, each time at a place of its own.

    Parameters
    ----------
    place
        Where to; ``{n}`` stands for the number of the step.
    over_another
        Write over the output of another recording.
    template
        What is there already.
    """
    order = {
        "place": place,
        "over_another": over_another,
        "overwrite": over_another,
        "template": template and str(template),
    }
    ended = subprocess.run(
        [sys.executable, "-m", "tests.support.crashing_writes"],
        input=json.dumps(order),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    steps = int(ended.stdout)
    assert steps >= FEWEST_STEPS
    return steps


def holds(folder: Folder, source: RecordingSource) -> bool:
    """Whether an output looks whole; if so it must be, and be made from this recording."""
    if folder.size("manifest.json") is None:
        return False
    assert verify_files(folder).problems == ()
    return verify_source(folder, source, options()).problems == ()


def assert_complete(url: str) -> None:
    """Assert that the output is the one of the recording, and nothing else rests there."""
    folder = open_folder(url)
    assert holds(folder, recording())
    listed = {file["name"] for file in json.loads(folder.read("manifest.json"))["files"]}
    assert set(folder.names()) == {"manifest.json", *listed}


def write(place: str, overwrite: bool = False) -> None:
    """Write the recording, as the next run does."""
    ChunkFilesSink(place, options(), overwrite=overwrite).write(recording())


def test_a_new_folder(tmp_path: Path) -> None:
    places = str(tmp_path / "{n}" / "out")
    for step in range(die_at_every_step(places) + 1):
        place = tmp_path / str(step) / "out"
        if place.exists():
            assert_complete(str(place))
        write(str(place))
        assert_complete(str(place))
        assert os.listdir(place.parent) == ["out"]


def test_a_folder_that_is_there(tmp_path: Path) -> None:
    template = tmp_path / "template"
    template.mkdir()
    (template / "notes.txt").write_text("somebody's")
    for step in range(die_at_every_step(str(tmp_path / "{n}"), template=template) + 1):
        place = tmp_path / str(step)
        if (place / "manifest.json").exists():
            assert holds(open_folder(str(place)), recording())
        write(str(place))
        (place / "notes.txt").unlink()
        assert_complete(str(place))


def test_a_folder_with_another_output_that_is_to_be_replaced(tmp_path: Path) -> None:
    for step in range(die_at_every_step(str(tmp_path / "{n}"), over_another=True) + 1):
        place = str(tmp_path / str(step))
        folder = open_folder(place)
        if folder.size("manifest.json") is not None:
            assert holds(folder, other_recording()) or holds(folder, recording())
        write(place, overwrite=True)
        assert_complete(place)


@pytest.mark.parametrize("lost", ["channel-00000", "channel-00001.metadata.json"])
def test_an_output_of_which_files_were_lost_is_made_again(tmp_path: Path, lost: str) -> None:
    template = tmp_path / "template"
    write(str(template))
    for path in template.glob(f"{lost}*"):
        path.unlink()
    for step in range(die_at_every_step(str(tmp_path / "{n}"), template=template) + 1):
        place = str(tmp_path / str(step))
        write(place)
        assert_complete(place)


def test_a_new_prefix_of_a_bucket(bucket_url: str) -> None:
    for step in range(die_at_every_step(bucket_url + "/{n}/out") + 1):
        place = f"{bucket_url}/{step}/out"
        holds(open_folder(place), recording())
        write(place)
        assert_complete(place)


def test_a_prefix_with_another_output_that_is_to_be_replaced(bucket_url: str) -> None:
    for step in range(die_at_every_step(bucket_url + "/{n}", over_another=True) + 1):
        place = f"{bucket_url}/{step}"
        folder = open_folder(place)
        if folder.size("manifest.json") is not None:
            assert holds(folder, other_recording()) or holds(folder, recording())
        write(place, overwrite=True)
        assert_complete(place)


# --- what rests there already --------------------------------------------------------------------


def test_the_same_output_is_left_alone(tmp_path: Path) -> None:
    place = tmp_path / "out"
    write(str(place))
    before = {path.name: path.stat().st_mtime_ns for path in place.iterdir()}
    write(str(place))
    assert {path.name: path.stat().st_mtime_ns for path in place.iterdir()} == before
    assert os.listdir(tmp_path) == ["out"]


def test_a_copied_source_gives_the_same_output(tmp_path: Path) -> None:
    class Copied(SyntheticRecording):
        @property
        def fingerprint(self) -> dict[str, str | int]:
            return {"copied": 1}

    groups = (SyntheticGroup(n_samples=100), SyntheticGroup(n_samples=50, n_channels=1))
    place = tmp_path / "out"
    ChunkFilesSink(str(place)).write(SyntheticRecording(*groups))
    before = everything_in(tmp_path)
    ChunkFilesSink(str(place)).write(Copied(*groups))
    assert everything_in(tmp_path) == before


def test_other_options_are_another_output(tmp_path: Path) -> None:
    place = str(tmp_path / "out")
    write(place)
    before = everything_in(tmp_path)
    with pytest.raises(AlreadyExists, match=r"other options \(digest, level\)|level.*digest"):
        ChunkFilesSink(place).write(recording())
    assert everything_in(tmp_path) == before


@pytest.mark.parametrize("in_bucket", [False, True])
def test_chunks_without_a_manifest_are_somebody_elses(
    tmp_path: Path, bucket_url: str, in_bucket: bool
) -> None:
    place = bucket_url if in_bucket else str(tmp_path / "out")
    folder = open_folder(place)
    folder.write("channel-00000_1_2.bin.gz", [b"theirs"])
    folder.write("other.txt", [b"theirs"])
    with pytest.raises(AlreadyExists, match=r"channel-00000_1_2\.bin\.gz.*--overwrite") as caught:
        write(place)
    assert "\n" not in str(caught.value)
    assert set(folder.names()) == {"channel-00000_1_2.bin.gz", "other.txt"}
    write(place, overwrite=True)
    assert folder.read("other.txt") == b"theirs"
    folder.delete("other.txt")
    assert_complete(place)


@pytest.mark.parametrize(
    "manifest",
    [b"", b"{", b"[]", b'{"files": 3}', b'{"format": "zarr", "version": 9, "files": []}'],
)
def test_a_manifest_that_is_not_ours_is_replaced_only_when_told(
    tmp_path: Path, manifest: bytes
) -> None:
    place = tmp_path / "out"
    place.mkdir()
    (place / "manifest.json").write_bytes(manifest)
    with pytest.raises(RanvierError, match=r"manifest\.json") as caught:
        write(str(place))
    assert "\n" not in str(caught.value)
    assert everything_in(place) == {"manifest.json": manifest}
    write(str(place), overwrite=True)
    assert_complete(str(place))


def test_a_file_in_the_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(AlreadyExists, match="is a file"):
        write(str(tmp_path / "out"))


def test_a_folder_that_appears_meanwhile_is_not_written_into(tmp_path: Path) -> None:
    place = tmp_path / "out"

    def appear(group: int, span: object) -> None:
        place.mkdir(exist_ok=True)
        (place / "theirs").touch()

    source = SyntheticRecording(SyntheticGroup(n_samples=100), before_read=appear)
    with pytest.raises(AlreadyExists, match="appeared"):
        ChunkFilesSink(str(place)).write(source)
    assert [path.name for path in place.iterdir()] == ["theirs"]


def test_an_empty_folder_that_appears_meanwhile_is_filled(tmp_path: Path) -> None:
    place = tmp_path / "out"

    def appear(group: int, span: object) -> None:
        place.mkdir(exist_ok=True)

    source = SyntheticRecording(SyntheticGroup(n_samples=100), before_read=appear)
    ChunkFilesSink(str(place)).write(source)
    assert (place / "manifest.json").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_staging_of_another_plan_is_thrown_away(tmp_path: Path) -> None:
    place = tmp_path / "out"

    def stop(group: int, span: object) -> None:
        if group == 1:
            raise KeyboardInterrupt

    source = SyntheticRecording(
        SyntheticGroup(n_samples=100, n_channels=7), SyntheticGroup(), before_read=stop
    )
    with pytest.raises(KeyboardInterrupt):
        ChunkFilesSink(str(place), options()).write(source)
    assert os.listdir(tmp_path) == [".out.staging"]
    assert any(name.startswith("channel-") for name in os.listdir(tmp_path / ".out.staging"))
    write(str(place))
    assert_complete(str(place))
    assert os.listdir(tmp_path) == ["out"]


# --- one writer at a time ------------------------------------------------------------------------


@pytest.mark.parametrize("there", [False, True])
def test_another_conversion_holds_the_place(tmp_path: Path, there: bool) -> None:
    place = tmp_path / "out"
    if there:
        place.mkdir()
    output = place_output(str(place))
    with only_writer(output):
        before = everything_in(tmp_path)
        with pytest.raises(AlreadyExists, match="another conversion is writing there"):
            write(str(place))
        assert everything_in(tmp_path) == before
    write(str(place))
    assert_complete(str(place))


def test_a_lock_whose_holder_died_holds_nobody(tmp_path: Path) -> None:
    (tmp_path / ".out.staging.lock").write_bytes(b"")
    write(str(tmp_path / "out"))
    assert os.listdir(tmp_path) == ["out"]


def test_a_lock_that_was_taken_away_is_not_a_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = place_output(str(tmp_path / "out"))
    real = fcntl.flock

    def late(file: object, operation: int) -> None:
        # The holder before us ends, and removes its file, just before we get the lock.
        (tmp_path / ".out.staging.lock").unlink()
        real(file, operation)  # type: ignore[arg-type]

    monkeypatch.setattr(fcntl, "flock", late)
    with pytest.raises(AlreadyExists), only_writer(output):
        pass


# --- small questions -----------------------------------------------------------------------------


def test_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    assert place_output("new").staging == str(tmp_path / ".new.staging")
    assert place_output("there").staging == str(tmp_path / "there" / ".staging")
    assert place_output("s3://b/x/").url == place_output("s3://b/x/").staging == "s3://b/x"
    assert place_output("s3://b/x").in_bucket
    assert not place_output("new").in_bucket


def test_an_output_is_intact_while_every_file_has_its_length(tmp_path: Path) -> None:
    place = tmp_path / "out"
    write(str(place))
    manifest = existing_manifest(place_output(str(place)))
    assert manifest is not None
    folder = open_folder(str(place))
    assert is_intact(folder, manifest.files)
    name = next(iter(manifest.files)).name
    content = folder.read(name)
    folder.write(name, [content, b"x"])
    assert not is_intact(folder, manifest.files)
    folder.delete(name)
    assert not is_intact(folder, manifest.files)


def test_a_free_place_is_free(tmp_path: Path) -> None:
    place = tmp_path / "out"
    place.mkdir()
    (place / "channel-notes.txt").write_text("not a chunk")
    check_free(place_output(str(place)), {"options": {}}, overwrite=False)
