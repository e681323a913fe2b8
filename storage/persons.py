"""Telling names of people from codes and from nothing, in what headers say and in free text."""

from __future__ import annotations

import re
from collections.abc import Collection

# What a patient field holds when it names nobody.
NOBODY = {
    "", "x", "surrogate", "anonymous", "anonymized", "unknown", "patient", "subject", "test"
}  # fmt: skip
LEAST_LETTERS = 3
# Shorter parts are masked only where they are words: "Ann" is no part of "annotation".
LEAST_WITHIN_WORDS = 5
_WORD = re.compile(r"[^\W\d_]+")
_TEXT = re.compile(rb"[^\x00\x14\x15]{%d,}" % LEAST_LETTERS)
# What stands beside a name in a field of free form.
_NO_NAMES = {
    *NOBODY, "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    "male", "female",
}  # fmt: skip


def may_name_somebody(text: str) -> bool:
    """Return whether a field about the patient may name somebody: a single code does not."""
    parts = [part for part in text.split() if part.casefold() != "x"]
    if not parts or text.strip().casefold() in NOBODY:
        return False
    return len(parts) > 1 or not any(char.isdigit() for char in parts[0])


class NameMask:
    """Puts an X for every letter of the parts of a name, wherever they stand in a text.

    Parameters
    ----------
    field
        What names somebody; its words of three letters or more are the parts.
    """

    def __init__(self, field: str) -> None:
        parts = {word for word in _WORD.findall(field) if len(word) >= LEAST_LETTERS}
        self._pattern = _pattern([part for part in parts if part.casefold() not in _NO_NAMES])

    def text(self, text: str) -> str:
        """Return a text that is masked."""
        if self._pattern is None:
            return text
        return self._pattern.sub(lambda found: "X" * len(found[0]), text)

    def tals(self, content: bytes) -> bytes:
        """Return lists of annotations whose texts are masked, as many bytes as before."""
        return _TEXT.sub(lambda found: self._bytes(found[0]), content)

    def _bytes(self, raw: bytes) -> bytes:
        pattern = self._pattern
        if pattern is None:
            return raw
        try:
            return _encoded(pattern, raw.decode("utf-8"), "utf-8")
        except UnicodeDecodeError:
            return _encoded(pattern, raw.decode("latin-1"), "latin-1")


def _encoded(pattern: re.Pattern[str], text: str, encoding: str) -> bytes:
    masked = pattern.sub(lambda found: "X" * len(found[0].encode(encoding)), text)
    return masked.encode(encoding)


def _pattern(parts: Collection[str]) -> re.Pattern[str] | None:
    if not parts:
        return None
    ordered = sorted(parts, key=lambda part: (-len(part), part))
    return re.compile(
        "|".join(
            re.escape(part)
            if len(part) >= LEAST_WITHIN_WORDS
            else rf"(?<![^\W\d_]){re.escape(part)}(?![^\W\d_])"
            for part in ordered
        ),
        re.IGNORECASE,
    )
