"""Chunks come in: each statement of the contract, each fault of the design before it."""

from __future__ import annotations

import gzip
import hashlib
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import orjson
import pytest

from tests.support.record_posts import (
    ARROW,
    LABELS,
    RATE,
    RAW,
    batch,
    chunk,
    declare,
    digital,
    physical,
    post_raw,
    problem,
    values_of,
    window,
)
from tests.support.records_server import RecordsServer

SECOND = digital(RATE)


def test_a_chunk_gets_a_receipt(client: httpx.Client, name: str) -> None:
    answer = client.post("/ingest", json=chunk(name, physical(SECOND), 2.0))
    assert answer.status_code == 201
    receipt = answer.json()
    checksum, sequence = receipt.pop("checksum"), receipt.pop("sequence")
    assert receipt == {
        "status": "stored",
        "recording_id": name,
        "start": 2.0,
        "end": 3.0,
        "num_samples": RATE,
    }
    detail = client.get(f"/recordings/{name}").json()
    keys = [channel["key"] for channel in detail["groups"][0]["channels"]]
    header = (
        f'{{"channels":{orjson.dumps(keys).decode()},"dtype":"float64","group":0,"n":{RATE},'
        f'"recording":"{detail["uuid"]}","start":{2 * RATE},"v":1}}\n'
    )
    body = physical(SECOND).astype("<f8").tobytes()
    assert checksum == hashlib.sha256(header.encode() + body).hexdigest()
    row = client.get(f"/recordings/{name}/audit").json()[sequence - 1]
    assert row["checksum"] == checksum
    assert (row["chunk_start_sec"], row["chunk_end_sec"], row["num_samples"]) == (2.0, 3.0, RATE)


def test_the_same_chunk_again_gets_the_same_receipt(client: httpx.Client, name: str) -> None:
    body = chunk(name, physical(SECOND))
    first = client.post("/ingest", json=body)
    again = client.post("/ingest", json=body)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json() | {"status": "duplicate"}
    np.testing.assert_array_equal(values_of(window(client, name, 0, 10)), physical(SECOND))


def test_another_content_for_the_span_is_a_conflict(client: httpx.Client, name: str) -> None:
    first = client.post("/ingest", json=chunk(name, physical(SECOND))).json()
    other = physical(digital(RATE, seed=1))
    refused = problem(client.post("/ingest", json=chunk(name, other)), 409)
    assert refused["stored"] == first["checksum"]
    assert len(refused["offered"]) == 64
    assert refused["offered"] != refused["stored"]
    np.testing.assert_array_equal(values_of(window(client, name, 0, 10)), physical(SECOND))


def test_a_span_that_overlaps_is_a_conflict(client: httpx.Client, name: str) -> None:
    client.post("/ingest", json=chunk(name, physical(SECOND)))
    problem(client.post("/ingest", json=chunk(name, physical(SECOND), 0.5)), 409)


def test_the_same_slot_of_another_patient_is_another_slot(client: httpx.Client, name: str) -> None:
    one = chunk(name, physical(SECOND))
    two = chunk(name, physical(digital(RATE, 5)), patient_id="p2")
    assert client.post("/ingest", json=one).status_code == 201
    assert client.post("/ingest", json=two).status_code == 201
    problem(client.get(f"/recordings/{name}"), 409)
    found = client.get(f"/recordings/{name}", params={"patient_id": "p2"}).json()
    assert found["patient_id"] == "p2"
    assert client.get(f"/recordings/{found['uuid']}").json() == found


