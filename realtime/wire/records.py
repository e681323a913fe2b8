"""The messages of the records service: what is asked, what is answered, by the published names."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def _no_folder(name: str) -> str:
    if name in {".", ".."}:
        raise ValueError("expected a name, got one of a folder; choose anything but . and ..")
    return name


Identifier = Annotated[
    str,
    Field(
        min_length=1,
        max_length=200,
        pattern=r"^[^\x00-\x1f\x7f/\\]+$",
        description="Kept as given; no slash, backslash or control character, not . or ..",
    ),
    AfterValidator(_no_folder),
]
Label = Annotated[str, Field(min_length=1, max_length=200)]
Seconds = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Rate = Annotated[
    float | str,
    Field(description="Samples per second: a number, or a ratio such as `2997/10`."),
]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 in hexadecimal.")]

CHUNK_EXAMPLE: dict[str, Any] = {
    "patient_id": "chb01",
    "recording_id": "chb01_03.edf",
    "channels": ["FP1-F7", "F7-T7"],
    "start": 2996.0,
    "end": 2996.015625,
    "samples": [[-12.5, 3.0, 7.25, 1.5], [0.5, 0.25, -1.0, 4.0]],
    "unit": "uV",
}
RECEIPT_EXAMPLE: dict[str, Any] = {
    "status": "stored",
    "recording_id": "chb01_03.edf",
    "start": 2996.0,
    "end": 2996.015625,
    "num_samples": 4,
    "checksum": "3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855a",
    "sequence": 2997,
}


class Message(BaseModel):
    """What all messages share: a name that is not known is an error, not a surprise."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ChunkHeader(Message):
    """A chunk of `POST /ingest` without its samples."""

    patient_id: Identifier
    recording_id: Identifier
    channels: Annotated[list[Label], Field(min_length=1, max_length=4096)]
    start: Annotated[Seconds, Field(ge=0, le=1e9, description="Seconds from the start.")]
    end: Annotated[Seconds, Field(gt=0, le=1e9, description="The first instant not covered.")]
    unit: Annotated[
        str, Field(max_length=40, description="Of the samples: `uV`, `mV`, `V`, or the channels'.")
    ] = "uV"
    gap: Annotated[
        bool, Field(strict=True, description="A hole of more than 24 h before it is meant.")
    ] = False


class IngestChunk(ChunkHeader):
    """One stretch of samples of one rate group: `samples[channel][sample]` over `[start, end)`.

    The rate is the number of samples over `end - start`. Mixed rates are posted as one chunk for
    each rate.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [CHUNK_EXAMPLE]})

    samples: Annotated[
        list[list[float]], Field(description="As many rows as channels, all of one length.")
    ]


class Receipt(Message):
    """What is promised of a chunk: it is stored for good, under this checksum."""

    model_config = ConfigDict(json_schema_extra={"examples": [RECEIPT_EXAMPLE]})

    status: Literal["stored", "duplicate"]
    recording_id: str
    start: float
    end: float
    num_samples: Annotated[int, Field(description="Of each channel.")]
    checksum: Digest
    sequence: Annotated[int, Field(description="Number of its row in the audit trail.")]


class RefusedChunk(Message):
    """A chunk of a batch that was not stored, and why."""

    status: Literal["refused"]
    problem: dict[str, Any]


class BatchReceipt(Message):
    """The answers to a batch of chunks, in its order."""

    receipts: list[Receipt | RefusedChunk]


class DeclaredChannel(Message):
    """A channel, and how its stored integers become physical values.

    Either the four bounds of an EDF header or `factor` and `offset`; neither means factor 1.
    """

    label: Label
    unit: Annotated[str, Field(max_length=40)] = "uV"
    physical_min: Seconds | None = None
    physical_max: Seconds | None = None
    digital_min: Annotated[int, Field(strict=True, ge=-(2**53), le=2**53)] | None = None
    digital_max: Annotated[int, Field(strict=True, ge=-(2**53), le=2**53)] | None = None
    factor: Seconds | None = None
    offset: Seconds | None = None


class DeclaredGroup(Message):
    """Channels that are sampled together."""

    rate_hz: Rate
    channels: Annotated[list[DeclaredChannel], Field(min_length=1, max_length=4096)]
    dtype: Literal["int16", "int32", "float32", "float64"] = "int16"
    name: Annotated[str, Field(max_length=200)] | None = None


class DeclareRecording(Message):
    """A recording that is about to come in."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "patient_id": "chb01",
                    "recording_id": "chb01_03.edf",
                    "start_time": "2076-11-06T13:43:04Z",
                    "groups": [
                        {
                            "rate_hz": 256,
                            "dtype": "int16",
                            "channels": [
                                {
                                    "label": "FP1-F7",
                                    "unit": "uV",
                                    "physical_min": -800,
                                    "physical_max": 800,
                                    "digital_min": -2048,
                                    "digital_max": 2047,
                                }
                            ],
                        }
                    ],
                }
            ]
        }
    )

    patient_id: Identifier
    recording_id: Identifier
    groups: Annotated[list[DeclaredGroup], Field(min_length=1, max_length=256)]
    start_time: Annotated[
        str | None,
        Field(max_length=40, description="ISO 8601 with an offset; null where nobody knows."),
    ] = None


