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
    DeploymentEntry(
        flow="flows.edf_to_zarr.edf_to_zarr",
        name="edf-to-zarr",
        description=(
            "EDF, BDF, GDF, XDF, NWB and Muse CSV files into the store of the machine that runs "
            "the worker, losslessly and with a proof of every sample.\n"
            "\n"
            "The store and its catalogue are those of the worker's environment: RANVIER_HOME, or "
            "RANVIER_STORE and RANVIER_DATABASE_URL. The same file again changes nothing."
        ),
        tags=("batch", "records"),
    ),
    DeploymentEntry(
        flow="flows.ingest_folder.ingest_folder",
        name="ingest-folder",
        description=(
            "Takes what is new in a folder or `s3://` prefix into the store, every ten minutes.\n"
            "\n"
            "Give the deployment a `request` with a folder as its parameters, then switch the "
            "schedule on. Files that changed within the last minute are left for the next run; one "
            "that failed is reported once, and looked at again when it changes. Only one run at a "
            "time; another one is cancelled at once."
        ),
        tags=("batch", "records"),
        cron="*/10 * * * *",
        single=True,
    ),
    DeploymentEntry(
        flow="flows.seal_recording.seal_recording",
        name="seal-recording",
        description=(
            "Closes live recordings for good: all samples into the store, overview, checksums and "
            "the proof. A sealed recording takes nothing more."
        ),
        tags=("batch", "records"),
    ),
    DeploymentEntry(
        flow="flows.verify_recording.verify_recording",
        name="verify-recording",
        description=(
            "Recomputes every checksum and the chain of recordings from their samples, of all of "
            "them unless some are named, and names the first row that does not hold.\n"
            "\n"
            "Switch the schedule on for a check every night."
        ),
        tags=("batch", "records", "proof"),
        cron="0 3 * * *",
        single=True,
    ),
    DeploymentEntry(
        flow="flows.export_recording.export_recording",
        name="export-recording",
        description=(
            "Writes a recording of the store, or a stretch of it, as EDF+, BDF+, NWB, CSV or "
            "Pennsieve chunks; or gives back the very file that came in."
        ),
        tags=("batch", "records"),
    ),
)
