"""How flows are run, as settings from the environment."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from storage.errors import UsageError
from tasks.nwb import RUN_BYTES


class FlowSettings(BaseSettings):
    """Where the steps of a flow run; the variables are ``RANVIER_TASK_RUNNER`` and so on.

    Parameters
    ----------
    task_runner
        In threads of the flow's process, or on Dask.
    dask_address
        Scheduler of a cluster, for example ``tcp://10.0.0.1:8786``; without it Dask runs on
        processes of this machine.
    workers
        Steps at a time in threads and in Dask's local processes. Each step uses all processors by
        itself, so that a second one only fills the time in which the first one waits.
    run_mb
        Stored MB that one task run writes at least.
    """

    model_config = SettingsConfigDict(env_prefix="RANVIER_", frozen=True, extra="ignore")

    task_runner: Literal["threads", "dask"] = "threads"
    dask_address: str | None = None
    workers: int = Field(default=2, ge=1, le=64)
    run_mb: int = Field(default=RUN_BYTES >> 20, ge=1)


def settings_for(dask: str | None = None) -> FlowSettings:
    """Return the settings of the environment, or those that a person asked for.

    Parameters
    ----------
    dask
        ``local`` for processes of this machine, or the address of a scheduler; None for what the
        environment says.

    Raises
    ------
    UsageError
        If the environment says something that is not understood.
    """
    try:
        if dask is None:
            return FlowSettings()
        address = None if dask == "local" else dask
        return FlowSettings(task_runner="dask", dask_address=address)
    except ValidationError as error:
        first = error.errors()[0]
        name = "RANVIER_" + "_".join(map(str, first["loc"])).upper()
        raise UsageError(f"{name}: {first['msg']}, got {first['input']!r}") from error
