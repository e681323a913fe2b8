"""The nouns: a recording, its channels, its segments."""

from __future__ import annotations

from dataclasses import dataclass, field

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
    """

    label: str
    group: str = "default"
    unit: str = "uV"
    scaling: Scaling = field(default_factory=Scaling)


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
    """

    name: str
    rate_hz: float
    n_samples: int
    dtype: np.dtype[np.generic]
    channels: tuple[Channel, ...]
    chunk_shape: tuple[int, int] | None = None


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
    """

    id: str
    start_us: int
    groups: tuple[RateGroup, ...]
    notes: tuple[str, ...] = ()
