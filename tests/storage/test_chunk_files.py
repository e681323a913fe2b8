"""Chunk files: the same bytes however they are written, resumed after a kill, in little memory."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.chunk_files import Written, write_run
from storage.chunk_plan import ChunkOptions, Run, plan_runs
from storage.chunk_sink import ChunkFilesSink
from storage.folders import LocalFolder
from storage.spans import Span
from tests.contracts.recording_sink import GROUPS
from tests.support import killed_writes
from tests.support.nwb_files import RAW, SeriesSpec, write_nwb
from tests.support.outputs import everything_in
from tests.support.synthetic_recording import SyntheticGroup, SyntheticRecording

pytestmark = pytest.mark.usefixtures("nothing_left_over")


def written(
    folder: Path,
    source: SyntheticRecording,
    options: ChunkOptions = ChunkOptions(),
    run_bytes: int | None = None,
    workers: int | None = None,
) -> dict[str, bytes]:
    """Write all runs of a recording, last run first, and return the chunk files."""
    place = LocalFolder(folder)
    total = Written()
    for run in reversed(plan_runs(source, options, run_bytes)):
        total += write_run(source, place, run, options, workers=workers)
    files = {name: data for name, data in everything_in(folder).items() if name.endswith(".gz")}
    assert total.files == len(files)
    assert total.bytes == sum(map(len, files.values()))
    assert total.resumed == 0
    assert total.samples == sum(
        group.n_samples * len(group.channels) for group in source.recording.groups
    )
    return files


# --- the same bytes ------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2, 7])
@pytest.mark.parametrize("run_bytes", [None, 1, 50_000, 500_000])
def test_workers_and_runs_change_no_byte(
    tmp_path: Path, workers: int, run_bytes: int | None
) -> None:
    once = written(tmp_path / "once", SyntheticRecording(*GROUPS))
    again = written(
        tmp_path / "again", SyntheticRecording(*GROUPS), run_bytes=run_bytes, workers=workers
    )
    assert again == once


@pytest.mark.parametrize("level", [0, 2, 3])
@pytest.mark.parametrize("digest", ["auto", "sha256", "crc32"])
def test_levels_and_digests_change_no_sample(tmp_path: Path, level: int, digest: str) -> None:
    once = written(tmp_path / "once", SyntheticRecording(*GROUPS))
    options = ChunkOptions(level=level, digest=digest)
    other = written(tmp_path / "other", SyntheticRecording(*GROUPS), options)
    assert other.keys() == once.keys()
    for name, content in other.items():
        assert gzip.decompress(content) == gzip.decompress(once[name])


@given(
    st.integers(1, 3000), st.integers(1, 20), st.sets(st.integers(1, 2999), max_size=30),
    st.integers(1, 3), st.integers(1, 30_000),
)  # fmt: skip
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_every_sample_arrives_in_its_place(
    tmp_path_factory: pytest.TempPathFactory,
    n_samples: int,
    n_channels: int,
    gaps: set[int],
    workers: int,
    run_bytes: int,
) -> None:
    group = SyntheticGroup(
        n_samples=n_samples,
        n_channels=n_channels,
        dtype="uint16",
        gaps_us=dict.fromkeys((at for at in sorted(gaps) if at < n_samples), 5000),
    )
    source = SyntheticRecording(group)
    files = written(tmp_path_factory.mktemp("any"), source, run_bytes=run_bytes, workers=workers)
    stored = group.numbers(Span(0, n_samples))
    for segment in source.segments(0):
        first, last = segment.start_us, source.time_us(0, segment.span.stop - 1)
        for channel in range(n_channels):
            payload = gzip.decompress(files.pop(f"channel-{channel:05d}_{first}_{last}.bin.gz"))
            np.testing.assert_array_equal(
                np.frombuffer(payload, ">f8"),
                stored[segment.span.start : segment.span.stop, channel],
            )
    assert not files


def test_each_file_is_written_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names: list[str] = []
    real = LocalFolder.write

    def write(self: LocalFolder, name: str, buffers: Any) -> None:
        names.append(name)
        real(self, name, buffers)

    monkeypatch.setattr(LocalFolder, "write", write)
    files = written(tmp_path, SyntheticRecording(*GROUPS))
    assert sorted(names) == sorted(files)


def test_each_block_is_read_once(tmp_path: Path) -> None:
    source = SyntheticRecording(*GROUPS)
    written(tmp_path, source)
    for number, group in enumerate(GROUPS):
        spans = sorted(span for which, span in source.reads if which == number)
        assert [spans[0].start, *(span.stop for span in spans)] == [
            *(span.start for span in spans),
            group.n_samples,
        ]


# --- resuming ------------------------------------------------------------------------------------


def killed(place: Path, when: str, number: int) -> None:
    """Write in a process that is killed."""
    ended = subprocess.run(
        [sys.executable, "-m", "tests.support.killed_writes", str(place), when, str(number)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr


def logged(staging: Path) -> tuple[set[tuple[int, int, int]], set[str]]:
    """Return the blocks (group, start, stop) and the files that an interrupted run has logged."""
    blocks, names = set(), set()
    for log in sorted((staging / ".parts").glob("*.jsonl")):
        for line in log.read_text().splitlines():
            record = json.loads(line)
            blocks.add((int(log.name[:4]), *record["span"]))
            names |= {file["name"] for file in record["files"]}
    return blocks, names


@pytest.mark.parametrize(
    ("when", "number"),
    [("read", 0), ("read", 1), ("read", 7), ("read", 11), ("read", 15),
     ("write", 0), ("write", 13), ("write", 80), ("write", 101), ("write", 125)],
)  # fmt: skip
def test_a_killed_run_goes_on_without_doing_anything_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str, number: int
) -> None:
    monkeypatch.setattr("storage.chunk_plan.MOST_BLOCK_FILES", killed_writes.BLOCK_FILES)
    whole = tmp_path / "whole"
    counted = killed_writes.recording()
    ChunkFilesSink(str(whole)).write(counted)
    assert len(counted.reads) == killed_writes.N_BLOCKS

    place = tmp_path / "out"
    killed(place, when, number)
    assert not place.exists()
    blocks, names = logged(tmp_path / ".out.staging")
    if when == "read" and number:
        assert len(blocks) >= number - 2

    rewritten: list[str] = []
    real = LocalFolder.write

    def write(self: LocalFolder, name: str, buffers: Any) -> None:
        rewritten.append(name)
        real(self, name, buffers)

    monkeypatch.setattr(LocalFolder, "write", write)
    source = killed_writes.recording()
    ChunkFilesSink(str(place)).write(source)

    assert everything_in(place) == everything_in(whole)
    assert os.listdir(tmp_path / "out") == os.listdir(place)
    assert not names & set(rewritten)
    read = {(group, span.start, span.stop) for group, span in source.reads}
    assert not blocks & read
    assert len(blocks) + len(source.reads) == killed_writes.N_BLOCKS


def test_a_run_killed_again_and_again_comes_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.chunk_plan.MOST_BLOCK_FILES", killed_writes.BLOCK_FILES)
    place = tmp_path / "out"
    finished = [0]
    for _ in range(4):
        killed(place, "write", 30)
        finished.append(len(logged(tmp_path / ".out.staging")[0]))
    assert finished == sorted(set(finished))
    ChunkFilesSink(str(place)).write(killed_writes.recording())
    ChunkFilesSink(str(tmp_path / "whole")).write(killed_writes.recording())
    assert everything_in(place) == everything_in(tmp_path / "whole")


PACK_AT_MANY_ADDRESSES = """
import hashlib, numpy as np
from isal import isal_zlib
from storage.chunk_format import pack