class RecordingItem(Message):
    """A recording in a list."""

    patient_id: str
    recording_id: str
    duration_sec: float
    channel_count: int
    channels: list[str]
    rates_hz: list[float]
    start_time: str | None
    state: Literal["live", "sealed"]
    size_bytes: int


class ChannelItem(Message):
    """A channel of a recording: `value = (stored * factor + offset) * to_unit`."""

    key: Annotated[str, Field(description="Unique in the recording: `T8-P8`, `T8-P8#2`.")]
    label: str
    unit: str
    factor: float
    offset: float
    to_unit: float
    dummy: bool


class GroupItem(Message):
    """A rate group of a recording."""

    group: int
    name: str
    rate_hz: float
    rate: Annotated[str, Field(description="Exactly, as a ratio.")]
    dtype: str
    num_samples: Annotated[int, Field(description="Up to the last one stored, gaps included.")]
    gaps: int
    extents: Annotated[
        list[tuple[float, float]],
        Field(description="Where there are samples, in seconds; the first 1,000 stretches."),
    ]
    channels: list[ChannelItem]


class RecordingDetail(RecordingItem):
    """All that is known of one recording."""

    uuid: str
    kind: str
    created_at: str
    source_sha256: str | None
    notes: list[str]
    groups: list[GroupItem]


class MontageItem(Message):
    """A montage, and what of it can be made of a recording."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "cz",
                    "title": "Cz reference",
                    "channels": ["Fz-Cz", "Pz-Cz"],
                    "missing": ["Fp1-Cz", "F7-Cz"],
                    "others": ["ECG"],
                    "reason": None,
                }
            ]
        }
    )

    name: Annotated[str, Field(description="As `montage` of `GET /eeg` takes it.")]
    title: str
    channels: Annotated[
        list[str],
        Field(description="Labels of what can be made; the keys of channels for `recorded`."),
    ]
    missing: Annotated[list[str], Field(description="Labels of what cannot be made.")]
    others: Annotated[
        list[str],
        Field(
            description="Keys of recorded channels that are no electrode, such as `ECG`, to be "
            "shown below as they were recorded; dummies left out."
        ),
    ]
    reason: Annotated[str | None, Field(description="Why none of it can be made.")]


AnnotationKind = Literal["note", "marker", "seizure"]


class NewAnnotation(Message):
    """Something to note about a stretch of a recording."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"onset": 2996.0, "duration": 40.0, "text": "seizure", "kind": "seizure"},
            ]
        }
    )

    annotation_id: Annotated[
        UUID | None,
        Field(
            description="The client's own id, one for each annotation: sent again, with the same "
            "content, it is stored once. Without it, each request is a further annotation."
        ),
    ] = None
    onset: Annotated[Seconds, Field(ge=-1e9, le=1e9, description="Seconds from the start.")]
    duration: Annotated[Seconds, Field(ge=0, le=1e9)] | None = None
    text: Annotated[str, Field(min_length=1, max_length=10_000)]
    kind: AnnotationKind = "note"
    channels: Annotated[list[Label], Field(max_length=4096)] = []


class RevisedAnnotation(Message):
    """What is to be changed of an annotation, and why; the earlier version is kept."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"duration": 41.5, "reason": "offset seen on review"}]}
    )

    onset: Annotated[Seconds, Field(ge=-1e9, le=1e9)] | None = None
    duration: Annotated[Seconds, Field(ge=0, le=1e9)] | None = None
    text: Annotated[str, Field(min_length=1, max_length=10_000)] | None = None
    kind: AnnotationKind | None = None
    channels: Annotated[list[Label], Field(max_length=4096)] | None = None
    reason: Annotated[str, Field(min_length=1, max_length=2_000)]
    version: Annotated[
        int | None, Field(ge=1, description="The version that was read; another one there is 409.")
    ] = None


class AnnotationItem(Message):
    """One version of an annotation."""

    annotation_id: str
    version: int
    onset: float
    duration: float | None
    text: str
    kind: str
    source: str
    channels: list[str]
    beyond_end: bool
    voided: bool
    author: str
    reason: str | None
    created_at: str


class AuditItem(Message):
    """One row of a recording's audit trail; `hash` covers the row and `previous`."""

    patient_id: str
    recording_id: str
    recording: Annotated[str, Field(description="Its UUID.")]
    sequence: int
    event: str
    group: int | None
    start: int | None
    chunk_start_sec: float | None
    chunk_end_sec: float | None
    num_samples: int | None
    checksum: str | None
    ingested_at: str
    source: str
    detail: dict[str, Any]
    previous: str
    hash: str


class VerifyAnswer(Message):
    """Whether everything that is stored is what came in."""

    recording_id: str
    ok: bool
    problems: Annotated[list[str], Field(description="The first names the first row that fails.")]
    counts: Annotated[
        dict[str, int], Field(description="Rows, chunks, blocks, files and samples checked.")
    ]
    head: Annotated[str, Field(description="Hash of the last row of the audit trail.")]


class ProblemBody(BaseModel):
    """Why a request was refused (RFC 9457)."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "examples": [
                {
                    "type": "about:blank",
                    "title": "Unprocessable Content",
                    "status": 422,
                    "detail": "samples[1]: 255 values; expected 256, as in samples[0]",
                    "errors": [{"field": "samples[1]", "message": "255 values; expected 256"}],
                }
            ]
        },
    )

    type: str
    title: str
    status: int
    detail: str
    errors: list[dict[str, str]] = []
