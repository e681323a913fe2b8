"""What people ask of a batch job, as plain data.

The descriptions stand with the fields once, and serve the forms of the Prefect UI and the help of
the command line alike.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal


def described(default: Any, description: str, **limits: Any) -> Any:
    """Return a dataclass field with a description and limits that forms show and enforce."""
    return field(default=default, metadata={"description": description, **limits})


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadRequest:
    """Where chunks are to go on the platform."""

    integration_id: str | None = described(
        None, "Workflow run to upload for; it names data set and package"
    )
    dataset: str | None = described(None, "Data set (N:dataset:...), with a package, instead")
    package: str | None = described(None, "Package (N:package:...) that gets the channels")
    api_host: str = described(
        "https://api.pennsieve.net", "Address of the API for packages and time series"
    )
    api2_host: str = described(
        "https://api2.pennsieve.net", "Address of the API for workflow runs and imports"
    )
    connections: int = described(32, "Files on their way at once", ge=1, le=256)
    credentials_block: str | None = described(
        None,
        "Prefect Secret block with api_key and api_secret as JSON; without it the keys come from "
        "PENNSIEVE_API_KEY and PENNSIEVE_API_SECRET of the machine that uploads",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertRequest:
    """NWB files into chunk files, and onto the platform if that is asked for."""

    sources: tuple[str, ...] = field(
        metadata={
            "description": "NWB files, Zarr folders, folders of them, or s3:// URLs of either; "
            "local paths absolute"
        }
    )
    output: str | None = described(
        None, "Folder or s3:// prefix for the chunks; default: beside the source"
    )
    series: tuple[str, ...] = described(
        (), "Names or paths of series; none: all in acquisition; 'all': those in processing too"
    )
    chunk_size_mb: int = described(1, "Size of a chunk before compression, in MB", ge=1, le=1024)
    level: Literal[0, 1, 2, 3] = described(1, "Compression; 0 stores")
    digest: Literal["auto", "sha256", "crc32"] = described(
        "auto", "Digest of each file; auto: SHA-256, or CRC-32 for stored files"
    )
    gap_threshold: float = described(1.5, "Periods after which a new segment begins", gt=1.0)
    repair_timestamps: bool = described(
        False, "Begin a segment at a missing, repeated or backward time stamp instead of stopping"
    )
    timezone: str | None = described(
        None, "Zone of a start time without an offset, for example Europe/Vienna"
    )
    classic: bool = described(
        False, "Exactly what the existing container processor writes, faults included"
    )
    overwrite: bool = described(False, "Replace another output that is there")
    upload: UploadRequest | None = described(None, "Upload after converting")
