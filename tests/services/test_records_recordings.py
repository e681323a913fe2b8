"""Recordings as wholes: lists, details, proof, annotations, export."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import sqlite3
import zipfile
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import httpx
import numpy as np
import pytest

from tests.support.record_posts import (
    PATIENT,
    RATE,
    chunk,
    declare,
    digital,
    physical,
    post_raw,
    problem,
)
from tests.support.records_server import RecordsServer

SECOND = physical(digital(RATE))
AUDIT_FIELDS = {
    "patient_id",
    "recording_id",
    "chunk_start_sec",
    "chunk_end_sec",
    "num_samples",
    "checksum",
    "ingested_at",
    "source",
    "previous",
    "hash",
}


def test_lists(client: httpx.Client, name: str) -> None:
    client.post("/ingest", json=chunk(name, SECOND, patient_id="lister"))
    client.post("/ingest", json=chunk(f"b-{name}", SECOND, patient_id="lister"))
    listed = client.get("/recordings", params={"patient_id": "lister"}).json()
    assert sorted(each["recording_id"] for each in listed) == sorted([name, f"b-{name}"])
    found = next(each for each in listed if each["recording_id"] == name)
    size = found.pop("size_bytes")
    assert found == {
        "patient_id": "lister",
        "recording_id": name,
        "duration_sec": 1.0,
        "channel_count": 4,
        "channels": ["FP1-F7", "F7-T7", "T8-P8", "T8-P8#2"],
        "rates_hz": [256.0],
        "start_time": None,
        "state": "live",
    }
    assert size >= SECOND.nbytes
    assert client.get("/recordings", params={"patient_id": "nobody"}).json() == []
    everything = client.get("/recordings").json()
    assert {each["recording_id"] for each in everything} >= {name, f"b-{name}"}


def test_details(client: httpx.Client, name: str) -> None:
    group = {"rate_hz": "2997/10", "channels": [{"label": "A", "factor": 0.5, "offset": 1}]}
    body = {
        "patient_id": PATIENT,
        "recording_id": name,
        "start_time": "2076-11-06T13:43:04.5+01:00",
        "groups": [group],
    }
    assert client.post("/recordings", json=body).status_code == 201
    shown = client.get(f"/recordings/{name}").json()
    assert shown["start_time"] == "2076-11-06T12:43:04.500000+00:00"
    assert shown["groups"][0]["rate"] == "2997/10"
    assert shown["groups"][0]["dtype"] == "int16"
    assert shown["groups"][0]["extents"] == []
    post_raw(client, name, np.zeros((1, 2997), np.int16), 0)
    post_raw(client, name, np.zeros((1, 2997), np.int16), 5994)
    shown = client.get(f"/recordings/{name}").json()
    assert shown["groups"][0]["extents"] == [[0.0, 10.0], [20.0, 30.0]]
    assert shown["groups"][0]["gaps"] == 1
    problem(client.get("/recordings/nobody"), 404)


def test_the_chain_can_be_recomputed(client: httpx.Client, name: str) -> None:
    for second in range(3):
        client.post("/ingest", json=chunk(name, SECOND, float(second)))
    rows = client.get(f"/recordings/{name}/audit").json()
    previous = "0" * 64
    for row in rows:
        assert set(row) >= AUDIT_FIELDS
        kept = {name: value for name, value in row.items() if name not in {"previous", "hash"}}
        text = json.dumps(kept, sort_keys=True, separators=(",", ":"))
        assert row["previous"] == previous
        assert row["hash"] == hashlib.sha256((previous + text).encode()).hexdigest()
        previous = row["hash"]
    assert [row["num_samples"] for row in rows if row["event"] == "chunk"] == [RATE] * 3
    later = client.get(f"/recordings/{name}/audit", params={"after": 3, "limit": 1}).json()
    assert later == rows[3:4]


def test_a_changed_sample_is_found(server: RecordsServer, client: httpx.Client, name: str) -> None:
    client.post("/ingest", json=chunk(name, SECOND))
    good = client.get(f"/recordings/{name}/verify").json()
    assert (good["ok"], good["problems"]) == (True, [])
    assert good["counts"]["samples"] == 4 * RATE
    uuid = client.get(f"/recordings/{name}").json()["uuid"].replace("-", "")
    with sqlite3.connect(server.home / "catalog.db") as database:
        triggers = database.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'chunk_body'"
        ).fetchall()
        for trigger, _ in triggers:
            database.execute(f'DROP TRIGGER "{trigger}"')
        changed = database.execute(
            "UPDATE chunk_body SET body = zeroblob(length(body)) WHERE group_id IN (SELECT g.id "
            "FROM rate_group g JOIN recording r ON r.id = g.recording_id WHERE r.uuid = ?)",
            (uuid,),
        ).rowcount
        for _, sql in triggers:
            database.execute(sql)
    database.close()
    assert changed == 1
    bad = client.get(f"/recordings/{name}/verify").json()
    assert bad["ok"] is False
    assert "audit row 3" in bad["problems"][0]


def test_annotations_are_versioned(client: httpx.Client, name: str) -> None:
    client.post("/ingest", json=chunk(name, SECOND))
    url = f"/recordings/{name}/annotations"
    new = {"onset": 0.25, "duration": 0.5, "text": "seizure", "kind": "seizure"}
    added = client.post(url, json=new)
    assert added.status_code == 201
    first = added.json()
    assert (first["version"], first["onset"], first["author"]) == (1, 0.25, "local")
    assert client.get(url).json() == [first]
    at = f"{url}/{first['annotation_id']}"

    change = {"duration": 0.75, "reason": "offset seen on review", "version": 1}
    second = client.patch(at, json=change).json()
    assert (second["version"], second["duration"], second["onset"]) == (2, 0.75, 0.25)
    assert second["reason"] == "offset seen on review"
    assert client.get(url).json() == [second]
    # Somebody who read the first version is told so.
    assert problem(client.patch(at, json=change), 409)["version"] == 2
    assert client.patch(at, json={"duration": None, "reason": "open end"}).json()["version"] == 3
    field = problem(client.patch(at, json={"text": "x"}), 422)["errors"][0]["field"]
    assert field == "reason"

    assert problem(client.delete(at), 422)["errors"][0]["field"] == "reason"
    gone = client.delete(at, params={"reason": "electrode artefact"}).json()
    assert (gone["version"], gone["voided"]) == (4, True)
    problem(client.delete(at, params={"reason": "again"}), 409)
    assert client.get(url).json() == []
    history = client.get(url, params={"history": True}).json()
    assert [each["version"] for each in history] == [1, 2, 3, 4]
    assert history[0] == first
    events = [row["event"] for row in client.get(f"/recordings/{name}/audit").json()]
    assert events.count("annotation") == 4


def test_an_annotation_that_is_sent_again_is_stored_once(client: httpx.Client, name: str) -> None:
    """A client whose answer was lost sends it again, by an id of its own."""
    client.post("/ingest", json=chunk(name, SECOND))
    url = f"/recordings/{name}/annotations"
    number = str(uuid4())
    new = {"onset": 0.25, "text": "spike", "channels": ["T8-P8"], "annotation_id": number}
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: client.post(url, json=new), range(8)))
    assert sorted(each.status_code for each in answers) == [200] * 7 + [201]
    (first,) = client.get(url).json()
    assert first["annotation_id"] == number
    assert all(each.json() == first for each in answers)

    # What was typed anew is not taken for it; nor is it taken over by another recording.
    problem(client.post(url, json=new | {"text": "no spike"}), 409)
    problem(client.post(url, json=new | {"channels": []}), 409)
    client.post("/ingest", json=chunk(f"b-{name}", SECOND))
    other = f"/recordings/b-{name}/annotations"
    problem(client.post(other, json=new), 409)
    assert client.get(other).json() == []

    # Sent again late, it does not undo what has become of it.
    at = f"{url}/{number}"
    second = client.patch(at, json={"text": "sharp", "reason": "looked again"}).json()
    late = client.post(url, json=new)
    assert (late.status_code, late.json()) == (200, second)
    client.delete(at, params={"reason": "artefact"})
    late = client.post(url, json=new)
    assert (late.status_code, late.json()["voided"]) == (200, True)
    assert client.get(url).json() == []
    rows = client.get(f"/recordings/{name}/audit").json()
    actions = [row["detail"]["action"] for row in rows if row["event"] == "annotation"]
    assert actions == ["add", "revise", "void"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"text": ""}, "text"),
        ({"annotation_id": "mine"}, "annotation_id"),
        ({"onset": None}, "onset"),
        ({"duration": -1}, "duration"),
        ({"kind": "spike"}, "kind"),
        ({"channels": ["T9"]}, "channels"),
        ({"color": "red"}, "color"),
    ],
)
def test_impossible_annotations(
    client: httpx.Client, name: str, change: dict[str, object], field: str
) -> None:
    client.post("/ingest", json=chunk(name, SECOND))
    body = {"onset": 0.0, "text": "note"} | change
    refused = problem(client.post(f"/recordings/{name}/annotations", json=body), 422)
    assert refused["errors"][0]["field"] == field


def test_annotations_of_sealed_recordings(client: httpx.Client, name: str) -> None:
    client.post("/ingest", json=chunk(name, SECOND))
    client.post(f"/recordings/{name}/seal")
    url = f"/recordings/{name}/annotations"
    beyond = client.post(url, json={"onset": 5.0, "text": "late", "channels": ["T8-P8"]}).json()
    assert beyond["beyond_end"] is True
    assert client.post(url, json={"onset": 0.5, "text": "in"}).json()["beyond_end"] is False
    unknown = "00000000-0000-0000-0000-000000000000"
    problem(client.patch(f"{url}/{unknown}", json={"reason": "x"}), 404)
    problem(client.patch(f"{url}/1", json={"reason": "x"}), 422)


def test_export_as_csv(client: httpx.Client, name: str) -> None:
    for second in range(3):
        client.post("/ingest", json=chunk(name, SECOND, float(second)))
    query: dict[str, Any] = {"format": "csv", "start": 1, "end": 2}
    answer = client.get(f"/recordings/{name}/export", params=query)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/csv")
    assert name.removesuffix(".edf") in answer.headers["content-disposition"]
    rows = list(csv.reader(io.StringIO(answer.text)))
    values = np.array([row[2:] for row in rows[1:]], dtype=np.float64).T
    np.testing.assert_array_equal(values, SECOND)
    client.post("/ingest", json=chunk(name, [[1.0]], 0.0, 1.0, channels=["Slow"]))
    packed = client.get(f"/recordings/{name}/export", params={"format": "csv"})
    with zipfile.ZipFile(io.BytesIO(packed.content)) as archive:
        assert sum(each.endswith(".csv") for each in archive.namelist()) == 3
    rows = client.get(f"/recordings/{name}/audit").json()
    assert [row["detail"]["format"] for row in rows if row["event"] == "exported"] == ["csv"] * 2
    problem(client.get(f"/recordings/{name}/export"), 422)
    problem(client.get(f"/recordings/{name}/export", params=query | {"start": 50, "end": 60}), 422)


def test_export_as_edf(client: httpx.Client, name: str, tmp_path: object) -> None:
    import edfio

    declare(client, name, labels=("A", "B"))
    stored = digital(5 * RATE, 4, 2)
    post_raw(client, name, stored, 0)
    query: dict[str, Any] = {"format": "edf", "start": 1, "end": 4}
    answer = client.get(f"/recordings/{name}/export", params=query)
    assert answer.status_code == 200, answer.text
    made = edfio.read_edf(io.BytesIO(answer.content))
    got = np.array([each.digital for each in made.signals])
    np.testing.assert_array_equal(got, stored[:, RATE : 4 * RATE])
    assert (made.signals[0].physical_min, made.signals[0].digital_max) == (-800, 2047)
    assert made.patient.name == "X"


def test_own_routes(client: httpx.Client, name: str) -> None:
    assert client.get("/health").json()["status"] == "healthy"
    client.post("/ingest", json=chunk(name, SECOND))
    client.post("/ingest", json=chunk(name, SECOND))
    text = client.get("/metrics").text
    assert 'ranvier_records_chunks_total{outcome="stored"}' in text
    assert 'ranvier_records_chunks_total{outcome="duplicate"}' in text
    assert 'route="/ingest"' in text
    assert name not in text
    assert PATIENT not in text
    problem(client.get("/nowhere"), 404)
    problem(client.delete("/ingest"), 405)
