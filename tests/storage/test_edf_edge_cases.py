"""What EDF and BDF files of the wild get wrong, and what becomes of each."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.edf import EdfSource
from storage.edf_header import names_a_person, parse_header
from storage.errors import CorruptRecording, RecordingError, UnsupportedRecording
from storage.recording import Annotation, Recording
from storage.spans import Span, cut
from tests.support.edf_files import SignalSpec, edf_bytes, patched, signals, write_edf

START_US = 1_579_838_756_000_000


def recording_of(path: Path, content: bytes | None = None) -> Recording:
    if content is not None:
        path.write_bytes(content)
    with EdfSource(str(path)) as source:
        return source.recording


def segments_s(path: Path, group: int = 0) -> list[tuple[int, int, float]]:
    with EdfSource(str(path)) as source:
        return [
            (one.span.start, one.span.stop, (one.start_us - source.recording.start_us) / 1e6)
            for one in source.segments(group)
        ]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.edf"


# -- gaps and times


def test_gap_of_a_hundred_seconds(path: Path) -> None:
    write_edf(path, plus="D", gaps={4: "100"})
    assert segments_s(path) == [(0, 1024, 0.0), (1024, 2560, 104.0)]
    assert recording_of(path).notes == ()


def test_gaps_in_a_file_that_says_it_has_none(path: Path) -> None:
    write_edf(path, plus="C", gaps={4: "100", 6: "0.5"})
    assert segments_s(path) == [(0, 1024, 0.0), (1024, 1536, 104.0), (1536, 2560, 106.5)]
    assert recording_of(path).notes == (
        "the header says that there are no gaps, the records have 2: taken as they say",
    )


def test_first_record_begins_within_a_second(path: Path) -> None:
    texts = [("1.5", None, "later"), ("0.1", None, "before the first sample")]
    write_edf(path, plus="C", first_onset="0.25", annotations=texts)
    recording = recording_of(path)
    assert recording.start_us == START_US + 250_000
    assert [(one.onset_us, one.text) for one in recording.annotations] == [
        (-150_000, "before the first sample"), (1_250_000, "later"),
    ]  # fmt: skip
    with EdfSource(str(path)) as source:
        assert source.time_us(0, 256) == START_US + 1_250_000


def test_records_may_drift_by_half_a_sample(path: Path) -> None:
    write_edf(path, plus="C", gaps={3: "0.0019"})
    assert segments_s(path) == [(0, 2560, 0.0)]
    write_edf(path, plus="C", gaps={3: "0.0019", 5: "0.0001"})
    assert segments_s(path) == [(0, 1280, 0.0), (1280, 2560, 5.002)]


def test_records_that_begin_too_early(path: Path) -> None:
    write_edf(path, plus="D", gaps={3: "-0.5"})
    assert segments_s(path) == [(0, 768, 0.0), (768, 2560, 2.5)]
    assert recording_of(path).notes == ("1 records begin before the one in front of them ends",)


def test_records_that_do_not_say_when_they_begin(path: Path) -> None:
    content = edf_bytes(plus="D", gaps={4: "100"}).replace(b"+106\x14\x14\0", b"+106\x14?\x14")
    recording = recording_of(path, content)
    assert segments_s(path) == [(0, 1024, 0.0), (1024, 2560, 104.0)]
    assert recording.notes == ("1 records do not say when they begin: taken as adjoining",)
    assert [one.text for one in recording.annotations] == ["?"]


def test_discontinuous_without_annotations(path: Path) -> None:
    write_edf(path, plus="D", annotation_signals=0)
    assert segments_s(path) == [(0, 2560, 0.0)]
    assert "without annotations" in recording_of(path).notes[0]


# -- annotations


def test_annotations_of_every_form(path: Path) -> None:
    texts = [
        ("1", None, "发作", "second text"),
        ("2.5", "0.75", "with a duration"),
        ("-3", None, "before the start"),
        ("5000", None, "after the end"),
        ("4", None, b"\xb5 in Latin-1"),
        ("5", "1", "Apnea@@EEG 1"),
        ("6", "1", "me@@nobody"),
        ("7", "30", "Seizure"),
    ]
    write_edf(path, plus="C", annotations=texts)
    wanted = [
        Annotation(onset_us=-3_000_000, text="before the start"),
        Annotation(onset_us=1_000_000, text="发作"),
        Annotation(onset_us=1_000_000, text="second text"),
        Annotation(onset_us=2_500_000, text="with a duration", duration_us=750_000),
        Annotation(onset_us=4_000_000, text="µ in Latin-1"),
        Annotation(onset_us=5_000_000, text="Apnea", duration_us=1_000_000, channels=("EEG 1",)),
        Annotation(onset_us=6_000_000, text="me@@nobody", duration_us=1_000_000),
        Annotation(onset_us=7_000_000, text="Seizure", duration_us=30_000_000, kind="seizure"),
        Annotation(onset_us=5_000_000_000, text="after the end"),
    ]
    assert recording_of(path).annotations == tuple(wanted)


def test_malformed_annotations_are_counted_and_their_bytes_kept(path: Path) -> None:
    texts = [
        (b"soon", None, "x"), (b"+1e99", None, "x"), ("1", "long", "x"),
        (b"+99999999999", None, "x"), ("2", "-3", "x"), ("2", None, "good"),
    ]  # fmt: skip
    write_edf(path, plus="C", annotations=texts)
    recording = recording_of(path)
    assert [one.text for one in recording.annotations] == ["good"]
    assert recording.notes == ("5 annotations cannot be read; their bytes are kept",)
    with EdfSource(str(path)) as source:
        assert b"soon" in b"".join(dict(source.blobs())["annotations"])


def test_several_annotation_signals(path: Path) -> None:
    texts = [(str(number), None, f"number {number}") for number in range(20)]
    write_edf(path, plus="C", annotations=texts, annotation_signals=3, annotation_bytes=44)
    assert [one.text for one in recording_of(path).annotations] == [text for *_, text in texts]


@pytest.mark.parametrize("record_s", ["0", "1"])
def test_annotations_only(path: Path, record_s: str) -> None:
    texts = [("0", "30", "Sleep stage W"), ("30", "30", "Sleep stage 1")]
    write_edf(path, signals=(), records=2, record_s=record_s, plus="C", annotations=texts)
    recording = recording_of(path)
    assert recording.groups == ()
    assert [one.text for one in recording.annotations] == ["Sleep stage W", "Sleep stage 1"]
    assert recording.notes == ()


# -- numbers and rates


def test_the_full_range_of_24_bits(path: Path) -> None:
    numbers = np.array([-(1 << 23), -1, 0, 1, (1 << 23) - 1, -256, 255, 65536])
    write_edf(
        path, bdf=True, records=1, signals=[SignalSpec(label="a", samples=8, digital=numbers)]
    )
    with EdfSource(str(path)) as source:
        assert source.recording.groups[0].dtype == np.int32
        np.testing.assert_array_equal(source.read(0, Span(0, 8))[:, 0], numbers)


def test_rates_are_not_made_one(path: Path) -> None:
    specs = [SignalSpec(label=str(rate), samples=rate) for rate in (256, 512, 1, 32)]
    write_edf(path, signals=specs)
    groups = recording_of(path).groups
    assert [(group.rate_hz, group.n_samples) for group in groups] == [
        (256, 2560), (512, 5120), (1, 10), (32, 320),
    ]  # fmt: skip


def test_a_rate_that_is_a_ratio(path: Path) -> None:
    write_edf(path, signals=signals(1, samples=2997), record_s="10")
    (group,) = recording_of(path).groups
    assert group.exact_rate_hz == Fraction(2997, 10)
    write_edf(path, signals=signals(1, samples=1), record_s="3")
    (group,) = recording_of(path).groups
    assert group.exact_rate_hz == Fraction(1, 3)


def test_equal_labels_stay(path: Path) -> None:
    specs = [SignalSpec(label=label) for label in ("T8-P8", "-", "T8-P8", "", "-")]
    write_edf(path, signals=specs)
    labels = [channel.label for channel in recording_of(path).groups[0].channels]
    assert labels == ["T8-P8", "-", "T8-P8", "", "-"]


def test_a_signal_without_samples(path: Path) -> None:
    write_edf(path, signals=[*signals(2), SignalSpec(label="none", samples=0)])
    recording = recording_of(path)
    assert len(recording.groups[0].channels) == 2
    assert recording.notes == ("signal 2 (none): has no samples; only its header is kept",)


@pytest.mark.parametrize(
    ("physical", "limits", "why"),
    [
        (("5", "5.0"), ("-2048", "2047"), "physical minimum and maximum are equal"),
        (("-1", "1"), ("0", "0"), "digital minimum and maximum are equal"),
        (("low", "1"), ("-2048", "2047"), "range is no number"),
        (("1E999", "1"), ("-2048", "2047"), "range is no number"),
    ],
)
def test_without_a_range_there_are_no_microvolts(
    path: Path, physical: tuple[str, str], limits: tuple[str, str], why: str
) -> None:
    write_edf(path, signals=[SignalSpec(label="a", physical=physical, limits=limits)])
    recording = recording_of(path)
    (channel,) = recording.groups[0].channels
    assert channel.unit == "uncalibrated"
    assert (channel.scaling.factor, channel.scaling.offset) == (1.0, 0.0)
    assert recording.notes == (f"signal 0 (a): {why}: uncalibrated",)
    with EdfSource(str(path)) as source:
        np.testing.assert_array_equal(source.read(0, Span(0, 2560))[:, 0], np.arange(2560))


@pytest.mark.parametrize(
    ("physical", "limits"),
    [(("800", "-800"), ("-2048", "2047")), (("-800", "800"), ("2047", "-2048"))],
)
def test_inverted_polarity(path: Path, physical: tuple[str, str], limits: tuple[str, str]) -> None:
    write_edf(path, signals=[SignalSpec(label="a", physical=physical, limits=limits)])
    recording = recording_of(path)
    (channel,) = recording.groups[0].channels
    values = channel.scaling.apply(np.array([-2048, 2047]))
    np.testing.assert_allclose(values, [800, -800], rtol=1e-13)
    assert recording.notes == ("signal 0 (a): minimum is above the maximum: inverted polarity",)


def test_numbers_beyond_the_declared_range(path: Path) -> None:
    numbers = np.arange(256) * 20 - 2500
    spec = SignalSpec(label="a", digital=numbers, limits=("-2048", "2047"))
    write_edf(path, records=1, signals=[*signals(1), spec])
    with EdfSource(str(path)) as source:
        np.testing.assert_array_equal(source.read(0, Span(0, 256))[:, 1], numbers)
        outside = int(((numbers < -2048) | (numbers > 2047)).sum())
        assert outside > 20
        np.testing.assert_array_equal(source.out_of_range(0), [0, outside])


def test_decimal_commas(path: Path) -> None:
    write_edf(path, signals=signals(2, physical=("-800,5", "800,25")), record_s="0,5")
    recording = recording_of(path)
    (group,) = recording.groups
    assert group.exact_rate_hz == 512
    values = group.channels[0].scaling.apply(np.array([-32768, 32767]))
    np.testing.assert_allclose(values, [-800.5, 800.25], rtol=1e-13)
    assert recording.notes == (
        "duration of a record '0,5' has a decimal comma",
        "signals 0 (EEG 0), 1 (EEG 1): range is written with a decimal comma",
    )


def test_units_that_are_not_in_ascii(path: Path) -> None:
    specs = signals(2, dimension="µV".encode("latin-1")) + signals(1, dimension="µV".encode())
    write_edf(path, signals=specs)
    recording = recording_of(path)
    assert {channel.unit for channel in recording.groups[0].channels} == {"uV"}
    assert recording.notes == (
        "signals 0 (EEG 0), 1 (EEG 1), 2 (EEG 0): unit uV is not written in ASCII",
    )


# -- number of records


@pytest.mark.parametrize(
    ("value", "note"),
    [
        ("-1", "never closed: 10 whole records are there"),
        ("12", "header says '12': 10 whole records are there"),
        ("7", "header says '7': 10 whole records are there"),
        ("many", "header says 'many': 10 whole records are there"),
    ],
)
def test_the_file_says_how_many_records_there_are(path: Path, value: str, note: str) -> None:
    recording = recording_of(path, patched(edf_bytes(), "n_records", value))
    assert recording.groups[0].n_samples == 2560
    assert recording.notes == (note,)
    with EdfSource(str(path)) as source:
        assert source.header.fields["n_records"] == value
        assert not source.truncated


@pytest.mark.parametrize("samples", [256, 10])
def test_zeros_after_the_last_record(path: Path, samples: int) -> None:
    write_edf(path, signals=signals(2, samples=samples), tail=bytes(256))
    recording = recording_of(path)
    assert recording.groups[0].n_samples == 10 * samples
    assert recording.notes == ("256 bytes after the last record are kept apart",)
    with EdfSource(str(path)) as source:
        assert b"".join(dict(source.blobs())["tail"]) == bytes(256)
        assert not source.truncated


def test_cut_short_within_a_record(path: Path) -> None:
    content = edf_bytes()
    recording = recording_of(path, content[:-1000])
    assert recording.groups[0].n_samples == 9 * 256
    assert recording.notes == (
        "header says '10': 9 whole records are there",
        "truncated: the last record has 536 of 1536 bytes, which are kept apart",
    )
    with EdfSource(str(path)) as source:
        assert source.truncated
        assert b"".join(dict(source.blobs())["tail"]) == content[-1536:-1000]


def test_no_records(path: Path) -> None:
    write_edf(path, records=0, signals=signals(3))
    recording = recording_of(path)
    assert recording.groups[0].n_samples == 0
    assert recording.notes == ()
    with EdfSource(str(path)) as source:
        assert list(source.segments(0)) == []
        assert source.read(0, Span(0, 0)).shape == (0, 3)
        assert source.bounds_us(0) == (START_US, START_US)


def test_three_hundred_signals(path: Path) -> None:
    write_edf(path, signals=signals(300, samples=10))
    with EdfSource(str(path)) as source:
        block = source.read(0, Span(0, 100))
    wanted = np.arange(100)[:, None] + 7919 * np.arange(300)[None]
    np.testing.assert_array_equal(block, ((wanted + 32768) % 65536 - 32768))


def test_more_than_two_gigabytes(path: Path) -> None:
    content = edf_bytes(signals=signals(23), records=1)
    header, record = content[: 256 * 24], content[256 * 24 :]
    records = 200_000
    with open(path, "wb") as file:
        file.write(patched(header, "n_records", str(records)))
        file.seek((records - 1) * len(record), os.SEEK_CUR)
        file.write(record)
    assert path.stat().st_size > 1 << 31
    before = psutil.Process().memory_info().rss
    with EdfSource(str(path)) as source:
        stop = records * 256
        assert source.recording.groups[0].n_samples == stop
        last = source.read(0, Span(stop - 300, stop))
        np.testing.assert_array_equal(last[:, 0], [*[0] * 44, *range(256)])
        block = np.empty((23, 600 * 256), np.int16)
        for piece in cut(Span(0, stop), block.shape[1]):
            source.read(0, piece, out=block[:, : len(piece)].T)
            assert len(piece) < block.shape[1] or not block.any()
        np.testing.assert_array_equal(block[0, len(piece) - 256 : len(piece)], range(256))
    assert psutil.Process().memory_info().rss - before < 30 << 20


# -- dates


@pytest.mark.parametrize(
    ("start", "recording", "wanted"),
    [
        (("24.01.20", "04.05.56"), "", "2020-01-24T04:05:56"),
        (("24.01.85", "04.05.56"), "", "1985-01-24T04:05:56"),
        (("24.01.84", "04.05.56"), "", "2084-01-24T04:05:56"),
        (("24.01.59", "04.05.56"), "Startdate 24-JAN-1959 X X X", "1959-01-24T04:05:56"),
        (("24.01.yy", "04.05.56"), "Startdate 24-JAN-2120 X X X", "2120-01-24T04:05:56"),
        (("24:01:20", "04:05:56"), "", "2020-01-24T04:05:56"),
        (("4.1.20", "4.5.6"), "", "2020-01-04T04:05:06"),
        (("01.01.85", "04.05.56"), "Startdate 01-JAN-1985 X X X", "1985-01-01T04:05:56"),
        (("00.00.00", "04.05.56"), "Startdate 02-MAR-2002 X X X", "2002-03-02T04:05:56"),
        (("24.01.20", "04.05.56"), "Startdate 25-JAN-2020 X X X", "2020-01-24T04:05:56"),
        (("00.00.00", "04.05.56"), "", None),
        (("01.01.85", "04.05.56"), "Startdate X X X X", None),
        (("31.02.20", "04.05.56"), "", None),
        (("", "04.05.56"), "Startdate 31-FEB-2020 X X X", None),
        (("nothing", "04.05.56"), "", None),
    ],
)
def test_start_dates(
    path: Path, start: tuple[str, str], recording: str, wanted: str | None
) -> None:
    write_edf(path, start=start, recording=recording)
    found = recording_of(path)
    if wanted is None:
        # The time of the day is known.
        assert (found.start_known, found.start_us) == (False, 14_756_000_000)
    else:
        moment = int(np.datetime64(wanted, "us").astype(np.int64))
        assert (found.start_known, found.start_us) == (True, moment)


def test_a_time_that_is_none(path: Path) -> None:
    write_edf(path, start=("24.01.20", "26.00.99"))
    found = recording_of(path)
    assert (found.start_known, found.start_us) == (False, 0)
    assert found.notes == ("start time '26.00.99' is none; times count from the first sample",)


# -- refused


@pytest.mark.parametrize(
    ("field", "value", "signal", "message"),
    [
        ("record_duration", "0", None, "duration of a record in the header: .* got '0'"),
        ("record_duration", "-1", None, "duration of a record in the header: .* got '-1'"),
        ("record_duration", "long", None, "duration of a record in the header"),
        ("record_duration", "1e-99", None, "rate of signal 0"),
        ("header_bytes", "1280", None, "bytes in the header: expected 1024 for 3 .* got '1280'"),
        ("header_bytes", "", None, "bytes in the header: expected 1024"),
        ("n_signals", "0", None, "number of signals in the header: .* got '0'"),
        ("n_signals", "4097", None, "number of signals in the header: expected 1 to 4096"),
        ("n_signals", "-3", None, "number of signals"),
        ("n_signals", "x", None, "number of signals"),
        ("samples", "-256", 1, r"samples per record of signal 1 \(EEG 1\)"),
        ("samples", "2.5", 1, "samples per record of signal 1"),
        ("samples", "99999999", 1, None),
        ("version", "1", None, "is no EDF or BDF file"),
    ],
)
def test_what_samples_depend_on_is_named(
    path: Path, field: str, value: str, signal: int | None, message: str | None
) -> None:
    content = patched(edf_bytes(), field, value, signal)
    if message is None:
        assert recording_of(path, content).groups[0].n_samples == 0
        return
    with pytest.raises((CorruptRecording, UnsupportedRecording), match=message) as found:
        recording_of(path, content)
    assert str(found.value).startswith("a.edf: ")
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("length", [1, 8, 100, 255, 256, 1000])
def test_a_header_that_is_cut_short(path: Path, length: int) -> None:
    with pytest.raises(RecordingError):
        recording_of(path, edf_bytes()[:length])


# -- names


@pytest.mark.parametrize(
    ("patient", "plus", "person"),
    [
        ("X X X X", "C", False), ("MCH-0234567 F 02-MAY-1951 Haagse_Harry", "C", True),
        ("MCH-0234567 F 02-MAY-1951 X", "C", False), ("X F X Female_33yr", "C", True),
        ("", "C", False), ("Jane Doe", "C", True), ("x x x x", "D", False),
        ("", "", False), ("X", "", False), ("Surrogate", "", False), ("Anonymous", "", False),
        ("anonymized", "", False), ("unknown", "", False), ("Patient", "", False),
        ("subject", "", False), ("test", "", False), ("chb01", "", False), ("S-001", "", False),
        ("X X X X", "", False), ("Doe", "", True), ("Jane Doe", "", True), ("Doe 17", "", True),
        ("X F X Female_33yr", "", True), ("X X 01-JAN-0000 X", "", True),
    ],
)  # fmt: skip
def test_headers_that_name_a_person(patient: str, plus: str, person: bool) -> None:
    assert names_a_person(parse_header(edf_bytes(patient=patient, plus=plus))) is person


def test_notes_and_channels_do_not_name_anybody(path: Path) -> None:
    content = patched(edf_bytes(patient="Jane Doe", recording="by Dr Roe"), "n_records", "-1")
    assert "Doe" not in repr(recording_of(path, content))
    assert "Roe" not in repr(recording_of(path))


def test_nothing_unprintable_reaches_labels(path: Path) -> None:
    spec = SignalSpec(label=b"E\0E\x07G \xe9\0\0", dimension=b"u\0V")
    write_edf(path, signals=[spec])
    (channel,) = recording_of(path).groups[0].channels
    assert (channel.label, channel.unit) == ("E E G é", "u V")
    assert "\0" not in repr(channel.details).replace("\\x00", "\0")


# -- damage

SOUND = {
    "plain": edf_bytes(records=3, signals=signals(2, samples=8)),
    "plus": edf_bytes(
        records=3, signals=signals(2, samples=8), plus="D", gaps={1: "1"},
        annotations=[("1", "2", "text"), ("2", None, "other")],
    ),
    "bdf": edf_bytes(
        records=3, bdf=True, plus="C",
        signals=[*signals(2, samples=8), SignalSpec(label="Status", samples=8)],
    ),
}  # fmt: skip


@settings(max_examples=600, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    kind=st.sampled_from(sorted(SOUND)),
    damage=st.lists(
        st.tuples(
            st.integers(0, 1 << 12),
            st.one_of(
                st.binary(min_size=1, max_size=8),
                st.sampled_from([
                    b"99999999", b"-1      ", b"0       ", b"1E99    ", b"-1e-99  ", b"        ",
                    b"+0\x14\x14\0", b"-5\x15\x14", b"9999", b"0,5",
                ]),
            ),
        ),
        min_size=1,
        max_size=4,
    ),
    length=st.one_of(st.none(), st.integers(0, 3000)),
)  # fmt: skip
def test_damage_gives_a_recording_or_says_why_not(
    tmp_path_factory: pytest.TempPathFactory, kind: str, damage: Any, length: int | None
) -> None:
    content = bytearray(SOUND[kind])
    for place, value in damage:
        at = place % len(content)
        content[at : at + len(value)] = value
    path = tmp_path_factory.getbasetemp() / "damaged.edf"
    path.write_bytes(content[:length])
    try:
        source = EdfSource(str(path))
    except RecordingError as error:
        assert "\n" not in str(error)  # noqa: PT017
        return
    with source:
        for number, group in enumerate(source.recording.groups):
            assert group.n_samples * len(group.channels) <= len(content)
            assert source.read(number, Span(0, group.n_samples)).dtype == group.dtype
            assert sum(len(one.span) for one in source.segments(number)) == group.n_samples
            source.bounds_us(number)
            for channel in group.channels:
                assert np.isfinite(channel.scaling.apply(np.array([1, -1]))).all()
