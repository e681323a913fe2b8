"""What breaks without anybody touching it: pins, names, imports, telemetry."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from deployments.prefect_settings import RUN_SETTINGS, SERVER_SETTINGS
from deployments.registry import DEPLOYMENTS
from storage.errors import StorageError
from tests.support.command_line import environment, ranvier

ROOT = Path(__file__).parents[2]
OURS = ("storage", "tasks", "flows", "realtime", "deployments")
HEAVY = ("prefect", "pydantic", "numpy", "h5py", "dask", "boto3", "zarr", "pynwb")


def version(name: str) -> tuple[int, ...]:
    numbers = importlib.metadata.version(name).split(".")[:2]
    return tuple(int(number) for number in numbers)


def told(code: str, **variables: str | None) -> Any:
    """Run some code in an interpreter of its own and return the JSON that it prints."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(variables),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_prefect_server_imports(tmp_path: Path) -> None:
    code = (
        "import json; from prefect.server.api.server import create_app; "
        "print(json.dumps(len(create_app().routes)))"
    )
    assert told(code, PREFECT_HOME=str(tmp_path)) > 0


def test_schedules_need_an_older_sqlalchemy_and_the_server_an_older_fastapi() -> None:
    if version("prefect") < (3, 9):
        assert version("sqlalchemy") < (2, 1)
        assert version("fastapi") < (0, 151)


@pytest.mark.parametrize("name", OURS)
def test_a_folder_of_ours_is_imported_from_here(name: str) -> None:
    module = importlib.import_module(name)
    assert Path(str(module.__file__)).parent == ROOT / name


def test_no_flow_hides_a_module_of_somebody_else() -> None:
    # Prefect may put the folder of a flow file first in the search for modules.
    taken = {*sys.stdlib_module_names, *importlib.metadata.packages_distributions()}
    names = {path.stem for path in (ROOT / "flows").glob("*.py")} - {"__init__"}
    assert len(names) >= 6
    assert names & (taken | set(OURS)) == set()


def test_help_is_there_before_heavy_libraries_are() -> None:
    code = (
        "import json, sys, contextlib, io\n"
        "from deployments.cli import main\n"
        "sys.argv = ['ranvier', '--help']\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
        "    main()\n"
        f"print(json.dumps([name for name in {HEAVY} if name in sys.modules]))"
    )
    assert told(code) == []


SETTINGS = """
import json, os
from deployments.prefect_settings import prepare_environment
prepare_environment()
from prefect._internal.analytics.enabled import is_telemetry_enabled
from prefect.settings import get_current_settings
now = get_current_settings()
print(json.dumps({
    "client telemetry": is_telemetry_enabled(),
    "server telemetry": now.server.analytics_enabled,
    "promotions": now.server.ui.show_promotional_content,
    "second page": now.server.ui.v2_enabled,
    "home": str(now.home),
    "startup": now.server.ephemeral.startup_timeout_seconds,
    "batch": now.server.services.task_run_recorder.batch_size,
    "heartbeat": now.flows.heartbeat_frequency,
    "loggers": sorted(now.logging.extra_loggers or []),
}))
"""


def test_nothing_is_told_to_anybody(tmp_path: Path) -> None:
    # Prefect tells nothing where it believes to be tested.
    not_in_ci = dict.fromkeys([name for name in os.environ if "CI" in name or "GITHUB" in name])
    found = told(SETTINGS, RANVIER_HOME=str(tmp_path), **not_in_ci)
    assert found == {
        "client telemetry": False,
        "server telemetry": False,
        "promotions": False,
        "second page": False,
        "home": str(tmp_path / "prefect"),
        "startup": 120,
        "batch": 100,
        "heartbeat": 30,
        "loggers": sorted(OURS),
    }


def test_what_people_set_themselves_stays(tmp_path: Path) -> None:
    found = told(
        SETTINGS,
        RANVIER_HOME=str(tmp_path / "ours"),
        PREFECT_HOME=str(tmp_path / "theirs"),
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY="60",
    )
    assert (found["home"], found["heartbeat"]) == (str(tmp_path / "theirs"), 60)
    assert not (tmp_path / "ours").exists()


def test_every_setting_is_one_that_prefect_knows(tmp_path: Path) -> None:
    code = (
        "import json; from prefect.settings import Settings; "
        "from prefect.settings.legacy import _get_valid_setting_names; "
        "print(json.dumps(sorted(_get_valid_setting_names(Settings))))"
    )
    known = set(told(code, PREFECT_HOME=str(tmp_path)))
    ours = {name for name in {**RUN_SETTINGS, **SERVER_SETTINGS} if name.startswith("PREFECT_")}
    assert ours - known == set()


def test_a_place_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    source = tmp_path / "a.nwb"
    failed = ranvier(
        "convert", str(source), "--prefect", env={"RANVIER_HOME": str(tmp_path / "file")}
    )
    assert failed.code == 1
    assert failed.err.startswith(f"ranvier: {tmp_path / 'file'}/prefect: cannot be made")
    assert issubclass(StorageError, Exception)
    assert failed.err.count("\n") == 1


def test_every_deployment_is_described_and_names_a_flow() -> None:
    assert len({entry.name for entry in DEPLOYMENTS}) == len(DEPLOYMENTS)
    for entry in DEPLOYMENTS:
        module, _, name = entry.flow.rpartition(".")
        assert hasattr(importlib.import_module(module), name)
        assert len(entry.description) > 40
        assert not entry.scheduled
