"""Montages: differences of electrodes, from referential channels only."""

from __future__ import annotations

import numpy as np
import pytest

from realtime.signal.montages import DOUBLE_BANANA, TRANSVERSE, derive, electrode
from storage.errors import ChannelMismatch, UsageError

TEN_TWENTY = (
    "Fp1 Fp2 F7 F3 Fz F4 F8 T7 C3 Cz C4 T8 P7 P3 Pz P4 P8 O1 O2".split()  # noqa: SIM905
)
CHB_MIT = "FP1-F7 F7-T7 T7-P7 P7-O1".split()  # noqa: SIM905


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("EEG Fp1-REF", "FP1"),
        ("Fp1", "FP1"),
        ("T3", "T7"),
        ("EEG T6-LE", "P8"),
        ("C3-A2", "C3"),
        ("CZ", "CZ"),
        ("FC5", "FC5"),
        ("FP1-F7", None),
        ("ECG", None),
        ("-", None),
        ("", None),
        ("EMG-REF", None),
    ],
)
def test_electrodes(label: str, name: str | None) -> None:
    assert electrode(label) == name


@pytest.mark.parametrize(
    ("montage", "pairs"), [("double_banana", DOUBLE_BANANA), ("transverse", TRANSVERSE)]
)
def test_chains_are_differences(montage: str, pairs: tuple[str, ...]) -> None:
    samples = np.random.default_rng(1).normal(size=(100, len(TEN_TWENTY)))
    labels = [f"EEG {name}-REF" for name in TEN_TWENTY]
    made = derive(montage, labels)
    assert made.labels == pairs
    derived = made.apply(samples)
    for column, pair in enumerate(pairs):
        first, second = (TEN_TWENTY.index(name) for name in pair.split("-"))
        np.testing.assert_allclose(derived[:, column], samples[:, first] - samples[:, second])


def test_average_sums_to_zero_and_leaves_others_out() -> None:
    samples = np.random.default_rng(1).normal(size=(50, len(TEN_TWENTY) + 1))
    samples[:, -1] = 1e9
    made = derive("average", [*TEN_TWENTY, "ECG"])
    derived = made.apply(samples)
    assert made.labels[:2] == ("Fp1-Av", "Fp2-Av")
    np.testing.assert_allclose(derived.sum(axis=1), 0, atol=1e-9)


def test_against_cz() -> None:
    made = derive("cz", ["Fz", "Cz", "Pz"])
    assert made.labels == ("Fz-Cz", "Pz-Cz")
    np.testing.assert_array_equal(made.apply(np.array([[5.0, 2.0, 1.0]])), [[3.0, -1.0]])


@pytest.mark.parametrize("montage", ["double_banana", "transverse", "average", "cz"])
def test_bipolar_recordings_are_refused(montage: str) -> None:
    with pytest.raises(ChannelMismatch, match=r"referential.*FP1-F7"):
        derive(montage, CHB_MIT)


def test_unknown_montage() -> None:
    with pytest.raises(UsageError, match="double_banana"):
        derive("banana", TEN_TWENTY)
