"""Electrodes: which two a recorded channel lies between, and what connects any two of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

# Names of the 10-20 system before the 10-10 system renamed four electrodes.
RENAMED = {"T3": "T7", "T4": "T8", "T5": "P7", "T6": "P8"}
COMMON = "REF"  # what a label that names one electrode only was recorded against
SCALP = r"(?:(?:FP|AF|FT|FC|TP|CP|PO|F|T|C|P|O)(?:Z|1[0-2]|[1-9])|NZ|IZ|I[12])"
# Ears and mastoids; linked ears; averages; the neck (CS2, in CHB-MIT). No two of them are one.
REFERENCE = r"(?:A1A2|M1M2|[AM][12]|LE|RE|AR|AVG?|CAR|CS2|REF\d?)"
# ``FP1-F7``, ``FP1-REF``, ``C4A1``, ``FP1``; a further ``-1`` is how MNE tells two of a name apart.
CHANNEL = re.compile(
    rf"(?:EEG[\s_:-]*)?({SCALP}|[AM][12])\.*"
    rf"(?:(?:\s*[-_:]\s*|\s+)({SCALP}|{REFERENCE})\.*(?:-\d)?|([AM][12]))?"
)
# Sockets of amplifiers and contacts of depth electrodes are numbered A1 to A16, B1, ...: a C3 of
# those is no electrode of that name. No letter of the scalp has a number beyond these, as C7 is T7.
NUMBERED = re.compile(r"(?<![A-Z0-9'])([A-Z])(\d{1,3})(?![A-Z0-9])")
ON_SCALP = {
    **dict.fromkeys("FPT", frozenset(range(1, 13))),
    "C": frozenset(range(1, 7)),
    "O": frozenset({1, 2, 9, 10}),
    "A": frozenset({1, 2}),
}
# Who names the scalp by the 10-20 system has some of these; but for them 1, 2, 3 is a row of
# contacts, as the left and the right side are odd and even there.
LANDMARK = re.compile(r"(?<![A-Z])(?:FP[12]|(?:FP|AF|FC|CP|PO|[FCPO])Z)(?![A-Z0-9])")
ROW = {1, 2, 3}
REMEMBERED = 64


class Electrodes:
    """The graph of what was recorded: electrodes, and the channels between them.

    Parameters
    ----------
    labels
        Of the recorded channels. Those that are not of electrodes are no edges.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        contacts = _contacts(labels)
        self.columns: list[int] = []
        self._between: dict[tuple[str, str], int] = {}
        self._beside: dict[str, list[tuple[str, int, int]]] = {}
        self._trees: dict[str, dict[str, tuple[str, int, int]]] = {}
        for column, label in enumerate(labels):
            ends = electrodes_of(label)
            if ends is None or any(letter in contacts for letter in _letters(label)):
                continue
            self.columns.append(column)
            if ends in self._between:  # the first of a name counts
                continue
            self._between[ends] = column
            active, reference = ends
            self._beside.setdefault(active, []).append((reference, column, 1))
            self._beside.setdefault(reference, []).append((active, column, -1))
        self._order = {name: place for place, name in enumerate(self._beside)}
        self.scalp = tuple(name for name in self._beside if re.fullmatch(SCALP, name))

    def path(self, active: str, reference: str) -> dict[int, int] | None:
        """Return the channels whose sum is a difference, each with its sign; None if there is none.

        The fewest that do; of several ways the one whose channels come first, and the same way
        forth and back.
        """
        if active not in self._order or reference not in self._order:
            return None
        recorded = self._between.get((active, reference))
        if recorded is not None:
            return {recorded: 1}
        turned = self._order[active] > self._order[reference]
        root, at = (reference, active) if turned else (active, reference)
        tree = self._tree(root)
        if at not in tree:
            return None
        found: dict[int, int] = {}
        while at != root:
            at, column, sign = tree[at]
            found[column] = -sign if turned else sign
        return dict(reversed(found.items()))

    def part(self, name: str) -> tuple[str, ...]:
        """Return the electrodes of the scalp that are connected with one of any kind."""
        if name not in self._order:
            return ()
        tree = self._tree(name)
        return tuple(each for each in self.scalp if each in tree)

    def largest(self) -> tuple[str, ...]:
        """Return the electrodes of the largest connected part; the first of several as large."""
        parts: list[tuple[str, ...]] = []
        for name in self.scalp:
            if not any(name in part for part in parts):
                parts.append(self.part(name))
        return max(parts, key=len, default=())

    def centre(self, part: Sequence[str]) -> str:
        """Return the electrode or reference of a part that has the most channels."""
        tree = self._tree(part[0])
        return max((each for each in self._order if each in tree), key=self._degree)

    def _degree(self, name: str) -> int:
        return len(self._beside[name])

    def _tree(self, root: str) -> dict[str, tuple[str, int, int]]:
        """Return the step from each connected electrode towards a root, by breadth first."""
        tree = self._trees.get(root)
        if tree is None:
            tree = {root: (root, -1, 0)}
            queue = [root]
            for here in queue:
                for there, column, sign in self._beside[here]:
                    if there not in tree:
                        tree[there] = (here, column, sign)
                        queue.append(there)
            self._trees[root] = tree
        return tree


def _contacts(labels: Sequence[str]) -> frozenset[str]:
    """Return the letters that number contacts or sockets here, rather than places of the scalp."""
    texts = [label.upper() for label in labels]
    numbers: dict[str, set[int]] = {}
    for text in texts:
        for letter, number in NUMBERED.findall(text):
            numbers.setdefault(letter, set()).add(int(number))
    beyond = {letter for letter, scalp in ON_SCALP.items() if numbers.get(letter, set()) - scalp}
    if not beyond and any(LANDMARK.search(text) for text in texts):
        return frozenset()
    rows = {letter for letter in ON_SCALP if numbers.get(letter, set()) >= ROW}
    return frozenset(beyond | rows)


def _letters(label: str) -> list[str]:
    return [letter for letter, _ in NUMBERED.findall(label.upper())]


def electrodes_of(label: str) -> tuple[str, str] | None:
    """Return the two electrodes of a channel, in capitals and by their 10-10 names.

    ``FP1-F7`` gives ``FP1`` and ``F7``, ``EEG T3-A1`` gives ``T7`` and ``A1``; a channel against
    a reference that nobody names, such as ``Fp1`` or ``EEG Fp1-REF``, is one against ``REF``.
    None for what is no difference of electrodes.
    """
    text = label.strip().upper().replace("\N{EN DASH}", "-").replace("\N{MINUS SIGN}", "-")
    found = CHANNEL.fullmatch(text)
    if found is None:
        return None
    active, reference = found[1], found[2] or found[3] or COMMON
    active, reference = named(active), named(reference)
    return None if active == reference else (active, reference)


@lru_cache(REMEMBERED)
def electrodes(labels: tuple[str, ...]) -> Electrodes:
    """Return the graph of some channels, made once for each set of them."""
    return Electrodes(labels)


def named(name: str) -> str:
    """Return the 10-10 name of an electrode, in capitals."""
    return RENAMED.get(name.upper(), name.upper())
