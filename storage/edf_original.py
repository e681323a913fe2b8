"""The very EDF or BDF file again: from its header, its integers, its annotation bytes and its tail.

Nothing else is needed, not even for malformed files: whatever a reader does not understand lies in
one of these four.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from storage.edf_anonymise import anonymous_identity
from storage.edf_header import parse_header, with_identity
from storage.edf_layout import RecordLayout, layout_of
from storage.errors import CorruptRecording
from storage.protocols import MASKED_ANNOTATIONS, OriginalSource
from storage.spans import Span, cut

BLOCK_BYTES = 1 << 22
ReadGroup = Callable[[int, Span], NDArray[np.generic]]


def rebuild(
    header: bytes,
    identity: bytes | None,
    annotations: bytes | None,
    tail: bytes | None,
    read: ReadGroup,
    n_samples: Sequence[int],
) -> Iterator[bytes]:
    """Yield the bytes of the file that the parts came from.

    Parameters
    ----------
    header
        The blob of that name: two fields of it are blank.
    identity
        Those two fields; None for ones that name nobody.
    annotations, tail
        The blobs of those names; None where there are none.
    read
        Returns the stored numbers of a rate group, shape ``(n_samples, n_channels)``; groups and
        samples are numbered as ``EdfSource`` does.
    n_samples
        Of each rate group.

    Raises
    ------
    CorruptRecording
        If the parts do not fit together.
    """
    parsed = parse_header(header)
    layout = layout_of(parsed)
    texts = np.frombuffer(annotations or b"", np.uint8)
    n_records = _count(layout, n_samples, len(texts))
    yield with_identity(header, anonymous_identity() if identity is None else identity)
    if n_records:
        texts = texts.reshape(n_records, layout.annotation_bytes)
        at_once = max(1, BLOCK_BYTES // layout.record_bytes)
        for records in cut(Span(0, n_records), at_once):
            yield _records(layout, records, texts, read)
    if tail:
        yield tail


def rebuild_source(source: OriginalSource, *, with_names: bool = True) -> Iterator[bytes]:
    """Yield the bytes of the file that a recording came from.

    Parameters
    ----------
    source
        The recording.
    with_names
        Whether the two fields that name persons, and annotations that do, are as they were.
    """
    blobs = {name: b"".join(content) for name, content in source.blobs()}
    return rebuild(
        blobs["header"],
        blobs.get("identity") if with_names else None,
        (None if with_names else blobs.get(MASKED_ANNOTATIONS)) or blobs.get("annotations"),
        blobs.get("tail"),
        source.read,
        [group.n_samples for group in source.recording.groups],
    )


def _count(layout: RecordLayout, n_samples: Sequence[int], text_bytes: int) -> int:
    """Return the number of records, on which all parts must agree."""
    if len(n_samples) != len(layout.groups):
        raise CorruptRecording(
            f"header with {len(layout.groups)} rates: {len(n_samples)} rate groups were given"
        )
    counts = {
        divmod(samples, group.samples)
        for samples, group in zip(n_samples, layout.groups, strict=True)
    }
    if layout.annotation_bytes:
        counts.add(divmod(text_bytes, layout.annotation_bytes))
    elif text_bytes:
        counts.add((0, text_bytes))
    if len(counts) > 1 or any(rest for _, rest in counts):
        raise CorruptRecording(
            f"samples {list(n_samples)} and {text_bytes} bytes of annotations do not make whole "
            "records of one number; a part is missing"
        )
    return next(iter(counts), (0, 0))[0]


def _records(
    layout: RecordLayout, records: Span, texts: NDArray[np.uint8], read: ReadGroup
) -> bytes:
    count, size = len(records), layout.sample_bytes
    block = np.empty((count, layout.record_bytes), np.uint8)
    for number, group in enumerate(layout.groups):
        span = Span(records.start * group.samples, records.stop * group.samples)
        put_samples(block, group.samples, group.starts, size, read(number, span))
    at = 0
    for start, length in layout.annotations:
        block[:, start : start + length] = texts[records.start : records.stop, at : at + length]
        at += length
    return block.tobytes()


def put_samples(
    block: NDArray[np.uint8],
    samples: int,
    starts: Sequence[int],
    size: int,
    numbers: NDArray[np.generic],
) -> None:
    """Write samples of channels into records.

    Parameters
    ----------
    block
        The records, shape ``(records, record_bytes)``.
    samples
        Of each channel in each record.
    starts
        Where each channel begins within a record, in bytes.
    size
        Bytes of a sample.
    numbers
        Shape ``(records * samples, channels)``.
    """
    count, record_bytes = block.shape
    for column, start in enumerate(starts):
        values = numbers[:, column].reshape(count, samples)
        if size == 2:
            place: NDArray[np.int16] = np.ndarray(
                (count, samples), "<i2", block, start, (record_bytes, 2)
            )
            place[...] = values
        else:
            wide = np.ascontiguousarray(values, "<i4").view(np.uint8).reshape(count, samples, 4)
            block[:, start : start + samples * size].reshape(count, samples, size)[...] = wide[
                :, :, :size
            ]
