"""``ranvier serve records``: starts, says where it is, answers, stops when told to."""

from __future__ import annotations

import json
import signal
import socket
from pathlib import Path

import httpx
import pytest

from tests.support.command_line import ranvier
from tests.support.edf_files import signals, write_edf
from tests.support.serving import served


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_it_is_and_stops_when_told_to(
    home: Path, tmp_path: Path, how: signal.Signals
) -> None:
    log = tmp_path / "log"
    with served("records", log=log, env={"RANVIER_HOME": str(home)}) as service:
        assert service.url.startswith("http://127.0.0.1:")
        assert httpx.get(f"{service.url}/recordings", timeout=60).json() == []
        assert httpx.get(f"{service.url}/openapi.json", timeout=60).status_code == 200
        assert service.stop(how) == 0
    said = log.read_text()
    assert "Traceback" not in said
    assert "listening on" in said


def test_what_was_ingested_is_served(home: Path, tmp_path: Path) -> None:
    (tmp_path / "ward3").mkdir()
    write_edf(tmp_path / "ward3" / "a.edf", signals=signals(2), records=10)
    env = {"RANVIER_HOME": str(home)}
    assert ranvier("ingest", str(tmp_path / "ward3"), env=env).code == 0
    with served("records", log=tmp_path / "log", env=env) as service:
        (one,) = httpx.get(f"{service.url}/recordings", timeout=60).json()
        assert (one["recording_id"], one["duration_sec"], one["state"]) == ("a.edf", 10.0, "sealed")
        asked: dict[str, str | int] = {
            "patient_id": "ward3",
            "recording_id": "a.edf",
            "start": 9,
            "end": 10,
        }
        window = httpx.get(f"{service.url}/eeg", params=asked, timeout=60).json()
        assert list(window) == ["EEG 0", "EEG 1"]
        assert window["EEG 0"][0] == {"timestamp": 9.0, "value": pytest.approx(230.4)}


def test_logs_are_json_if_asked_for(home: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with served("records", "--json-logs", log=log, env={"RANVIER_HOME": str(home)}) as service:
        service.stop()
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert "listening on" in lines[0]["message"]
    assert {"time", "level", "logger", "message"} <= set(lines[0])


def test_a_port_in_use_is_one_line(home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        failed = ranvier("serve", "records", "--port", port, env={"RANVIER_HOME": str(home)})
    assert failed.code in (1, 2)
    (line,) = failed.err.splitlines()
    assert line.startswith(f"ranvier: port {port} of 127.0.0.1 is in use")


def test_tokens_open_what_they_allow(home: Path, tmp_path: Path) -> None:
    env = {"RANVIER_HOME": str(home), "RANVIER_RECORDS_TOKEN_REQUIRED": "true"}
    secrets = {
        scope: ranvier("tokens", "add", scope, "--scope", scope, env=env).out.strip()
        for scope in ("ingest:write", "eeg:read")
    }
    source = write_edf(tmp_path / "a.edf", signals=signals(2), records=3)
    with served("records", log=tmp_path / "log", env=env) as service:
        words = ("simulate", "wearable", str(source), "--url", service.url, "--speed", "max")
        refused = ranvier(*words, env=env)
        assert refused.code == 1
        assert "401" in refused.err
        assert "RANVIER_TOKEN" in refused.err
        wrong = ranvier(*words, env={**env, "RANVIER_TOKEN": secrets["eeg:read"]})
        assert wrong.code == 1
        done = ranvier(*words, env={**env, "RANVIER_TOKEN": secrets["ingest:write"]})
        assert done.code == 0, done.err
        assert httpx.get(f"{service.url}/recordings", timeout=60).status_code == 401
        shown = {"Authorization": f"Bearer {secrets['eeg:read']}"}
        assert len(httpx.get(f"{service.url}/recordings", headers=shown).json()) == 1


def test_beyond_this_machine_a_token_is_wanted(home: Path) -> None:
    env = {"RANVIER_HOME": str(home), "RANVIER_RECORDS_TOKEN_REQUIRED": "false"}
    failed = ranvier("serve", "records", "--host", "0.0.0.0", "--port", "0", env=env)
    assert failed.code in (1, 2)
    assert "token" in failed.err
