"""``ranvier benchmark viewer``, quick: every figure of every program is there."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from flows.benchmark_viewer import FIRST_PAGE_S, MOST_MS, QUICK, thresholds
from tests.support.browser import ABSENT, chromium, require_chromium
from tests.support.command_line import command, environment, ranvier
from tests.support.night import CHANNELS, RATE

PROGRAMS = {"key", "jump", "scatter", "scattergl"}
# Half a minute on a quiet machine, of which most goes into opening the peers' pages.
SECONDS = 500
pytestmark = pytest.mark.timeout(2 * SECONDS)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Run it once."""
    require_chromium()
    folder = tmp_path_factory.mktemp("benchmark")
    with subprocess.Popen(
        command("benchmark", "viewer", "--quick", "--json", "--folder", str(folder)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment({"RANVIER_CHROMIUM": chromium()}),
        start_new_session=True,
    ) as process:
        try:
            out, err = process.communicate(timeout=SECONDS)
        finally:
            # On its way out it stops the services that it started.
            process.send_signal(signal.SIGINT)
    assert process.returncode == 0, err
    assert list(folder.iterdir()) == []
    found: dict[str, Any] = json.loads(out)
    return found


def test_turns_of_every_program(measured: dict[str, Any]) -> None:
    assert set(measured["figures"]["turns"]) == set(QUICK.turns)
    for length, programs in measured["figures"]["turns"].items():
        points = programs.pop("points")
        assert set(programs) == PROGRAMS
        for name, call in programs.items():
            assert 0 < call["min_ms"] <= call["p50_ms"] <= call["p95_ms"] <= call["max_ms"], name
            assert 0 < call["drawn_ms"] <= call["max_ms"], name
            assert call["turns"] == QUICK.turns[length], name
            assert call["browser_ms"] > 0, name
            # The next page is fetched while one is read.
            assert call["bytes"] > 0, name
        if length == "10":  # nobody leaves a sample out
            expected = [10 * RATE] * CHANNELS
            assert points == {"ours": expected, "scatter": expected, "scattergl": expected}


def test_first_page_paging_and_bounds(measured: dict[str, Any]) -> None:
    figures = measured["figures"]
    assert set(figures["first_page"]) == {"ours", "ours again", "scatter", "scattergl"}
    for length, call in figures["through"].items():
        assert call["turns"] == QUICK.through[length]
        assert call["at_s"] == QUICK.through[length] * float(length)
        assert 0 < call["heap_before_mb"] < 200
        assert 0 < call["heap_after_mb"] < 200
    held = figures["held"]
    assert held["keys"] == round(30 * QUICK.held_s)
    assert 1 <= held["draws"] <= held["keys"]
    bounds = {each["what"]: each["bound"] for each in measured["thresholds"]}
    assert set(bounds.values()) == {MOST_MS["10"], FIRST_PAGE_S}
    assert measured["machine"]["browser"].split(".")[0].isdigit()


def test_the_bounds() -> None:
    turns = {"10": {"key": {"p50_ms": 61.0}}, "60": {"key": {"p50_ms": 89.0}}}
    figures = {"turns": turns, "first_page": {"ours": {"p50_ms": 1500.0}}}
    assert [each.met for each in thresholds(figures)] == [False, True, True]


def test_without_a_browser(tmp_path: Path) -> None:
    absent = {"PATH": str(tmp_path), "RANVIER_CHROMIUM": None}
    ran = ranvier("benchmark", "viewer", "--quick", env=absent)
    assert ran.code == 1
    assert ABSENT in ran.err