def test_equal_posts_at_once_are_stored_once(server: RecordsServer, name: str) -> None:
    body = orjson.dumps(chunk(name, physical(SECOND)))
    answers: list[httpx.Response] = []
    ready = threading.Barrier(8)

    def post() -> None:
        with server.client() as client:
            client.get("/health")
            ready.wait()
            answers.append(client.post("/ingest", content=body))

    threads = [threading.Thread(target=post) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    assert len({answer.json()["checksum"] for answer in answers}) == 1
    with server.client() as client:
        rows = client.get(f"/recordings/{name}/audit").json()
        assert [row["event"] for row in rows].count("chunk") == 1
        assert len(client.get("/recordings", params={"patient_id": "p1"}).json()) >= 1


def test_late_chunks_fill_their_place(client: httpx.Client, name: str) -> None:
    samples = physical(digital(3 * RATE))
    for second in (2, 0, 1):
        part = samples[:, second * RATE : (second + 1) * RATE]
        assert client.post("/ingest", json=chunk(name, part, float(second))).status_code == 201
    np.testing.assert_array_equal(values_of(window(client, name, 0, 3)), samples)


def test_the_last_partial_second_is_taken(client: httpx.Client, name: str) -> None:
    client.post("/ingest", json=chunk(name, physical(SECOND)))
    rest = physical(digital(100))
    assert client.post("/ingest", json=chunk(name, rest, 1.0)).status_code == 201
    assert values_of(window(client, name, 0, 2)).shape == (4, RATE + 100)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"samples": []}, "samples"),
        ({"samples": [[]] * 4}, "samples[0]"),
        ({"samples": [[1.0] * 256] * 3}, "samples"),
        ({"samples": [[1.0] * 256] * 3 + [[1.0] * 255]}, "samples[3]"),
        ({"samples": [[1.0] * 255 + [None]] * 4}, "samples[0][255]"),
        ({"samples": [[1.0] * 255 + ["x"]] * 4}, "samples[0][255]"),
        ({"channels": ["A"]}, "samples"),
        ({"start": 5.0, "end": 5.0}, "end"),
        ({"start": -1.0}, "start"),
        ({"patient_id": None}, "patient_id"),
        ({"unit": 5}, "unit"),
        ({"start": 100000.0, "end": 100001.0}, "start"),
    ],
)
def test_the_wrong_field_is_named(
    client: httpx.Client, name: str, change: dict[str, Any], field: str
) -> None:
    body = chunk(name, physical(SECOND)) | change
    refused = problem(client.post("/ingest", json=body), 422)
    assert refused["errors"][0]["field"] == field
    problem(client.get(f"/recordings/{name}"), 404)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"patient_id": "p1"', b"\x00\xff"])
def test_no_json(client: httpx.Client, body: bytes) -> None:
    problem(client.post("/ingest", content=body), 422)


def test_a_missing_field_is_named(client: httpx.Client, name: str) -> None:
    body = chunk(name, physical(SECOND))
    for field in ("patient_id", "recording_id", "channels", "start", "end", "samples"):
        refused = problem(
            client.post("/ingest", json={k: v for k, v in body.items() if k != field}), 422
        )
        assert refused["errors"][0]["field"] == field


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"end": 1.5}, "samples"),  # another rate
        ({"start": 1.001, "end": 2.001}, "start"),  # beside the grid
        ({"channels": ["FP1-F7", "X", "Y", "Z"]}, "channels"),  # shares a label
        ({"unit": "mV"}, "unit"),
        ({"start": 90000.0, "end": 90001.0}, None),  # more than 24 h later
    ],
)
def test_a_chunk_must_fit_those_before(
    client: httpx.Client, name: str, change: dict[str, Any], field: str | None
) -> None:
    client.post("/ingest", json=chunk(name, physical(SECOND)))
    body = chunk(name, physical(SECOND), 1.0, 2.0) | change
    refused = problem(client.post("/ingest", json=body), 422)
    if field is not None:
        assert refused["errors"][0]["field"] == field


def test_a_hole_may_be_meant(client: httpx.Client, name: str) -> None:
    client.post("/ingest", json=chunk(name, physical(SECOND)))
    body = chunk(name, physical(SECOND), 90000.0, gap=True)
    assert client.post("/ingest", json=body).status_code == 201


def test_other_channels_open_a_further_group(client: httpx.Client, name: str) -> None:
    client.post("/ingest", json=chunk(name, physical(SECOND)))
    slow = chunk(name, [[96.0, 97.0]], 0.0, 2.0, channels=["SpO2"], unit="%")
    assert client.post("/ingest", json=slow).status_code == 201
    detail = client.get(f"/recordings/{name}").json()
    assert detail["rates_hz"] == [256.0, 1.0]
    assert detail["duration_sec"] == 2.0
    shown = window(client, name, 0, 2).json()
    assert shown["SpO2"] == [{"timestamp": 0.0, "value": 96.0}, {"timestamp": 1.0, "value": 97.0}]
    assert len(shown["FP1-F7"]) == RATE
    assert detail["groups"][1]["channels"][0]["unit"] == "%"


def test_volts_are_kept_as_posted_and_shown_in_microvolts(client: httpx.Client, name: str) -> None:
    volts = np.array([[1e-6, 2.5e-6, -3e-6, 0.0]])
    body = chunk(name, volts, 0.0, 4 / RATE, channels=["Cz"], unit="V")
    assert client.post("/ingest", json=body).status_code == 201
    np.testing.assert_allclose(values_of(window(client, name, 0, 1)), volts * 1e6)
    stored = window(client, name, 0, 1, format="columns", units="digital").json()
    np.testing.assert_array_equal(stored["groups"][0]["values"], volts)


