"""Classic mode: what the existing container processor writes, to the last bit."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from storage.errors import ChannelMismatch, CorruptRecording, UnsupportedRecording, UsageError
from storage.nwb import NwbOptions, NwbSource
from tests.support import nwb_files
from tests.support.nwb_files import ElectrodesSpec, SeriesSpec, SessionSpec, write_nwb
from tests.support.outputs import assert_output, convert, expected_of, metadata_texts, payloads

pytestmark = pytest.mark.usefixtures("nothing_left_over")

EXISTING = (
    "before_1970",
    "float64_with_nan",
    "fractional_rate",
    "gains_and_offset",
    "reordered_region",
    "starting_time_ignored",
    "timestamps_gaps",
    "uint16",
)


@pytest.mark.parametrize("name", EXISTING)
@pytest.mark.parametrize("level", [0, 1])
def test_writes_what_the_existing_processor_wrote(
    data: Path, tmp_path: Path, name: str, level: int
) -> None:
    records = json.loads((data / "pennsieve" / "classic" / "classic.json").read_text())
    assert set(records) == {f"{each}.nwb" for each in EXISTING}
    record = records[f"{name}.nwb"]
    source = data / "pennsieve" / "classic" / f"{name}.nwb"

    result = convert(source, tmp_path / "out", classic=True, level=level)

    assert result.outcome == "stored", result.reason
    digests = {
        file: hashlib.sha256(payload).hexdigest()
        for file, payload in payloads(tmp_path / "out").items()
    }
    assert digests == record["chunks"]
    assert metadata_texts(tmp_path / "out") == {
        file: json.dumps(content, sort_keys=True) for file, content in record["metadata"].items()
    }


def test_metadata_is_one_line_with_the_keys_in_their_order(data: Path, tmp_path: Path) -> None:
    source = data / "pennsieve" / "classic" / "fractional_rate.nwb"
    convert(source, tmp_path / "out", classic=True)
    text = (tmp_path / "out" / "channel-00000.metadata.json").read_text()
    assert text == (
        '{"name": "B00", "start": 1699163998765432, "end": 1699164146220445, "unit": "uV", '
        '"rate": 1017.2526245117188, "type": "CONTINUOUS", "group": "shank1", '
        '"lastAnnotation": 0, "properties": []}'
    )


def stamps_with_everything() -> nwb_files.Stamps:
    """Gaps just above and below the threshold, a step back, a repeat and NaN."""
    stamps = nwb_files.jittered_times(5000, 1000.0, jitter=0.01, seed=4)
    stamps = nwb_files.with_gaps(stamps, {500: 0.0009, 900: 0.0011, 1500: 0.3})
    stamps = nwb_files.with_step_back(stamps, 2000, 0.5)
    stamps = nwb_files.with_repeat(stamps, 2500)
    return nwb_files.with_nan(stamps, 3000, 3001)


@pytest.mark.parametrize("dtype", ["int8", "uint16", "int32", "uint64", "float32", "float64"])
def test_every_type(tmp_path: Path, dtype: str) -> None:
    spec = SeriesSpec(dtype=dtype, extremes=True, conversion=1.95e-7, offset=0.125)
    source = write_nwb(tmp_path / "a.nwb", spec)
    with np.errstate(over="ignore"):
        expected = expected_of(source, classic=True)
        assert convert(source, tmp_path / "out", classic=True).outcome == "stored"
    assert_output(tmp_path / "out", expected)


@pytest.mark.parametrize("dtype", ["int16", "int32", "float32"])
@pytest.mark.parametrize("conversion", [np.float32(1.95e-7), np.float64(1.95e-7), None])
@pytest.mark.parametrize("offset", [np.float32(0.1), None])
def test_precision_follows_the_types_in_the_file(
    tmp_path: Path, dtype: str, conversion: object, offset: object
) -> None:
    source = write_nwb(tmp_path / "a.nwb", SeriesSpec(dtype=dtype))
    nwb_files.set_conversion(source, conversion)
    nwb_files.set_offset(source, offset)
    assert convert(source, tmp_path / "out", classic=True).outcome == "stored"
    assert_output(tmp_path / "out", expected_of(source, classic=True))


@pytest.mark.parametrize("unit", ["volts", "V", "Millivolts", "mV", "MICROVOLTS", "uV"])
def test_units(tmp_path: Path, unit: str) -> None:
    source = write_nwb(tmp_path / "a.nwb", SeriesSpec(dtype="float64", conversion=0.3))
    nwb_files.set_unit(source, unit)
    assert convert(source, tmp_path / "out", classic=True).outcome == "stored"
    with pytest.MonkeyPatch.context() as patch:
        # PyNWB always says volts; the unit in the file is what counts.
        from tests.support import chunk_oracle

        factor = chunk_oracle.CLASSIC_UNITS[unit.lower()]
        patch.setitem(chunk_oracle.CLASSIC_UNITS, "volts", factor)
        expected = expected_of(source, classic=True)
    assert_output(tmp_path / "out", expected)


@pytest.mark.parametrize("rate_hz", [24414.0625, 30_000.0, 1017.2526245117188, 44_100.0])
def test_file_name_times_are_truncated_products(tmp_path: Path, rate_hz: float) -> None:
    spec = SeriesSpec(samples=400_000, channels=1, rate_hz=rate_hz, starting_time_s=99.5)
    source = write_nwb(tmp_path / "a.nwb", spec)
    convert(source, tmp_path / "out", classic=True)
    assert_output(tmp_path / "out", expected_of(source, classic=True))


@pytest.mark.parametrize("rate_hz", [250.0, 1000.0, 20_000.0, 24_414.0625, 30_000.0])
def test_a_rate_from_time_stamps_is_theirs(tmp_path: Path, rate_hz: float) -> None:
    stamps = nwb_files.with_gaps(nwb_files.uniform_times(3000, rate_hz), {1000: 2 / rate_hz})
    source = write_nwb(tmp_path / "a.nwb", SeriesSpec(samples=3000, timestamps=stamps))
    convert(source, tmp_path / "out", classic=True)
    assert_output(tmp_path / "out", expected_of(source, classic=True))


@pytest.mark.parametrize("with_rate", [True, False])
def test_steps_back_and_missing_stamps_split_nothing(tmp_path: Path, with_rate: bool) -> None:
    spec = SeriesSpec(samples=5000, timestamps=stamps_with_everything())
    source = write_nwb(tmp_path / "a.nwb", spec)
    if with_rate:
        nwb_files.add_rate(source, 995.0)
    convert(source, tmp_path / "out", classic=True)
    assert_output(tmp_path / "out", expected_of(source, classic=True))


@pytest.mark.parametrize("at", [65_535, 65_536, 65_537, 99_999, 100_000, 100_001, 131_072])
def test_gaps_at_every_border(tmp_path: Path, at: int) -> None:
    stamps = nwb_files.with_gaps(nwb_files.uniform_times(140_000, 1000.0), {at: 0.0011})
    source = write_nwb(
        tmp_path / "a.nwb", SeriesSpec(samples=140_000, channels=1, timestamps=stamps)
    )
    convert(source, tmp_path / "out", classic=True)
    assert_output(tmp_path / "out", expected_of(source, classic=True))


def test_the_gap_threshold_is_theirs_whatever_is_asked(tmp_path: Path) -> None:
    stamps = nwb_files.without_samples(1000, 250.0, [300, 301, 600])
    source = write_nwb(tmp_path / "a.nwb", SeriesSpec(timestamps=stamps))
    convert(source, tmp_path / "out", classic=True, gap_threshold=50.0)
    assert_output(tmp_path / "out", expected_of(source, classic=True))


def test_names_groups_and_reference_time_are_read_as_they_do(tmp_path: Path) -> None:
    columns = {"label": [f" L{row} " for row in range(4)]}
    source = write_nwb(
        tmp_path / "a.nwb",
        SeriesSpec(electrodes=(2, 0, 3, 1), channel_conversion=(1.0, 0.3, 7.0, -1.0)),
        session=SessionSpec(reference=nwb_files.START.replace(year=2020)),
        electrodes=ElectrodesSpec(groups=("s1", "s2"), columns=columns),
    )
    convert(source, tmp_path / "out", classic=True)
    assert_output(tmp_path / "out", expected_of(source, classic=True))


def test_a_channel_without_a_name_stays_without(tmp_path: Path) -> None:
    source = write_nwb(tmp_path / "a.nwb", SeriesSpec(), electrodes=ElectrodesSpec(columns={}))
    convert(source, tmp_path / "out", classic=True)
    assert_output(tmp_path / "out", expected_of(source, classic=True))


def test_chunk_size(tmp_path: Path) -> None:
    source = write_nwb(tmp_path / "a.nwb", SeriesSpec(samples=300_000, channels=2, gzip=1))
    convert(source, tmp_path / "out", classic=True, chunk_size_mb=2)
    assert_output(tmp_path / "out", expected_of(source, classic=True, chunk_size_mb=2))


def test_containers_are_not_looked_into(tmp_path: Path) -> None:
    source = write_nwb(
        tmp_path / "a.nwb", SeriesSpec(), SeriesSpec(name="lfp", container="LFP", channels=4)
    )
    convert(source, tmp_path / "out", classic=True)
    assert_output(tmp_path / "out", expected_of(source, classic=True))


def test_several_series_ask_which(tmp_path: Path) -> None:
    source = write_nwb(tmp_path / "a.nwb", SeriesSpec(), SeriesSpec(name="second"))
    with pytest.raises(UsageError, match=r"acquisition/raw, acquisition/second.*--series"):
        NwbSource(str(source), NwbOptions(classic=True))
    convert(source, tmp_path / "out", classic=True, series=("second",))
    assert_output(tmp_path / "out", expected_of(source, classic=True, series="second"))


def test_what_it_refuses_is_refused(tmp_path: Path) -> None:
    def refusal(path: Path, kind: type[Exception], words: str) -> None:
        with pytest.raises(kind, match=words) as caught:
            NwbSource(str(path), NwbOptions(classic=True))
        assert "\n" not in str(caught.value)

    subset = write_nwb(tmp_path / "a.nwb", SeriesSpec(), electrodes=ElectrodesSpec(rows=9))
    refusal(subset, ChannelMismatch, "4 channels and an electrodes table of 9 rows")
    empty = write_nwb(tmp_path / "b.nwb", SeriesSpec())
    nwb_files.make_empty(empty)
    refusal(empty, UnsupportedRecording, r"\(0, 4\)")
    flat = write_nwb(tmp_path / "c.nwb", SeriesSpec(channels=1))
    nwb_files.make_one_dimensional(flat)
    refusal(flat, UnsupportedRecording, r"\(1000,\)")
    stamps = nwb_files.uniform_times(1000, 500.0)
    contradicting = write_nwb(tmp_path / "d.nwb", SeriesSpec(timestamps=stamps))
    nwb_files.add_rate(contradicting, 600.0)
    refusal(contradicting, CorruptRecording, "600 Hz.*500 Hz")
    still = write_nwb(tmp_path / "e.nwb", SeriesSpec(timestamps=np.zeros(1000)))
    refusal(still, CorruptRecording, "no rate")
