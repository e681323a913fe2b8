"""Montages of a recording: which there are, and what they show."""

from __future__ import annotations

from typing import Any

import httpx
import numpy as np
import pytest

from realtime.signal.filters import design, zero_phase
from realtime.signal.montages import DOUBLE_BANANA, TRANSVERSE
from tests.support.record_posts import (
    PATIENT,
    RATE,
    chunk,
    digital,
    physical,
    problem,
    raw_of,
    values_of,
    window,
)

BANANA = [pair.upper() for pair in DOUBLE_BANANA]
LABELS = [*BANANA, "T7-FT9", "FT9-FT10", "FT10-T8", "T8-P8", "ECG"]
ACROSS = ["F3-Fz", "Fz-F4", "C3-Cz", "Cz-C4", "P3-Pz", "Pz-P4"]


def offered(client: httpx.Client, name: str, **query: Any) -> dict[str, dict[str, Any]]:
    answer = client.get(f"/recordings/{name}/montages", params={"patient_id": PATIENT, **query})
    assert answer.status_code == 200, answer.text
    return {item["name"]: item for item in answer.json()}


def post(client: httpx.Client, name: str, labels: list[str], start: float = 0.0) -> Any:
    samples = physical(digital(4 * RATE, int(start) + 5, len(labels)))
    answer = client.post("/ingest", json=chunk(name, samples, start, channels=labels))
    assert answer.status_code == 201, answer.text
    return samples


def test_a_bipolar_recording_across_a_gap(client: httpx.Client, name: str) -> None:
    first, second = post(client, name, LABELS), post(client, name, LABELS, 6.0)
    samples = np.concatenate([first, np.full((len(LABELS), 2 * RATE), np.nan), second], axis=1)
    at = {label: row for row, label in enumerate(LABELS)}
    shown = window(client, name, 0, 10, montage="transverse", format="columns")
    group = shown.json()["groups"][0]
    labels = [channel["label"] for channel in group["channels"]]
    assert labels == [pair for pair in TRANSVERSE if pair not in ACROSS]
    values = np.array(group["values"], dtype=np.float64)
    np.testing.assert_array_equal(np.isnan(values), np.isnan(samples[: len(values)]))
    truth = samples[at["FP1-F3"]] - samples[at["FP1-F7"]]
    np.testing.assert_allclose(-values[labels.index("F7-F3")], -truth, atol=1e-9)
    made = design(RATE, 1, 70, 60)
    assert made is not None
    filtered = raw_of(
        window(*(client, name, 1, 9), montage="transverse", format="f32", hp=1, lp=70, notch=60)
    )[1]
    parts = [truth[: 4 * RATE], np.full(2 * RATE, np.nan), truth[6 * RATE :]]
    parts[0] = zero_phase(made.sections, parts[0][:, None])[:, 0]
    parts[2] = zero_phase(made.sections, parts[2][:, None])[:, 0]
    np.testing.assert_allclose(
        filtered[labels.index("F7-F3")], np.concatenate(parts)[RATE : 9 * RATE], atol=1e-3
    )


def test_what_is_offered(client: httpx.Client, name: str) -> None:
    post(client, name, LABELS)
    found = offered(client, name)
    assert list(found) == ["recorded", "double_banana", "transverse", "average", "cz"]
    assert all(item["others"] == ["ECG"] for item in found.values())
    assert all(item["reason"] is None for item in found.values())
    assert all(item["title"] for item in found.values())
    assert found["recorded"]["channels"] == [*LABELS[:-2], "T8-P8#2"]
    assert found["double_banana"]["channels"] == list(DOUBLE_BANANA)
    assert found["double_banana"]["missing"] == []
    assert found["transverse"]["missing"] == ACROSS
    assert found["average"]["missing"] == ["Fz-Av", "Cz-Av", "Pz-Av"]
    assert found["cz"]["channels"] == ["Fz-Cz", "Pz-Cz"]
    for item in found.values():
        montage = item["name"]
        shown = window(client, name, 0, 1, montage=montage)
        expected = set(item["channels"]) | (set(item["others"]) if montage == "recorded" else set())
        assert set(shown.json()) == expected


def test_what_is_offered_of_no_electrodes(client: httpx.Client, name: str) -> None:
    post(client, name, ["ECG", "-", "X1"])
    found = offered(client, name, derive="C3-A2")
    assert found["recorded"] | {"title": ""} == {
        "name": "recorded",
        "title": "",
        "channels": list(window(client, name, 0, 1).json()),
        "missing": [],
        "others": [],
        "reason": None,
    }
    for montage in ("double_banana", "transverse", "average", "cz", "custom"):
        assert found[montage]["channels"] == []
        assert "ECG" in found[montage]["reason"]
        assert found[montage]["others"] == found["recorded"]["channels"]
        query = {"derive": "C3-A2"} if montage == "custom" else {}
        refused = problem(window(client, name, 0, 1, montage=montage, **query), 422)
        assert found[montage]["reason"] in refused["detail"]
    assert found["custom"]["missing"] == ["C3-A2"]


