"""EDF and BDF files of every kind keep the promises of a source."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from storage import edf_records, edf_triggers
from storage.edf import EdfSource
from storage.errors import CorruptRecording, NotFound, UnsupportedRecording, UsageError
from storage.protocols import RecordingSource, has_original
from storage.spans import Span
from tests.contracts.recording_source import RecordingSourceTests
from tests.support.edf_files import SignalSpec, edf_bytes, signals, write_edf

pytestmark = pytest.mark.usefixtures("nothing_left_over")

MIXED = (
    SignalSpec(label="fast", samples=512),
    SignalSpec(label="EEG 1", samples=256),
    SignalSpec(label="EEG 2", samples=256),
    SignalSpec(label="EKG", samples=512),
    SignalSpec(label="EEG 3", samples=256),
    SignalSpec(label="temperature", samples=1, dimension="degC"),
)


def numbered(*specs: SignalSpec) -> tuple[SignalSpec, ...]:
    """Return signals of which the first of each rate carries the sample number."""
    seen: set[int] = set()
    found = []
    for place, spec in enumerate(specs):
        shift = 0 if spec.samples not in seen else place
        seen.add(spec.samples)
        found.append((spec, shift))
    return tuple(
        SignalSpec(
            label=spec.label,
            samples=spec.samples,
            dimension=spec.dimension,
            digital=((np.arange(10 * spec.samples) + 7919 * shift + 32768) % 65536 - 32768),
        )
        for spec, shift in found
    )


class EdfSourceTests(RecordingSourceTests):
    """Reads a local file."""

    def open(self, path: Path) -> RecordingSource:
        return EdfSource(str(path))

    def change(self, path: Path) -> None:
        stat = path.stat()
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))


class TestPlain(EdfSourceTests):
    def make(self, folder: Path) -> Path:
        return write_edf(folder / "a.edf")


class TestMixedRates(EdfSourceTests):
    def make(self, folder: Path) -> Path:
        return write_edf(folder / "a.edf", signals=numbered(*MIXED))


class TestGaps(EdfSourceTests):
    def make(self, folder: Path) -> Path:
        gaps = {2: "0.5", 3: "100", 9: "0.003"}
        return write_edf(
            folder / "a.edf", plus="D", gaps=gaps, signals=numbered(*MIXED), first_onset="0.25"
        )


class TestBdf(EdfSourceTests):
    def make(self, folder: Path) -> Path:
        return write_edf(folder / "a.bdf", bdf=True, signals=signals(4, samples=100))


class TestBdfPlus(EdfSourceTests):
    def make(self, folder: Path) -> Path:
        texts = [("1.5", "2", "something")]
        return write_edf(
            folder / "a.bdf", bdf=True, plus="D", gaps={4: "7"}, annotations=texts, records=20
        )


class TestRatioRate(EdfSourceTests):
    def make(self, folder: Path) -> Path:
        return write_edf(folder / "a.edf", signals=signals(2, samples=2997), record_s="10")


class TestManyBlocks(EdfSourceTests):
    """More bytes than are read at once."""

    def make(self, folder: Path) -> Path:
        return write_edf(folder / "a.edf", signals=signals(5, samples=500), records=500)


class TestFarApart(EdfSourceTests):
    """A slow signal in long records is read record by record."""

    def make(self, folder: Path) -> Path:
        specs = (SignalSpec(label="slow", samples=10), *signals(2, samples=9000))
        return write_edf(folder / "a.edf", signals=numbered(*specs), plus="C")


class LongRecordTests(EdfSourceTests):
    """Records that are longer than a block."""

    @pytest.fixture(autouse=True)
    def _small_blocks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(edf_records, "BLOCK_BYTES", 1000)
        monkeypatch.setattr(edf_records, "PIECE_BYTES", 300)


class TestLongRecords(LongRecordTests):
    def make(self, folder: Path) -> Path:
        return write_edf(folder / "a.edf", signals=numbered(*MIXED), plus="D", gaps={3: "1"})


class TestLongBdfRecords(LongRecordTests):
    def make(self, folder: Path) -> Path:
        return write_edf(
            folder / "a.bdf", bdf=True, plus="C", annotation_bytes=1200, annotation_signals=2
        )


class TestInABucket(EdfSourceTests):
    """Reads ranges of an object."""

    @pytest.fixture(autouse=True)
    def _bucket(self, bucket_url: str) -> None:
        self.url = bucket_url

    def make(self, folder: Path) -> Path:
        self.content = edf_bytes(plus="D", gaps={3: "1"}, signals=numbered(*MIXED))
        self.put(self.content)
        return folder

    def put(self, content: bytes) -> None:
        from storage.folders import open_folder

        open_folder(self.url).write("a.edf", [content])

    def open(self, path: Path) -> RecordingSource:
        return EdfSource(f"{self.url}/a.edf")

    def change(self, path: Path) -> None:
        self.put(self.content + b"more")

    def test_closing_lets_go_of_everything(self, path: Path) -> None:
        # The bucket is served by threads of this process, which come and go.
        source = self.open(path)
        source.read(0, Span(0, 1))
        source.close()
        with pytest.raises(ValueError, match="closed"):
            source.read(0, Span(0, 1))
        source.close()


def test_values_are_those_of_the_definition(tmp_path: Path) -> None:
    given = SignalSpec(label="a", physical=("-187.5", "93.7"), limits=("-2048", "2047"))
    path = write_edf(tmp_path / "a.edf", signals=[given], records=256)
    with EdfSource(str(path)) as source:
        (channel,) = source.recording.groups[0].channels
        numbers = source.read(0, Span(0, 65536))[:, 0].astype(np.float64)
    wanted = (numbers + 2048) * (93.7 + 187.5) / (2047 + 2048) - 187.5
    np.testing.assert_allclose(channel.scaling.apply(numbers), wanted, rtol=0, atol=1e-9)
    exact = (2047 + 2048) * Fraction("281.2") / 4095 - Fraction("187.5")
    assert channel.scaling.apply(np.array([2047]))[0] == pytest.approx(float(exact), abs=1e-12)


@pytest.mark.parametrize(
    ("dimension", "unit", "to_unit"),
    [
        ("uV", "uV", 1.0), ("\xb5V".encode("latin-1"), "uV", 1.0), ("µV".encode(), "uV", 1.0),
        ("μV".encode(), "uV", 1.0), (b"\x83\xcaV", "uV", 1.0), ("mV", "uV", 1e3),
        ("V", "uV", 1e6), ("nV", "uV", 1e-3), ("MV", "MV", 1.0), ("degC", "degC", 1.0),
        ("%", "%", 1.0), ("", "", 1.0),
    ],
)  # fmt: skip
def test_every_voltage_becomes_microvolts(
    tmp_path: Path, dimension: str | bytes, unit: str, to_unit: float
) -> None:
    path = write_edf(tmp_path / "a.edf", signals=[SignalSpec(label="a", dimension=dimension)])
    with EdfSource(str(path)) as source:
        (channel,) = source.recording.groups[0].channels
        notes = source.recording.notes
    assert (channel.unit, channel.scaling.to_unit) == (unit, to_unit)
    assert channel.scaling.factor == pytest.approx(0.1)
    assert bool(notes) == isinstance(dimension, bytes)


def test_details_are_the_header_fields(tmp_path: Path) -> None:
    given = SignalSpec(
        label=" T8-P8", transducer="AgAgCl cup", prefilter="HP:0.1Hz", reserved="mine"
    )
    path = write_edf(tmp_path / "a.edf", signals=[*signals(2), given])
    with EdfSource(str(path)) as source:
        channel = source.recording.groups[0].channels[2]
    assert channel.label == "T8-P8"
    assert channel.details == {
        "signal": "2", "label": " T8-P8", "transducer": "AgAgCl cup", "dimension": "uV",
        "physical_min": "-3276.8", "physical_max": "3276.7", "digital_min": "-32768",
        "digital_max": "32767", "prefilter": "HP:0.1Hz", "samples": "256", "reserved": "mine",
    }  # fmt: skip


def test_recording_and_groups(tmp_path: Path) -> None:
    path = write_edf(tmp_path / "night 1.edf", signals=numbered(*MIXED))
    with EdfSource(str(path)) as source:
        recording = source.recording
        assert has_original(source)
    assert recording.id == "night 1.edf"
    assert recording.start_us == 1_579_838_756_000_000
    assert recording.start_known
    assert recording.notes == ()
    assert [group.name for group in recording.groups] == ["512 Hz", "256 Hz", "1 Hz"]
    assert [group.n_samples for group in recording.groups] == [5120, 2560, 10]
    assert [group.ratio for group in recording.groups] == [512, 256, 1]
    labels = [[channel.label for channel in group.channels] for group in recording.groups]
    assert labels == [["fast", "EKG"], ["EEG 1", "EEG 2", "EEG 3"], ["temperature"]]


def test_a_block_is_channel_major(tmp_path: Path) -> None:
    with EdfSource(str(write_edf(tmp_path / "a.edf"))) as source:
        assert source.read(0, Span(10, 2000)).T.flags.c_contiguous


def test_more_than_there_is_is_refused(tmp_path: Path) -> None:
    with EdfSource(str(write_edf(tmp_path / "a.edf"))) as source:
        with pytest.raises(UsageError, match="2561"):
            source.read(0, Span(0, 2561))
        with pytest.raises(UsageError, match="4 were asked for"):
            source.read(0, Span(0, 1), Span(0, 4))


def test_a_file_that_shrinks_meanwhile_is_found(tmp_path: Path) -> None:
    path = write_edf(tmp_path / "a.edf")
    with EdfSource(str(path)) as source:
        os.truncate(path, 4000)
        with pytest.raises(CorruptRecording, match="had 16384 when it was opened"):
            source.read(0, Span(0, 2560))


def test_what_is_no_file_of_the_kind(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no such file"):
        EdfSource(str(tmp_path / "none.edf"))
    with pytest.raises(NotFound, match="is a folder"):
        EdfSource(str(tmp_path))
    for content in (b"", b"{}", b"\x89HDF\r\n\x1a\n" + bytes(1000)):
        (tmp_path / "other.edf").write_bytes(content)
        with pytest.raises(UnsupportedRecording, match=r"other\.edf: is no EDF or BDF file"):
            EdfSource(str(tmp_path / "other.edf"))


def test_status_of_a_bdf_stays_a_channel_and_gives_markers(tmp_path: Path) -> None:
    status = np.full(2560, 0x18_0000, np.int64)
    status[100:110] |= 5
    status[110:120] |= 7
    status[2000:] |= 0xFFFF
    status[2300:] |= 0x40_0000
    specs = [*signals(2), SignalSpec(label="Status", dimension="Boolean", digital=status)]
    path = write_edf(tmp_path / "a.bdf", bdf=True, signals=specs, plus="C", first_onset="0.5")
    with EdfSource(str(path)) as source:
        np.testing.assert_array_equal(source.read(0, Span(0, 2560))[:, 2], status)
        found = [(one.onset_us, one.text, one.kind) for one in source.recording.annotations]
    assert found == [
        (390_625, "5", "marker"), (429_688, "7", "marker"), (7_812_500, "65535", "marker"),
    ]  # fmt: skip


def test_a_status_that_is_noise_gives_no_markers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edf_triggers, "MOST_TRIGGERS", 1000)
    noise = np.arange(2560) % 2 + 1
    path = write_edf(
        tmp_path / "a.bdf", bdf=True, signals=[SignalSpec(label="Status", digital=noise)]
    )
    with EdfSource(str(path)) as source:
        assert source.recording.annotations == ()
        assert source.recording.notes == ("Status changes more than 1000 times: no codes",)


def test_threads_read_at_once(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    path = write_edf(tmp_path / "a.edf", signals=signals(5, samples=500), records=400)
    with EdfSource(str(path)) as source, ThreadPoolExecutor(4) as threads:
        whole = source.read(0, Span(0, 200_000)).copy()
        spans = [Span(at, at + 9000) for at in range(0, 190_000, 777)]
        found = threads.map(lambda span: source.read(0, span), spans)
        for span, block in zip(spans, found, strict=True):
            np.testing.assert_array_equal(block, whole[span.start : span.stop])
