"""From a wearable to a window, with everything going wrong on the way: not one sample differs.

23 channels are sent with faults injected while blocks are moved to the store, an hour on this
machine's disk, and 24 minutes, two whole blocks and a part, on each other database and kind of
store; then they are closed, and compared with the file.
"""

from __future__ import annotations

from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.support.command_line import ranvier
from tests.support.night import CHANNELS, digital, night_file
from tests.support.postgres import PostgresServer
from tests.support.records_server import RecordsServer

HOURS = 1
FEWER_HOURS = 0.4
FAULTS = ("--drop", "0.02", "--duplicate", "0.05", "--reorder", "0.05", "--delay", "0.02")


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("nights")


@pytest.mark.parametrize(
    ("database", "place", "hours"),
    [
        ("sqlite", "local", HOURS),
        ("sqlite", "s3", FEWER_HOURS),
        ("postgresql", "local", FEWER_HOURS),
        ("postgresql", "s3", FEWER_HOURS),
    ],
)
def test_a_recording_arrives_sample_for_sample(
    nights: Path,
    tmp_path: Path,
    database: str,
    place: str,
    hours: float,
    request: pytest.FixtureRequest,
) -> None:
    night = night_file(nights, hours)
    settings = {"seconds_between_compactions": "0.2"}
    if database == "postgresql":
        postgres: PostgresServer = request.getfixturevalue("postgres")
        settings["database_url"] = postgres.new_database()
    if place == "s3":
        settings["store"] = request.getfixturevalue("bucket_url")
    with RecordsServer(tmp_path, None, **settings) as server:
        ran = ranvier(
            "simulate",
            "wearable",
            str(night),
            "--url",
            server.url,
            "--speed",
            "max",
            "--patient",
            "made",
            "--recording-id",
            "hour",
            *FAULTS,
            "--seed",
            "7",
            "--json",
        )
        assert ran.code == 0, ran.err
        moved = [row for row in trail(server.url) if row["event"] == "block"]
        assert moved, "no block was moved while the recording was live"
        compare(server.url, night, hours)
        sealed = httpx.post(
            f"{server.url}/recordings/hour/seal", params={"patient_id": "made"}, timeout=120
        )
        assert sealed.status_code in (200, 201), sealed.text
        compare(server.url, night, hours)
        proof = httpx.get(
            f"{server.url}/recordings/hour/verify", params={"patient_id": "made"}, timeout=120
        ).json()
        assert proof["ok"], proof


def trail(url: str) -> list[dict[str, object]]:
    answer = httpx.get(
        f"{url}/recordings/hour/audit", params={"patient_id": "made", "limit": 10_000}, timeout=60
    )
    assert answer.status_code == 200, answer.text
    rows: list[dict[str, object]] = answer.json()
    return rows


def compare(url: str, night: Path, hours: float) -> None:
    """Compare every sample with the file."""
    seconds = round(hours * 3600)
    for start in range(0, seconds, 300):
        stop = min(start + 300, seconds)
        answer = httpx.get(
            f"{url}/eeg",
            params={
                "patient_id": "made",
                "recording_id": "hour",
                "start": start,
                "end": stop,
                "format": "i16",
            },
            timeout=60,
        )
        assert answer.status_code == 200, answer.text
        _, _, body = answer.content.partition(b"\n")
        found = np.frombuffer(body, "<i2").reshape(CHANNELS, -1)
        np.testing.assert_array_equal(found, digital(night, start, stop))
