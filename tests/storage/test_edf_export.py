"""EDF+ and BDF+ files keep the promises of a sink, and say what the recording said."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import edfio
import mne
import numpy as np
import pyedflib
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from storage.edf import EdfSource
from storage.edf_export import EdfSink
from storage.edf_fields import nearest, number_text
from storage.errors import AlreadyExists, UnsupportedRecording, UsageError
from storage.protocols import RecordingSink, RecordingSource
from storage.recording import Annotation, Channel
from storage.scaling import Scaling
from storage.spans import Span
from tests.contracts.recording_sink import GROUPS, RecordingSinkTests
from tests.support.edf_files import SignalSpec, edf_bytes, patched, signals, write_edf
from tests.support.synthetic_recording import START_US, SyntheticGroup, SyntheticRecording

pytestmark = pytest.mark.usefixtures("nothing_left_over")


def without_padding(source: EdfSource, group: int) -> NDArray[np.float64]:
    """Return the physical values of what was recorded."""
    held = source.recording.groups[group]
    numbers = source.read(group, Span(0, held.n_samples))
    kept = np.ones(held.n_samples, bool)
    half_us = 5e5 / held.rate_hz
    for one in source.recording.annotations:
        if one.text == "BAD_padding":
            begin = source.recording.start_us + one.onset_us - half_us
            stop = begin + (one.duration_us or 0)
            for segment in source.segments(group):
                span = segment.span
                times = segment.start_us + np.arange(len(span)) * 1e6 / held.rate_hz
                kept[span.start : span.stop] &= ~((times >= begin) & (times < stop))
    columns = [
        channel.scaling.apply(numbers[:, place]) for place, channel in enumerate(held.channels)
    ]
    return np.stack(columns, axis=1)[kept]


class TestSink(RecordingSinkTests):
    """Groups that neither begin, nor pause, nor end together need a file each."""

    def sink(self, place: str) -> RecordingSink:
        return EdfSink(place)

    def looks_whole(self, place: str) -> bool:
        return Path(place).exists()

    def read_back(self, place: str) -> list[NDArray[np.float64]]:
        groups: list[NDArray[np.float64]] = []
        for file in json.loads((Path(place) / "export.json").read_text())["files"]:
            with EdfSource(str(Path(place) / file["name"])) as source:
                groups.extend(
                    without_padding(source, number)
                    for number in range(len(source.recording.groups))
                )
        return groups


# -- what came from EDF or BDF


def same(one: EdfSource, other: EdfSource) -> None:
    """Compare all that a recording is."""
    a, b = one.recording, other.recording
    assert (a.start_us, a.start_known) == (b.start_us, b.start_known)
    assert a.groups == b.groups
    assert a.annotations == b.annotations
    for number, group in enumerate(a.groups):
        span = Span(0, group.n_samples)
        np.testing.assert_array_equal(one.read(number, span), other.read(number, span))
        assert list(one.segments(number)) == list(other.segments(number))
    for mine, theirs in zip(one.header.signals, other.header.signals, strict=False):
        if not (mine.is_annotations or theirs.is_annotations):
            assert mine.fields == theirs.fields


def test_recorded_files_come_out_as_they_went_in(data: Path, tmp_path: Path) -> None:
    for path in sorted([*data.rglob("*.edf"), *data.rglob("*.bdf")]):
        out = str(tmp_path / path.name)
        with EdfSource(str(path)) as source:
            sink = EdfSink(out)
            assert sink.write(source) == out
            assert sink.notes == ()
            with EdfSource(out) as written:
                same(source, written)
                assert written.header.fields["patient"] == "X X X X"
                assert not written.names_a_person
            assert opens_elsewhere(out) >= {"edfio", "pyedflib"}, path


def opens_elsewhere(path: str) -> set[str]:
    """Return which other readers take a file and see as many samples in it."""
    found = set()
    bdf = path.endswith("bdf")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (edfio.read_bdf if bdf else edfio.read_edf)(path)
        found.add("edfio")
        try:
            with pyedflib.EdfReader(path):
                found.add("pyedflib")
        except OSError as error:
            # It reads no gaps, and says so.
            found.add("pyedflib" if "discontinuous" in str(error) else str(error))
        if not str(path).endswith("Hypnogram.edf"):
            (mne.io.read_raw_bdf if bdf else mne.io.read_raw_edf)(path, verbose="error")
            found.add("mne")
    return found


texts = st.text(
    st.characters(codec="utf-8", exclude_characters="\x00\x14\x15\r", exclude_categories=["Cs"]),
    min_size=1,
    max_size=40,
).filter(lambda text: "@@" not in text)


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    rates=st.lists(st.sampled_from([1, 3, 7, 16, 100]), min_size=1, max_size=4),
    records=st.integers(1, 12),
    record_s=st.sampled_from(["1", "0.1", "10", "0.25", "2.5", "30", "0.999", "999999"]),
    kind=st.sampled_from([("", False), ("C", False), ("D", False), ("", True), ("D", True)]),
    gaps=st.dictionaries(st.integers(1, 11), st.integers(1, 10**9)),
    onset=st.integers(0, 999_999),
    written=st.lists(
        st.tuples(
            st.integers(-(10**7), 10**11), st.one_of(st.none(), st.integers(0, 10**9)), texts
        ),
        max_size=5,
    ),
    date=st.sampled_from([("24.01.20", "Startdate 24-JAN-2020 X X X"), ("00.00.00", ""),
                          ("05.12.59", "Startdate 05-DEC-1959 X X X")]),
    calibration=st.sampled_from(
        [("-800", "800", "-2048", "2047"), ("1", "1", "0", "9"), ("9.5", "-1e3", "-9", "32767")]
    ),
)  # fmt: skip
def test_edf_comes_out_as_it_went_in(
    tmp_path_factory: pytest.TempPathFactory,
    rates: list[int],
    records: int,
    record_s: str,
    kind: tuple[str, bool],
    gaps: dict[int, int],
    onset: int,
    written: list[tuple[int, int | None, str]],
    date: tuple[str, str],
    calibration: tuple[str, str, str, str],
) -> None:
    plus, bdf = kind
    specs = [
        SignalSpec(
            label=f"ch {number % 3}", samples=rate, physical=calibration[:2],
            limits=calibration[2:], prefilter="HP:0.1Hz", transducer="cup",
        )
        for number, rate in enumerate(rates)
    ]  # fmt: skip

    def decimal(us: int) -> str:
        return f"{'-' if us < 0 else ''}{abs(us) // 10**6}.{abs(us) % 10**6:06d}"

    notes = [
        (decimal(at), None if lasts is None else decimal(lasts), text)
        for at, lasts, text in written
    ]
    folder = tmp_path_factory.getbasetemp()
    path = write_edf(
        folder / "source.edf", signals=specs, records=records, record_s=record_s, plus=plus,
        bdf=bdf, gaps={at: decimal(us) for at, us in gaps.items()} if plus else {},
        annotations=notes if plus else [], annotation_bytes=1000,
        first_onset=decimal(onset), start=(date[0], "04.05.56"), recording=date[1],
    )  # fmt: skip
    out = folder / f"written.{'bdf' if bdf else 'edf'}"
    with EdfSource(str(path)) as source:
        sink = EdfSink(str(out), overwrite=True)
        sink.write(source)
        assert sink.notes == ()
        with EdfSource(str(out)) as other:
            same(source, other)


def test_damaged_files_come_out_sound(tmp_path: Path) -> None:
    content = patched(edf_bytes(plus="C", gaps={4: "7"}), "n_records", "-1")[:-100]
    (tmp_path / "a.edf").write_bytes(content)
    with EdfSource(str(tmp_path / "a.edf")) as source:
        EdfSink(str(tmp_path / "b.edf")).write(source)
        with EdfSource(str(tmp_path / "b.edf")) as other:
            same(source, other)
            assert other.recording.notes == ()
            assert other.header.plus == "D"


def test_markers_of_a_status_channel_are_not_written_twice(tmp_path: Path) -> None:
    status = np.zeros(2560, np.int64)
    status[300:310] = 9
    path = write_edf(
        tmp_path / "a.bdf", bdf=True, signals=[SignalSpec(label="Status", digital=status)]
    )
    with EdfSource(str(path)) as source:
        EdfSink(str(tmp_path / "b.bdf")).write(source)
        with EdfSource(str(tmp_path / "b.bdf")) as other:
            same(source, other)
            assert len(other.recording.annotations) == 1


# -- what came from elsewhere


def annotated(source: SyntheticRecording, *annotations: Annotation) -> SyntheticRecording:
    source.recording = replace(source.recording, annotations=annotations)
    return source


def written(source: RecordingSource, path: Path, **given: Any) -> tuple[EdfSource, EdfSink]:
    sink = EdfSink(str(path), **given)
    return EdfSource(sink.write(source)), sink


def test_integers_stay_what_they_are(tmp_path: Path) -> None:
    group = SyntheticGroup(n_samples=2000, scaling=Scaling(0.195, -6.25))
    made = SyntheticRecording(group)
    source, sink = written(made, tmp_path / "a.edf")
    with source:
        np.testing.assert_array_equal(source.read(0, Span(0, 2000)), group.numbers(Span(0, 2000)))
        for channel in source.recording.groups[0].channels:
            assert channel.scaling.factor == pytest.approx(0.195, rel=1e-13)
            assert channel.scaling.offset == pytest.approx(-6.25, rel=1e-12)
        assert source.recording.start_us == START_US
        assert list(source.segments(0)) == list(made.segments(0))
    assert sink.notes == ()


@pytest.mark.parametrize("factor", [0.195, 0.3907, 1 / 3, 800 / 2048, 1e-3, 12.5, 7e5, 0.0488281])
@pytest.mark.parametrize("bits", [16, 24])
def test_scaling_is_exact_or_what_it_costs_is_said(
    tmp_path: Path, factor: float, bits: int
) -> None:
    group = SyntheticGroup(n_samples=1000, n_channels=1, scaling=Scaling(factor, 1.5))
    path = tmp_path / ("a.edf" if bits == 16 else "a.bdf")
    source, sink = written(SyntheticRecording(group), path)
    stored = group.numbers(Span(0, 1000))
    with source:
        assert source.recording.groups[0].channels[0].unit == "uV"
        values = without_padding(source, 0)
        np.testing.assert_array_equal(source.read(0, Span(0, 1000)), stored)
    off = float(np.abs(values - group.scaling.apply(stored)).max())
    span = float(np.abs(values).max())
    if sink.notes:
        (note,) = sink.notes
        said = float(note.split("at most ")[1].split()[0])
        assert off <= said * 1.05
        assert said < 32768 * factor * 1e-4
    else:
        assert off <= 1e-9 * span


def test_float_numbers_become_fine_steps(tmp_path: Path) -> None:
    class Sines(SyntheticRecording):
        def read(self, group: int, span: Span, *args: Any, **given: Any) -> Any:
            index = np.arange(span.start, span.stop)[:, None]
            return (np.sin(index / np.array([3.0, 5.0, 7.0])) * 187.3 + 4e-5).astype(np.float64)

    made = Sines(SyntheticGroup(n_samples=5000, dtype="float64", rate_hz=250.0))
    wanted = made.read(0, Span(0, 5000))
    for name, steps in (("a.edf", 1 << 16), ("a.bdf", 1 << 24)):
        source, sink = written(made, tmp_path / name)
        with source:
            off = np.abs(without_padding(source, 0) - wanted).max()
        assert off <= 376 / steps / 2
        assert len(sink.notes) == 3
        said = float(sink.notes[0].split("at most ")[1].split()[0])
        assert off <= said * 1.05
        assert said < 376 / steps
    folder = EdfSink(str(tmp_path / "folder"))
    folder.write(made)
    assert [path.name for path in (tmp_path / "folder").glob("*.?df")] == ["synthetic.bdf"]


def test_integers_beyond_16_bits_need_bdf(tmp_path: Path) -> None:
    made = SyntheticRecording(SyntheticGroup(n_samples=100_000, n_channels=1, dtype="int32"))
    with pytest.raises(UnsupportedRecording, match=r"0 to 99999 do not fit .* write a \.bdf"):
        EdfSink(str(tmp_path / "a.edf")).write(made)
    assert list(tmp_path.iterdir()) == []
    source, sink = written(made, tmp_path / "a.bdf")
    with source:
        np.testing.assert_array_equal(source.read(0, Span(0, 100_000))[:, 0], np.arange(100_000))
    assert sink.notes == ()


def test_several_rates_in_one_file(tmp_path: Path) -> None:
    made = SyntheticRecording(
        SyntheticGroup(n_samples=2560, rate_hz=256.0),
        SyntheticGroup(n_samples=2000, rate_hz=200.0, n_channels=2),
        SyntheticGroup(n_samples=5, rate_hz=0.5, n_channels=1),
    )
    source, sink = written(made, tmp_path / "a.edf")
    with source:
        assert [group.exact_rate_hz for group in source.recording.groups] == [
            256, 200, Fraction(1, 2),
        ]  # fmt: skip
        assert source.header.record_s == 2
        for number, group in enumerate(made._groups):
            span = Span(0, group.n_samples)
            np.testing.assert_array_equal(source.read(number, span), group.numbers(span))
    assert sink.notes == ()
    assert opens_elsewhere(str(tmp_path / "a.edf")) == {"edfio", "pyedflib", "mne"}


def test_rates_that_do_not_go_together_need_a_folder(tmp_path: Path) -> None:
    made = SyntheticRecording(
        SyntheticGroup(n_samples=2560, rate_hz=256.0),
        SyntheticGroup(n_samples=20_000, rate_hz=199.987),
    )
    with pytest.raises(UnsupportedRecording, match=r"do not go into one file: .* folder"):
        EdfSink(str(tmp_path / "a.edf")).write(made)
    EdfSink(str(tmp_path / "a")).write(made)
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert names == ["export.json", "synthetic-2.edf", "synthetic.edf"]


def test_a_rate_that_is_measured(tmp_path: Path) -> None:
    made = SyntheticRecording(SyntheticGroup(n_samples=500_000, rate_hz=249.98713372))
    source, sink = written(made, tmp_path / "a.edf")
    with source:
        assert len(list(source.segments(0))) == 1
        for index in (0, 100_000, 499_999):
            assert abs(source.time_us(0, index) - made.time_us(0, index)) < 1001
    assert any("fits EDF only nearly" in note for note in sink.notes)


def test_gaps_and_padding(tmp_path: Path) -> None:
    made = SyntheticRecording(
        SyntheticGroup(n_samples=1003, rate_hz=100.0, gaps_us={501: 3_000_000})
    )
    source, sink = written(made, tmp_path / "a.edf")
    with source:
        assert source.header.plus == "D"
        segments = list(source.segments(0))
        assert [one.start_us for one in segments] == [one.start_us for one in made.segments(0)]
        np.testing.assert_array_equal(
            without_padding(source, 0), made.read(0, Span(0, 1003)).astype(float)
        )
        pads = [one for one in source.recording.annotations if one.text == "BAD_padding"]
        assert [one.onset_us for one in pads] == [5_010_000, 13_030_000]
    assert any("2 stretches do not fill" in note for note in sink.notes)
    assert opens_elsewhere(str(tmp_path / "a.edf")) >= {"edfio", "mne"}


def test_annotations_of_every_form(tmp_path: Path) -> None:
    given = [
        Annotation(onset_us=-5_000_001, text="before"),
        Annotation(onset_us=0, text="begin", duration_us=0),
        Annotation(onset_us=1_234_567, text="发作 ünï", duration_us=30_000_000),
        Annotation(onset_us=2_000_000, text="left", channels=("G0C0",)),
        Annotation(onset_us=2_000_000, text="two\nlines\ttab"),
        Annotation(onset_us=3_000_000, text="Seizure", kind="seizure", duration_us=10),
        Annotation(onset_us=999_000_000, text="after"),
    ]
    made = annotated(SyntheticRecording(SyntheticGroup()), *given)
    source, _ = written(made, tmp_path / "a.edf")
    with source:
        assert list(source.recording.annotations) == given
    assert opens_elsewhere(str(tmp_path / "a.edf")) == {"edfio", "pyedflib", "mne"}


def test_many_annotations_at_once_go_on_in_later_records(tmp_path: Path) -> None:
    given = [Annotation(onset_us=4_000_000, text=f"number {count:03d}") for count in range(200)]
    made = annotated(SyntheticRecording(SyntheticGroup()), *given)
    source, _ = written(made, tmp_path / "a.edf")
    with source:
        assert list(source.recording.annotations) == given
        assert source.header.signals[-1].samples * 2 < 2000


def test_what_cannot_be_in_an_annotation(tmp_path: Path) -> None:
    long = "word " * 1000
    made = annotated(
        SyntheticRecording(SyntheticGroup()),
        Annotation(onset_us=0, text="a\x00b\x14c\x15d"),
        Annotation(onset_us=1, text=long),
        Annotation(onset_us=2, text="both", channels=("G0C0", "G0C1")),
    )
    source, _ = written(made, tmp_path / "a.edf")
    with source:
        found = source.recording.annotations
    assert found[0].text == "a b c d"
    assert "".join(one.text for one in found if one.onset_us == 1) == long
    assert [one.channels for one in found if one.onset_us == 2] == [("G0C0",), ("G0C1",)]


def test_annotations_only(tmp_path: Path) -> None:
    given = [
        Annotation(onset_us=30_000_000 * count, text=f"Sleep stage {count}", duration_us=5)
        for count in range(2000)
    ]
    made = annotated(SyntheticRecording(), *given)
    source, _ = written(made, tmp_path / "a.edf")
    with source:
        assert list(source.recording.annotations) == given
        assert source.recording.groups == ()
        assert source.recording.start_us == START_US
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert len(edfio.read_edf(str(tmp_path / "a.edf")).annotations) == 2000


def test_groups_without_samples(tmp_path: Path) -> None:
    given = Annotation(onset_us=0, text="begin")
    made = annotated(
        SyntheticRecording(SyntheticGroup(), SyntheticGroup(n_samples=0, rate_hz=7.0)), given
    )
    source, sink = written(made, tmp_path / "a.edf")
    with source:
        assert len(source.recording.groups) == 1
        assert source.recording.annotations == (given,)
    assert sink.notes == ("group1: holds no samples and is left out",)
    empty, _ = written(SyntheticRecording(SyntheticGroup(n_samples=0)), tmp_path / "b.edf")
    with empty:
        (group,) = empty.recording.groups
        assert (group.n_samples, group.rate_hz, len(group.channels)) == (0, 1000, 3)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_is_refused(tmp_path: Path, value: float) -> None:
    class Holed(SyntheticRecording):
        def read(self, group: int, span: Span, *args: Any, **given: Any) -> Any:
            block = super().read(group, span, *args, **given)
            block[5, 1] = value
            return block

    made = Holed(SyntheticGroup(dtype="float32"))
    with pytest.raises(UnsupportedRecording, match=r"channel G0C1: .* no numbers"):
        EdfSink(str(tmp_path / "a.bdf")).write(made)


@pytest.mark.parametrize(
    ("scaling", "dtype"),
    [(Scaling(1e16), "int16"), (Scaling(1e9, 0.5), "float64")],
)
def test_values_without_a_place_are_refused(tmp_path: Path, scaling: Scaling, dtype: str) -> None:
    class Halves(SyntheticRecording):
        def read(self, group: int, span: Span, *args: Any, **given: Any) -> Any:
            block: Any = super().read(group, span, *args, **given)
            return block * 1e6 + 0.5 if dtype == "float64" else block

    made = Halves(SyntheticGroup(scaling=scaling, dtype=dtype))
    with pytest.raises(UnsupportedRecording, match="8 characters"):
        EdfSink(str(tmp_path / "a.bdf")).write(made)


def test_labels_and_units_that_edf_cannot_hold(tmp_path: Path) -> None:
    made = SyntheticRecording(SyntheticGroup())
    (group,) = made.recording.groups
    channels = (
        Channel(label="a label of more than 16 characters"),
        Channel(label="Größe", unit="µmol"),
        Channel(label="same", unit="something long"),
    )
    made.recording = replace(made.recording, groups=(replace(group, channels=channels),))
    source, sink = written(made, tmp_path / "a.edf")
    with source:
        found = [(one.label, one.unit) for one in source.recording.groups[0].channels]
    assert found == [("a label of more", "uV"), ("Gr??e", "umol"), ("same", "somethin")]
    assert len(sink.notes) == 3
    assert opens_elsewhere(str(tmp_path / "a.edf")) == {"edfio", "pyedflib", "mne"}


# -- names and dates


def test_nobody_is_named_unless_asked_for(tmp_path: Path) -> None:
    path = write_edf(tmp_path / "a.edf", patient="Jane Doe", recording="by Roe", plus="C")
    with EdfSource(str(path)) as source:
        EdfSink(str(tmp_path / "b.edf")).write(source)
        EdfSink(str(tmp_path / "c.edf"), patient="P17 F X X", clip_date=True).write(source)
    written = (tmp_path / "b.edf").read_bytes()
    assert written[8:88] == b"X X X X".ljust(80)
    assert written[88:168] == b"Startdate 24-JAN-2020 X X X".ljust(80)
    assert written[168:184] == b"24.01.2004.05.56"
    hidden = (tmp_path / "c.edf").read_bytes()
    assert hidden[8:88] == b"P17 F X X".ljust(80)
    assert hidden[88:168] == b"Startdate X X X X".ljust(80)
    assert hidden[168:184] == b"01.01.8504.05.56"
    for name in ("b.edf", "c.edf"):
        assert opens_elsewhere(str(tmp_path / name)) == {"edfio", "pyedflib", "mne"}
    with pytest.raises(UsageError, match="80 printable ASCII"), EdfSource(str(path)) as source:
        EdfSink(str(tmp_path / "d.edf"), patient="Ödön").write(source)
    assert not (tmp_path / "d.edf").exists()


# -- places


def test_a_file_appears_whole_and_is_not_replaced(tmp_path: Path) -> None:
    first, other = SyntheticRecording(GROUPS[1]), SyntheticRecording(SyntheticGroup())
    place = str(tmp_path / "new" / "a.edf")
    EdfSink(place).write(first)
    content = Path(place).read_bytes()
    EdfSink(place).write(first)
    with pytest.raises(AlreadyExists, match="is another file"):
        EdfSink(place).write(other)
    assert Path(place).read_bytes() == content
    EdfSink(place, overwrite=True).write(other)
    assert Path(place).read_bytes() != content
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.edf"]


def test_a_folder_of_others_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    (tmp_path / "a.edf").mkdir()
    for sink in (
        EdfSink(str(tmp_path / "out")),
        EdfSink(str(tmp_path / "out"), overwrite=True),
        EdfSink(str(tmp_path / "a.edf")),
        EdfSink(str(tmp_path / "out" / "mine.txt")),
    ):
        with pytest.raises(AlreadyExists):
            sink.write(SyntheticRecording(GROUPS[1]))
    assert (tmp_path / "out" / "mine.txt").read_text() == "mine"
    EdfSink(str(tmp_path / "folder")).write(SyntheticRecording(GROUPS[1]))
    EdfSink(str(tmp_path / "folder"), overwrite=True).write(SyntheticRecording(GROUPS[3]))
    with pytest.raises(UsageError, match="not to a bucket"):
        EdfSink("s3://bucket/a.edf")


# -- numbers of eight characters


@given(st.fractions(-(10**9), 10**9))
def test_numbers_are_written_exactly_or_not_at_all(value: Fraction) -> None:
    try:
        text = number_text(value, "a number")
    except UnsupportedRecording as error:
        assert "8 characters" in str(error)  # noqa: PT017
    else:
        assert len(text) <= 8
        assert Fraction(text) == value
    for direction in (-1, 0, 1):
        found = nearest(value, direction)
        if found is None:
            assert abs(value) > 9_999_999
            continue
        assert number_text(found, "a number")
        assert direction == 0 or (found - value) * direction >= 0
        assert abs(found - value) * 10**5 <= max(abs(value), Fraction(1))


def test_details_that_no_longer_hold_are_not_written(tmp_path: Path) -> None:
    path = write_edf(tmp_path / "a.edf", signals=signals(1))
    with EdfSource(str(path)) as source:
        (group,) = source.recording.groups
        changed = replace(group.channels[0], scaling=Scaling(0.5))
        source.recording = replace(source.recording, groups=(replace(group, channels=(changed,)),))
        other, _ = written(source, tmp_path / "b.edf")
    with other:
        assert other.recording.groups[0].channels[0].scaling.factor == pytest.approx(0.5)
