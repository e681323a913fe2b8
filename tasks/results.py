"""What batch jobs report, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

# Shorter ones stand in any text.
LEAST_HIDDEN = 2

Outcome = Literal["stored", "unchanged", "refused", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertResult:
    """What became of one source.

    Parameters
    ----------
    source, output
        Where it came from, and where the chunks are.
    outcome
        ``stored`` now, ``unchanged`` since an earlier run, ``refused`` because something else
        rests there, ``failed`` for the reason given.
    reason
        One line, where it was refused or failed.
    series
        ``path: channels x samples at rate`` for each.
    notes
        What the reader had to decide for itself.
    files, bytes, samples
        Of the output; samples of all channels together.
    resumed
        Files that an earlier, interrupted run had finished.
    uploaded, already_uploaded
        Files sent now, and before.
    package
        Where on the platform they are.
    """

    source: str
    output: str
    outcome: Outcome
    reason: str | None = None
    series: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    files: int = 0
    bytes: int = 0
    samples: int = 0
    resumed: int = 0
    uploaded: int = 0
    already_uploaded: int = 0
    package: str | None = None


def worst(results: tuple[ConvertResult, ...]) -> Outcome:
    """Return the outcome of a whole job: that of the item that fared worst."""
    order: tuple[Outcome, ...] = ("unchanged", "stored", "refused", "failed")
    return max((result.outcome for result in results), key=order.index, default="unchanged")


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestResult:
    """What became of one file.

    Parameters
    ----------
    source
        Where it came from.
    outcome
        ``stored`` now, ``unchanged`` since an earlier run, ``refused`` because it holds nothing
        that can be used or because something else rests there, ``failed`` for the reason given.
    reason
        One line, where it was refused or failed.
    recording_id, patient_id, uuid
        What it is called in the store; None where it is not there.
    again
        Whether another try may help.
    skipped
        Whether it is no recording, so that this is no failure.
    private
        Whether the file names a person, or may, so that its own name is not to be shown to others.
    label
        What others may call it.
    described
        ``group: channels x samples at rate`` for each group.
    notes
        What the readers had to decide for themselves.
    annotations
        Added now.
    samples
        Of all channels together.
    """

    source: str
    outcome: Outcome
    reason: str | None = None
    recording_id: str | None = None
    patient_id: str | None = None
    uuid: str | None = None
    again: bool = False
    skipped: bool = False
    private: bool = False
    label: str = "(named after a person)"
    described: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    annotations: int = 0
    samples: int = 0

    @property
    def failed(self) -> bool:
        """Whether somebody has to see to it."""
        return self.outcome in ("refused", "failed") and not self.skipped

    @property
    def title(self) -> str:
        """What others may call the file: its own name, unless that may be the name of a person."""
        return self.label if self.private else self.source

    @property
    def shown_reason(self) -> str | None:
        """The reason as others may read it."""
        if self.reason is None or not self.private:
            return self.reason
        shown = self.reason
        name = self.source.rstrip("/").rpartition("/")[2]
        stem = name.partition(".")[0]
        for hidden in (self.source, name, *([stem] if len(stem) > LEAST_HIDDEN else [])):
            if hidden:
                shown = shown.replace(hidden, self.label)
        return shown


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedRecording:
    """What was found about one recording of the store.

    Parameters
    ----------
    problems
        One line each; the first names the first row of its chain that does not hold.
    notes
        What is no fault, and yet to be known; one line each.
    rows, chunks, samples
        Of its chain, that were recomputed; samples of all channels.
    """

    recording_id: str
    patient_id: str
    uuid: str
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    rows: int = 0
    chunks: int = 0
    samples: int = 0

    @property
    def title(self) -> str:
        """What to call it: of a recording that is missing not all may be known."""
        if self.recording_id:
            return f"{self.recording_id} of {self.patient_id or 'an unknown patient'}"
        return self.uuid or self.patient_id or "the store"


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedRecording:
    """A recording that was closed for good, now or before (``unchanged``)."""

    recording_id: str
    patient_id: str
    uuid: str
    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportResult:
    """A recording that was written as a file.

    Parameters
    ----------
    output
        Where it is.
    format
        As asked, or ``original``.
    notes
        What is not as it was in the store, one line each.
    """

    recording_id: str
    patient_id: str
    uuid: str
    output: str
    format: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedRecording:
    """A recording in a list, by the published names."""

    patient_id: str
    recording_id: str
    uuid: str
    kind: str
    state: str
    start_time: str | None
    duration_sec: float
    channel_count: int
    channels: tuple[str, ...]
    rates_hz: tuple[float, ...]
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribedChannel:
    """A channel, and its course in a few numbers.

    Parameters
    ----------
    lowest, highest
        Of all samples, in its unit; None where it has none.
    course
        Lowest and highest value of each of equal stretches of the recording; None in gaps.
    """

    key: str
    label: str
    unit: str
    dummy: bool
    lowest: float | None
    highest: float | None
    course: tuple[tuple[float, float] | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribedGroup:
    """A rate group: its grid, what is held of it, and its channels.

    Parameters
    ----------
    gaps
        Start and end of each hole, in seconds after the recording's start; the first 100.
    """

    name: str
    rate_hz: float
    samples: int
    dtype: str
    codec: str
    segments: int
    gaps: tuple[tuple[float, float], ...]
    channels: tuple[DescribedChannel, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribedRecording:
    """All that ``ranvier recordings show`` says.

    Parameters
    ----------
    annotations
        Onset and duration in seconds, kind, text and source.
    rows, head
        Length of the chain, and the hash of its last row.
    """

    recording: ListedRecording
    created_at: str
    source_sha256: str | None
    notes: tuple[str, ...]
    groups: tuple[DescribedGroup, ...]
    annotations: tuple[dict[str, Any], ...]
    rows: int
    head: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedToken:
    """A token without its secret.

    Parameters
    ----------
    patients
        Names; None for all patients.
    expires_at
        None for never.
    """

    name: str
    scopes: tuple[str, ...]
    patients: tuple[str, ...] | None
    created_at: str
    expires_at: str | None
    state: Literal["valid", "expired", "revoked"]
