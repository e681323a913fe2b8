"""The oracle against what the existing container processor wrote, and against hand calculations."""

from __future__ import annotations

import hashlib
import json
import os
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from tests.support import nwb_files
from tests.support.chunk_oracle import BadTimestamp, Expected, expected_chunks
from tests.support.nwb_files import ElectrodesSpec, SeriesSpec, SessionSpec, write_nwb

DATA = Path(
    os.environ.get("RANVIER_TEST_DATA", Path(__file__).parents[2].parent / "shared" / "data")
)
CLASSIC = DATA / "pennsieve" / "classic"
CLASSIC_FILES = (
    "before_1970",
    "float64_with_nan",
    "fractional_rate",
    "gains_and_offset",
    "reordered_region",
    "starting_time_ignored",
    "timestamps_gaps",
    "uint16",
)
START_US = 1_714_979_289_123_456


def names_of(expected: Expected, channel: int = 0) -> list[str]:
    """Return the file names of one channel, in the order of time."""
    return [name for name in expected.files if name.startswith(f"channel-{channel:05d}_")]


@pytest.mark.skipif(not CLASSIC.is_dir(), reason=f"no test data in {CLASSIC}")
@pytest.mark.parametrize("name", CLASSIC_FILES)
def test_classic_equals_what_the_existing_processor_wrote(name: str) -> None:
    wrote = json.loads((CLASSIC / "classic.json").read_text())
    assert set(wrote) == {f"{file}.nwb" for file in CLASSIC_FILES}
    record = wrote[f"{name}.nwb"]
    source = CLASSIC / f"{name}.nwb"
    assert hashlib.sha256(source.read_bytes()).hexdigest() == record["nwb_sha256"]

    expected = expected_chunks(source, classic=True)

    digests = {file: hashlib.sha256(data).hexdigest() for file, data in expected.files.items()}
    assert digests == record["chunks"]
    as_text = {key: json.dumps(value, sort_keys=True) for key, value in expected.metadata.items()}
    assert as_text == {
        key: json.dumps(value, sort_keys=True) for key, value in record["metadata"].items()
    }


def test_a_rate_series_by_hand(tmp_path: Path) -> None:
    source = write_nwb(
        tmp_path / "a.nwb",
        SeriesSpec(samples=10, channels=2, rate_hz=30_000.0, starting_time_s=1.5, offset=0.5),
    )
    expected = expected_chunks(source)
    first, last = START_US + 1_500_000, START_US + 1_500_000 + 300
    assert list(expected.files) == [
        f"channel-0000{channel}_{first}_{last}.bin.gz" for channel in range(2)
    ]
    values = np.frombuffer(expected.files[f"channel-00000_{first}_{last}.bin.gz"], ">f8")
    np.testing.assert_array_equal(values, (np.arange(10.0) * 1e-6 + 0.5) * 1e6)
    assert expected.metadata["channel-00001.metadata.json"] == {
        "name": "CH001",
        "start": first,
        "end": last,
        "unit": "uV",
        "rate": 30_000.0,
        "type": "CONTINUOUS",
        "group": "shank1",
        "lastAnnotation": 0,
        "properties": [],
    }


def test_halves_of_a_microsecond_go_to_the_even_one(tmp_path: Path) -> None:
    source = write_nwb(
        tmp_path / "a.nwb",
        SeriesSpec(samples=200_000, channels=1, rate_hz=2_000_000.0),
        session=SessionSpec(start=datetime(1970, 1, 1, tzinfo=UTC)),
    )
    # Sample 131,071 is at 65,535.5 us, sample 199,999 at 99,999.5 us.
    assert names_of(expected_chunks(source)) == [
        "channel-00000_0_65536.bin.gz",
        "channel-00000_65536_100000.bin.gz",
    ]


def test_one_missing_sample_is_a_gap(tmp_path: Path) -> None:
    stamps = nwb_files.without_samples(1000, 1000.0, [400])
    source = write_nwb(tmp_path / "a.nwb", SeriesSpec(timestamps=stamps))
    assert names_of(expected_chunks(source)) == [
        f"channel-00000_{START_US}_{START_US + 399_000}.bin.gz",
        f"channel-00000_{START_US + 401_000}_{START_US + 1_000_000}.bin.gz",
    ]
    assert len(names_of(expected_chunks(source, gap_threshold=2.5))) == 1