def test_declared_values_become_integers(client: httpx.Client, name: str) -> None:
    declare(client, name)
    assert client.post("/ingest", json=chunk(name, physical(SECOND))).status_code == 201
    assert values_of(window(client, name, 0, 1)).tobytes() == physical(SECOND).tobytes()
    stored = window(client, name, 0, 1, format="columns", units="digital").json()["groups"][0]
    np.testing.assert_array_equal(stored["values"], SECOND)
    # Rounded in single precision, or given in other units, it is the same value.
    rounded = physical(SECOND).astype(np.float32).astype(np.float64)
    assert client.post("/ingest", json=chunk(name, rounded)).status_code == 200
    milli = chunk(name, physical(SECOND) / 1000, unit="mV")
    assert client.post("/ingest", json=milli).status_code == 200


@pytest.mark.parametrize(
    ("steps", "says"),
    [(17.5, "expected a whole number"), (17.01, "expected a whole number"), (40000, "32767")],
)
def test_a_value_off_the_declared_grid(
    client: httpx.Client, name: str, steps: float, says: str
) -> None:
    declare(client, name)
    samples = physical(SECOND)
    samples[2, 17] = physical(np.array(steps))
    refused = problem(client.post("/ingest", json=chunk(name, samples)), 422)
    assert refused["errors"][0]["field"] == "samples[2][17]"
    assert says in refused["detail"]


def test_declared_channels_are_all_there_are(client: httpx.Client, name: str) -> None:
    declare(client, name)
    for labels in (["Other"] * 4, ["FP1-F7", "F7-T7", "T8-P8", "Other"]):
        body = chunk(name, physical(SECOND), channels=labels)
        assert problem(client.post("/ingest", json=body), 422)["errors"][0]["field"] == "channels"
    keys = ["FP1-F7", "F7-T7", "T8-P8", "T8-P8#2"]
    assert client.post("/ingest", json=chunk(name, physical(SECOND), channels=keys)).is_success


def test_declaring_again_changes_nothing(client: httpx.Client, name: str) -> None:
    declare(client, name)
    before = client.get(f"/recordings/{name}").json()
    declare(client, name)
    assert client.get(f"/recordings/{name}").json() == before
    other = {
        "patient_id": "p1",
        "recording_id": name,
        "groups": [{"rate_hz": 128, "channels": [{"label": "A"}]}],
    }
    problem(client.post("/recordings", json=other), 409)


@pytest.mark.parametrize(
    ("group", "field"),
    [
        ({"rate_hz": 0, "channels": [{"label": "A"}]}, "groups[0].rate_hz"),
        ({"rate_hz": "1/0", "channels": [{"label": "A"}]}, "groups[0].rate_hz"),
        ({"rate_hz": 1, "channels": []}, "groups[0].channels"),
        ({"rate_hz": 1, "channels": [{"label": ""}]}, "groups[0].channels[0].label"),
        (
            {"rate_hz": 1, "channels": [{"label": "A", "physical_min": 1}]},
            "groups[0].channels[0].physical_max",
        ),
        (
            {"rate_hz": 1, "channels": [{"label": "A", "factor": 0}]},
            "groups[0].channels[0].factor",
        ),
        ({"rate_hz": 1, "dtype": "int8", "channels": [{"label": "A"}]}, "groups[0].dtype"),
    ],
)
def test_impossible_declarations(
    client: httpx.Client, name: str, group: dict[str, Any], field: str
) -> None:
    body = {"patient_id": "p1", "recording_id": name, "groups": [group]}
    refused = problem(client.post("/recordings", json=body), 422)
    assert refused["errors"][0]["field"] == field


def test_raw_numbers(client: httpx.Client, name: str) -> None:
    declare(client, name)
    first = post_raw(client, name, SECOND, 0)
    assert first.status_code == 201
    # It is the same chunk in whatever form it comes.
    again = client.post("/ingest", json=chunk(name, physical(SECOND)))
    assert again.status_code == 200
    assert again.json()["checksum"] == first.json()["checksum"]
    assert post_raw(client, name, SECOND, 0).json()["status"] == "duplicate"
    problem(post_raw(client, name, digital(RATE, 9), 0), 409)


