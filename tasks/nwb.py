"""The steps of converting one NWB file. Each takes and returns references, never samples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from storage.chunk_files import Advance, Written, silent, write_run
from storage.chunk_manifest import read_manifest
from storage.chunk_output import place_output
from storage.chunk_plan import ChunkOptions, Run, plan_runs
from storage.chunk_sink import Begun, Finished, begin, counted, finish, make_plan
from storage.errors import CorruptRecording
from storage.folders import open_folder
from storage.nwb import NwbOptions, NwbSource
from tasks.requests import ConvertRequest

RUN_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class Conversion:
    """A conversion under way: all that its steps need to know.

    Parameters
    ----------
    source
        URL of the NWB file.
    begun
        The output that is being made.
    runs
        What is to be written, in pieces that may be written anywhere and in any order.
    rates_hz
        Rate of each series by its path, so that no step measures it again.
    samples
        Of all channels together.
    """

    source: str
    reading: NwbOptions
    writing: ChunkOptions
    overwrite: bool
    begun: Begun
    runs: tuple[Run, ...]
    rates_hz: Mapping[str, float]
    samples: int
    series: tuple[str, ...]
    notes: tuple[str, ...]


def reading_options(request: ConvertRequest) -> NwbOptions:
    """Return how a request wants files to be read."""
    return NwbOptions(
        series=request.series,
        gap_periods=request.gap_threshold,
        repair_timestamps=request.repair_timestamps,
        timezone=request.timezone,
        classic=request.classic,
    )


def writing_options(request: ConvertRequest) -> ChunkOptions:
    """Return how a request wants chunks to be written."""
    return ChunkOptions(request.chunk_size_mb, request.level, request.digest)


def begin_conversion(
    request: ConvertRequest, source: str, output: str, run_bytes: int | None = None
) -> Conversion:
    """Look at a file, decide what is to be written, and make the output's place ready.

    ``run_bytes`` divides the work into runs of about that many stored bytes; None makes one run
    for each series.
    """
    reading, writing = reading_options(request), writing_options(request)
    with NwbSource(source, reading) as recording_source:
        groups = recording_source.recording.groups
        plan = make_plan(recording_source, writing, asdict(reading), run_bytes)
        return Conversion(
            source=source,
            reading=reading,
            writing=writing,
            overwrite=request.overwrite,
            begun=begin(place_output(output), plan, request.overwrite),
            runs=tuple(plan_runs(recording_source, writing, run_bytes)),
            rates_hz={group.name: group.rate_hz for group in groups},
            samples=sum(group.n_samples * len(group.channels) for group in groups),
            series=tuple(
                f"{group.name}: {len(group.channels)} channels x {group.n_samples} samples at "
                f"{group.rate_hz:.10g} Hz"
                for group in groups
            ),
            notes=recording_source.recording.notes,
        )


@contextmanager
def _opened(conversion: Conversion, rates_hz: Mapping[str, float] | None) -> Iterator[NwbSource]:
    with NwbSource(conversion.source, conversion.reading, rates_hz) as source:
        _require_same(conversion, source)
        yield source
        # Once more: what was read while the file changed is worth nothing.
        _require_same(conversion, source)


def _require_same(conversion: Conversion, source: NwbSource) -> None:
    found, expected = dict(source.fingerprint), conversion.begun.plan["source"]
    if found != expected:
        raise CorruptRecording(
            f"{conversion.source}: has changed while it was being converted (found {found}, "
            f"expected {expected}); convert it again"
        )


def write_chunks(conversion: Conversion, run: Run, advance: Advance = silent) -> Written:
    """Write the chunk files of one run."""
    with _opened(conversion, conversion.rates_hz) as source:
        folder = conversion.begun.output.data()
        return write_run(source, folder, run, conversion.writing, advance)


def finish_conversion(conversion: Conversion) -> Finished:
    """Write metadata and manifest, and make the output appear."""
    with _opened(conversion, None) as source:
        return finish(conversion.begun, source, conversion.runs, conversion.overwrite)


def look_at_finished(conversion: Conversion) -> Finished:
    """Describe an output that needed no work."""
    manifest = read_manifest(open_folder(conversion.begun.output.url))
    return counted(manifest, unchanged=True)
