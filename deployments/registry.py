"""Every deployment of this product, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentEntry:
    """A flow that can be run from a Prefect server.

    Parameters
    ----------
    flow
        Import path of the flow; workers load it by that, so the product is installed there.
    name
        Of the deployment.
    description
        Shown on its page.
    tags
        For finding it.
    parameters
        Defaults; what people set on the server later is kept.
    cron
        Its schedule; None for none.
    scheduled
        Whether the schedule is on at first. What people switch on or off is kept.
    single
        Whether a run is refused while another one is under way, so that runs that were missed
        during a pause do not all start at once.
    pool
        Work pool that runs it, unless another one is asked for.
    """

    flow: str
    name: str
    description: str
    tags: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    cron: str | None = None
    scheduled: bool = False
    single: bool = False
    pool: str = "batch"


DEPLOYMENTS: tuple[DeploymentEntry, ...] = (
    DeploymentEntry(
        flow="flows.nwb_to_pennsieve.nwb_to_pennsieve",
        name="nwb-to-pennsieve",
        description=(
            "NWB files into Pennsieve chunk files, and onto the platform if the request says so.\n"
            "\n"
            "Paths are absolute and are those of the machine that runs the worker; `s3://` URLs "
            "mean the same everywhere. Sources that were converted before are left alone, so that "
            "the hourly schedule picks up what is new in a folder: give the deployment a `request` "
            "with sources and an output as its parameters, then switch the schedule on. Only one "
            "run at a time; another one is cancelled at once."
        ),
        tags=("batch", "nwb", "pennsieve"),
        cron="0 * * * *",
        single=True,
    ),
)
