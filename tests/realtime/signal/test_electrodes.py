"""Electrodes: what a label says, and the way from one electrode to another."""

from __future__ import annotations

import pytest

from realtime.signal.electrodes import Electrodes, electrodes_of


@pytest.mark.parametrize(
    ("label", "ends"),
    [
        ("FP1-F7", ("FP1", "F7")),
        ("Fp1", ("FP1", "REF")),
        ("EEG Fp1", ("FP1", "REF")),
        ("EEG Fp1-REF", ("FP1", "REF")),
        ("EEG FP1-Ref", ("FP1", "REF")),
        ("EEG Fp1 - F7", ("FP1", "F7")),
        ("EEG-Fp1", ("FP1", "REF")),
        (" eeg:fp1 ", ("FP1", "REF")),
        ("EEG F3_C3", ("F3", "C3")),
        ("Fp1\N{EN DASH}F7", ("FP1", "F7")),
        ("EEG Fpz-Cz", ("FPZ", "CZ")),
        ("Fc5.", ("FC5", "REF")),
        ("C3..", ("C3", "REF")),
        ("T7-FT9", ("T7", "FT9")),
        ("FT9-FT10", ("FT9", "FT10")),
        ("TP9", ("TP9", "REF")),
        ("F10", ("F10", "REF")),
        ("T3-T5", ("T7", "P7")),
        ("EEG T6-LE", ("P8", "LE")),
        ("T4-A2", ("T8", "A2")),
        ("C3-A2", ("C3", "A2")),
        ("C3-M2", ("C3", "M2")),
        ("C4A1", ("C4", "A1")),
        ("EEG A1-Ref", ("A1", "REF")),
        ("A1-A2", ("A1", "A2")),
        ("Fp1-AV", ("FP1", "AV")),
        ("Fp1-AVG", ("FP1", "AVG")),
        ("Fp1-CAR", ("FP1", "CAR")),
        ("FP1-CS2", ("FP1", "CS2")),
        ("T8-P8-1", ("T8", "P8")),
        ("Fp1-Fp1", None),
        ("T3-T7", None),
        *[
            (label, None)
            for label in (
                *("", "-", "--", ".", "ECG", "EKG EKG", "ECG-LA", "EKG1-CHIN", "EOG", "ROC-LOC"),
                *("EMG-REF", "VNS", "SpO2", "SPO2", "X1", "HR", "1", "2", "MK", "Status", "B1"),
                *("POL E", "POL T1", "POL $A1", "SaO2 X9", "DC01", "F'1", "C13", "P30", "REF"),
                *("LE", "AVG", "REF-Fp1", "Fp1-", "-Fp1", "Fp1-F7-C3", "Fp1-1", "EEG", "EEG 1"),
                *("Fp1-F7 filtered", "sine 10 Hz", "Photic-Ref", "LUE-RAE", "Fp1=F7"),
            )
        ],
    ],
)
def test_labels(label: str, ends: tuple[str, str] | None) -> None:
    assert electrodes_of(label) == ends


def test_the_sockets_of_an_amplifier_are_no_electrodes() -> None:
    sockets = [f"{letter}{number}" for letter in "ABCDEFGH" for number in range(1, 17)]
    assert Electrodes(sockets).scalp == ()
    assert Electrodes(["A1", "A2", "C3", "F7"]).scalp == ("C3", "F7")


@pytest.mark.parametrize("form", ["{}", "EEG {}", "EEG {}-Ref", "POL {}"])
def test_the_contacts_of_depth_electrodes_are_no_electrodes_of_the_scalp(form: str) -> None:
    shafts = {"A": 8, "B": 10, "C": 8, "F": 10, "O": 8, "P": 6, "T": 8}
    contacts = [form.format(f"{name}{n}") for name, top in shafts.items() for n in range(1, top)]
    assert Electrodes(contacts).scalp == ()
    # Not even beside a few electrodes of the scalp: which of the two a C3 is, nobody can tell.
    scalp = ["EEG Fz-Ref", "EEG Cz-Ref", "EEG Fp1-Ref", "EEG Pz-Ref"]
    assert Electrodes([*contacts, *scalp]).scalp == ("FZ", "CZ", "FP1", "PZ")


def test_contacts_are_told_by_those_between_two_of_them() -> None:
    assert Electrodes(["C1-C2", "C2-C3", "C3-C4", "F3-F4", "F4-F5", "C15-C16"]).scalp == (
        *("F3", "F4", "F5"),
    )
    assert Electrodes([f"F{number}-F{number + 1}" for number in range(1, 8)]).scalp == ()


@pytest.mark.parametrize(
    "labels",
    [
        # A night of sleep, a few channels, the 10-10 system, old names of the temples, and extras.
        ["F3-M2", "F4-M1", "C3-M2", "C4-M1", "O1-M2", "O2-M1"],
        ["F3-C3", "C3-P3", "F4-C4", "C4-P4"],
        [*(f"{letter}{n}" for letter in "FP" for n in range(1, 9)), "Fz", "Cz"],
        [*(f"C{n}" for n in range(1, 7)), *(f"FC{n}" for n in range(1, 7)), "FCz"],
        ["Fp1", "Fp2", "T1", "T2", "T3", "T4", "T5", "T6", "O1", "O2"],
        ["C3", "C4", "X1", "X2", "X3", "X9", "DC01", "E1", "E2", "EKG1", "SaO2 X9", "B1", "B9"],
    ],
)
def test_electrodes_of_the_scalp_stay(labels: list[str]) -> None:
    ends = [electrodes_of(label) for label in labels]
    assert Electrodes(labels).columns == [place for place, each in enumerate(ends) if each]


def test_the_shortest_way() -> None:
    graph = Electrodes(["Fp1-F7", "F7-T7", "T7-P7", "P7-T7", "Fp1-P7", "ECG", "Fz-Cz"])
    assert graph.columns == [0, 1, 2, 3, 4, 6]
    assert graph.path("FP1", "F7") == {0: 1}
    assert graph.path("F7", "FP1") == {0: -1}
    assert graph.path("FP1", "T7") == {0: 1, 1: 1}
    assert graph.path("F7", "P7") == {0: -1, 4: 1}
    assert graph.path("T7", "P7") == {2: 1}
    assert graph.path("P7", "T7") == {3: 1}
    assert graph.path("CZ", "FP1") is None
    assert graph.path("CZ", "O1") is None
    assert graph.part("T7") == ("FP1", "F7", "T7", "P7")
    assert graph.part("O1") == ()
    assert graph.largest() == ("FP1", "F7", "T7", "P7")


def test_of_two_ways_the_first_recorded_counts_forth_and_back() -> None:
    labels = ["F3-C3", "C3-P3", "F3-Cz", "Cz-P3"]
    for given, forth in ((labels, {0: 1, 1: 1}), (labels[2:] + labels[:2], {0: 1, 1: 1})):
        graph = Electrodes(given)
        assert graph.path("F3", "P3") == forth
        assert graph.path("P3", "F3") == {column: -sign for column, sign in forth.items()}


def test_the_first_of_a_name_counts() -> None:
    graph = Electrodes(["T8-P8", "EEG T4-T6", "Fp1", "EEG Fp1-REF", "T8"])
    assert graph.path("T8", "P8") == {0: 1}
    assert graph.path("FP1", "REF") == {2: 1}
    assert graph.columns == [0, 1, 2, 3, 4]
    assert graph.path("P8", "FP1") == {0: -1, 4: 1, 2: -1}
