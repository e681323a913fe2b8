"""The very file comes back from what is kept of it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from storage.edf import EdfSource
from storage.edf_anonymise import anonymise
from storage.edf_original import rebuild, rebuild_source
from storage.errors import CorruptRecording, UsageError
from storage.spans import Span
from tests.support.edf_files import SignalSpec, edf_bytes, patched, signals

MIXED = [
    SignalSpec(label="a", samples=100), SignalSpec(label="b", samples=7),
    SignalSpec(label="c", samples=100), SignalSpec(label="none", samples=0),
]  # fmt: skip
TEXTS = [("1", "2", "one"), ("3", None, b"\xff\xfe", "two"), (b"bad", None, "x")]
MADE = {
    "plain": edf_bytes(),
    "mixed": edf_bytes(signals=MIXED),
    "with names": edf_bytes(patient="Jane Doe", recording="Startdate 24-JAN-2020 12 Roe X"),
    "plus": edf_bytes(signals=MIXED, plus="D", gaps={3: "9"}, annotations=TEXTS),
    "several annotation signals": edf_bytes(plus="C", annotations=TEXTS, annotation_signals=3),
    "bdf": edf_bytes(signals=MIXED, bdf=True),
    "bdf plus": edf_bytes(signals=MIXED, bdf=True, plus="C", annotations=TEXTS, tail=b"more"),
    "annotations only": edf_bytes(
        signals=(), plus="C", record_s="0", records=1, annotations=TEXTS
    ),
    "no records": edf_bytes(records=0, plus="C"),
    "no records, but a tail": edf_bytes(records=0, tail=b"something"),
    "zeros at the end": edf_bytes(tail=bytes(256)),
    "zeros like records": edf_bytes(signals=signals(2, samples=8), tail=bytes(256)),
    "cut short": edf_bytes()[:-1000],
    "cut short within 24 bits": edf_bytes(bdf=True)[:-1001],
    "never closed": patched(edf_bytes(), "n_records", "-1"),
    "claims more": patched(edf_bytes(plus="C"), "n_records", "99"),
    "claims less": patched(edf_bytes(plus="C"), "n_records", "2"),
    "NUL in the header": patched(edf_bytes(), "recording", b"\0\0\0"),
    "bytes in the header": patched(edf_bytes(), "prefilter", bytes(range(180, 256)), 0),
    "uncalibrated": patched(edf_bytes(), "physical_min", "?", 1),
    "inverted": patched(edf_bytes(), "physical_min", "9999", 1),
    "unknown date": patched(edf_bytes(), "start_date", "00.00.00"),
}  # fmt: skip


@pytest.mark.parametrize("name", MADE)
def test_made_files_come_back(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.edf"
    path.write_bytes(MADE[name])
    with EdfSource(str(path)) as source:
        assert b"".join(rebuild_source(source)) == MADE[name]
        assert source.sha256 == hashlib.sha256(MADE[name]).hexdigest()


def test_recorded_files_come_back(data: Path) -> None:
    paths = sorted([*data.rglob("*.edf"), *data.rglob("*.bdf")])
    assert len(paths) > 30
    for path in paths:
        with EdfSource(str(path)) as source:
            digest = hashlib.sha256()
            for piece in rebuild_source(source):
                digest.update(piece)
            assert digest.hexdigest() == hashlib.sha256(path.read_bytes()).hexdigest(), path
            assert source.sha256 == digest.hexdigest()


def test_many_records_come_back_piece_by_piece(tmp_path: Path) -> None:
    content = edf_bytes(signals=signals(4, samples=1000), records=1500, plus="C")
    (tmp_path / "a.edf").write_bytes(content)
    with EdfSource(str(tmp_path / "a.edf")) as source:
        pieces = list(rebuild_source(source))
    assert max(map(len, pieces)) < 5 << 20
    assert b"".join(pieces) == content


def test_names_are_in_one_blob_only(tmp_path: Path) -> None:
    content = MADE["with names"]
    (tmp_path / "a.edf").write_bytes(content)
    with EdfSource(str(tmp_path / "a.edf")) as source:
        blobs = {name: b"".join(parts) for name, parts in source.blobs()}
        anonymous = b"".join(rebuild_source(source, with_names=False))
    assert set(blobs) == {"header", "identity"}
    assert blobs["identity"] == content[8:168]
    assert blobs["header"] == content[:8] + b" " * 160 + content[168:1024]
    assert anonymous[8:168] == b"X X X X".ljust(80) + b"Startdate X X X X".ljust(80)
    assert anonymous[:8] + anonymous[168:] == content[:8] + content[168:]


def test_parts_that_do_not_fit(tmp_path: Path) -> None:
    (tmp_path / "a.edf").write_bytes(MADE["plus"])
    with EdfSource(str(tmp_path / "a.edf")) as source:
        blobs = {name: b"".join(parts) for name, parts in source.blobs()}
        counts = [group.n_samples for group in source.recording.groups]
        header, texts = blobs["header"], blobs["annotations"]

        def attempt(texts: bytes | None, counts: list[int], identity: bytes | None = None) -> None:
            b"".join(rebuild(header, identity, texts, None, source.read, counts))

        attempt(texts, counts)
        for wrong in (texts[:-1], None, texts * 2):
            with pytest.raises(CorruptRecording, match="a part is missing"):
                attempt(wrong, counts)
        with pytest.raises(CorruptRecording, match="a part is missing"):
            attempt(texts, [counts[0], counts[1] - 7])
        with pytest.raises(CorruptRecording, match="1 rate groups were given"):
            attempt(texts, counts[:1])
        with pytest.raises(CorruptRecording, match="expected 160 bytes"):
            attempt(texts, counts, b"X")


def test_the_date_can_be_hidden_too() -> None:
    header = MADE["with names"][:1024]
    hidden = anonymise(header, clip_date=True)
    assert hidden[168:184] == b"01.01.8504.05.56"
    assert anonymise(header)[168:184] == b"24.01.2004.05.56"
    assert hidden[:8] + hidden[184:] == header[:8] + header[184:]
    assert b"Doe" not in hidden


def test_reading_back_what_was_hidden(tmp_path: Path) -> None:
    content = MADE["with names"]
    (tmp_path / "a.edf").write_bytes(anonymise(content[:1024], clip_date=True) + content[1024:])
    with EdfSource(str(tmp_path / "a.edf")) as source:
        assert not source.recording.start_known
        assert not source.names_a_person
        assert source.recording.start_us == 14_756_000_000
        np.testing.assert_array_equal(source.read(0, Span(0, 9))[:, 0], np.arange(9))


def test_fields_are_never_cut() -> None:
    from storage.edf_anonymise import identity_fields

    for wrong in ("x" * 81, "Ödön", "a\nb"):
        with pytest.raises(UsageError, match="80 printable ASCII"):
            identity_fields(wrong, "X")
