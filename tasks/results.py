"""What batch jobs report, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

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
