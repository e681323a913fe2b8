"""Where the steps of a flow run, as the environment or a person says."""

from __future__ import annotations

import pytest

from flows.settings import FlowSettings, settings_for
from storage.errors import UsageError
from tasks.nwb import RUN_BYTES


def test_without_settings_steps_run_in_threads() -> None:
    settings = settings_for()
    assert (settings.task_runner, settings.dask_address) == ("threads", None)
    assert settings.run_mb << 20 == RUN_BYTES


def test_the_environment_chooses_dask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANVIER_TASK_RUNNER", "dask")
    monkeypatch.setenv("RANVIER_DASK_ADDRESS", "tcp://10.0.0.1:8786")
    assert settings_for() == FlowSettings(task_runner="dask", dask_address="tcp://10.0.0.1:8786")


def test_a_person_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANVIER_DASK_ADDRESS", "tcp://10.0.0.1:8786")
    local = settings_for("local")
    assert (local.task_runner, local.dask_address) == ("dask", None)
    assert settings_for("tcp://10.0.0.2:8786").dask_address == "tcp://10.0.0.2:8786"


def test_a_setting_that_is_not_understood_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANVIER_TASK_RUNNER", "ray")
    with pytest.raises(UsageError, match=r"RANVIER_TASK_RUNNER: .*'threads' or 'dask', got 'ray'"):
        settings_for()
