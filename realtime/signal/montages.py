"""Montages: which differences of electrodes are shown, made from what channels there are.

A difference can be made exactly if recorded channels connect its two electrodes: it is the sum of
those along the way.

The chains are those of the American Clinical Neurophysiology Society's Guideline 3, "A proposal
for standard montages to be used in clinical EEG" (2016): LB-18.1 (double banana), TB-18.1
(transverse), and the referential ones.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from realtime.signal.electrodes import REFERENCE, SCALP, Electrodes, electrodes, named
from storage.errors import ChannelMismatch, UsageError

AS_RECORDED, CUSTOM = "recorded", "custom"
DOUBLE_BANANA = (
    *("Fp1-F7", "F7-T7", "T7-P7", "P7-O1"),
    *("Fp1-F3", "F3-C3", "C3-P3", "P3-O1"),
    *("Fz-Cz", "Cz-Pz"),
    *("Fp2-F4", "F4-C4", "C4-P4", "P4-O2"),
    *("Fp2-F8", "F8-T8", "T8-P8", "P8-O2"),
)
TRANSVERSE = (
    *("F7-Fp1", "Fp1-Fp2", "Fp2-F8"),
    *("F7-F3", "F3-Fz", "Fz-F4", "F4-F8"),
    *("T7-C3", "C3-Cz", "Cz-C4", "C4-T8"),
    *("P7-P3", "P3-Pz", "Pz-P4", "P4-P8"),
    *("P7-O1", "O1-O2", "O2-P8"),
)
CHAINS = {"double_banana": DOUBLE_BANANA, "transverse": TRANSVERSE}
TITLES = {
    AS_RECORDED: "As recorded",
    "double_banana": "Double banana",
    "transverse": "Transverse",
    "average": "Average reference",
    "cz": "Cz reference",
    CUSTOM: "Custom",
}
MONTAGES = tuple(TITLES)
AVERAGE = ("AVERAGE",)
DEFINITION = re.compile(
    rf"(?:([^=,\x00-\x1f\x7f]{{1,40}})=)?\s*({SCALP}|{REFERENCE})\s*-"
    rf"\s*(AVERAGE|(?:{SCALP}|{REFERENCE})(?:[+ ](?:{SCALP}|{REFERENCE}))*)\s*",
    re.ASCII | re.IGNORECASE,
)
REMEMBERED = 64
MOST_SHOWN = 40  # characters

Terms = tuple[tuple[int, float], ...]  # column and weight


@dataclass(frozen=True, slots=True)
class Definition:
    """A derived channel that is asked for.

    Parameters
    ----------
    label
        What it is called.
    active
        The electrode that it shows, in capitals.
    references
        What it is shown against: one electrode, the mean of several, or ``AVERAGE``.
    """

    label: str
    active: str
    references: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Montage:
    """Derived channels as sums of recorded ones.

    Parameters
    ----------
    labels
        Of the derived channels; none where nothing can be made, and ``reason`` says why.
    terms
        The recorded channels of each, with their weights.
    means
        Sums that several derived channels have in common.
    less
        Which of the means is subtracted from each; -1 for none.
    missing
        Labels of what cannot be made.
    """

    labels: tuple[str, ...]
    terms: tuple[Terms, ...]
    means: tuple[Terms, ...]
    less: tuple[int, ...]
    missing: tuple[str, ...] = ()
    reason: str | None = None

    def apply(self, samples: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the derived channels of ``(n_samples, n_recorded)`` samples.

        Channel after channel, not as a product of matrices: what is not a number in one channel
        stays out of what is not made of it, and 18 channels of 29 s at 256 Hz take 0.2 ms, where
        a product takes 1.0 and BLAS lets a second thread spin for up to 7 ms afterwards.
        """
        recorded = samples.T
        derived = np.empty((len(self.labels), len(samples)))
        means = [_sum(terms, recorded, np.empty(len(samples))) for terms in self.means]
        for row, (terms, mean) in enumerate(zip(self.terms, self.less, strict=True)):
            _sum(terms, recorded, derived[row])
            if mean >= 0:
                derived[row] -= means[mean]
        return derived.T

    def chosen(self, rows: Sequence[int]) -> tuple[Montage, tuple[int, ...]]:
        """Return some of the derived channels, and the recorded ones that they are made of.

        The first recorded channel of the answer is column 0 of the montage that is returned.
        """
        kept = sorted({self.less[row] for row in rows} - {-1})
        sums = [self.terms[row] for row in rows] + [self.means[mean] for mean in kept]
        columns = tuple(sorted({column for terms in sums for column, _ in terms}))
        at = {column: place for place, column in enumerate(columns)}
        moved = tuple(tuple((at[column], weight) for column, weight in terms) for terms in sums)
        montage = Montage(
            labels=tuple(self.labels[row] for row in rows),
            terms=moved[: len(rows)],
            means=moved[len(rows) :],
            less=tuple(kept.index(self.less[row]) if self.less[row] >= 0 else -1 for row in rows),
            missing=self.missing,
        )
        return montage, columns

    def facts(self) -> list[Any]:
        """Return what settles the derived samples."""
        return [self.labels, self.terms, self.means, self.less]


def _sum(
    terms: Terms, recorded: NDArray[np.float64], out: NDArray[np.float64]
) -> NDArray[np.float64]:
    if not terms:
        out[:] = 0
        return out
    (first, weight), *others = terms
    np.multiply(recorded[first], weight, out=out)
    for column, weight in others:
        if weight == 1:
            out += recorded[column]
        elif weight == -1:
            out -= recorded[column]
        else:
            out += recorded[column] * weight
    return out


