"""A real simulator against a real service: the store is the file, whatever is lost on the way."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from storage.grid_source import place
from storage.protocols import RecordingSource
from storage.recording_store import RecordingStore
from storage.settings import RecordsSettings
from storage.sources import open_recording
from tests.support.command_line import command, environment, ranvier
from tests.support.edf_files import SignalSpec, signals, write_edf
from tests.support.serving import Served, served

FAULTS = ("--drop", "0.25", "--duplicate", "0.25", "--reorder", "0.4", "--delay", "0.05")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def service(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    log = tmp_path_factory.mktemp("log") / "log"
    with served("records", log=log, env={"RANVIER_HOME": str(home)}) as started:
        yield started


def simulate(service: Served, source: Path, *words: str) -> Any:
    done = ranvier("simulate", "wearable", str(source), "--url", service.url, "--json", *words)
    assert done.code == 0, done.err
    return done.json["devices"]


def opened(home: Path) -> RecordingStore:
    settings = RecordsSettings(home=home)
    return RecordingStore.open(settings.store_url, settings.catalog_url, settings.identity_path)


def assert_holds(home: Path, patient: str, name: str, source: RecordingSource) -> None:
    """The store has every sample of a source at its place, and nothing else; its chain holds."""
    with opened(home) as store:
        entry = store.catalog.find(name, patient)
        groups = source.recording.groups
        assert len(store.groups(entry)) == len(groups)
        for number, group in enumerate(groups):
            stretches = list(place(source, number))
            held = store.segments(entry, number)
            assert sum(one.n_samples for one in held) == group.n_samples
            for stretch in stretches:
                window = store.window(entry, number, stretch.span)
                assert len(window.segments) == 1
                np.testing.assert_array_equal(window.data, source.read(number, stretch.dense))
        report = store.verify(entry)
        assert not report.problems


def test_every_sample_arrives_once_whatever_is_lost_on_the_way(
    service: Served, home: Path, data: Path
) -> None:
    path = data / "chbmit" / "chb01_03_clip.edf"
    (report,) = simulate(service, path, "--speed", "max", *FAULTS, "--seed", "3")
    assert (report["chunks"], report["samples"]) == (50, 50 * 256 * 23)
    assert min(report[name] for name in ("dropped", "doubled", "reordered", "delayed")) > 0
    assert report["duplicates"] > 0
    assert report["stored"] == 50
    with open_recording(str(path)) as source:
        assert_holds(home, "chbmit", "chb01_03_clip.edf", source)


def test_a_second_time_changes_nothing(service: Served, home: Path, tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()
    path = write_edf(tmp_path / "w" / "twice.edf", signals=signals(2), records=7)
    simulate(service, path, "--speed", "max")
    with opened(home) as store:
        entry = store.catalog.find("twice.edf")
        before = [row.hash for row in store.catalog.audit(entry) if row.event == "chunk"]
    (report,) = simulate(service, path, "--speed", "max")
    assert (report["stored"], report["duplicates"]) == (0, 7)
    with opened(home) as store:
        entry = store.catalog.find("twice.edf")
        after = [row.hash for row in store.catalog.audit(entry) if row.event == "chunk"]
    assert after == before


@pytest.mark.parametrize("form", ["json", "binary"])
def test_rates_gaps_and_the_last_partial_second(
    service: Served, home: Path, tmp_path: Path, form: str
) -> None:
    (tmp_path / form).mkdir()
    path = write_edf(
        tmp_path / form / "mixed.edf",
        signals=(
            *signals(2, samples=150),
            SignalSpec(label="Resp", samples=19, dimension="mV"),
            SignalSpec(label="Temp", samples=1, dimension="degC"),
        ),
        records=15,
        record_s="0.5",
        plus="D",
        gaps={6: "20.003"},
    )
    (report,) = simulate(service, path, "--speed", "max", "--form", form, *FAULTS)
    with open_recording(str(path)) as source:
        total = sum(group.n_samples * len(group.channels) for group in source.recording.groups)
        assert report["samples"] == total
        assert_holds(home, form, "mixed.edf", source)


def test_bdf_of_24_bits(service: Served, home: Path, tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()
    path = write_edf(tmp_path / "w" / "wide.bdf", signals=signals(3), records=4, bdf=True)
    simulate(service, path, "--speed", "max")
    with open_recording(str(path)) as source:
        assert_holds(home, "w", "wide.bdf", source)


def test_several_devices_at_once_and_the_seal(service: Served, home: Path, tmp_path: Path) -> None:
    (tmp_path / "ward").mkdir()
    path = write_edf(tmp_path / "ward" / "n.edf", signals=signals(4), records=12)
    words = ("--speed", "max", "--devices", "4", "--seal", *FAULTS)
    reports = simulate(service, path, *words)
    assert [(one["patient_id"], one["recording_id"]) for one in reports] == [
        (f"ward-{number}", f"n.edf-{number}") for number in (1, 2, 3, 4)
    ]
    assert all(one["sealed"] for one in reports)
    with open_recording(str(path)) as source:
        for number in (1, 2, 3, 4):
            assert_holds(home, f"ward-{number}", f"n.edf-{number}", source)
    late = ranvier(
        "simulate",
        "wearable",
        str(path),
        "--url",
        service.url,
        "--patient",
        "ward-1",
        "--recording-id",
        "n.edf-1",
        "--speed",
        "max",
        "--json",
    )
    assert late.code in (0, 1)


def test_other_samples_for_a_time_that_is_stored_stop_it(service: Served, tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()
    numbers = np.zeros(3 * 256, np.int64)
    for name, value in (("one.edf", 0), ("two.edf", 5)):
        spec = SignalSpec(label="C3", digital=numbers + value)
        write_edf(tmp_path / "w" / name, signals=(spec,), records=3)
    words = ("--url", service.url, "--speed", "max", "--recording-id", "same")
    assert ranvier("simulate", "wearable", str(tmp_path / "w" / "one.edf"), *words).code == 0
    failed = ranvier("simulate", "wearable", str(tmp_path / "w" / "two.edf"), *words)
    assert failed.code == 1
    assert "409" in failed.err


def test_it_outlives_a_service_that_is_killed(home: Path, tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()
    path = write_edf(tmp_path / "w" / "killed.edf", signals=signals(8), records=120)
    env = {"RANVIER_HOME": str(tmp_path / "home")}
    with served("records", log=tmp_path / "log", env=env) as first:
        port = first.url.rpartition(":")[2]
        with subprocess.Popen(
            command(
                "simulate",
                "wearable",
                str(path),
                "--url",
                first.url,
                "--json",
                "--interval",
                "0.02",
                *FAULTS,
            ),
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as device:
            for _ in range(3):
                time.sleep(0.6)
                first.process.send_signal(signal.SIGKILL)
                first.process.wait(30)
                with served("records", "--port", port, log=tmp_path / "log", env=env) as again:
                    time.sleep(0.6)
                    again.process.send_signal(signal.SIGKILL)
                    again.process.wait(30)
            with served("records", "--port", port, log=tmp_path / "log", env=env):
                out, err = device.communicate(timeout=120)
    assert device.returncode == 0, err
    (report,) = json.loads(out)["devices"]
    assert report["reconnects"] > 0
    assert report["chunks"] == 120
    with open_recording(str(path)) as source:
        assert_holds(tmp_path / "home", "w", "killed.edf", source)


def test_without_a_service_it_gives_up_in_one_line(tmp_path: Path) -> None:
    path = write_edf(tmp_path / "a.edf", signals=signals(1), records=2)
    words = ("--url", "http://127.0.0.1:1", "--patience", "0.3")
    failed = ranvier("simulate", "wearable", str(path), *words)
    assert failed.code == 1
    assert "http://127.0.0.1:1: does not answer" in failed.err.splitlines()[-1]


@pytest.mark.parametrize(
    "words",
    [
        ("--speed", "fast"),
        ("--speed", "0"),
        ("--drop", "1"),
        ("--drop", "2"),
        ("--devices", "0"),
        ("--form", "xml"),
    ],
)
def test_wrong_usage_is_exit_code_2(tmp_path: Path, words: tuple[str, ...]) -> None:
    path = write_edf(tmp_path / "a.edf", signals=signals(1), records=2)
    assert ranvier("simulate", "wearable", str(path), *words).code == 2


def test_stopped_by_hand_it_says_so_and_goes_on_later(
    service: Served, home: Path, tmp_path: Path
) -> None:
    (tmp_path / "w").mkdir()
    path = write_edf(tmp_path / "w" / "stopped.edf", signals=signals(2), records=40)
    words = ("simulate", "wearable", str(path), "--url", service.url)
    with subprocess.Popen(
        command(*words, "--speed", "10"), env=environment(), stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True,
    ) as device:  # fmt: skip
        due = time.monotonic() + 30
        asked = {"patient_id": "w"}
        while not any(
            one["recording_id"] == "stopped.edf" and one["duration_sec"] >= 2
            for one in httpx.get(f"{service.url}/recordings", params=asked).json()
        ):
            assert time.monotonic() < due
            time.sleep(0.05)
        device.send_signal(signal.SIGINT)
        _, said = device.communicate(timeout=30)
    assert device.returncode == 1
    assert "stopped; the same command goes on where it was" in said
    simulate(service, path, "--speed", "max")
    with open_recording(str(path)) as source:
        assert_holds(home, "w", "stopped.edf", source)


def test_the_pace_is_kept(service: Served, tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()
    path = write_edf(tmp_path / "w" / "paced.edf", signals=signals(1), records=20)
    (report,) = simulate(service, path, "--interval", "0.05")
    assert 0.95 <= report["wall_s"] < 3
    (report,) = simulate(service, path, "--speed", "10")
    assert 1.9 <= report["wall_s"] < 5
