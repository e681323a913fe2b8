"""``ranvier benchmark records``, quick: every figure is there, and all hold the same numbers."""

from __future__ import annotations

import json
import math
import signal
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import create_engine, func, select
from sqlalchemy.orm import Session

from flows.benchmark_records import MORE_RECORDINGS, QUICK
from flows.benchmark_records_targets import HTTP_SIDES, RATIOS, READ_SIDES, SIDES
from tests.baselines import row_store
from tests.baselines.calls import Client, take_turns
from tests.baselines.peer_service import running
from tests.baselines.records_plan import chunk_of
from tests.baselines.row_store import EegSample, IngestionLog, Way
from tests.support import night
from tests.support.command_line import command, environment

ROWS = ("rows orm", "rows core", "rows copy")
LENGTHS = ("1", "5", "10")
ROW_S = round(3600 * QUICK.row_hours)
# Half a minute on a quiet machine.
SECONDS = 270
CLIP = "chb01_03_clip.edf"
CALL = {"p50_ms", "p99_ms", "min_ms", "cpu_ms", "bytes", "calls"}


@pytest.fixture(scope="module")
def measured(data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Run it once, with one real file."""
    real = tmp_path_factory.mktemp("real")
    (real / CLIP).symlink_to(data / "chbmit" / CLIP)
    words = command("benchmark", "records", "--quick", "--json", "--data", str(real))
    with subprocess.Popen(
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        start_new_session=True,
    ) as process:
        try:
            out, err = process.communicate(timeout=SECONDS)
        finally:
            # On its way out it stops the services that it started.
            process.send_signal(signal.SIGINT)
    assert process.returncode == 0, err
    found: dict[str, Any] = json.loads(out)
    return found


def test_every_figure_of_every_program_is_there(measured: dict[str, Any]) -> None:
    figures = measured["figures"]
    calls = dict(_all_calls(figures))
    expected = {f"ingest {name}" for name in SIDES if name != "ours batch"}
    expected |= {f"windows {length} {name}" for length in LENGTHS for name in READ_SIDES}
    expected |= {f"http {length} {name}" for length in LENGTHS for name in HTTP_SIDES}
    for table in ("seed_table", "seed_table_10"):
        for window in ("1 one", *LENGTHS):
            expected |= {f"{table} {window} {name}" for name in (*ROWS[:2], "ours json")}
    expected |= {"overview in process", "overview HTTP"}
    assert set(calls) == expected
    for name, call in calls.items():
        assert set(call) == CALL, name
        assert 0 < call["min_ms"] <= call["p50_ms"] <= call["p99_ms"], name
        assert call["bytes"] > 0, name
    assert figures["load_more"]["recordings"] == 1 + MORE_RECORDINGS
    assert figures["batches"]["chunks_per_s"] > 0
    assert figures["full_file"]["chunks"] == figures["load"]["rows"]["chunks"] == ROW_S


def test_everybody_answers_the_same_numbers(measured: dict[str, Any]) -> None:
    # Three windows of two seconds in the JSON of four programs, and three more forms of ours.
    samples = 3 * 2 * night.RATE * night.CHANNELS
    assert measured["figures"]["check"]["samples compared"] == 7 * samples


def test_the_seed_s_json_has_the_same_size_everywhere(measured: dict[str, Any]) -> None:
    for length in LENGTHS:
        sizes = {
            name: call["bytes"]
            for name, call in measured["figures"]["http"][length].items()
            if name.endswith(("orm", "core", "json"))
        }
        assert max(sizes.values()) / min(sizes.values()) < 1.05, sizes


def test_sizes_memory_and_bounds(measured: dict[str, Any]) -> None:
    on_disk, batch = measured["sizes_on_disk"], measured["batch"]
    assert set(on_disk) == {"night", CLIP}
    for parts in on_disk.values():
        assert 0.5 < parts["signals"] / parts["samples"] < 2
        assert parts["overview"] > 0
        assert parts["density"] > 0
    samples = {batch[f"read {reader}"]["samples"] for reader in ("ours", "fromfile", "pyedflib")}
    assert samples == {on_disk["night"]["samples"]}
    assert batch["ingest"]["peak_mb"] > 50
    assert len(measured["thresholds"]) == sum(ratio.of != "60" for ratio in RATIOS) + 9
    for bound in measured["thresholds"]:
        assert math.isfinite(bound["value"]), bound["what"]
        assert bound["value"] > 0, bound["what"]
    assert (
        measured["night"]["bytes"]
        == night.HEADER_BYTES + round(QUICK.hours * 3600) * night.RECORD_BYTES
    )
    assert len(measured["machine"]["load_before"]) == 3


def _all_calls(figures: dict[str, Any]) -> Iterator[tuple[str, dict[str, float]]]:
    for job in ("ingest", "windows", "http", "seed_table", "seed_table_10", "overview"):
        for name, found in figures[job].items():
            if "p50_ms" in found:
                yield f"{job} {name}", found
            else:
                for program, call in found.items():
                    yield f"{job} {name} {program}", call


def test_rows_are_the_same_however_they_are_written_and_read(tmp_path: Path) -> None:
    path = night.night_file(tmp_path, 64 / 3600)
    with running() as peer, closing(Client(peer["url"])) as client:
        for way in Way:
            for second in range(3):
                samples = night.digital(path, second, second + 1)
                chunk = chunk_of("p", f"by {way}", second, samples)
                receipt = client.post(f"/ingest?way={way}", json.dumps(chunk).encode())
                assert json.loads(receipt)["status"] == "stored"
        truth = night.digital(path, 1, 3) * night.FACTOR + night.OFFSET
        for written in Way:
            for read in (Way.ORM, Way.CORE):
                asked = {"patient_id": "p", "recording_id": f"by {written}", "way": read}
                answer = json.loads(client.get("/eeg", **asked, start=1, end=3))
                assert set(answer) == set(night.KEYS)
                for row, key in zip(truth, night.KEYS, strict=True):
                    assert [point["value"] for point in answer[key]] == row.tolist()
                    times = [point["timestamp"] for point in answer[key]]
                    assert times == (1 + np.arange(512) / 256).tolist()
                one = client.get("/eeg", **asked, start=1, end=3, channels=night.KEYS[-1])
                assert json.loads(one) == {night.KEYS[-1]: answer[night.KEYS[-1]]}
        listed = json.loads(client.get("/recordings", patient_id="p"))
        assert {(each["duration_sec"], each["channel_count"]) for each in listed} == {(3, 23)}
        engine = create_engine(peer["database_url"])
        with Session(engine) as session:
            count = select(func.count())
            assert session.scalar(count.select_from(EegSample)) == 3 * 3 * 23 * 256
            assert session.scalar(count.select_from(IngestionLog)) == 9
            assert min(row_store.bytes_held(session).values()) > 1e6
        engine.dispose()


def test_turns_are_shared_out_as_asked() -> None:
    made: list[str] = []

    def call(name: str, turn: int) -> int:
        made.append(f"{name}{turn}")
        return turn

    calls = {name: lambda turn, name=name: call(name, turn) for name in "ab"}
    timed = take_turns(calls, {"a": 6, "b": 2}, {"a": [], "b": []}, own=True)
    assert made == ["a0", "b0", "a1", "b1", "a2", "a3", "a4", "b2", "a5", "a6"]
    assert [len(timed[name].wall_ms) for name in "ab"] == [6, 2]
    assert timed["a"].figures()["bytes"] == 6
