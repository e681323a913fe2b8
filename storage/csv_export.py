"""Recordings as CSV files in a folder.

- one file for each rate group: seconds from the start of the recording, the number of the
  segment, and a column for each channel in its physical unit, all in the shortest form that reads
  back as the same double; a gap has no rows;
- ``annotations.csv``;
- ``recording.json``: rates, units, start, and what it was made from.

The folder is written aside and renamed, so that it is there whole or not at all.
"""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.clocks import MICROSECONDS
from storage.errors import AlreadyExists, UsageError
from storage.placed_source import distinct
from storage.protocols import RecordingSource
from storage.recording import Channel, RateGroup, Recording
from storage.spans import cut

HEAD, ANNOTATIONS = "recording.json", "annotations.csv"
BLOCK_NUMBERS = 1 << 20
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class CsvSink:
    """Writes recordings to a folder of CSV files; see ``RecordingSink``.

    Parameters
    ----------
    place
        Local path of the folder.
    overwrite
        Replace another recording that rests there.

    Raises
    ------
    UsageError
        If it is not a local path.
    """

    def __init__(self, place: str, *, overwrite: bool = False) -> None:
        if place.startswith("s3://"):
            raise UsageError(f"{place}: CSV files are written to a local folder; copy them there")
        self._place = Path(place)
        self._overwrite = overwrite

    def write(self, source: RecordingSource) -> str:
        """Write a whole recording; nothing is done where the same one is already.

        Raises
        ------
        AlreadyExists
            If something else rests there.
        """
        names = file_names(source.recording)
        head = _head(source, names)
        if self._place.exists():
            if _same(self._place, head):
                return str(self._place)
            if not self._overwrite or not (self._place / HEAD).is_file():
                raise AlreadyExists(
                    f"{self._place}: holds something else; choose another folder, or remove it"
                )
        aside = self._place.with_name(f".{self._place.name}.part")
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        try:
            for number, name in enumerate(names):
                _write_group(source, number, aside / name)
            _write_annotations(source.recording, aside / ANNOTATIONS)
            (aside / HEAD).write_text(json.dumps(head, indent=2, ensure_ascii=False) + "\n")
            if self._place.exists():
                shutil.rmtree(self._place)
            os.rename(aside, self._place)  # noqa: PTH104
        except BaseException:
            shutil.rmtree(aside, ignore_errors=True)
            raise
        return str(self._place)


def file_names(recording: Recording) -> list[str]:
    """Return the name of each rate group's file."""
    plain = [re.sub(r"[^\w.+-]+", "_", group.name).strip("_.") for group in recording.groups]
    taken = distinct(["annotations", *plain])[1:]
    return [f"{name.replace('#', '-').replace(' ', '_')}.csv" for name in taken]


def heading(channel: Channel, label: str) -> str:
    """Return a column's heading: the label, and the unit in brackets if there is one."""
    return f"{label} ({channel.unit})" if channel.unit else label


def _write_group(source: RecordingSource, number: int, path: Path) -> None:
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    group = source.recording.groups[number]
    labels = distinct([channel.label for channel in group.channels])
    columns = [heading(*pair) for pair in zip(group.channels, labels, strict=True)]
    schema = pa.schema(
        [
            pa.field("time_s", pa.float64()),
            pa.field("segment", pa.int64()),
            *(pa.field(column, pa.float64()) for column in columns),
        ]
    )
    height = max(1, BLOCK_NUMBERS // (len(columns) + 2))
    with open(path, "wb") as file:
        with arrow_csv.CSVWriter(file, schema) as writer:
            for index, segment in enumerate(source.segments(number)):
                first_s = (segment.start_us - source.recording.start_us) / MICROSECONDS
                for span in cut(segment.span, height):
                    stored = source.read(number, span)
                    offset = np.arange(
                        span.start - segment.span.start, span.stop - segment.span.start
                    )
                    arrays = [
                        pa.array(first_s + offset / float(group.exact_rate_hz)),
                        pa.array(np.full(len(span), index, np.int64)),
                        *(pa.array(values) for values in _physical(group, stored)),
                    ]
                    writer.write_batch(pa.record_batch(arrays, schema=schema))
        file.flush()
        os.fsync(file.fileno())


def _physical(group: RateGroup, stored: NDArray[Any]) -> list[NDArray[np.float64]]:
    return [
        channel.scaling.apply(np.ascontiguousarray(stored[:, index]))
        for index, channel in enumerate(group.channels)
    ]


def _write_annotations(recording: Recording, path: Path) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["onset_s", "duration_s", "text", "kind", "source", "channels"])
        for each in recording.annotations:
            duration = "" if each.duration_us is None else each.duration_us / MICROSECONDS
            writer.writerow(
                [
                    each.onset_us / MICROSECONDS,
                    duration,
                    each.text,
                    each.kind,
                    each.source,
                    ";".join(each.channels),
                ]
            )


def _head(source: RecordingSource, names: list[str]) -> dict[str, Any]:
    recording = source.recording
    start = EPOCH + timedelta(microseconds=recording.start_us)
    head = {
        "recording": recording.id,
        "start": start.isoformat() if recording.start_known else None,
        "source": dict(source.fingerprint),
        "groups": [
            {
                "file": name,
                "name": group.name,
                "rate_hz": group.rate_hz,
                "samples": group.n_samples,
                "channels": [
                    {"label": channel.label, "unit": channel.unit} for channel in group.channels
                ],
            }
            for group, name in zip(recording.groups, names, strict=True)
        ],
        "notes": list(recording.notes),
    }
    restored: dict[str, Any] = json.loads(json.dumps(head))
    return restored


def _same(place: Path, head: dict[str, Any]) -> bool:
    try:
        known = json.loads((place / HEAD).read_text())
    except (OSError, ValueError):
        return False
    return bool(known == head) and all(
        (place / group["file"]).is_file() for group in head["groups"]
    )