# The first samples come again later: whether a packer finds them depends on all that it hashed.
samples = np.random.default_rng(1).integers(1, 2**15, (500, 20)) * 0.195
payloads = [np.tile(row, 3).astype(">f8").tobytes() for row in samples]
digests, in_the_way = set(), []
for _ in range(60):
    digest = hashlib.sha256()
    for number, payload in enumerate(payloads):
        level = 3 if number % 10 == 0 else 1 + number % 2
        digest.update(b"".join(pack(memoryview(payload), level, False)[0]))
    digests.add(digest.hexdigest())
    in_the_way.append(isal_zlib.compressobj(1))  # takes the place where the last packer lay
print(len({id(packer) >> 16 for packer in in_the_way}), *digests)
"""


def test_equal_input_gives_equal_files_wherever_memory_lies_and_whatever_it_held() -> None:
    # 30,000 payloads a process: without the primer each process finds 2 to 7 digests by itself,
    # whereas 100 payloads in each of 150 processes may well find one.
    digests = set()
    for held in ("0", "85", "255"):
        environment = {"MALLOC_PERTURB_": held, "PYTHONMALLOC": "malloc"}
        ended = subprocess.run(
            [sys.executable, "-c", PACK_AT_MANY_ADDRESSES],
            env=os.environ | environment, capture_output=True, text=True, check=True,
        )  # fmt: skip
        addresses, *found = ended.stdout.split()
        assert int(addresses) > 30
        digests |= set(found)
    assert len(digests) == 1


def test_resumed_files_count_as_done(tmp_path: Path) -> None:
    source, folder, options = SyntheticRecording(GROUPS[0]), LocalFolder(tmp_path), ChunkOptions()
    (run,) = plan_runs(source, options)
    first = write_run(source, folder, run, options)
    done: list[int] = []
    again = write_run(source, folder, run, options, done.append)
    assert again == Written(resumed=first.files, samples=first.samples)
    assert sum(done) == first.samples


# --- errors --------------------------------------------------------------------------------------


def test_a_full_disk_stops_the_run_and_ends_its_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, left, lock = LocalFolder.write, iter(range(20)), threading.Lock()

    def write(self: LocalFolder, name: str, buffers: Any) -> None:
        with lock:
            if name.endswith(".gz") and next(left, None) is None:
                raise OSError(28, "No space left on device")
        real(self, name, buffers)

    with monkeypatch.context() as patch:
        patch.setattr(LocalFolder, "write", write)
        with pytest.raises(OSError, match="No space"):
            ChunkFilesSink(str(tmp_path / "out")).write(SyntheticRecording(*GROUPS))
    assert not (tmp_path / "out").exists()
    assert not [t for t in threading.enumerate() if t.name.startswith("chunks")]
    ChunkFilesSink(str(tmp_path / "out")).write(SyntheticRecording(*GROUPS))
    assert (tmp_path / "out" / "manifest.json").exists()


def test_a_run_of_some_channels_writes_those(tmp_path: Path) -> None:
    source = SyntheticRecording(SyntheticGroup(n_samples=100, n_channels=5))
    run = Run(0, 10, Span(1, 3), Span(0, 100))
    write_run(source, LocalFolder(tmp_path), run, ChunkOptions())
    names = sorted(path.name for path in tmp_path.glob("*.gz"))
    assert [name[:13] for name in names] == ["channel-00011", "channel-00012"]


# --- memory --------------------------------------------------------------------------------------

MB = 1 << 20


def peak_of(source: Path, output: Path) -> tuple[int, int]:
    """Convert in a process of its own; return the peak of its memory and the number of files."""
    ended = subprocess.run(
        [sys.executable, "-m", "tests.support.peak_memory", str(source), str(output)],
        capture_output=True,
        text=True,
        check=True,
    )
    report = json.loads(ended.stdout)
    assert report["outcome"] == "stored"
    return report["peak"], report["files"]


def lengthened(path: Path, n_samples: int, n_channels: int, gzip_level: int | None) -> Path:
    """Write a file whose data are far longer than what PyNWB was given."""
    write_nwb(path, SeriesSpec(samples=10, channels=n_channels, rate_hz=1000.0))
    with h5py.File(path, "r+") as file:
        attributes = dict(file[RAW]["data"].attrs)
        del file[RAW]["data"]
        data = file[RAW].create_dataset(
            "data", (n_samples, n_channels), "int16",
            chunks=(32_768, n_channels) if gzip_level else None, compression=gzip_level,
        )  # fmt: skip
        data.attrs.update(attributes)
        block = np.arange(65_536 * n_channels, dtype=np.uint32).astype(np.int16)
        for start in range(0, n_samples, 65_536):
            stop = min(start + 65_536, n_samples)
            data[start:stop] = block.reshape(-1, n_channels)[: stop - start]
    return path


@pytest.mark.parametrize("gzip_level", [None, 1])
def test_memory_does_not_grow_with_the_length_of_the_file(
    tmp_path: Path, gzip_level: int | None
) -> None:
    # 32 channels of int16: a block is 262,144 samples long.
    short = lengthened(tmp_path / "short.nwb", 3 * 262_144, 32, gzip_level)
    long = lengthened(tmp_path / "long.nwb", 9 * 262_144, 32, gzip_level)
    before, _ = peak_of(short, tmp_path / "short")
    after, _ = peak_of(long, tmp_path / "long")
    assert before < 160 * MB
    assert after - before < 8 * MB


def test_memory_grows_with_the_number_of_segments_by_their_lines_in_the_manifest_alone(
    tmp_path: Path,
) -> None:
    peaks = []
    for n_segments in (100, 10_000):
        stamps = np.arange(3 * n_segments) / 1000 + np.repeat(np.arange(n_segments), 3)
        source = write_nwb(
            tmp_path / f"{n_segments}.nwb",
            SeriesSpec(samples=3 * n_segments, channels=1, timestamps=stamps),
        )
        peak, files = peak_of(source, tmp_path / str(n_segments))
        assert files == n_segments + 1
        peaks.append(peak)
    assert peaks[1] - peaks[0] < 10_000 * 2048


def test_many_channels_stay_within_the_bound(tmp_path: Path) -> None:
    source = lengthened(tmp_path / "wide.nwb", 140_000, 384, 1)
    peak, files = peak_of(source, tmp_path / "wide")
    assert files == 384 * 3
    assert peak < 400 * MB
