"""GDF files: the published one against MNE, and made ones of every kind."""

from __future__ import annotations

import os
import warnings
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import mne
import numpy as np
import pytest

from storage.errors import CorruptRecording, NotFound, UnsupportedRecording
from storage.folders import open_folder
from storage.gdf import GdfSource
from storage.protocols import RecordingSource, has_stamps
from storage.spans import Span
from tests.contracts.recording_source import RecordingSourceTests
from tests.support.gdf_files import GdfChannel, write_gdf

START = datetime(2012, 7, 6, 19, 2, 16, tzinfo=UTC)


def counting(label: str, count: int, dtype: str = "float64", **given: object) -> GdfChannel:
    return GdfChannel(label=label, samples=np.arange(count).astype(dtype), **given)  # type: ignore[arg-type]


class GdfSourceTests(RecordingSourceTests):
    def open(self, path: Path) -> RecordingSource:
        return GdfSource(str(path))

    def change(self, path: Path) -> None:
        stat = path.stat()
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))


class TestVersionOne(GdfSourceTests):
    def make(self, folder: Path) -> Path:
        channels = [counting("Oz", 3000), counting("O1", 3000), counting("O1", 3000)]
        return write_gdf(folder / "a.gdf", *channels, version="1.25", start=START)


class TestVersionTwo(GdfSourceTests):
    def make(self, folder: Path) -> Path:
        channels = [counting(name, 3000, "int16", per_record=100) for name in ("C3", "C4")]
        return write_gdf(folder / "a.gdf", *channels, record_s=Fraction(1, 10), start=START)


def test_several_rates_are_refused_since_mne_would_resample(tmp_path: Path) -> None:
    path = write_gdf(
        tmp_path / "a.gdf",
        counting("fast", 4000, per_record=40),
        counting("slow", 400, per_record=4),
        record_s=Fraction(1, 10),
    )
    with pytest.raises(UnsupportedRecording, match="channels at 40, 400 Hz"):
        GdfSource(str(path))


@pytest.mark.parametrize("version", ["1.25", "2.20"])
@pytest.mark.parametrize("unit", ["uV", "mV", "V"])
def test_every_unit_of_voltage_gives_microvolts(tmp_path: Path, version: str, unit: str) -> None:
    samples = np.arange(-500, 500).astype(np.int16)
    channel = GdfChannel(
        label="Cz", samples=samples, unit=unit, physical=(-800.0, 800.0), digital=(-2048, 2048)
    )
    path = write_gdf(tmp_path / "a.gdf", channel, version=version)
    with GdfSource(str(path)) as source:
        (held,) = source.recording.groups[0].channels
        assert held.unit == "uV"
        values = held.scaling.apply(source.read(0, Span(0, 1000)))[:, 0]
    factor = {"uV": 1.0, "mV": 1e3, "V": 1e6}[unit]
    np.testing.assert_allclose(values, samples * (800 / 2048) * factor, rtol=1e-12)


def test_events_start_and_rates_are_those_of_the_file(tmp_path: Path) -> None:
    path = write_gdf(
        tmp_path / "a.gdf",
        counting("Cz", 2560),
        version="1.25",
        start=START,
        events=[(256, 769), (0, 768), (4000, 770)],
    )
    with GdfSource(str(path)) as source:
        recording = source.recording
        assert not has_stamps(source)
    assert recording.start_known
    assert recording.start_us == int(START.timestamp()) * 1_000_000
    assert [(each.onset_us, each.text) for each in recording.annotations] == [
        (0, "768"),
        (1_000_000, "769"),
        (15_625_000, "770"),
    ]
    assert {each.kind for each in recording.annotations} == {"marker"}
    assert "1 of 3 events lie beyond the last sample" in recording.notes


def test_the_published_file_is_what_mne_reads(data: Path) -> None:
    (path,) = (data / "ssvep_gdf").glob("*.gdf")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        raw = mne.io.read_raw_gdf(path, preload=True, verbose="error")
    with GdfSource(str(path)) as source:
        recording = source.recording
        (group,) = recording.groups
        values = source.read(0, Span(0, group.n_samples))
    np.testing.assert_array_equal(values.T, raw.get_data())
    assert [channel.label for channel in group.channels] == raw.ch_names
    assert group.channels[0].label == "Oz"
    assert (group.rate_hz, group.n_samples) == (256.0, 57_024)
    inside = [each for each in recording.annotations if each.onset_us / 1e6 < group.n_samples / 256]
    assert [each.text for each in inside] == list(raw.annotations.description)
    np.testing.assert_allclose([each.onset_us / 1e6 for each in inside], raw.annotations.onset)
    assert sum(each.text in {"33024", "33025", "33026", "33027"} for each in inside) == 32
    assert recording.annotations[-1].text == "32770"
    assert any("may be in another unit (mV?)" in note for note in recording.notes)
    assert not recording.start_known


def test_memory_stays_small_because_nothing_is_preloaded(tmp_path: Path) -> None:
    path = write_gdf(tmp_path / "a.gdf", counting("Cz", 512_000, per_record=2560))
    with GdfSource(str(path)) as source:
        block = source.read(0, Span(300_000, 300_010))
    assert block[:, 0].tolist() == list(range(300_000, 300_010))


def test_damage_is_told(tmp_path: Path) -> None:
    good = write_gdf(tmp_path / "a.gdf", counting("Cz", 2560), events=[(1, 2)]).read_bytes()
    bad = tmp_path / "bad.gdf"
    cases = [
        (b"", UnsupportedRecording, "not a GDF file"),
        (b"EDF 1.0" + good[7:], UnsupportedRecording, "not a GDF file"),
        (good[:100], CorruptRecording, "a GDF header has 256"),
        (good[:300], CorruptRecording, "within its header"),
        (good[:-5], CorruptRecording, "events is cut short"),
        (good[:5000], CorruptRecording, "records end at"),
        (good[:4] + b"x.yz" + good[8:], CorruptRecording, "version"),
        (good[:252] + b"\xff\xff" + good[254:], CorruptRecording, "65535 channels"),
    ]
    for content, kind, words in cases:
        bad.write_bytes(content)
        with pytest.raises(kind, match=words) as caught:
            GdfSource(str(bad))
        assert "bad.gdf" in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(NotFound):
        GdfSource(str(tmp_path / "absent.gdf"))


def test_it_is_read_from_a_bucket(bucket_url: str, tmp_path: Path) -> None:
    path = write_gdf(tmp_path / "a.gdf", counting("Cz", 2560))
    open_folder(bucket_url).write("a.gdf", [path.read_bytes()])
    with GdfSource(f"{bucket_url}/a.gdf") as source:
        assert source.read(0, Span(7, 9))[:, 0].tolist() == [7.0, 8.0]
        assert source.fingerprint["bytes"] == path.stat().st_size