@lru_cache(REMEMBERED)
def definitions(texts: tuple[str, ...]) -> tuple[Definition, ...]:
    """Read derived channels such as ``C3-A2``, ``C3-A1+A2``, ``C3-average`` or ``Left=C3-A2``.

    Raises
    ------
    UsageError
        If one is not of this form, names an electrode that there is not, or a label comes twice.
    """
    read: dict[str, Definition] = {}
    for text in texts:
        found = DEFINITION.fullmatch(text)
        label = (found[1] or "").strip() if found is not None else ""
        if found is None or (found[1] is not None and not label):
            raise UsageError(
                f"derive: expected Active-Reference or Label=Active-Reference with electrodes of "
                f"the 10-10 system, such as C3-A2, C3-A1+A2, C3-average or Left=C3-A2, got "
                f"{text[:MOST_SHOWN]!r}"
            )
        active, reference = named(found[2]), re.split(r"[+ ]", found[3])
        references = tuple(named(name) for name in reference)
        if references == (active,) or len(set(references)) < len(references):
            raise UsageError(
                f"derive: expected electrodes that differ, got {text[:MOST_SHOWN]!r}, which names "
                f"one twice"
            )
        label = label or f"{found[2]}-{'+'.join(reference)}"
        if label.casefold() in read:
            raise UsageError(
                f"derive: {label!r} is there twice; give one of them another label, as in "
                f"Left=C3-A2"
            )
        read[label.casefold()] = Definition(label, active, references)
    return tuple(read.values())


def derive(montage: str, labels: Sequence[str], custom: tuple[Definition, ...] = ()) -> Montage:
    """Return how a montage is computed from recorded channels.

    Parameters
    ----------
    montage
        ``double_banana``, ``transverse``, ``average`` (each electrode of the largest connected
        part against the mean of all of it), ``cz`` (each against Cz) or ``custom``.
    labels
        Labels of the recorded channels, in microvolts; those that are no electrode are not used.
    custom
        What ``custom`` shows.

    Raises
    ------
    UsageError
        If there is no such montage.
    ChannelMismatch
        If nothing of it can be made.
    """
    made = possible(montage, tuple(labels), custom)
    if made.reason is not None:
        what = "derive" if montage == CUSTOM else f"montage {montage}"
        raise ChannelMismatch(f"{what}: {made.reason}")
    return made


@lru_cache(REMEMBERED)
def possible(montage: str, labels: tuple[str, ...], custom: tuple[Definition, ...] = ()) -> Montage:
    """Return what of a montage can be made, and what not; see ``derive``."""
    if montage not in MONTAGES or montage == AS_RECORDED:
        raise UsageError(f"montage: expected one of {', '.join(MONTAGES)}, got {montage!r}")
    graph = electrodes(labels)
    within = frozenset(graph.largest() if montage == "average" else graph.scalp)
    made: list[tuple[str, Terms, int]] = []
    means: dict[tuple[str, ...], Terms] = {}
    missing = []
    for one in custom if montage == CUSTOM else _asked(montage, graph):
        part = graph.part(one.active) if one.references == AVERAGE else ()
        paths = [graph.path(one.active, name) for name in one.references]
        if len(part) > 1 and within.issuperset(part):
            # Any electrode will do as the zero of both: it is subtracted from itself.
            zero = graph.centre(part)
            if part not in means:
                means[part] = _mean([graph.path(name, zero) for name in part])
            terms = _mean([graph.path(one.active, zero)])
            made.append((one.label, terms, list(means).index(part)))
        elif None not in paths:
            made.append((one.label, _mean(paths), -1))
        else:
            missing.append(one.label)
    return Montage(
        labels=tuple(label for label, _, _ in made),
        terms=tuple(terms for _, terms, _ in made),
        means=tuple(means.values()),
        less=tuple(mean for _, _, mean in made),
        missing=tuple(missing),
        reason=None if made else _lacking(montage, graph, labels),
    )


def _asked(montage: str, graph: Electrodes) -> list[Definition]:
    if montage in CHAINS:
        pairs = [(label, label.upper().split("-")) for label in CHAINS[montage]]
        return [Definition(label, first, (second,)) for label, (first, second) in pairs]
    shown = [(_proper(name), name) for name in graph.scalp]
    if montage == "average":
        return [Definition(f"{proper}-Av", name, AVERAGE) for proper, name in shown]
    return [Definition(f"{proper}-Cz", name, ("CZ",)) for proper, name in shown if name != "CZ"]


def _mean(paths: Sequence[dict[int, int] | None]) -> Terms:
    total: dict[int, int] = {}
    for path in paths:
        for column, sign in (path or {}).items():
            total[column] = total.get(column, 0) + sign
    return tuple((column, count / len(paths)) for column, count in total.items() if count)


def _lacking(montage: str, graph: Electrodes, labels: Sequence[str]) -> str:
    if not graph.scalp:
        return (
            f"needs channels of the 10-20 system in microvolts, such as Fp1, EEG Fp1-REF or "
            f"Fp1-F7; found {_few(labels)}"
        )
    needed = {
        "average": "needs two electrodes that are connected",
        "cz": "needs Cz, and an electrode that is connected with it",
    }
    why = needed.get(montage, "needs the two electrodes of one of its channels, connected")
    return f"{why} by what was recorded; found {_few(labels)}"


def _few(labels: Sequence[str]) -> str:
    shown = ", ".join(label[:MOST_SHOWN] for label in labels[:4])
    return f"{shown} and {len(labels) - 4} more" if len(labels) > 4 else shown or "none"


def _proper(name: str) -> str:
    return name.replace("FP", "Fp").replace("Z", "z")
