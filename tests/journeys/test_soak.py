"""Interrupted again and again, a conversion and its upload end as if they had never been.

One round in an ordinary run; with RANVIER_SOAK set, for ten minutes.
"""

from __future__ import annotations

import os
import random
import subprocess
import time
from pathlib import Path

import pytest

from tests.journeys.test_convert import agrees, arrived_once_and_whole, keys, stored
from tests.support.chunk_oracle import expected_chunks
from tests.support.command_line import command, environment, ranvier
from tests.support.moto_server import MotoServer
from tests.support.nwb_files import SeriesSpec, write_nwb
from tests.support.pennsieve_api import PennsieveApi

SOAK_S = 600.0 if os.environ.get("RANVIER_SOAK") else 0.0
KILLS = 6


@pytest.mark.soak
@pytest.mark.timeout(SOAK_S + 300)
def test_killed_at_any_time_nothing_is_lost_or_sent_twice(tmp_path: Path, moto: MotoServer) -> None:
    recording = write_nwb(
        tmp_path / "long.nwb", SeriesSpec(samples=3_000_000, channels=4, rate_hz=30_000.0)
    )
    expected = expected_chunks(recording)
    chance = random.Random(1)
    ends = time.monotonic() + SOAK_S
    round_ = 0
    while round_ == 0 or time.monotonic() < ends:
        round_ += 1
        out = tmp_path / f"out-{round_}"
        with PennsieveApi(moto, store="moto") as api:
            run = api.platform.add_run([api.platform.add_package().id])
            arguments = ["convert", str(recording), "-o", str(out), "--upload"]
            arguments += ["--integration-id", run, "--api-host", api.url, "--api2-host", api.url]
            for _ in range(KILLS):
                with subprocess.Popen(
                    command(*arguments),
                    env=environment(keys(moto)),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                ) as process:
                    try:
                        process.wait(timeout=chance.uniform(0.3, 2.5))
                    except subprocess.TimeoutExpired:
                        process.kill()
            done = ranvier(*arguments, env=keys(moto))
            assert done.code == 0, done.err
            agrees(stored(str(out)), expected)
            arrived_once_and_whole(api, str(out))
            assert len(api.platform.imports) <= 1 + KILLS
