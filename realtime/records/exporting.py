"""A recording, or a part of it, as a file to be sent."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

from storage.audit import AuditEvent
from storage.catalog_rows import RecordingEntry
from storage.csv_export import ANNOTATIONS, HEAD, CsvSink
from storage.errors import UsageError
from storage.excerpt import Excerpt
from storage.protocols import RecordingSource
from storage.recording_store import RecordingStore
from storage.stored_recording import StoredOriginal

ExportForm = Literal["csv", "edf", "original"]
US = 1_000_000
FAR_US = 2**62


@dataclass(frozen=True, slots=True)
class Exported:
    """A file that waits to be sent, in a folder of its own."""

    path: Path
    name: str
    media_type: str
    folder: Path

    def remove(self) -> None:
        """Remove the file and its folder."""
        shutil.rmtree(self.folder)


def exported(
    store: RecordingStore,
    entry: RecordingEntry,
    form: ExportForm,
    start_s: Fraction,
    end_s: Fraction | None,
    actor: str,
    with_names: bool,
) -> Exported:
    """Write a part of a recording to a file, and note it in the audit trail.

    Parameters
    ----------
    start_s, end_s
        The part; the original is always whole.
    actor
        Who asks for it.
    with_names
        Whether an original keeps the two fields of its header that may name people.

    Raises
    ------
    UsageError
        If there is no sample in it, or the form cannot hold it.
    """
    folder = Path(tempfile.mkdtemp(prefix="ranvier-export-"))
    try:
        source: RecordingSource = store.source(entry)
        try:
            if form == "original":
                made = _original(source, folder, entry, with_names)
            else:
                if start_s or end_s is not None:
                    stop_us = FAR_US if end_s is None else round(end_s * US)
                    source = Excerpt(source, round(start_s * US), stop_us)
                made = _written(source, folder, _stem(entry), form)
        except OverflowError as error:
            raise UsageError(
                f"recording {entry.name!r}: its times reach beyond what the file can hold "
                f"({error}); export a shorter part with start and end, or format=csv"
            ) from error
        finally:
            source.close()
        store.catalog.log(
            entry,
            [
                AuditEvent(
                    event="exported",
                    source=actor,
                    detail={
                        "format": form,
                        "start": float(start_s),
                        "end": None if end_s is None else float(end_s),
                        "names": form == "original" and with_names,
                    },
                )
            ],
        )
    except BaseException:
        shutil.rmtree(folder)
        raise
    return made


def _original(
    source: RecordingSource, folder: Path, entry: RecordingEntry, with_names: bool
) -> Exported:
    if not isinstance(source, StoredOriginal):
        raise UsageError(
            f"recording {entry.name!r}: it did not come from an EDF or BDF file, so there is no "
            f"original; ask for format=edf or csv"
        )
    path = folder / f"{_stem(entry)}.{entry.kind}"
    with open(path, "wb") as file:
        file.writelines(source.original(with_names))
    return Exported(path, path.name, "application/octet-stream", folder)


def _written(source: RecordingSource, folder: Path, stem: str, form: ExportForm) -> Exported:
    if form == "edf":
        from storage.edf_export import EdfSink

        path = folder / f"{stem}.edf"
        EdfSink(str(path)).write(source)
        return Exported(path, path.name, "application/octet-stream", folder)
    place = folder / "csv"
    CsvSink(str(place)).write(source)
    signals = [each for each in sorted(place.iterdir()) if each.name not in {HEAD, ANNOTATIONS}]
    if len(signals) == 1:
        return Exported(signals[0], f"{stem}.csv", "text/csv", folder)
    packed = folder / f"{stem}.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for each in sorted(place.iterdir()):
            archive.write(each, each.name)
    return Exported(packed, packed.name, "application/zip", folder)


def _stem(entry: RecordingEntry) -> str:
    kept = "".join(c if c.isalnum() or c in "-_.+" else "_" for c in entry.name)
    return kept.removesuffix(".edf").removesuffix(".bdf").strip(".") or "recording"
