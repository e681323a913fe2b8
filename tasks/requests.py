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


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestRequest:
    """Files of recordings into the store of the machine that does it."""

    sources: tuple[str, ...] = field(
        metadata={
            "description": "EDF, BDF, GDF, XDF, Muse CSV and NWB files, folders of them, patterns "
            "such as /data/*.edf, or s3:// URLs; local paths absolute"
        }
    )
    patient: str | None = described(
        None,
        "Pseudonym of the patient; default: name of the folder, or a made one where the file "
        "names a person",
    )
    recording_id: str | None = described(
        None,
        "Name of the recording, for a single file; default: name of the file, or a made one where "
        "the file names a person",
    )
    drop_identity: bool = described(
        False, "Forget for good who the file says that it is of, instead of sealing it apart"
    )
    codec: Literal["blosc", "pcodec"] = described(
        "blosc", "Compression; pcodec is smaller, and not in the specification of Zarr"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderRequest:
    """A folder that is looked at again and again for new files."""

    folder: str = field(
        metadata={"description": "Folder or s3:// prefix to take in; a local path is absolute"}
    )
    settle_seconds: float = described(
        60.0, "Leave files alone that changed less than this ago: they may still grow", ge=0
    )
    patient: str | None = described(
        None, "Pseudonym of the patient for all of it; default as for single files"
    )
    drop_identity: bool = described(
        False, "Forget for good who a file says that it is of, instead of sealing it apart"
    )
    codec: Literal["blosc", "pcodec"] = described(
        "blosc", "Compression; pcodec is smaller, and not in the specification of Zarr"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingRequest:
    """Some recordings of the store, or all of them."""

    recordings: tuple[str, ...] = described((), "Names or UUIDs; none: all")
    patient: str | None = described(None, "Whose; only needed where a name is not unique")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRequest:
    """A recording of the store into a file."""

    recording: str = field(metadata={"description": "Name or UUID"})
    output: str = field(metadata={"description": "File or folder to write; absolute"})
    patient: str | None = described(None, "Whose; only needed where the name is not unique")
    format: Literal["edf", "bdf", "nwb", "csv", "pennsieve"] = described("edf", "What to write")
    original: bool = described(
        False, "The very file that came in, byte for byte, instead of a format"
    )
    overwrite: bool = described(False, "Replace another output that is there")
    start_s: float | None = described(None, "Seconds after its start; default: the start", ge=0)
    end_s: float | None = described(None, "Seconds after its start; default: the end", gt=0)
