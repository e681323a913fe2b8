"""The service as a process: started, killed, stopped, and what it does by itself meanwhile."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.support.record_posts import (
    ARROW,
    RATE,
    batch,
    chunk,
    declare,
    digital,
    physical,
    problem,
    raw_of,
    values_of,
    window,
)
from tests.support.records_server import RecordsServer, wait_for

SECOND = physical(digital(RATE))


def test_what_was_acknowledged_survives_a_kill(folder: Path) -> None:
    server = RecordsServer(folder)
    kept: list[int] = []
    for attempt in range(3):
        server.start()
        with server.client() as client:
            timer = threading.Timer(0.3 + 0.2 * attempt, server.kill)
            before = len(kept)
            try:
                for second in range(before, 10_000):
                    samples = physical(digital(RATE, second))
                    answer = client.post("/ingest", json=chunk("n", samples, float(second)))
                    assert answer.status_code in {200, 201}
                    kept.append(second)
                    if second == before:
                        timer.start()
            except httpx.HTTPError:
                pass
            timer.join()
    with server.start(), server.client() as client:
        assert kept
        for second in kept:
            shown = values_of(window(client, "n", second, second + 1))
            np.testing.assert_array_equal(shown, physical(digital(RATE, second)))
        assert client.get("/recordings/n/verify").json()["ok"] is True


def test_a_stop_answers_what_is_under_way(folder: Path) -> None:
    server = RecordsServer(folder).start()
    answered: list[int] = []
    started = threading.Event()

    def post(number: int) -> None:
        with server.client() as client:
            try:
                for second in range(10_000):
                    body = chunk(f"r{number}", SECOND, float(second))
                    if client.post("/ingest", json=body).status_code == 201:
                        answered.append(number)
                        started.set()
            except httpx.HTTPError:
                pass

    threads = [threading.Thread(target=post, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    assert started.wait(30)
    assert server.stop() == 0
    for thread in threads:
        thread.join()
    with server.start(), server.client() as client:
        held = sum(each["duration_sec"] for each in client.get("/recordings").json())
        assert held >= len(answered)


def test_whole_blocks_leave_the_catalogue(folder: Path) -> None:
    with (
        RecordsServer(folder, seconds_between_compactions=0.1) as server,
        server.client() as client,
    ):
        declare(client, "n")
        stored = digital(700 * RATE)
        pieces = [stored[:, n * 2560 : (n + 1) * 2560].tobytes() for n in range(70)]
        body = batch([n * 2560 for n in range(70)], pieces)
        answer = client.post("/recordings/n/chunks", content=body, headers={"content-type": ARROW})
        assert answer.status_code == 201

        def compacted() -> bool:
            return "ranvier_records_blocks_compacted_total 1.0" in client.get("/metrics").text

        wait_for(compacted)
        _, numbers = raw_of(window(client, "n", 600, 700, format="i16"))
        np.testing.assert_array_equal(numbers, stored[:, 600 * RATE :])
        events = [row["event"] for row in client.get("/recordings/n/audit").json()]
        assert events.count("block") == 1
        assert client.get("/recordings/n/verify").json()["ok"] is True


def test_a_window_beyond_the_limit_comes_from_the_overview(folder: Path) -> None:
    with (
        RecordsServer(folder, window_limit_samples=20_000) as server,
        server.client() as client,
    ):
        declare(client, "n")
        stored = digital(200 * RATE, 3)
        body = batch([0], [stored.tobytes()])
        client.post("/recordings/n/chunks", content=body, headers={"content-type": ARROW})
        answer = window(client, "n", 0, 200, max_points=100)
        assert answer.headers["x-method"] == "overview"
        shown = values_of(answer)
        assert shown.shape[1] <= 100
        np.testing.assert_array_equal(shown.max(axis=1), physical(stored).max(axis=1))
        np.testing.assert_array_equal(shown.min(axis=1), physical(stored).min(axis=1))
        assert "max_points" in problem(window(client, "n", 0, 50), 413)["detail"]
        problem(window(client, "n", 0, 200, max_points=100, hp=1), 413)


def test_a_port_in_use_is_one_clear_line(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = subprocess.run(
            [sys.executable, "-m", "tests.support.records_server"],
            cwd=Path(__file__).parents[2],
            env={**os.environ, "RANVIER_HOME": str(folder), "RANVIER_RECORDS_PORT": str(port)},
            capture_output=True,
            text=True,
            check=False,
        )
    assert ended.returncode != 0
    last = ended.stderr.strip().splitlines()[-1]
    assert f"port {port} of 127.0.0.1 is in use" in last


def test_answers_on_a_kept_connection_do_not_wait(server: RecordsServer) -> None:
    with server.client() as client:
        took = []
        for _ in range(30):
            answer = client.get("/")
            took.append(answer.elapsed.total_seconds())
    # With Nagle's algorithm each took 40 ms and more.
    assert np.median(took) < 0.03


@pytest.mark.parametrize("path", ["/openapi.json", "/docs"])
def test_the_service_documents_itself(server: RecordsServer, path: str) -> None:
    with server.client() as client:
        assert client.get(path).status_code == 200


def test_every_body_has_an_example(server: RecordsServer) -> None:
    with server.client() as client:
        document = client.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    for name in (
        "IngestChunk",
        "Receipt",
        "DeclareRecording",
        "NewAnnotation",
        "RevisedAnnotation",
        "ProblemBody",
    ):
        assert schemas[name]["examples"], name
    text = json.dumps(document)
    for reference in set(text.split("#/components/schemas/")[1:]):
        assert reference.partition('"')[0] in schemas
    eeg = document["paths"]["/eeg"]["get"]
    assert eeg["responses"]["200"]["content"]["application/json"]["example"]
    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    assert all(
        "security" in operation
        for path, operations in document["paths"].items()
        for operation in operations.values()
        if path not in {"/health"}
    ), "a route without a token"