def test_the_rate_comes_from_the_longest_stretch(tmp_path: Path) -> None:
    stamps = nwb_files.with_gaps(
        nwb_files.jittered_times(5000, 24_414.0625), {1000: 0.5, 1100: 0.25}
    )
    source = write_nwb(tmp_path / "a.nwb", SeriesSpec(samples=5000, timestamps=stamps))
    rate = expected_chunks(source).metadata["channel-00000.metadata.json"]["rate"]
    assert rate == 3899 / (stamps[4999] - stamps[1100])


def test_bad_time_stamps_are_named_or_repaired(tmp_path: Path) -> None:
    even = nwb_files.uniform_times(100, 1000.0)
    for stamps in (
        nwb_files.with_step_back(even, 40, 0.02),
        nwb_files.with_repeat(even, 40),
        nwb_files.with_nan(even, 40, 41),
    ):
        source = write_nwb(
            tmp_path / "a.nwb", SeriesSpec(samples=100, channels=1, timestamps=stamps)
        )
        with pytest.raises(BadTimestamp) as caught:
            expected_chunks(source)
        assert caught.value.index == 40
        repaired = expected_chunks(source, repair=True)
        sizes = [len(payload) // 8 for payload in repaired.files.values()]
        assert sorted(sizes) in ([40, 60], [1, 40, 59])


def test_series_follow_each_other_by_path(tmp_path: Path) -> None:
    source = write_nwb(
        tmp_path / "a.nwb",
        SeriesSpec(name="z", channels=1, rate_hz=100.0),
        SeriesSpec(name="b", channels=2, container="LFP", electrodes=(3, 1)),
        SeriesSpec(name="a", channels=1, electrodes=(1,)),
        SeriesSpec(name="p", channels=1, module="ecephys", container="LFP", electrodes=(3,)),
        SeriesSpec(name="s", kind="SpikeEventSeries", timestamps=np.arange(1000.0)),
    )

    def names(series: str | None) -> list[str]:
        expected = expected_chunks(source, series=series)
        return [one["name"] for one in expected.metadata.values()]

    assert names(None) == ["CH003", "CH001-b", "CH001-a", "CH000"]
    assert names("all") == ["CH003-b", "CH001-b", "CH001-a", "CH000", "CH003-p"]
    assert names("acquisition/LFP/b") == names("b") == ["CH003", "CH001"]


def test_names_groups_and_their_fallbacks(tmp_path: Path) -> None:
    def channels(**columns: list[object]) -> list[tuple[str, str]]:
        source = write_nwb(
            tmp_path / "a.nwb",
            SeriesSpec(),
            electrodes=ElectrodesSpec(groups=("s1", "s2"), columns=columns),
        )
        metadata = expected_chunks(source).metadata.values()
        return [(one["name"], one["group"]) for one in metadata]

    groups = ["s1", "s1", "s2", "s2"]
    assert channels(channel_name=["A", "B", "A", "B"]) == list(zip("ABAB", groups, strict=True))
    assert channels(label=[7, 8, 9, 10]) == list(zip(("7", "8", "9", "10"), groups, strict=True))
    assert [name for name, _ in channels()] == ["raw-0", "raw-1", "raw-2", "raw-3"]
    assert [name for name, _ in channels(channel_name=["A", "a", " ", "B"])] == [
        "A-0",
        "a-1",
        "raw-2",
        "B",
    ]


def test_odd_shapes(tmp_path: Path) -> None:
    source = write_nwb(tmp_path / "a.nwb", SeriesSpec(name="raw"), SeriesSpec(name="none"))
    usual = expected_chunks(source, series="raw")
    nwb_files.make_channels_first(source)
    nwb_files.make_empty(source, "acquisition/none")
    with pytest.warns(UserWarning, match="second dimension"):
        assert expected_chunks(source) == usual

    source = write_nwb(tmp_path / "b.nwb", SeriesSpec(channels=1))
    usual = expected_chunks(source)
    nwb_files.make_one_dimensional(source)
    assert expected_chunks(source) == usual
