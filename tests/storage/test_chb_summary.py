"""Summaries of CHB-MIT: the published ones and their oddities."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from storage.chb_summary import parse_summary
from storage.errors import CorruptRecording
from storage.seizures import Seizure

HEAD = """Data Sampling Rate: 256 Hz
*************************

Channels in EDF Files:
**********************
Channel 1: FP1-F7
Channel 2: -
"""


def a_file(*lines: str, name: str = "chb09_08.edf") -> str:
    return HEAD + "\n".join([f"File Name: {name}", *lines]) + "\n"


def test_the_published_summary_of_the_first_case(data: Path) -> None:
    text = (data / "chbmit" / "chb01-summary.txt").read_text()
    files = {each.name: each for each in parse_summary(text, "chb01-summary.txt")}
    assert len(files) == 42
    held = {name: each.seizures("s") for name, each in files.items()}
    assert sum(len(seizures) for seizures in held.values()) == 7
    assert held["chb01_03.edf"] == (Seizure(Fraction(2996), Fraction(3036)),)
    assert held["chb01_04.edf"] == (Seizure(Fraction(1467), Fraction(1494)),)
    assert held["chb01_01.edf"] == ()
    assert len(files["chb01_01.edf"].channels) == 23
    assert files["chb01_01.edf"].channels.count("T8-P8") == 2
    assert files["chb01_01.edf"].start_s == 11 * 3600 + 42 * 60 + 54
    # An hour of one digit, and one beyond 23.
    ends = {each.end_s for each in files.values()}
    assert any(end is not None and end > 86_400 for end in ends)


def test_the_published_summary_of_the_fifth_case(data: Path) -> None:
    text = (data / "chbmit" / "chb05" / "chb05-summary.txt").read_text()
    files = parse_summary(text, "chb05-summary.txt")
    assert sum(len(each.seizures("s")) for each in files) == 5


def test_seizures_are_paired_by_order_not_by_number() -> None:
    text = a_file(
        "Number of Seizures in File: 2",
        "Seizure 1 Start Time: 2951 seconds",
        "Seizure 1 End Time: 3030 seconds",
        "Seizure 2 Start Time: 9196 seconds",
        "Seizure 1 End Time: 9267 seconds",
    )
    (only,) = parse_summary(text, "s")
    assert only.seizures("s") == (
        Seizure(Fraction(2951), Fraction(3030)),
        Seizure(Fraction(9196), Fraction(9267)),
    )


def test_odd_spacing_line_ends_names_and_new_channels() -> None:
    text = (
        a_file("Number of Seizures in File: 0", name="chb02_16+.edf")
        + "Channels changed:\n*****\nChannel 1:  01 \n\n"
        + "File Name:  chb17a_03.edf\nFile Start Time:  24:22:17\nFile End Time: 1:02:03\n"
        + "Number  of Seizures in File:   1\nSeizure  1  Start Time:   7 seconds\n"
        + "Seizure 1 End Time: 8 second\n"
    ).replace("\n", "\r\n")
    first, second = parse_summary(text, "s")
    assert (first.name, first.channels, first.start_s) == ("chb02_16+.edf", ("FP1-F7", "-"), None)
    assert (second.channels, second.start_s, second.end_s) == (("01",), 87_737, 3723)
    assert second.seizures("s") == (Seizure(Fraction(7), Fraction(8)),)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["Number of Seizures in File: 1"], "declares 1 seizures and lists 0"),
        (
            ["Number of Seizures in File: 1", "Seizure Start Time: 5 seconds"],
            "do not alternate",
        ),
        (
            [
                "Number of Seizures in File: 1",
                "Seizure Start Time: 5 seconds",
                "Seizure End Time: 5 seconds",
            ],
            "from 5 s to 5 s",
        ),
        ([], "does not say its number"),
    ],
)
def test_a_contradiction_is_told_for_its_file_alone(lines: list[str], words: str) -> None:
    text = a_file(*lines) + "File Name: other.edf\nNumber of Seizures in File: 0\n"
    first, second = parse_summary(text, "chb-summary.txt")
    with pytest.raises(CorruptRecording, match=words) as caught:
        first.seizures("chb-summary.txt")
    assert "chb09_08.edf" in str(caught.value)
    assert second.seizures("chb-summary.txt") == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "names no file"),
        (HEAD, "names no file"),
        ("Dear all\n", "line 1"),
        ("File Start Time: 1:2:3\n", "before any"),
        (a_file("File Start Time: noon"), "line 9: 'noon' is no time"),
        (a_file("Number of Seizures in File: some"), "no number of seizures"),
        (a_file("Seizure Start Time: 5 minutes"), "expected a time like"),
        (a_file("Weather: fine"), "line 9"),
    ],
)
def test_what_is_no_summary_is_refused(text: str, words: str) -> None:
    with pytest.raises(CorruptRecording, match=words):
        parse_summary(text, "s")
