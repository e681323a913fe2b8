"""Montages: every derived channel is the difference of potentials that its label says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from realtime.signal.electrodes import electrodes_of
from realtime.signal.montages import (
    CHAINS,
    DOUBLE_BANANA,
    MONTAGES,
    TRANSVERSE,
    Montage,
    definitions,
    derive,
    possible,
)
from storage.errors import ChannelMismatch, UsageError

TEN_TWENTY = (
    "Fp1 Fp2 F7 F3 Fz F4 F8 T7 C3 Cz C4 T8 P7 P3 Pz P4 P8 O1 O2".split()  # noqa: SIM905
)
CHB_MIT = (  # noqa: SIM905
    "FP1-F7 F7-T7 T7-P7 P7-O1 FP1-F3 F3-C3 C3-P3 P3-O1 FP2-F4 F4-C4 C4-P4 P4-O2 "
    "FP2-F8 F8-T8 T8-P8 P8-O2 FZ-CZ CZ-PZ P7-T7 T7-FT9 FT9-FT10 FT10-T8 T8-P8"
).split()
SPLIT = [f"{name}-{'A2' if name[-1] in '2468z' else 'A1'}" for name in TEN_TWENTY]
OLD = {"T7": "T3", "T8": "T4", "P7": "T5", "P8": "T6"}
ELECTRODES = [name.upper() for name in TEN_TWENTY] + ["FT9", "FC1", "CPZ", "A1", "M2", "OZ"]

Potentials = Mapping[str, NDArray[np.float64]]


def made_up(names: set[str], seed: int = 1) -> dict[str, NDArray[np.float64]]:
    """Return a potential for each electrode."""
    rng = np.random.default_rng(seed)
    return {name: rng.normal(0, 50, 40) for name in sorted(names)}


def recorded(labels: Sequence[str]) -> tuple[Potentials, NDArray[np.float64]]:
    """Return potentials, and the channels that an amplifier makes of them."""
    ends = [electrodes_of(label) for label in labels]
    potentials = made_up({name for pair in ends if pair is not None for name in pair})
    noise = np.full(40, 1e6)
    columns = [
        noise if pair is None else potentials[pair[0]] - potentials[pair[1]] for pair in ends
    ]
    return potentials, np.stack(columns, axis=1)


def difference(label: str, potentials: Potentials) -> NDArray[np.float64]:
    """Return what a label such as ``Fp1-F7`` says."""
    active, reference = label.upper().split("-")
    return potentials[active] - potentials[reference]


def check(montage: Montage, labels: Sequence[str]) -> None:
    potentials, samples = recorded(labels)
    derived = montage.apply(samples)
    assert derived.shape == (40, len(montage.labels))
    for column, label in enumerate(montage.labels):
        truth = difference(label, potentials)
        np.testing.assert_allclose(derived[:, column], truth, rtol=0, atol=1e-9, err_msg=label)


@pytest.mark.parametrize("montage", CHAINS)
@pytest.mark.parametrize("form", ["{}", "EEG {}", "EEG {}-REF", "{}-LE", "{}.", "{}-CS2"])
def test_referential_channels_make_every_chain(montage: str, form: str) -> None:
    labels = ["ECG", *(form.format(name) for name in TEN_TWENTY)]
    made = derive(montage, labels)
    assert made.labels == CHAINS[montage]
    assert made.missing == ()
    check(made, labels)


def test_old_names() -> None:
    labels = [OLD.get(name, name) for name in TEN_TWENTY]
    assert derive("double_banana", labels).labels == DOUBLE_BANANA
    check(derive("double_banana", labels), labels)
    bipolar = ["Fp1-F7", "F7-T3", "T3-T5", "T5-O1"]
    made = derive("double_banana", bipolar)
    assert made.labels == ("Fp1-F7", "F7-T7", "T7-P7", "P7-O1")
    np.testing.assert_array_equal(made.apply(np.eye(4)), np.eye(4))


@pytest.mark.parametrize(
    ("montage", "missing"),
    [
        ("double_banana", []),
        ("transverse", ["F3-Fz", "Fz-F4", "C3-Cz", "Cz-C4", "P3-Pz", "Pz-P4"]),
    ],
)
def test_a_bipolar_recording_makes_chains(montage: str, missing: list[str]) -> None:
    made = derive(montage, CHB_MIT)
    assert list(made.missing) == missing
    assert list(made.labels) == [pair for pair in CHAINS[montage] if pair not in missing]
    check(made, CHB_MIT)


def test_a_recorded_difference_is_taken_as_it_is() -> None:
    samples = np.random.default_rng(1).normal(size=(50, len(CHB_MIT)))
    derived = derive("double_banana", CHB_MIT).apply(samples)
    places = [CHB_MIT.index(pair.upper()) for pair in DOUBLE_BANANA]
    np.testing.assert_array_equal(derived, samples[:, places])
    made = derive("transverse", CHB_MIT)
    turned = made.apply(samples)[:, made.labels.index("F7-Fp1")]
    np.testing.assert_array_equal(turned, -samples[:, 0])


def test_a_bipolar_recording_against_the_average_and_cz() -> None:
    potentials, samples = recorded(CHB_MIT)
    average = derive("average", CHB_MIT)
    names = [label.removesuffix("-Av").upper() for label in average.labels]
    assert set(names) == set(potentials) - {"FZ", "CZ", "PZ"}
    assert set(average.missing) == {"Fz-Av", "Cz-Av", "Pz-Av"}
    mean = np.mean([potentials[name] for name in names], axis=0)
    derived = average.apply(samples)
    for column, name in enumerate(names):
        np.testing.assert_allclose(derived[:, column], potentials[name] - mean, atol=1e-9)
    cz = derive("cz", CHB_MIT)
    assert cz.labels == ("Fz-Cz", "Pz-Cz")
    assert len(cz.missing) == 18
    check(cz, CHB_MIT)


def test_two_references_are_not_one() -> None:
    made = derive("double_banana", SPLIT)
    assert "Fp1-F7" in made.labels
    assert "Fz-Cz" in made.labels
    check(made, SPLIT)
    across = derive("transverse", SPLIT)
    assert "Fp1-Fp2" in across.missing
    assert "P3-Pz" in across.missing
    check(across, SPLIT)
    joined = [*SPLIT, "A1-A2"]
    assert derive("transverse", joined).labels == TRANSVERSE
    check(derive("transverse", joined), joined)


def test_the_average_is_of_the_largest_part_without_references() -> None:
    labels = ["ECG", *SPLIT, "A2-REF"]
    potentials, samples = recorded(labels)
    made = derive("average", labels)
    names = [label.removesuffix("-Av") for label in made.labels]
    assert names == [name for name in TEN_TWENTY if name[-1] in "2468z"]
    mean = np.mean([potentials[name.upper()] for name in names], axis=0)
    derived = made.apply(samples)
    np.testing.assert_allclose(derived.sum(axis=1), 0, atol=1e-9)
    np.testing.assert_allclose(derived[:, 0], potentials["FP2"] - mean, atol=1e-9)


def test_against_cz() -> None:
    made = derive("cz", ["Fz", "Cz", "Pz", "A1"])
    assert made.labels == ("Fz-Cz", "Pz-Cz")
    derived = made.apply(np.array([[5.0, 2.0, 1.0, 9.0]]))
    np.testing.assert_array_equal(derived, [[3.0, -1.0]])


@pytest.mark.parametrize(
    ("montage", "labels", "reason"),
    [
        ("double_banana", ["ECG", "X1"], r"10-20.*found ECG, X1$"),
        ("average", [], r"found none$"),
        ("average", ["Fp1-REF", "F7-LE"], "two electrodes"),
        ("cz", ["Fp1", "F7"], r"needs Cz.*Fp1, F7"),
        ("cz", ["Cz-Pz", *["Fp1-F7"] * 9], None),
        ("transverse", ["Fz-Cz", "Cz-Pz"], "transverse"),
        ("double_banana", ["EMG", *TEN_TWENTY[:1], "1", "2", "3", "4"], "and 2 more"),
    ],
)
def test_what_cannot_be_made(montage: str, labels: list[str], reason: str | None) -> None:
    if reason is None:
        derive(montage, labels)
        return
    with pytest.raises(ChannelMismatch, match=reason):
        derive(montage, labels)


@pytest.mark.parametrize("name", ["banana", "recorded", ""])
def test_unknown_montage(name: str) -> None:
    with pytest.raises(UsageError, match="double_banana"):
        derive(name, TEN_TWENTY)


def test_custom_channels() -> None:
    asked = ("C3-A1+A2", "Left=Fp1-F7", "t3-cz", "Cz-average", "Fz-O9", "A1-A2", "C4-M1 M2")
    labels = [*TEN_TWENTY, "A1", "A2"]
    potentials, samples = recorded(labels)
    made = derive("custom", labels, definitions(asked))
    assert made.labels == ("C3-A1+A2", "Left", "t3-cz", "Cz-average", "A1-A2")
    assert made.missing == ("Fz-O9", "C4-M1+M2")
    p = potentials
    truth = [
        p["C3"] - (p["A1"] + p["A2"]) / 2,
        p["FP1"] - p["F7"],
        p["T7"] - p["CZ"],
        p["CZ"] - np.mean([p[name.upper()] for name in TEN_TWENTY], axis=0),
        p["A1"] - p["A2"],
    ]
    np.testing.assert_allclose(made.apply(samples).T, truth, atol=1e-9)


def test_custom_averages_are_each_of_their_part() -> None:
    potentials, samples = recorded(CHB_MIT)
    made = derive("custom", CHB_MIT, definitions(("Pz-average", "C3-AVERAGE", "C3-Pz")))
    assert made.labels == ("Pz-average", "C3-AVERAGE")
    midline = np.mean([potentials[name] for name in ("FZ", "CZ", "PZ")], axis=0)
    derived = made.apply(samples)
    np.testing.assert_allclose(derived[:, 0], potentials["PZ"] - midline, atol=1e-9)


@pytest.mark.parametrize(
    "text",
    [
        *("", "C3", "C3-", "-C3", "C3--A1", "C3-A1+", "C3-+A1", "C3-A1-A2", "=C3-A1", " =C3-A1"),
        *("C3=A1", "a=b=C3-A1", "C3-ECG", "X1-C3", "C3-C99", "C3-average+A1", "average-C3"),
        *("C3-C3", "C3-A1+A1", "T3-T7", "C3-A1;C4-A2", "a,b=C3-A1", f"{'x' * 41}=C3-A1", "C3/A1"),
        *("a\nb=C3-A1", "2*C3-A1", "C3-A1\N{LATIN SMALL LETTER LONG S}"),
    ],
)
def test_what_is_no_definition_is_named(text: str) -> None:
    with pytest.raises(UsageError, match=r"^derive: expected") as refused:
        definitions(("C3-A2", text))
    assert repr(text[:40]) in str(refused.value)


@pytest.mark.parametrize(
    "texts", [("C3-A1", "c3-a1"), ("L=C3-A1", "L=C4-A1"), ("l=C3-A1", "L=C4-A1")]
)
def test_labels_that_come_twice(texts: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="twice"):
        definitions(texts)


def test_no_custom_channel_can_be_made() -> None:
    with pytest.raises(ChannelMismatch, match=r"^derive: .*FP1-F7"):
        derive("custom", CHB_MIT, definitions(("C3-A2",)))


@pytest.mark.parametrize("montage", ["double_banana", "average"])
def test_what_is_no_number_stays_where_it_is(montage: str) -> None:
    samples = np.ones((10, len(CHB_MIT)))
    samples[3, CHB_MIT.index("FZ-CZ")] = np.nan
    samples[4, CHB_MIT.index("FP1-F7")] = np.nan
    made = derive(montage, CHB_MIT)
    wrong = ~np.isfinite(made.apply(samples))
    if montage == "double_banana":
        assert [made.labels[column] for column in np.flatnonzero(wrong[3])] == ["Fz-Cz"]
        assert [made.labels[column] for column in np.flatnonzero(wrong[4])] == ["Fp1-F7"]
    else:
        assert not wrong[3].any()
        assert wrong[4].all()
    assert not wrong[[0, 1, 2, 5]].any()


@pytest.mark.parametrize(
    "montage", [name for name in MONTAGES if name not in {"recorded", "custom"}]
)
def test_some_of_a_montage(montage: str) -> None:
    _, samples = recorded(CHB_MIT)
    made = derive(montage, CHB_MIT)
    whole = made.apply(samples)
    rows = tuple(range(len(made.labels)))[::-3]
    some, columns = made.chosen(rows)
    assert some.labels == tuple(made.labels[row] for row in rows)
    np.testing.assert_array_equal(some.apply(samples[:, columns]), whole[:, rows])
    one, needed = derive("double_banana", CHB_MIT).chosen((0,))
    assert (one.labels, needed) == (("Fp1-F7",), (0,))


pairs = st.tuples(st.sampled_from(ELECTRODES), st.sampled_from([*ELECTRODES, "REF", "LE", "AVG"]))


@given(
    edges=st.lists(pairs.filter(lambda pair: pair[0] != pair[1]), max_size=40),
    wanted=st.lists(pairs.filter(lambda pair: pair[0] != pair[1]), min_size=1, max_size=20),
)
def test_any_connected_pair_can_be_made(
    edges: list[tuple[str, str]], wanted: list[tuple[str, str]]
) -> None:
    labels = [f"{active}-{reference}" for active, reference in edges]
    asked = tuple(dict.fromkeys(f"{active}-{reference}" for active, reference in wanted))
    made = possible("custom", tuple(labels), definitions(asked))
    reached = parts(edges)
    able = [
        label
        for label in asked
        for active, reference in (label.split("-"),)
        if active in reached and reached[active] == reached.get(reference)
    ]
    assert list(made.labels) == able
    assert sorted([*made.labels, *made.missing]) == sorted(asked)
    if edges:
        check(made, labels)
    for montage in ("double_banana", "transverse", "cz"):
        if edges:
            check(possible(montage, tuple(labels)), labels)
    average = possible("average", tuple(labels))
    if average.labels:
        potentials, samples = recorded(labels)
        names = [label.removesuffix("-Av").upper() for label in average.labels]
        mean = np.mean([potentials[name] for name in names], axis=0)
        truth = [potentials[name] - mean for name in names]
        np.testing.assert_allclose(average.apply(samples).T, truth, rtol=0, atol=1e-9)


def parts(edges: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Return a number for each electrode, the same for those that are connected."""
    number = {name: place for place, name in enumerate({name for edge in edges for name in edge})}
    for _ in edges:
        for first, second in edges:
            number[first] = number[second] = min(number[first], number[second])
    return number
