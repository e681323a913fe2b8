"""From a wearable's chunks to queries, on each database and place, while blocks are compacted.

A quarter of an hour of 23 channels in an ordinary run; with RANVIER_SOAK set, a whole hour.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from storage.edf import EdfSource
from storage.recording_store import RecordingStore
from storage.settings import RecordsSettings
from storage.spans import Span
from tests.support.command_line import command, environment
from tests.support.databases import postgres
from tests.support.edf_files import signals, write_edf
from tests.support.postgres import PostgresServer
from tests.support.serving import served

__all__ = ["postgres"]

SECONDS = 3600 if os.environ.get("RANVIER_SOAK") else 900
PAGE_S = 60
CHANNELS = 23
RATE = 256
FAULTS = ("--drop", "0.05", "--duplicate", "0.05", "--reorder", "0.2")


@pytest.fixture(params=["sqlite-folder", "postgres-bucket"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Return the variables of a store in a folder or a bucket, and its database."""
    env: dict[str, str | None] = {
        "RANVIER_HOME": str(tmp_path / "home"),
        "RANVIER_RECORDS_SECONDS_BETWEEN_COMPACTIONS": "1",
    }
    if request.param == "sqlite-folder":
        yield env
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    bucket: str = request.getfixturevalue("bucket_url")
    url = server.new_database()
    yield {**env, "RANVIER_DATABASE_URL": url, "RANVIER_STORE": f"{bucket}/store"}
    server.drop_database(url)


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_what_is_asked_for_is_what_the_file_holds(place: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "p1").mkdir()
    path = write_edf(tmp_path / "p1" / "hour.edf", signals=signals(CHANNELS), records=SECONDS)
    words = ("simulate", "wearable", str(path), "--speed", "max", "--json", *FAULTS)
    with (
        served("records", log=tmp_path / "log", env=place) as service,
        EdfSource(str(path)) as file,
    ):
        asked: dict[str, Any] = {"patient_id": "p1", "recording_id": "hour.edf"}
        with subprocess.Popen(
            command(*words, "--url", service.url),
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as device:
            pages = 0
            while device.poll() is None:
                pages += checked_so_far(service.url, asked, file)
                time.sleep(0.2)
            out, err = device.communicate()
        assert device.returncode == 0, err
        (report,) = json.loads(out)["devices"]
        assert report["chunks"] == report["stored"] == SECONDS
        assert min(report["dropped"], report["doubled"], report["reordered"]) > 0
        assert pages > 0
        with httpx.Client(base_url=service.url, timeout=60) as client:
            for start in range(0, SECONDS, PAGE_S):
                assert_page(client, asked, file, start, start + PAGE_S)
            drawn: dict[str, Any] = {**asked, "start": 0, "end": SECONDS, "max_points": 400}
            assert client.get("/eeg", params=drawn).status_code == 200
    settings = RecordsSettings(
        home=place["RANVIER_HOME"],
        store=place.get("RANVIER_STORE"),
        database_url=place.get("RANVIER_DATABASE_URL"),
    )
    with RecordingStore.open(settings.store_url, settings.catalog_url) as store:
        entry = store.catalog.find("hour.edf", "p1")
        (group,) = store.groups(entry)
        compacted = [block.number for block in store.catalog.blocks(group)]
        assert compacted == list(range(SECONDS * RATE // group.block_samples))
        report_of_proof = store.verify(store.seal(entry))
        assert not report_of_proof.problems
        assert report_of_proof.samples == SECONDS * RATE * CHANNELS


def checked_so_far(url: str, asked: dict[str, Any], file: EdfSource) -> int:
    """Compare the latest whole page that was acknowledged in full, if there is one."""
    with httpx.Client(base_url=url, timeout=60) as client:
        listed = client.get("/recordings", params={"patient_id": "p1"}).json()
        # A few chunks may be late, as many as the device holds back.
        end = int(listed[0]["duration_sec"]) - 30 if listed else 0
        if end < PAGE_S:
            return 0
        assert_page(client, asked, file, end - PAGE_S, end)
        return 1


def assert_page(
    client: httpx.Client, asked: dict[str, Any], file: EdfSource, start: int, end: int
) -> None:
    """The service's raw numbers of a page are those of the file."""
    params = {**asked, "start": start, "end": end, "format": "i16"}
    reply = client.get("/eeg", params=params)
    assert reply.status_code == 200, reply.text
    wanted = np.ascontiguousarray(file.read(0, Span(start * RATE, end * RATE)).T, "<i2").tobytes()
    assert reply.content.endswith(wanted), (start, end, reply.content[:300])
