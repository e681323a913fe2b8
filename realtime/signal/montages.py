"""Montages: which differences of electrodes are shown.

The chains are those of the American Clinical Neurophysiology Society's Guideline 3, "A proposal
for standard montages to be used in clinical EEG" (2016): LB-18.1 (double banana), TB-18.1
(transverse), and the referential ones.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from storage.errors import ChannelMismatch, UsageError

AS_RECORDED = "recorded"
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
MONTAGES = (AS_RECORDED, "double_banana", "transverse", "average", "cz")
# Names of the 10-20 system before the 10-10 system renamed four electrodes.
RENAMED = {"T3": "T7", "T4": "T8", "T5": "P7", "T6": "P8"}
ELECTRODE = re.compile(r"(?:FP|AF|FT|FC|TP|CP|PO|F|T|C|P|O|I|N)(?:Z|\d{1,2})")
# What stands behind a referential label: the common reference, by whatever name.
REFERENCE = re.compile(r"[-_ ](?:REF|LE|RE|AR|AVG|AV|A1|A2|M1|M2|CAR)\d*$")


@dataclass(frozen=True, slots=True)
class Montage:
    """Derived channels as sums of recorded ones.

    Parameters
    ----------
    labels
        Of the derived channels.
    weights
        Shape ``(n_derived, n_recorded)``.
    """

    labels: tuple[str, ...]
    weights: NDArray[np.float64]

    def apply(self, samples: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the derived channels of ``(n_samples, n_recorded)`` samples."""
        derived: NDArray[np.float64] = samples @ self.weights.T
        return derived


def electrode(label: str) -> str | None:
    """Return the 10-10 name, in capitals, of the electrode of a referential channel.

    ``EEG T3-REF`` gives ``T7``. None for anything else, a bipolar channel included.
    """
    name = label.strip().upper().removeprefix("EEG").strip()
    name = REFERENCE.sub("", name).strip(" .")
    name = RENAMED.get(name, name)
    return name if ELECTRODE.fullmatch(name) else None


def derive(montage: str, labels: Sequence[str]) -> Montage:
    """Return how a montage is computed from recorded channels.

    Parameters
    ----------
    montage
        ``double_banana``, ``transverse``, ``average`` (each electrode against the mean of all) or
        ``cz`` (each against Cz).
    labels
        Labels of the recorded channels; those that are no electrode are not used. Of an electrode
        that is there twice the first one counts.

    Raises
    ------
    UsageError
        If there is no such montage.
    ChannelMismatch
        If the channels are not referential, or too few for a single derivation.
    """
    if montage not in MONTAGES or montage == AS_RECORDED:
        raise UsageError(f"montage: expected one of {', '.join(MONTAGES)}, got {montage!r}")
    where: dict[str, int] = {}
    for index, label in enumerate(labels):
        name = electrode(label)
        if name is not None:
            where.setdefault(name, index)
    pairs = _pairs(montage, where)
    if not pairs:
        raise ChannelMismatch(
            f"montage {montage}: needs referential channels of the 10-20 system such as Fp1 or "
            f"EEG Fp1-REF, found {', '.join(list(labels)[:4]) or 'none'}; a bipolar recording is "
            f"shown as recorded only"
        )
    weights = np.zeros((len(pairs), len(labels)))
    for row, (_, active, references) in enumerate(pairs):
        weights[row, active] += 1
        for reference in references:
            weights[row, reference] -= 1 / len(references)
    return Montage(tuple(label for label, _, _ in pairs), weights)


def _pairs(montage: str, where: dict[str, int]) -> list[tuple[str, int, list[int]]]:
    if montage in CHAINS:
        found = []
        for pair in CHAINS[montage]:
            first, second = pair.upper().split("-")
            if first in where and second in where:
                found.append((pair, where[first], [where[second]]))
        return found
    if montage == "average":
        references = list(where.values()) if len(where) > 1 else []
        return [(f"{_proper(name)}-Av", at, references) for name, at in where.items() if references]
    if "CZ" not in where:
        return []
    return [
        (f"{_proper(name)}-Cz", at, [where["CZ"]]) for name, at in where.items() if name != "CZ"
    ]


def _proper(name: str) -> str:
    return name.replace("FP", "Fp").replace("Z", "z")
