"""From ``ranvier deploy`` to chunks on disk: a real server, a real worker, the API between them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from deployments.prefect_settings import RUN_SETTINGS, SERVER_SETTINGS
from tasks.callers import DirectCaller
from tasks.nwb_to_pennsieve import convert_all
from tasks.requests import ConvertRequest
from tests.support.command_line import environment, ranvier
from tests.support.edf_files import signals, write_edf
from tests.support.nwb_files import SeriesSpec, write_nwb
from tests.support.outputs import CountedProgress, everything_in

SECONDS = 60.0
FULL_NAME = "nwb-to-pennsieve/nwb-to-pennsieve"
RECORDS = (
    "edf-to-zarr", "ingest-folder", "seal-recording", "verify-recording", "export-recording",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Server:
    """A Prefect server with everything of it in one folder."""

    url: str
    home: Path

    @property
    def variables(self) -> dict[str, str]:
        """What its clients need."""
        return {**RUN_SETTINGS, "PREFECT_API_URL": self.url, "PREFECT_HOME": str(self.home)}

    def get(self, path: str) -> Any:
        """Ask for something."""
        reply = requests.get(self.url + path, timeout=30)
        assert reply.ok, reply.text
        return reply.json()

    def post(self, path: str, body: Any) -> requests.Response:
        """Send something."""
        return requests.post(self.url + path, json=body, timeout=30)

    def patch(self, path: str, body: Any) -> None:
        """Change something."""
        reply = requests.patch(self.url + path, json=body, timeout=30)
        assert reply.ok, reply.text

    @property
    def deployment(self) -> Any:
        """The deployment of the conversion."""
        return self.get(f"/deployments/name/{FULL_NAME}")


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    due = time.monotonic() + SECONDS
    while not (found := condition()):
        assert time.monotonic() < due, f"not within {SECONDS:g} s: {what}"
        time.sleep(0.25)
    return found


@contextmanager
def prefect(*words: str, variables: dict[str, str], log: Path) -> Iterator[None]:
    """Run a Prefect command while the block runs, and end it with all its children."""
    with log.open("wb") as lines:
        process = subprocess.Popen(
            [sys.executable, "-m", "prefect", *words],
            env=environment(variables),
            stdout=lines,
            stderr=lines,
            cwd=log.parent,
            start_new_session=True,
        )
    try:
        yield
    finally:
        children = psutil.Process(process.pid).children(recursive=True)
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(30)
        _, alive = psutil.wait_procs(children, timeout=10)
        for child in alive:
            child.kill()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Start a Prefect server."""
    home = tmp_path_factory.mktemp("prefect-server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = Server(f"http://127.0.0.1:{port}/api", home)
    variables = {
        **RUN_SETTINGS,
        **SERVER_SETTINGS,
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "5",
    }
    words = ("server", "start", "--host", "127.0.0.1", "--port", str(port))
    with prefect(*words, variables=variables, log=home / "server.log"):
        wait_for(lambda: is_healthy(started.url), "the Prefect server answers")
        yield started


def is_healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


@pytest.fixture(scope="module")
def deployed(server: Server) -> Any:
    """Run ``ranvier deploy`` and return what it printed."""
    done = ranvier("deploy", "--json", env=server.variables)
    assert done.code == 0, done.err
    registered = {one["name"]: one for one in done.json["deployments"]}
    assert set(registered) == {
        FULL_NAME,
        *(f"{name}/{name}" for name in RECORDS),
    }
    return registered[FULL_NAME]


@pytest.fixture(scope="module")
def worker(server: Server, deployed: Any) -> Iterator[None]:
    """Start a worker for the pool."""
    variables = {**server.variables, "PREFECT_WORKER_QUERY_SECONDS": "2"}
    words = ("worker", "start", "--pool", deployed["pool"], "--name", "test", "--limit", "1")
    with prefect(*words, variables=variables, log=server.home / "worker.log"):
        yield


def test_without_a_server_it_says_what_to_do() -> None:
    failed = ranvier("deploy")
    assert failed.code == 2
    assert failed.err.startswith("ranvier: no Prefect server is named; start one with")
    assert failed.err.count("\n") == 1


def test_a_server_that_does_not_answer_is_one_line() -> None:
    failed = ranvier("deploy", "--api-url", "http://127.0.0.1:1/api")
    assert failed.code == 1
    assert "http://127.0.0.1:1/api: " in failed.err
    assert failed.err.count("\n") == 1


def test_a_conversion_on_a_server_that_does_not_answer_is_one_line(tmp_path: Path) -> None:
    failed = ranvier(
        "convert",
        str(tmp_path / "a.nwb"),
        env={"PREFECT_API_URL": "http://127.0.0.1:1/api", "PREFECT_HOME": str(tmp_path)},
    )
    assert failed.code == 1
    assert failed.err.startswith("ranvier: http://127.0.0.1:1/api: does not answer")
    assert failed.err.count("\n") == 1


def test_with_a_server_in_the_environment_the_command_is_a_flow_run(
    server: Server, tmp_path: Path
) -> None:
    source = write_nwb(tmp_path / "a.nwb", SeriesSpec(samples=2000, channels=2))
    words = ("convert", str(source), "--output", str(tmp_path / "out"), "--json")
    done = ranvier(*words, env=server.variables)
    assert done.code == 0, done.err
    assert done.json["outcome"] == "stored"
    assert (tmp_path / "out" / "manifest.json").exists()
    of_flow = {"flows": {"name": {"any_": ["nwb-to-pennsieve"]}}}
    (run,) = server.post("/flow_runs/filter", of_flow).json()
    assert run["state_type"] == "COMPLETED"
    assert run["parameters"]["request"]["sources"] == [str(source)]


def test_a_deployment_holds_nothing_of_this_machine(server: Server, deployed: Any) -> None:
    assert deployed["created"]
    assert deployed["name"] == FULL_NAME
    found = server.deployment
    assert found["id"] == deployed["id"]
    assert found["entrypoint"] == "flows.nwb_to_pennsieve.nwb_to_pennsieve"
    assert found["pull_steps"] in (None, [])
    assert found["path"] in (None, "", ".")
    assert str(Path.cwd()) not in str(found)
    assert found["work_pool_name"] == "batch"
    assert server.get("/work_pools/batch")["type"] == "process"


def test_it_is_described_limited_and_its_schedule_is_off(server: Server, deployed: Any) -> None:
    found = server.deployment
    assert "chunk files" in found["description"]
    assert found["concurrency_options"]["collision_strategy"] == "CANCEL_NEW"
    assert found["global_concurrency_limit"]["limit"] == 1
    (schedule,) = found["schedules"]
    assert not schedule["active"]
    assert schedule["schedule"]["cron"] == "0 * * * *"
    form = found["parameter_openapi_schema"]["definitions"]["ConvertRequest"]["properties"]
    assert "NWB files" in form["sources"]["description"]


@pytest.mark.parametrize(
    "bad",
    [
        {},
        {"request": {}},
        {"request": {"sources": ["/a.nwb"], "chunk_size_mb": 0}},
        {"request": {"sources": ["/a.nwb"], "level": 9}},
        {"request": {"sources": ["/a.nwb"], "digest": "md5"}},
        {"request": {"sources": ["/a.nwb"], "upload": {"connections": 0}}},
    ],
)
def test_the_api_refuses_bad_parameters(server: Server, deployed: Any, bad: Any) -> None:
    reply = server.post(f"/deployments/{deployed['id']}/create_flow_run", {"parameters": bad})
    assert reply.status_code == 409, reply.text


def test_deploying_again_keeps_what_people_set(server: Server, deployed: Any) -> None:
    request = {"request": {"sources": ["/data/in"], "output": "/data/out"}}
    before = server.deployment
    server.patch(f"/deployments/{deployed['id']}", {"parameters": request})
    (schedule,) = before["schedules"]
    server.patch(f"/deployments/{deployed['id']}/schedules/{schedule['id']}", {"active": True})
    done = ranvier("deploy", env=server.variables)
    assert done.code == 0
    assert f"updated: {FULL_NAME} in work pool batch\n" in done.out
    after = server.deployment
    assert after["id"] == before["id"]
    assert after["parameters"] == request
    assert [one["active"] for one in after["schedules"]] == [True]
    assert [one["id"] for one in after["schedules"]] == [schedule["id"]]
    assert after["entrypoint"] == before["entrypoint"]
    assert after["pull_steps"] in (None, [])


def test_a_schedule_makes_runs(server: Server, deployed: Any) -> None:
    request = {"request": {"sources": ["/data/in"]}}
    server.patch(f"/deployments/{deployed['id']}", {"parameters": request})
    (schedule,) = server.deployment["schedules"]
    path = f"/deployments/{deployed['id']}/schedules/{schedule['id']}"
    server.patch(path, {"active": True})
    chosen = {
        "deployments": {"id": {"any_": [deployed["id"]]}},
        "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}},
    }
    try:
        found = wait_for(
            lambda: server.post("/flow_runs/filter", chosen).json(), "the schedule makes runs"
        )
    finally:
        server.patch(path, {"active": False})
    assert all(run["auto_scheduled"] and run["parameters"] == request for run in found)


def test_a_run_that_the_api_asked_for_leaves_chunks_on_disk(
    server: Server, deployed: Any, worker: None, tmp_path: Path
) -> None:
    source = write_nwb(
        tmp_path / "sub-01.nwb",
        SeriesSpec(samples=300_000, channels=2),
        SeriesSpec(name="lfp", samples=2000, channels=1),
    )
    asked = {"sources": [str(source)], "output": str(tmp_path / "chunks")}
    reply = server.post(
        f"/deployments/{deployed['id']}/create_flow_run",
        {"parameters": {"request": asked}, "state": {"type": "SCHEDULED"}},
    )
    assert reply.ok, reply.text
    path = f"/flow_runs/{reply.json()['id']}"
    ended = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
    wait_for(lambda: server.get(path)["state_type"] in ended, "the run ends")
    state = server.get(path)["state"]
    assert state["type"] == "COMPLETED", (state, (server.home / "worker.log").read_text()[-3000:])

    direct = tmp_path / "direct"
    convert_all(
        ConvertRequest(sources=(str(source),), output=str(direct)), DirectCaller(CountedProgress())
    )
    assert everything_in(tmp_path / "chunks") == everything_in(direct)
    chosen = {"flow_runs": {"id": {"any_": [reply.json()["id"]]}}}
    lines: list[str] = []

    def told_what_was_stored() -> bool:
        lines[:] = [one["message"] for one in server.post("/logs/filter", logs_of(path)).json()]
        return any("stored in" in line for line in lines)

    wait_for(told_what_was_stored, "our own packages' lines reach the server")
    keys = {one["key"] for one in server.post("/artifacts/filter", chosen).json()}
    assert "nwb-to-pennsieve-results" in keys


def logs_of(path: str) -> Any:
    return {"logs": {"flow_run_id": {"any_": [path.rpartition("/")[2]]}}}


def test_a_form_takes_what_an_ingest_needs_and_the_api_refuses_the_rest(
    server: Server, deployed: Any
) -> None:
    found = server.get("/deployments/name/edf-to-zarr/edf-to-zarr")
    form = found["parameter_openapi_schema"]["definitions"]["IngestRequest"]["properties"]
    assert "EDF" in form["sources"]["description"]
    path = f"/deployments/{found['id']}/create_flow_run"
    for bad in ({}, {"request": {"sources": ["/a.edf"], "codec": "zip"}}):
        assert server.post(path, {"parameters": bad}).status_code == 409
    watching = server.get("/deployments/name/ingest-folder/ingest-folder")
    assert [one["active"] for one in watching["schedules"]] == [False]
    assert watching["global_concurrency_limit"]["limit"] == 1


def test_a_worker_takes_a_folder_into_its_own_store(
    server: Server, deployed: Any, worker: None, tmp_path: Path
) -> None:
    (tmp_path / "ward3").mkdir()
    write_edf(tmp_path / "ward3" / "a.edf", signals=signals(2), records=5)
    found = server.get("/deployments/name/edf-to-zarr/edf-to-zarr")
    reply = server.post(
        f"/deployments/{found['id']}/create_flow_run",
        {
            "parameters": {"request": {"sources": [str(tmp_path / "ward3")]}},
            "state": {"type": "SCHEDULED"},
            "job_variables": {"env": {**RUN_SETTINGS, "RANVIER_HOME": str(tmp_path / "home")}},
        },
    )
    assert reply.ok, reply.text
    path = f"/flow_runs/{reply.json()['id']}"
    ended = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
    wait_for(lambda: server.get(path)["state_type"] in ended, "the run ends")
    state = server.get(path)["state"]
    assert state["type"] == "COMPLETED", (state, (server.home / "worker.log").read_text()[-3000:])
    held = ranvier("recordings", "list", "--json", env={"RANVIER_HOME": str(tmp_path / "home")})
    assert [one["recording_id"] for one in held.json["recordings"]] == ["a.edf"]
