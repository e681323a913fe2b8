"""Seizure lists of the Siena database: the published one, and impossible times."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from storage.errors import CorruptRecording
from storage.seizures import Seizure
from storage.siena_list import parse_siena_list, place_siena


def entry(start: str, end: str, *, begun: str = "23.50.00", over: str = "00.50.00") -> str:
    return (
        f"Seizure n 1\nFile name: PN01-1.edf\nRegistration start time: {begun}\n"
        f"Registration end time: {over}\nSeizure start time: {start}\nSeizure end time: {end}\n"
    )


def test_the_published_list(data: Path) -> None:
    text = (data / "siena" / "Seizures-list-PN00.txt").read_text()
    listed = parse_siena_list(text, "list")
    assert [each.file for each in listed] == [f"PN00-{n}.edf" for n in range(1, 6)]
    found = {each.file: place_siena(listed, each.file, "list") for each in listed}
    assert found["PN00-1.edf"] == ([Seizure(Fraction(1143), Fraction(1213))], [])
    assert found["PN00-2.edf"] == ([Seizure(Fraction(1220), Fraction(1274))], [])
    seizures, (report,) = found["PN00-3.edf"]
    assert seizures == [Seizure(Fraction(765), None)]
    assert "seizure 3: ends 4425 s after" in report
    assert "only its start is kept" in report


def test_midnight_passes() -> None:
    listed = parse_siena_list(entry("00.01.00", "00.02.30"), "list")
    assert place_siena(listed, "pn01-1.EDF", "list") == (
        [Seizure(Fraction(660), Fraction(750))],
        [],
    )


@pytest.mark.parametrize(
    ("text", "kept", "words"),
    [
        (entry("00.10.00", "00.09.00"), 1, "ends 1140 s"),
        (entry("01.10.00", "01.11.00"), 0, "starts 4800 s after a registration of 3600 s"),
        (entry("25.10.00", "00.11.00"), 0, "'25.10.00' is no time"),
        (entry("00.10.00", ""), 1, "has no end"),
    ],
)
def test_impossible_times_are_reported(text: str, kept: int, words: str) -> None:
    seizures, reports = place_siena(parse_siena_list(text, "list"), "PN01-1.edf", "list")
    assert len(seizures) == kept
    assert any(words in report for report in reports)
    assert all(report.startswith("list: seizure 1: ") for report in reports)


def test_what_is_no_list_is_refused() -> None:
    with pytest.raises(CorruptRecording, match="names no seizure"):
        parse_siena_list("File name: a.edf\n", "list")
