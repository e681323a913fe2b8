"""``.seizures`` files: the published bytes, made ones, and damaged ones."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.errors import CorruptRecording
from storage.seizures import Seizure, parse_seizures


def word(code: int, delta: int = 0) -> bytes:
    return struct.pack("<H", code << 10 | delta)


def skip(samples: int) -> bytes:
    return word(59) + struct.pack("<hH", samples >> 16, samples & 0xFFFF)


def text(content: bytes) -> bytes:
    return word(63, len(content)) + content + b"\0" * (len(content) % 2)


HEAD = word(22) + text(b"## time resolution: 256") + skip(-1) + word(0, 1)


def made(*times: tuple[int, int]) -> bytes:
    body, at = HEAD, 0
    for start, end in times:
        body += skip(start - at) + word(32) + skip(end - start) + word(33)
        at = end
    return body + word(0)


@pytest.mark.parametrize(
    ("name", "start", "end"),
    [("chb01_03.edf.seizures", 2996, 3036), ("chb01_04.edf.seizures", 1467, 1494)],
)
def test_the_published_files(data: Path, name: str, start: int, end: int) -> None:
    content = (data / "chbmit" / name).read_bytes()
    assert len(content) == 54
    assert parse_seizures(content, name) == (Seizure(Fraction(start), Fraction(end)),)


@given(st.lists(st.integers(0, 2**24), min_size=2, max_size=12, unique=True).map(sorted))
def test_any_seizures_come_back(times: list[int]) -> None:
    pairs = list(zip(times[::2], times[1::2], strict=False))
    # The dummy after the skip of -1 leaves the count at 0.
    found = parse_seizures(made(*pairs), "a.seizures")
    assert found == tuple(Seizure(Fraction(a, 256), Fraction(b, 256)) for a, b in pairs)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "cut short"),
        (made((1, 2))[:-2], "cut short"),
        (made((1, 2))[:20], "cut short within a text"),
        (HEAD + word(59) + b"\0", "cut short within an offset"),
        (HEAD + word(32, 5) + word(0), "does not end"),
        (HEAD + word(33, 5) + word(0), "none began"),
        (HEAD + word(32, 5) + word(32, 5) + word(33, 5) + word(0), "within the one of"),
        (word(32, 5) + word(33, 5) + word(0), "time resolution"),
    ],
)
def test_damage_is_told(content: bytes, words: str) -> None:
    with pytest.raises(CorruptRecording, match=words) as caught:
        parse_seizures(content, "a.seizures")
    assert str(caught.value).startswith("a.seizures: ")


@given(st.binary(max_size=80))
def test_no_bytes_do_anything_worse_than_be_refused(content: bytes) -> None:
    try:
        parse_seizures(HEAD + content, "a.seizures")
    except CorruptRecording:
        return