def test_raw_numbers_that_do_not_fit(client: httpx.Client, name: str) -> None:
    declare(client, name)
    odd = client.post(
        f"/recordings/{name}/chunks",
        params={"start_sample": 0},
        content=b"123",
        headers={"content-type": RAW},
    )
    assert problem(odd, 422)["errors"][0]["field"] == "body"
    assert problem(post_raw(client, name, SECOND, -1), 422)["errors"][0]["field"] == "start_sample"
    assert problem(post_raw(client, name, SECOND, 0, group=1), 422)["errors"][0]["field"] == "group"
    url = f"/recordings/{name}/chunks"
    missing = client.post(url, content=b"12345678", headers={"content-type": RAW})
    assert problem(missing, 422)["errors"][0]["field"] == "start_sample"
    problem(client.post(url, content=b"12345678", headers={"content-type": "text/plain"}), 415)
    digest = {"content-type": RAW, "X-Content-SHA256": "0" * 64}
    wrong = client.post(url, params={"start_sample": 0}, content=b"12345678", headers=digest)
    assert problem(wrong, 422)["errors"][0]["field"] == "X-Content-SHA256"
    problem(post_raw(client, "nobody", SECOND, 0), 404)


def test_a_batch_of_chunks(client: httpx.Client, name: str) -> None:
    declare(client, name)
    samples = digital(10 * RATE)
    pieces = [samples[:, n * RATE : (n + 1) * RATE].tobytes() for n in range(10)]
    starts = [n * RATE for n in range(10)]

    def post(body: bytes) -> httpx.Response:
        url = f"/recordings/{name}/chunks"
        return client.post(url, content=body, headers={"content-type": ARROW})

    first = post(batch(starts, pieces))
    assert first.status_code == 201
    assert [each["status"] for each in first.json()["receipts"]] == ["stored"] * 10
    assert post(batch(starts, pieces)).status_code == 200
    # One that is refused does not stop the others.
    mixed = post(
        batch([0, 10 * RATE, 11 * RATE, 12 * RATE], [pieces[1], pieces[0], b"123", pieces[2]])
    )
    assert mixed.status_code == 207
    receipts = mixed.json()["receipts"]
    assert [each["status"] for each in receipts] == ["refused", "stored", "refused", "stored"]
    assert receipts[0]["problem"]["status"] == 409
    assert receipts[0]["problem"]["stored"] == first.json()["receipts"][0]["checksum"]
    assert receipts[2]["problem"]["status"] == 422
    assert problem(post(b"no arrow"), 422)["errors"][0]["field"] == "body"
    assert problem(post(batch([], [])), 422)["errors"][0]["field"] == "body"


def test_bodies_have_a_limit(client: httpx.Client, name: str) -> None:
    long = b" " * 4_000_001
    assert "4000000" in problem(client.post("/ingest", content=long), 413)["detail"]

    def pieces() -> Iterator[bytes]:
        for _ in range(41):
            yield b" " * 100_000

    problem(client.post("/ingest", content=pieces()), 413)
    assert client.post("/ingest", json=chunk(name, physical(SECOND))).status_code == 201


def test_packed_bodies_are_refused(client: httpx.Client, name: str) -> None:
    packed = gzip.compress(orjson.dumps(chunk(name, physical(SECOND))))
    problem(client.post("/ingest", content=packed, headers={"content-encoding": "gzip"}), 415)


def test_a_sealed_recording_takes_nothing_more(client: httpx.Client, name: str) -> None:
    client.post("/ingest", json=chunk(name, physical(SECOND)))
    sealed = client.post(f"/recordings/{name}/seal")
    assert sealed.status_code == 200
    assert sealed.json()["state"] == "sealed"
    assert client.post(f"/recordings/{name}/seal").json() == sealed.json()
    problem(client.post("/ingest", json=chunk(name, physical(SECOND), 1.0)), 409)
    other = chunk(name, physical(SECOND), channels=["a", "b", "c", "d"])
    problem(client.post("/ingest", json=other), 409)
    np.testing.assert_array_equal(values_of(window(client, name, 0, 9)), physical(SECOND))


def test_labels_that_repeat_stay_apart(client: httpx.Client, name: str) -> None:
    client.post("/ingest", json=chunk(name, physical(SECOND)))
    shown = window(client, name, 0, 1).json()
    assert list(shown) == ["FP1-F7", "F7-T7", "T8-P8", "T8-P8#2"]
    assert list(window(client, name, 0, 1, channels="T8-P8").json()) == ["T8-P8", "T8-P8#2"]
    assert list(window(client, name, 0, 1, channels="T8-P8#2").json()) == ["T8-P8#2"]
    assert LABELS.count("T8-P8") == 2
