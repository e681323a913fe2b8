"""Recordings of any source into EDF+ or BDF+ files.

Integers that came from EDF or BDF are written bit by bit, with the header fields that they came
with. Other integers stay what they are, with the range that says so; floating-point numbers become
integers of 24 bits, or of 16 where a file has to be EDF, and how much that costs is said.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from storage.edf_anonymise import PATIENT
from storage.edf_division import FilePlan, divide, stretches_of
from storage.edf_fields import readable
from storage.edf_quantise import (
    Extent,
    WrittenSignal,
    bits_needed,
    extents,
    verbatim_signal,
    written_signal,
)
from storage.edf_triggers import SOURCE as FROM_STATUS
from storage.edf_writing import EdfFile
from storage.errors import AlreadyExists, UsageError
from storage.protocols import RecordingSource
from storage.recording import Annotation, Channel, RateGroup

SUFFIXES = {".edf": 16, ".bdf": 24}
MANIFEST = "export.json"
ASIDE = ".part"


class EdfSink:
    """Writes recordings as EDF+ or BDF+ files.

    A path that ends in ``.edf`` or ``.bdf`` becomes one file. Every other becomes a folder with as
    few files as hold all rate groups: those that do not begin, pause and end together need one
    each.

    Parameters
    ----------
    url
        Local path.
    patient
        The patient field; by default it says that everything is unknown.
    clip_date
        Hide the start date too; the time of the day stays.
    overwrite
        Replace what rests there.

    Attributes
    ----------
    notes : tuple of str
        What the last file does not say as the recording did, a line each.
    """

    def __init__(
        self,
        url: str,
        *,
        patient: str | None = None,
        clip_date: bool = False,
        overwrite: bool = False,
    ) -> None:
        if url.startswith("s3://"):
            raise UsageError(f"{url}: EDF files are written to a local path, not to a bucket")
        self._url = url
        self._path = Path(url)
        self._patient = PATIENT if patient is None else patient
        self._clip_date = clip_date
        self._overwrite = overwrite
        self.notes: tuple[str, ...] = ()

    def write(self, source: RecordingSource) -> str:
        """Write a whole recording and return where it is.

        Raises
        ------
        AlreadyExists
            If something else rests there.
        UnsupportedRecording
            If EDF has no place for it.
        """
        bits = SUFFIXES.get(self._path.suffix.lower())
        if bits is None:
            self._write_folder(source)
        else:
            self._write_file(source, bits)
        return self._url

    # -- one file

    def _write_file(self, source: RecordingSource, bits: int) -> None:
        path = self._path
        if path.is_dir():
            raise AlreadyExists(f"{path}: is a folder, expected a file or nothing")
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{path.name}{ASIDE}")
        notes: list[str] = []
        try:
            (file,) = _files(source, bits, notes, one_file=True)
            digest = self._put(aside, file, notes)
            if path.exists() and not self._overwrite:
                if _digest(path) != digest:
                    raise AlreadyExists(
                        f"{path}: is there already, and is another file; choose another name, or "
                        "replace it with --overwrite"
                    )
            else:
                aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
        self.notes = tuple(notes)

    def _put(self, path: Path, file: EdfFile, notes: list[str]) -> str:
        digest = hashlib.sha256()
        with open(path, "wb") as out:
            for part in self._parts(file, notes):
                digest.update(part)
                out.write(part)
            out.flush()
            os.fsync(out.fileno())
        return digest.hexdigest()

    def _parts(self, file: EdfFile, notes: list[str]) -> Iterator[bytes]:
        yield file.header(self._patient, clip_date=self._clip_date, notes=notes)
        yield from file.blocks()

    # -- a folder

    def _write_folder(self, source: RecordingSource) -> None:
        head = {
            "format": "edf",
            "recording": source.recording.id,
            "source": dict(source.fingerprint),
            "options": {"patient": self._patient, "clip_date": self._clip_date},
        }
        if self._same_is_there(head):
            return
        path = self._path
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{path.name}{ASIDE}")
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir()
        notes: list[str] = []
        try:
            entries = []
            for number, (file, bits) in enumerate(_with_bits(source, notes)):
                name = _name(source.recording.id, number, bits)
                digest = self._put(aside / name, file, notes)
                size = (aside / name).stat().st_size
                entries.append({"name": name, "bytes": size, "sha256": digest})
            manifest = {**head, "files": entries, "notes": notes}
            (aside / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")
            if path.exists() and self._overwrite:
                shutil.rmtree(path)
            aside.rename(path)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        self.notes = tuple(notes)

    def _same_is_there(self, head: dict[str, Any]) -> bool:
        path = self._path
        if not path.exists() or (path.is_dir() and not any(path.iterdir())):
            return False
        if self._overwrite and (path / MANIFEST).is_file():
            return False
        try:
            manifest = json.loads((path / MANIFEST).read_text())
            same = all(manifest[key] == json.loads(json.dumps(head[key])) for key in head)
            files = [(path / one["name"], one["bytes"]) for one in manifest["files"]]
            intact = all(file.stat().st_size == size for file, size in files)
        except (OSError, ValueError, LookupError, TypeError):
            same = intact = False
        if not (same and intact):
            raise AlreadyExists(
                f"{path}: is there already, and is something else; choose another folder, or "
                "replace it with --overwrite"
            )
        self.notes = tuple(manifest["notes"])
        return True


def _name(recording: str, number: int, bits: int) -> str:
    stem, _, ending = recording.rpartition(".")
    name = stem if f".{ending.lower()}" in SUFFIXES and stem else recording
    safe = "".join(char if char.isalnum() or char in "-_.+" else "_" for char in name).lstrip(".")
    count = f"-{number + 1}" if number else ""
    return f"{safe or 'recording'}{count}.{'bdf' if bits == 24 else 'edf'}"


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _with_bits(source: RecordingSource, notes: list[str]) -> Iterator[tuple[EdfFile, int]]:
    known = _known_extents(source, None)
    groups = source.recording.groups
    plans = _plans(source, 3, one_file=False)
    _note_left_out(source, plans, notes)
    for plan in plans:
        bits = max(
            (
                bits_needed(groups[number].dtype, extent)
                for number in plan.groups
                for extent in known[number]
            ),
            default=16,
        )
        yield _file(source, plan, known, bits, notes), bits


def _files(
    source: RecordingSource, bits: int, notes: list[str], *, one_file: bool
) -> list[EdfFile]:
    plans = _plans(source, bits // 8, one_file=one_file)
    known = _known_extents(source, bits)
    _note_left_out(source, plans, notes)
    return [_file(source, plan, known, bits, notes) for plan in plans]


def _plans(source: RecordingSource, size: int, *, one_file: bool) -> list[FilePlan]:
    groups = source.recording.groups
    # A group without samples has no times either that others could share.
    held = [number for number, group in enumerate(groups) if group.n_samples]
    if not held and not source.recording.annotations:
        held = list(range(len(groups)))
    if not held:
        nothing = np.zeros(0, np.int64)
        return [FilePlan((), Fraction(1), (), nothing, nothing)]
    stretches = [stretches_of(source, number) for number in held]
    return [
        replace(plan, groups=tuple(held[at] for at in plan.groups))
        for plan in divide(stretches, size, one_file=one_file)
    ]


def _note_left_out(source: RecordingSource, plans: Sequence[FilePlan], notes: list[str]) -> None:
    written = {number for plan in plans for number in plan.groups}
    notes.extend(
        f"{group.name}: holds no samples and is left out"
        for number, group in enumerate(source.recording.groups)
        if number not in written
    )


def _known_extents(source: RecordingSource, bits: int | None) -> list[list[Extent | None]]:
    """Return what must be known of the channels that are not written as they came."""
    known: list[list[Extent | None]] = []
    for number, group in enumerate(source.recording.groups):
        verbatim = [_is_verbatim(channel, group, bits) for channel in group.channels]
        if all(verbatim):
            known.append([None] * len(verbatim))
            continue
        found = extents(source, number)
        known.append(
            [None if kept else extent for kept, extent in zip(verbatim, found, strict=True)]
        )
    return known


def _is_verbatim(channel: Channel, group: RateGroup, bits: int | None) -> bool:
    if bits == 16 and group.dtype.itemsize > 2:
        return False
    return verbatim_signal(channel, group.dtype) is not None


def _file(
    source: RecordingSource,
    plan: FilePlan,
    known: Sequence[Sequence[Extent | None]],
    bits: int,
    notes: list[str],
) -> EdfFile:
    signals: dict[tuple[int, int], WrittenSignal] = {}
    groups = source.recording.groups
    for number in plan.groups:
        group = groups[number]
        for column, channel in enumerate(group.channels):
            signal = written_signal(channel, group.dtype, known[number][column], bits)
            signals[number, column] = signal
            if known[number][column] is not None and signal.fields["label"] != channel.label:
                notes.append(f"label {channel.label!r} is written as {signal.fields['label']!r}")
            if signal.scaling is not None:
                notes.append(
                    f"{readable(channel.label)}: written in steps, off by at most "
                    f"{signal.error:.2g} {channel.unit}"
                )
            elif signal.error:
                notes.append(
                    f"{readable(channel.label)}: the range fits EDF's 8 characters only nearly, "
                    f"values are off by at most {signal.error:.2g} {channel.unit}"
                )
    file = EdfFile(source, plan, signals, bits, _annotations(source, bits))
    if plan.drift:
        notes.append(
            f"the rate {float(groups[plan.groups[0]].exact_rate_hz):.10g} Hz fits EDF only nearly, "
            f"times are off by at most {plan.drift:.2g} samples"
        )
    if file.padded:
        notes.append(
            f"{file.padded} stretches do not fill their last record; what was added is marked "
            "BAD_padding"
        )
    return file


def _annotations(source: RecordingSource, bits: int) -> list[Annotation]:
    """Return the annotations, but for those that the ``Status`` channel of a BDF file says."""
    recording = source.recording
    has_status = bits == 24 and any(
        channel.label.casefold() == "status" for group in recording.groups
        for channel in group.channels
    )  # fmt: skip
    return [one for one in recording.annotations if not (has_status and one.source == FROM_STATUS)]
