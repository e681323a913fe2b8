"""The plain converter against what the existing processor wrote, and the benchmark's files."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.baselines.benchmark_files import CASES, Case, blocks, write_case, write_file
from tests.baselines.plain_converter import convert
from tests.support.chunk_oracle import expected_chunks
from tests.support.nwb_files import RAW

REPOSITORY = Path(__file__).parents[2]
DATA = Path(os.environ.get("RANVIER_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
CLASSIC = DATA / "pennsieve" / "classic"


@pytest.mark.skipif(not CLASSIC.is_dir(), reason=f"no test data in {CLASSIC}")
def test_the_plain_converter_writes_what_the_existing_processor_wrote(tmp_path: Path) -> None:
    for name, record in json.loads((CLASSIC / "classic.json").read_text()).items():
        output = tmp_path / name
        output.mkdir()
        convert(CLASSIC / name, output)
        payloads = {path.name: gzip.decompress(path.read_bytes()) for path in output.glob("*.gz")}
        digests = {file: hashlib.sha256(data).hexdigest() for file, data in payloads.items()}
        assert digests == record["chunks"]
        metadata = {path.name: json.loads(path.read_text()) for path in output.glob("*.json")}
        assert metadata == record["metadata"]


def test_the_plain_converter_as_a_process(tmp_path: Path) -> None:
    source = tmp_path / "a.nwb"
    write_file(Case(samples=140_000, channels=2, rate_hz=1e3, gaps=1, about=""), source)
    module = "tests.baselines.plain_converter"
    process = subprocess.run(
        [sys.executable, "-m", module, str(source), str(tmp_path / "out")],
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
        text=True,
    )
    cost = json.loads(process.stdout)
    assert 0 < cost["conversion_cpu_s"] < cost["cpu_s"]
    assert 0 < cost["conversion_wall_s"] < cost["wall_s"]
    assert cost["max_rss_bytes"] > 50e6
    expected = expected_chunks(source, classic=True)
    for name, payload in expected.files.items():
        member = (tmp_path / "out" / name).read_bytes()
        assert member[3] == 8  # the header carries the file's name
        assert gzip.decompress(member) == payload
    assert len(list((tmp_path / "out").iterdir())) == len(expected.files) + 2


@pytest.mark.parametrize("chunks", [None, (9000, 2), (7000, 3)])
def test_benchmark_files_hold_the_same_numbers_in_every_layout(
    tmp_path: Path, chunks: tuple[int, int] | None
) -> None:
    case = Case(samples=70_000, channels=3, rate_hz=30e3, chunks=chunks, gaps=2, about="")
    write_file(case, tmp_path / "a.nwb")
    with h5py.File(tmp_path / "a.nwb") as file:
        series = file[RAW]
        assert series["data"].chunks == chunks
        assert series["data"].attrs["unit"] == "volts"
        np.testing.assert_array_equal(series["data"][()], np.concatenate(list(blocks(case))))
        steps = np.diff(series["timestamps"][()])
        assert np.count_nonzero(steps > 1.5 / 30e3) == 2


def test_a_case_that_is_there_is_kept(tmp_path: Path) -> None:
    path = write_case("one_second", tmp_path)
    assert path.stat().st_size > 2 * CASES["one_second"].samples * CASES["one_second"].channels
    before = path.stat().st_mtime_ns
    assert write_case("one_second", tmp_path) == path
    assert path.stat().st_mtime_ns == before
