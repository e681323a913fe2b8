"""Windows go out: the same samples in every form, gaps shown, limits that say how to ask."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import signal

from realtime.signal.filters import design, zero_phase
from tests.support.record_posts import (
    ARROW,
    GAIN,
    LABELS,
    OFFSET,
    PATIENT,
    RATE,
    RAW,
    batch,
    chunk,
    declare,
    digital,
    physical,
    post_raw,
    problem,
    raw_of,
    table_of,
    values_of,
    window,
)
from tests.support.records_server import RecordsServer

KEYS = ["FP1-F7", "F7-T7", "T8-P8", "T8-P8#2"]
LENGTH_S = 1200
GAP = slice(100 * RATE + 64, 103 * RATE)


@dataclass(frozen=True)
class Night:
    """A long recording with a gap."""

    name: str
    stored: NDArray[np.int16]

    @property
    def values(self) -> NDArray[np.float64]:
        values = physical(self.stored)
        values[:, GAP] = np.nan
        return values


@pytest.fixture(scope="module", params=["live", "sealed"])
def night(request: pytest.FixtureRequest, server: RecordsServer) -> Night:
    name = f"night-{request.param}.edf"
    stored = np.clip(digital(LENGTH_S * RATE, 7) // 8, -2048, 2047).astype(np.int16)
    at = np.arange(LENGTH_S * RATE)
    stored += (300 * np.sin(2 * np.pi * 10 * at / RATE)).astype(np.int16)
    # A spike of one sample, which no picture may lose.
    stored[1, 500 * RATE + 33] = 2040
    with server.client() as client:
        declare(client, name)
        cuts = [0, GAP.start, *range(GAP.stop, stored.shape[1] + 1, 10 * RATE)]
        cuts = [*cuts, stored.shape[1]] if cuts[-1] != stored.shape[1] else cuts
        pairs = [pair for pair in itertools.pairwise(cuts) if pair[0] != GAP.start]
        answer = client.post(
            f"/recordings/{name}/chunks",
            content=batch(
                [start for start, _ in pairs],
                [np.ascontiguousarray(stored[:, start:stop]).tobytes() for start, stop in pairs],
            ),
            headers={"content-type": ARROW},
        )
        assert answer.status_code == 201, answer.text
        if request.param == "sealed":
            assert client.post(f"/recordings/{name}/seal").status_code == 200
    return Night(name, stored)


@pytest.fixture
def client(server: RecordsServer) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


def asking(night: Night, start: float, end: float) -> dict[str, Any]:
    return {"patient_id": PATIENT, "recording_id": night.name, "start": start, "end": end}


def test_the_shape_of_the_document(client: httpx.Client, night: Night) -> None:
    shown = window(client, night.name, 10, 20).json()
    assert list(shown) == KEYS
    first = shown["FP1-F7"][1]
    assert first == {"timestamp": 10 + 1 / RATE, "value": night.values[0, 10 * RATE + 1]}


@pytest.mark.parametrize(
    ("start", "end"), [(0, 10), (99.5, 104.25), (101, 102), (1195, 1300), (300.001, 300.0133)]
)
def test_every_form_holds_the_same(
    client: httpx.Client, night: Night, start: float, end: float
) -> None:
    first, last = (int(np.ceil(round(t * RATE, 6))) for t in (start, end))
    truth = night.values[:, first:last]
    answer = window(client, night.name, start, end)
    values = values_of(answer)
    assert values.tobytes() == truth.tobytes()
    times = [point["timestamp"] for point in answer.json()["FP1-F7"]]
    np.testing.assert_array_equal(times, np.arange(first, first + truth.shape[1]) / RATE)

    group = window(client, night.name, start, end, format="columns").json()["groups"][0]
    columns = np.array(group["values"], dtype=np.float64)
    np.testing.assert_array_equal(columns, truth)
    assert (group["start_sample"], group["rate"]) == (first, [RATE, 1])

    table = table_of(window(client, night.name, start, end, format="arrow"))
    about = json.loads(table.schema.metadata[b"ranvier"])
    for number, key in enumerate(KEYS):
        column = table.column(key)
        assert str(column.type) == "int16"
        factor = float(table.schema.field(key).metadata[b"factor"])
        offset = float(table.schema.field(key).metadata[b"offset"])
        assert (factor, offset) == (GAIN, OFFSET)
        got = [np.nan if v is None else v * factor + offset for v in column.to_pylist()]
        np.testing.assert_array_equal(got, truth[number])

    header, numbers = raw_of(window(client, night.name, start, end, format="i16"))
    assert numbers.dtype == np.dtype("<i2")
    there = ~np.isnan(truth[0])
    np.testing.assert_array_equal(physical(numbers[:, there]), truth[:, there])
    header, floats = raw_of(window(client, night.name, start, end, format="f32"))
    np.testing.assert_array_equal(floats, truth.astype(np.float32))

    extents = json.loads(answer.headers["x-extents"])[0]
    assert header["extents"] == group["extents"] == about["extents"] == extents
    held = np.zeros(truth.shape[1], bool)
    for begin, stop in extents:
        held[round(begin * RATE) - first : round(stop * RATE) - first] = True
    np.testing.assert_array_equal(held, there)

    assert header["pieces"] == group["pieces"] == about["pieces"]
    placed = np.zeros(truth.shape[1], bool)
    for place, length, shift_us in header["pieces"]:
        assert shift_us == 0
        placed[place - first : place - first + length] = True
    np.testing.assert_array_equal(placed, there)
    assert len(header["pieces"]) == header["num_pieces"] == len(extents)


def test_windows_are_half_open_and_join(client: httpx.Client, night: Night) -> None:
    parts = [
        values_of(window(client, night.name, *pair)) for pair in ((5, 5.5), (5.5, 7.1), (7.1, 8))
    ]
    whole = values_of(window(client, night.name, 5, 8))
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)
    assert whole.shape == (4, 3 * RATE)


def test_headers_say_what_came(client: httpx.Client, night: Night) -> None:
    inside = window(client, night.name, 99, 105).headers
    assert (inside["x-clipped"], inside["x-rate-hz"], inside["x-gaps"]) == ("false", "256", "1")
    beyond = window(client, night.name, LENGTH_S - 1, LENGTH_S + 9).headers
    assert (beyond["x-clipped"], float(beyond["x-end"])) == ("true", LENGTH_S)
    after = window(client, night.name, LENGTH_S + 10, LENGTH_S + 20)
    assert after.json() == {key: [] for key in KEYS}


def test_the_form_may_be_accepted(client: httpx.Client, night: Night) -> None:
    def kind(accept: str) -> str:
        query: dict[str, Any] = {
            "patient_id": PATIENT,
            "recording_id": night.name,
            "start": 0,
            "end": 1,
        }
        answer = client.get("/eeg", params=query, headers={"accept": accept})
        return answer.headers["content-type"]

    assert kind("*/*") == kind("application/json") == "application/json"
    assert kind(ARROW) == kind(f"application/json;q=0.5, {ARROW}") == ARROW
    assert kind(RAW) == RAW
    assert kind("text/html") == "application/problem+json"


@pytest.mark.parametrize(
    ("query", "status", "field"),
    [
        ({"end": 0}, 422, "end"),
        ({"start": "soon"}, 422, "start"),
        ({"start": "nan"}, 422, "start"),
        ({"channels": "T9"}, 422, "channels"),
        ({"channels": "99"}, 422, "channels"),
        ({"group": 3}, 422, "group"),
        ({"max_points": 1}, 422, "max_points"),
        ({"agg": "mean"}, 422, "agg"),
        ({"units": "mmHg"}, 422, "units"),
        ({"units": "digital", "hp": 1}, 422, "units"),
        ({"format": "i16", "units": "uV"}, 422, "format"),
        ({"format": "xml"}, 422, "format"),
        ({"hp": 200}, 422, None),
        ({"montage": "banana"}, 422, None),
        ({"montage": "cz"}, 422, "montage"),
        ({"montage": "custom"}, 422, "derive"),
        ({"derive": "FP1-T7"}, 422, "derive"),
        ({"recording_id": "nobody"}, 404, None),
        ({"patient_id": "nobody"}, 404, None),
    ],
)
def test_what_cannot_be_answered(
    client: httpx.Client, night: Night, query: dict[str, Any], status: int, field: str | None
) -> None:
    asked: dict[str, Any] = {
        "patient_id": PATIENT,
        "recording_id": night.name,
        "start": 0,
        "end": 1,
    } | query
    refused = problem(client.get("/eeg", params=asked), status)
    if field is not None:
        assert refused["errors"][0]["field"] == field


def test_a_missing_parameter_is_named(client: httpx.Client, night: Night) -> None:
    asked: dict[str, Any] = {
        "patient_id": PATIENT,
        "recording_id": night.name,
        "start": 0,
        "end": 1,
    }
    for name in asked:
        refused = problem(
            client.get("/eeg", params={k: v for k, v in asked.items() if k != name}), 422
        )
        assert refused["errors"][0]["field"] == name
        assert name in refused["detail"]


def test_channels_by_label_key_and_number(client: httpx.Client, night: Night) -> None:
    def keys(channels: str | list[str]) -> list[str]:
        return list(window(client, night.name, 0, 1, channels=channels).json())

    assert keys("T8-P8") == ["T8-P8", "T8-P8#2"]
    assert keys("F7-T7,0") == ["F7-T7", "FP1-F7"]
    assert keys(["F7-T7", "FP1-F7"]) == ["F7-T7", "FP1-F7"]


def test_too_much_says_how_to_ask(client: httpx.Client, night: Night) -> None:
    refused = problem(window(client, night.name, 0, 61), 413)
    assert "max_points" in refused["detail"]
    assert "arrow" in refused["detail"]
    assert window(client, night.name, 0, 60).status_code == 200
    # As it says.
    assert window(client, night.name, 0, 61, max_points=2000).status_code == 200
    assert window(client, night.name, 0, LENGTH_S, format="arrow").status_code == 200
    assert window(client, night.name, 0, LENGTH_S, format="columns").status_code == 200


@pytest.mark.parametrize("agg", ["minmax", "minmaxlttb"])
@pytest.mark.parametrize("span", [(110, 150), (95, 110), (0, LENGTH_S)])
def test_fewer_points(client: httpx.Client, night: Night, agg: str, span: tuple[int, int]) -> None:
    answer = window(client, night.name, *span, max_points=400, agg=agg)
    truth = night.values[:, span[0] * RATE : span[1] * RATE]
    for row, points in zip(truth, answer.json().values(), strict=True):
        assert 200 <= len(points) <= 400
        there = [point for point in points if point["value"] is not None]
        at = [round(point["timestamp"] * RATE) - span[0] * RATE for point in there]
        # Each point is a sample of the recording.
        np.testing.assert_array_equal([point["value"] for point in there], row[at])
        if agg == "minmax":
            assert max(p["value"] for p in there) == np.nanmax(row)
            assert min(p["value"] for p in there) == np.nanmin(row)
    if span == (95, 110):
        assert any(point["value"] is None for point in answer.json()["FP1-F7"])
    _header, numbers = raw_of(
        window(client, night.name, *span, max_points=400, agg=agg, format="f32")
    )
    np.testing.assert_array_equal(numbers, values_of(answer).astype(np.float32))
    table = table_of(window(client, night.name, *span, max_points=400, agg=agg, format="arrow"))
    places = [p for p in table.column("F7-T7@sample").to_pylist() if p is not None]
    np.testing.assert_array_equal(
        [v for v in table.column("F7-T7").to_pylist() if v is not None], night.stored[1][places]
    )


@pytest.mark.parametrize("corners", [{"hp": 1, "lp": 70, "notch": 60}, {"hp": 0.5}, {"lp": 15}])
def test_filtered_pages_join(client: httpx.Client, night: Night, corners: dict[str, float]) -> None:
    pages = [
        raw_of(window(client, night.name, at, at + 10, format="raw", units="uV", **corners))[1]
        for at in (200, 210, 220)
    ]
    whole = raw_of(window(client, night.name, 200, 230, format="raw", units="uV", **corners))[1]
    np.testing.assert_allclose(np.concatenate(pages, axis=1), whole, atol=1e-4)
    made = design(RATE, **corners)
    assert made is not None
    stretch = night.values[:, GAP.stop :]
    truth = zero_phase(made.sections, stretch.T).T
    first = 200 * RATE - GAP.stop
    np.testing.assert_allclose(whole, truth[:, first : first + 30 * RATE], atol=1e-4)


def test_filters_do_not_cross_gaps(client: httpx.Client, night: Night) -> None:
    shown = values_of(window(client, night.name, 95, 110, hp=1))
    first = 95 * RATE
    missing = np.zeros(shown.shape[1], bool)
    missing[GAP.start - first : GAP.stop - first] = True
    np.testing.assert_array_equal(np.isnan(shown), np.broadcast_to(missing, shown.shape))
    made = design(RATE, hp=1)
    assert made is not None
    truth = zero_phase(made.sections, night.values[:, GAP.stop :].T).T
    got = shown[:, GAP.stop - first :]
    np.testing.assert_allclose(got, truth[:, : got.shape[1]], atol=1e-4)


def test_a_montage_is_a_difference(client: httpx.Client, name: str) -> None:
    labels = ["Fp1", "F7", "T3", "Cz", "ECG"]
    samples = physical(digital(RATE, 3, 5))
    client.post("/ingest", json=chunk(name, samples, channels=labels))
    shown = window(client, name, 0, 1, montage="double_banana")
    assert list(shown.json()) == ["Fp1-F7", "F7-T7"]
    np.testing.assert_allclose(values_of(shown), samples[[0, 1]] - samples[[1, 2]])
    one = window(client, name, 0, 1, montage="cz", channels="fp1-cz")
    assert list(one.json()) == ["Fp1-Cz"]
    refused = problem(window(client, name, 0, 1, montage="cz", channels="O1-Cz"), 422)
    assert refused["errors"][0]["field"] == "channels"


def test_nothing_is_sent_twice(client: httpx.Client, night: Night) -> None:
    asked: dict[str, Any] = {
        "patient_id": PATIENT,
        "recording_id": night.name,
        "start": 5,
        "end": 6,
    }
    first = client.get("/eeg", params=asked)
    tag = first.headers["etag"]
    assert tag.startswith('"')
    sealed = night.name.startswith("night-sealed")
    assert ("immutable" in first.headers["cache-control"]) == sealed
    again = client.get("/eeg", params=asked, headers={"if-none-match": f'"other", {tag}'})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    for change in ({"end": 7}, {"format": "columns"}, {"channels": "0"}, {"hp": 1}):
        other = client.get("/eeg", params=asked | change, headers={"if-none-match": tag})
        assert other.status_code == 200
        assert other.headers["etag"] != tag


def test_a_tag_changes_when_a_gap_is_filled(client: httpx.Client, name: str) -> None:
    client.post("/ingest", json=chunk(name, physical(digital(RATE)), 0.0))
    client.post("/ingest", json=chunk(name, physical(digital(RATE)), 2.0))
    tag = window(client, name, 0, 3).headers["etag"]
    assert window(client, name, 0, 3).headers["etag"] == tag
    before = window(client, name, 0, 1).headers["etag"]
    client.post("/ingest", json=chunk(name, physical(digital(RATE)), 1.0))
    assert window(client, name, 0, 3).headers["etag"] != tag
    assert window(client, name, 0, 1).headers["etag"] == before


def test_a_shift_moves_the_times(client: httpx.Client, name: str) -> None:
    declare(client, name)
    post_raw(client, name, digital(RATE), 0)
    post_raw(client, name, digital(RATE), 2 * RATE, shift_us=1500)
    answer = window(client, name, 0, 4)
    times = np.array([point["timestamp"] for point in answer.json()["FP1-F7"]])
    np.testing.assert_allclose(times[2 * RATE :], 2.0015 + np.arange(RATE) / RATE, atol=1e-12)
    assert json.loads(answer.headers["x-extents"]) == [[[0.0, 1.0], [2.0015, 3.0015]]]


def test_pieces_give_the_time_of_every_sample(client: httpx.Client, name: str) -> None:
    """Also of a clock that drifts: an extent ends where its last sample says."""
    declare(client, name)
    shifts = [0, 0, 1500, 3000, 4500, 0]
    places = [0, RATE, 2 * RATE, 3 * RATE, 4 * RATE, 6 * RATE]
    for place, shift_us in zip(places, shifts, strict=True):
        post_raw(client, name, digital(RATE), place, shift_us=shift_us)
    header, _ = raw_of(window(client, name, 0.5, 6.5, format="f32"))
    assert header["pieces"] == [
        [RATE // 2, 3 * RATE // 2, 0],
        [2 * RATE, RATE, 1500],
        [3 * RATE, RATE, 3000],
        [4 * RATE, RATE, 4500],
        [6 * RATE, RATE // 2, 0],
    ]
    assert header["extents"] == [[0.5, 5.0045], [6.0, 6.5]]
    points = window(client, name, 0.5, 6.5).json()["FP1-F7"]
    times = np.array([point["timestamp"] for point in points])
    for place, length, shift_us in header["pieces"]:
        first = place - RATE // 2
        expected = (place + np.arange(length)) / RATE + shift_us / 1e6
        np.testing.assert_allclose(times[first : first + length], expected, rtol=0, atol=1e-12)


def test_mixed_rates_in_one_window(client: httpx.Client, name: str) -> None:
    client.post("/ingest", json=chunk(name, physical(digital(RATE)), channels=list(LABELS)))
    client.post("/ingest", json=chunk(name, [[1.0, 2.0]], end=1.0, channels=["Temp"], unit="C"))
    answer = window(client, name, 0, 1)
    assert answer.headers["x-rate-hz"] == "256, 2"
    assert [len(points) for points in answer.json().values()] == [RATE] * 4 + [2]
    assert len(window(client, name, 0, 1, format="columns").json()["groups"]) == 2
    assert problem(window(client, name, 0, 1, format="arrow"), 422)["errors"][0]["field"] == "group"
    assert table_of(window(client, name, 0, 1, format="arrow", group=1)).column_names == ["Temp"]
    assert table_of(window(client, name, 0, 1, format="arrow", channels="Temp")).num_rows == 2


def test_overview(client: httpx.Client, night: Night) -> None:
    url = f"/recordings/{night.name}/overview"
    answer = client.get(url, params={"px": 300})
    group = answer.json()["groups"][0]
    factor = group["samples_per_bin"]
    assert group["num_bins"] <= 300
    low, high = (np.array(group[side], dtype=np.float64) for side in ("low", "high"))
    for number in range(group["num_bins"]):
        piece = night.values[:, number * factor : (number + 1) * factor]
        np.testing.assert_allclose(low[:, number], np.nanmin(piece, axis=1), atol=1e-3)
        np.testing.assert_allclose(high[:, number], np.nanmax(piece, axis=1), atol=1e-3)
    header, numbers = raw_of(client.get(url, params={"px": 300, "format": "f32"}))
    np.testing.assert_allclose(numbers, [low, high], atol=1e-3)
    assert header["channels"] == KEYS
    tag = answer.headers["etag"]
    assert client.get(url, params={"px": 300}, headers={"if-none-match": tag}).status_code == 304
    fine = client.get(url, params={"px": 2000, "start": 99, "end": 105}).json()["groups"][0]
    assert None in fine["low"][0]


def test_spectrogram(client: httpx.Client, night: Night) -> None:
    url = f"/recordings/{night.name}/spectrogram"
    query: dict[str, Any] = {"channel": "FP1-F7", "start": 110, "end": 140, "fmax": 128}
    shown = client.get(url, params=query).json()
    _, _, density = signal.spectrogram(
        night.values[0, 110 * RATE : 140 * RATE], RATE, "hann", 512, 384, detrend="constant"
    )
    np.testing.assert_allclose(np.array(shown["power_db"]), 10 * np.log10(density.T), atol=0.011)
    assert shown["times"][0] == 111.0
    over = client.get(url, params=query | {"start": 95, "end": 110}).json()
    assert any(row[0] is None for row in over["power_db"])
    problem(client.get(url, params=query | {"end": 1000}), 413)
    problem(client.get(url, params=query | {"channel": "T9"}), 422)


def test_density_of_whole_blocks(client: httpx.Client, night: Night) -> None:
    if night.name.startswith("night-live"):
        return
    url = f"/recordings/{night.name}/dsa"
    shown = client.get(url, params={"channels": "FP1-F7", "px": 50})
    assert shown.status_code == 200
    about = shown.json()
    values = np.array(about["values"])
    assert values.shape == tuple(about["shape"])
    row = values[len(values) // 2, :, 0].argmax()
    assert abs((row + 0.5) * about["row_hz"] - 10) <= 1
    header, numbers = raw_of(
        client.get(url, params={"channels": "FP1-F7", "px": 50, "format": "raw"})
    )
    np.testing.assert_array_equal(numbers, values)
    assert header["column_sec"] == about["column_sec"]
