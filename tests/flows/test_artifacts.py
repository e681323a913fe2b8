"""What a flow run shows, how often, and what happens where it cannot be shown."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import httpx
import pytest
from prefect import flow
from prefect.artifacts import update_progress_artifact
from prefect.client.schemas.objects import Artifact

from flows.artifacts import ProgressArtifact, made_or_warned
from tests.flows.prefect_records import artifacts_of, latest_run


@pytest.mark.usefixtures("prefect_server")
def test_what_the_server_refuses_to_show_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    @flow(name="refused", persist_result=False)
    def showing() -> object:
        return made_or_warned(lambda: update_progress_artifact(uuid4(), 50.0), "the progress")

    assert showing() is None
    assert warnings_in(caplog) == ["the progress"]


def test_a_server_that_went_away_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    assert made_or_warned(lambda: httpx.get("http://127.0.0.1:1/api"), "the answer") is None
    assert made_or_warned(lambda: "made", "something") == "made"
    assert warnings_in(caplog) == ["the answer"]


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    return [line.partition(" is not shown")[0] for line in warned]


def shown(*advances: int, close: bool = False) -> Artifact:
    @flow(name="progress", persist_result=False)
    def progressing() -> None:
        progress = ProgressArtifact("progress")
        progress.stage("converting", 100, "samples")
        for advance in advances:
            progress.advance(advance)
        if close:
            progress.close()

    progressing()
    return artifacts_of(latest_run())["progress"]


@pytest.mark.usefixtures("prefect_server")
def test_progress_is_shown_at_once_and_then_seldom(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "flows")
    assert shown(*[1] * 50).data == 0.0
    lines: list[Any] = [record for record in caplog.records if record.name == "flows.artifacts"]
    assert len(lines) == 1


@pytest.mark.usefixtures("prefect_server")
def test_the_end_is_always_shown() -> None:
    found = shown(30, 30, close=True)
    assert found.data == 60.0
    assert found.description == "converting"