def test_electrodes_are_looked_for_in_all_groups(client: httpx.Client, name: str) -> None:
    def group(rate: int, *channels: tuple[str, str]) -> dict[str, Any]:
        listed = [{"label": label, "unit": unit} for label, unit in channels]
        return {"rate_hz": rate, "dtype": "float64", "channels": listed}

    some = [(label, "uV") for label in ("Fp1", "F7", "T3", "Cz", "ECG")] + [("Pz", "count")]
    body = {
        "patient_id": PATIENT,
        "recording_id": name,
        "groups": [group(64, *[(f"aux {n}", "uV") for n in range(9)]), group(RATE, *some)],
    }
    assert client.post("/recordings", json=body).status_code == 201
    found = offered(client, name)
    assert found["recorded"]["channels"] == ["Fp1", "F7", "T3", "Cz"]
    assert found["cz"]["channels"] == ["Fp1-Cz", "F7-Cz", "T7-Cz"]
    assert found["cz"]["others"] == [*(f"aux {n}" for n in range(9)), "ECG", "Pz"]
    shown = window(client, name, 0, 1, montage="cz", format="columns").json()["groups"]
    assert [one["rate_hz"] for one in shown] == [RATE]


def test_custom_channels(client: httpx.Client, name: str) -> None:
    labels = ["Fp1", "F7", "T3", "Cz", "A1", "A2", "ECG"]
    fp1, f7, t3, cz, a1, a2, _ = samples = post(client, name, labels)
    asked = ["Left=Fp1-F7", "T3-A1+A2", "Cz-average", "O1-O2", "Reversed=F7-Fp1"]
    shown = window(client, name, 0, 4, montage="custom", derive=asked)
    assert list(shown.json()) == ["Left", "T3-A1+A2", "Cz-average", "Reversed"]
    truth = [fp1 - f7, t3 - (a1 + a2) / 2, cz - samples[:4].mean(axis=0), f7 - fp1]
    np.testing.assert_allclose(values_of(shown), truth, atol=1e-9)
    item = offered(client, name, derive=asked)["custom"]
    assert item["channels"] == list(shown.json())
    assert item["missing"] == ["O1-O2"]
    for wanted in (["t3-a1+a2", "LEFT"], ["T3-A1+A2", "Left", "left"]):
        some = window(client, name, 0, 4, montage="custom", derive=asked, channels=wanted)
        assert list(some.json()) == ["T3-A1+A2", "Left"]
        np.testing.assert_allclose(values_of(some), [truth[1], truth[0]], atol=1e-9)
    # As it is often typed, without %2B.
    address = f"/eeg?patient_id={PATIENT}&recording_id={name}&start=0&end=1&montage=custom"
    assert list(client.get(f"{address}&derive=T3-A1+A2").json()) == ["T3-A1+A2"]
    _, numbers = raw_of(window(client, name, 0, 4, montage="custom", derive=asked, format="f32"))
    np.testing.assert_allclose(numbers, truth, atol=1e-3)


@pytest.mark.parametrize(
    ("derive", "said"),
    [
        (["Fp1-F7", "Fp1--F7"], "'Fp1--F7'"),
        (["Fp1-F7", "fp1-f7"], "'fp1-f7' is there twice"),
        (["Fp1-ECG"], "'Fp1-ECG'"),
        (["O1-O2"], "found Fp1, F7, ECG"),
        ([""], "''"),
        (["Fp1-F7"] * 257, "256"),
        (["x" * 201], "200"),
    ],
)
def test_custom_channels_that_are_refused(
    client: httpx.Client, name: str, derive: list[str], said: str
) -> None:
    post(client, name, ["Fp1", "F7", "ECG"])
    query: dict[str, Any] = {"montage": "custom", "derive": derive}
    refused = problem(window(client, name, 0, 1, **query), 422)
    assert said in refused["detail"]
    assert refused["errors"][0]["field"].removeprefix("query.").startswith("derive")
    params = {"patient_id": PATIENT, "derive": derive}
    listed = client.get(f"/recordings/{name}/montages", params=params)
    if derive == ["O1-O2"]:
        assert listed.status_code == 200
    else:
        assert said in problem(listed, 422)["detail"]


def test_units_of_custom_channels(client: httpx.Client, name: str) -> None:
    post(client, name, ["Fp1", "F7"])
    custom = {"montage": "custom", "derive": "Fp1-F7"}
    header, _ = raw_of(window(client, name, 0, 1, format="raw", **custom))
    assert (header["units"], header["channels"][0]["unit"]) == ("physical", "uV")
    problem(window(client, name, 0, 1, units="digital", **custom), 422)
    problem(window(client, name, 0, 1, derive="Fp1-F7"), 422)
    problem(window(client, name, 0, 1, montage="average", derive="Fp1-F7"), 422)


def test_a_tag_names_what_is_derived(client: httpx.Client, name: str) -> None:
    post(client, name, ["Fp1", "F7", "Cz"])
    tags = [
        window(client, name, 0, 1, **query).headers["etag"]
        for query in (
            {"montage": "cz"},
            {"montage": "cz", "channels": "Fp1-Cz"},
            {"montage": "cz", "channels": "F7-Cz"},
            {"montage": "custom", "derive": "Fp1-Cz"},
            {"montage": "custom", "derive": "A=Fp1-Cz"},
            {"montage": "custom", "derive": "A=Cz-Fp1"},
            {"montage": "custom", "derive": ["A=Cz-Fp1", "Fp1-F7"]},
        )
    ]
    assert len(set(tags)) == len(tags)


def test_what_is_offered_is_not_sent_twice(client: httpx.Client, name: str) -> None:
    post(client, name, ["Fp1", "F7"])
    assert client.post(f"/recordings/{name}/seal").status_code == 200
    path = f"/recordings/{name}/montages"
    first = client.get(path)
    assert first.headers["cache-control"] == "private, no-cache"
    known = {"if-none-match": first.headers["etag"]}
    again = client.get(path, headers=known)
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["cache-control"] == "private, no-cache"
    assert client.get(path, params={"derive": "Fp1-F7"}, headers=known).status_code == 200
