"""The nouns: a recording, its channels, its segments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from storage.scaling import Scaling
from storage.spans import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One measured signal.

    Parameters
    ----------
    label
        Its name, unique among the channels of one group and rate.
    group
        The electrode group, shank or probe that it belongs to.
    unit
        Physical unit after scaling, for example ``uV``.
    scaling
        From stored numbers to that unit.
    details
        What else the source says of it, verbatim, for whoever writes the same format again; for
        example the header fields of an EDF signal.
    """

    label: str
    group: str = "default"
    unit: str = "uV"
    scaling: Scaling = field(default_factory=Scaling)
    details: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Segment:
    """A gap-free stretch: which samples, and when the first of them was taken (us since 1970)."""

    span: Span
    start_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RateGroup:
    """Channels that were sampled together: same rate, same clock, same number of samples.

    Parameters
    ----------
    name
        What the file calls it, for example the path of an NWB series.
    rate_hz
        Samples per second; an int where the source counts in whole hertz.
    n_samples
        Samples of each channel.
    dtype
        Type of the stored numbers.
    chunk_shape
        ``(samples, channels)`` of the pieces that the source stores together, if it does; who
        reads in such pieces decodes each once.
    ratio
        The rate as a ratio, where the source counts so and ``rate_hz`` is only the nearest
        double of it.
    """

    name: str
    rate_hz: float
    n_samples: int
    dtype: np.dtype[np.generic]
    channels: tuple[Channel, ...]
    chunk_shape: tuple[int, int] | None = None
    ratio: Fraction | None = None

    @property
    def exact_rate_hz(self) -> Fraction:
        """Samples per second, exactly."""
        return Fraction(self.rate_hz) if self.ratio is None else self.ratio


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """Something that somebody or something noted about a stretch of a recording.

    Parameters
    ----------
    onset_us
        Where it begins, in microseconds after the start of the recording; may be negative, and
        may lie beyond the end.
    duration_us
        How long it lasts; None where the source does not say.
    text
        What is noted.
    kind
        ``note``, ``marker`` or ``seizure``.
    source
        What said so, for example ``edf``, ``chb-summary``, ``seizures``, ``siena`` or ``person``.
    channels
        Labels of the channels that it is about; none for the whole recording.
    """

    onset_us: int
    text: str
    duration_us: int | None = None
    kind: str = "note"
    source: str = "edf"
    channels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """What one device, or one rig, stored in one sitting.

    Parameters
    ----------
    id
        Name of the recording, unique where it is kept.
    start_us
        Start in microseconds since 1970-01-01 UTC.
    groups
        Its rate groups; most recordings have one.
    notes
        What the reader had to decide for itself, one line each, for people to read.
    annotations
        In order of onset.
    start_known
        Whether ``start_us`` is a date that the source names; else times only count from it.
    """

    id: str
    start_us: int
    groups: tuple[RateGroup, ...]
    notes: tuple[str, ...] = ()
    annotations: tuple[Annotation, ...] = ()
    start_known: bool = True
