"""Prefect's settings as this product needs them; nothing in them reaches outside.

Prefect reads them once, when it is imported, so that they are set before.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import platformdirs

from storage.errors import StorageError

# What a flow run needs wherever it runs.
RUN_SETTINGS: Mapping[str, str] = {
    "DO_NOT_TRACK": "1",
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
    "PREFECT_LOGGING_EXTRA_LOGGERS": "storage,tasks,flows,realtime,deployments",
    # Threads inside a step log too, and do not know which run they belong to.
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
}

# What a server needs, also one that Prefect starts for a single run.
SERVER_SETTINGS: Mapping[str, str] = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_READ_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TRIGGERS_READ_BATCH_SIZE": "100",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    # The page of the second version asks a host outside.
    "PREFECT_SERVER_UI_V2_ENABLED": "false",
}

PLACES = ("PREFECT_HOME", "PREFECT_API_URL", "PREFECT_PROFILE", "PREFECT_PROFILES_PATH")


def prepare_environment(api_url: str | None = None) -> None:
    """Set what is not set yet of Prefect's settings, for this process and its children.

    Parameters
    ----------
    api_url
        The server to use instead of the one that the environment names.

    Raises
    ------
    StorageError
        If the folder for Prefect's records cannot be made.
    """
    if api_url is not None:
        os.environ["PREFECT_API_URL"] = api_url
    for name, value in {**RUN_SETTINGS, **SERVER_SETTINGS}.items():
        os.environ.setdefault(name, value)
    if not any(name in os.environ for name in PLACES):
        ours = os.environ.get("RANVIER_HOME") or platformdirs.user_data_dir("ranvier")
        home = Path(ours).absolute() / "prefect"
        # Prefect itself makes the last folder only, and then waits two minutes for its database.
        _make(home)
        os.environ["PREFECT_HOME"] = str(home)


def _make(home: Path) -> None:
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"{home}: cannot be made for Prefect's records ({error.strerror}); name another place "
            "by RANVIER_HOME"
        ) from error
