"""The steps of proving outputs."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from storage.chunk_files import Advance, silent
from storage.chunk_manifest import NAME, read_manifest
from storage.chunk_plan import ChunkOptions
from storage.chunk_verify import Verification, verify_files, verify_source
from storage.errors import NotFound, UnsupportedRecording, UsageError
from storage.folders import open_folder
from storage.nwb import NwbOptions, NwbSource, recording_id


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found about one output; ``against_source`` is None where no source was given."""

    output: str
    against_manifest: Verification
    against_source: Verification | None

    @property
    def problems(self) -> tuple[str, ...]:
        """One line each; empty when everything holds."""
        source = self.against_source.problems if self.against_source else ()
        return (*self.against_manifest.problems, *source)


def find_outputs(url: str) -> tuple[str, ...]:
    """Return the output at a place, or those in the folders below it.

    Raises
    ------
    NotFound
        If there is none.
    """
    folder = open_folder(url)
    if folder.size(NAME) is not None:
        return (folder.url,)
    below = tuple(
        f"{folder.url}/{name.removesuffix('/' + NAME)}"
        for name in folder.names()
        if name.endswith("/" + NAME) and not _is_hidden(name)
    )
    if not below:
        raise NotFound(f"{url}: has no {NAME}, so there is no finished output; convert first")
    return below


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))


def samples_in(output: str) -> int:
    """Return the number of samples that an output's manifest lists."""
    return sum(entry.samples or 0 for entry in read_manifest(open_folder(output)).files)


def check_output(output: str, source: str | None, advance: Advance = silent) -> Checked:
    """Check an output against its manifest and, if given, the NWB file that it was made from."""
    folder = open_folder(output)
    against_manifest = verify_files(folder, advance)
    if source is None:
        return Checked(output, against_manifest, None)
    options: dict[str, Any] = read_manifest(folder).head.get("options", {})
    if "series" not in options:
        raise UnsupportedRecording(
            f"{output}: was not made from an NWB file by ranvier convert; leave the file out"
        )
    reading = NwbOptions(**{**_only(NwbOptions, options), "series": tuple(options["series"])})
    with NwbSource(source, reading) as recording_source:
        writing = ChunkOptions(**_only(ChunkOptions, options))
        return Checked(
            output,
            against_manifest,
            verify_source(folder, recording_source, writing, advance),
        )


def _only(kind: type, options: dict[str, Any]) -> dict[str, Any]:
    return {field.name: options[field.name] for field in fields(kind) if field.name in options}


def source_for(output: str, sources: list[str]) -> str | None:
    """Return the source that an output was made from, by the recording's name.

    Raises
    ------
    UsageError
        If sources were given and none has that name.
    """
    if not sources:
        return None
    recording = read_manifest(open_folder(output)).head.get("recording")
    if len(sources) == 1:
        return sources[0]
    for source in sources:
        if recording_id(source) == recording:
            return source
    raise UsageError(f"{output}: was made from {recording}, which is not among the files given")
