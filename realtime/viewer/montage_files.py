"""Montages of one's own, from YAML files.

For example::

    montages:
      left_chain:
        title: Left temporal chain      # without it, the name is shown
        derivations:
          - Fp1-F7                      # active electrode, then reference
          - F7-T7
          - Left ear=T7-A1              # with a label of its own
          - {label: C3-ears, active: C3, reference: [A1, A2]}   # against the mean of several
          - {active: Cz, reference: average}
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from realtime.wire.viewer import MontageFileItem, MontagesAnswer
from storage.errors import UsageError

ENDINGS = {".yaml", ".yml"}
LARGEST = 256_000  # bytes of a file
MOST_FILES = 64
MOST_MONTAGES = 64  # the page asks the records service about each
MOST_DERIVED = 256  # channels of a montage; the records service takes no more
LONGEST_DERIVED = 200  # characters; nor longer ones
MOST_SHOWN = 40  # characters of what a file holds, in what is said about it
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")

log = logging.getLogger(__name__)


class _Wrong(UsageError):
    """What a file holds is not a montage."""


class _Texts(yaml.BaseLoader):
    """Takes all that is no list or mapping as a text: no dates, no numbers, no objects."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """Return a mapping, each of whose names comes once."""
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for number, (key, _) in enumerate(node.value):
            if isinstance(key, yaml.ScalarNode) and key.value in names[:number]:
                said = f"{key.value[:MOST_SHOWN]} is there twice"
                raise yaml.constructor.ConstructorError(None, None, said, key.start_mark)
        return super().construct_mapping(node, deep=deep)


class MontageFiles:
    """Reads files of montages, again when they have changed.

    Parameters
    ----------
    path
        A file, or a folder of files that end in ``.yaml`` or ``.yml``.
    expected
        Whether somebody named it, so that it is a fault if there is none.
    """

    def __init__(self, path: Path, expected: bool) -> None:
        self._path = path
        self._expected = expected
        self._seen: tuple[Any, ...] | None = None
        self._answer = MontagesAnswer(montages=(), problems=())

    def read(self) -> MontagesAnswer:
        """Return what the files hold now; what cannot be used is told in ``problems``."""
        try:
            files = self._files()
        except OSError as error:
            said = f"{self._path}: cannot be read ({error.strerror})"
            self._seen = None
            return MontagesAnswer(montages=(), problems=(said,))
        seen = tuple((path, *_stamp(path)) for path in files)
        if seen != self._seen:
            answer = self._all(files)
            for problem in answer.problems:
                log.warning("montages: %s", problem)
            self._answer, self._seen = answer, seen
        return self._answer

    def _files(self) -> list[Path]:
        if not self._path.is_dir():
            return [self._path] if self._expected or self._path.exists() else []
        return sorted(each for each in self._path.iterdir() if each.suffix.lower() in ENDINGS)

    def _all(self, files: list[Path]) -> MontagesAnswer:
        found: dict[str, MontageFileItem] = {}
        problems = []
        if len(files) > MOST_FILES:
            problems.append(f"{self._path}: {len(files)} files; the first {MOST_FILES} are read")
        for path in files[:MOST_FILES]:
            try:
                offered = _montages(path)
            except _Wrong as error:
                problems.append(f"{path.name}: {error}")
                continue
            for name, asked in offered.items():
                try:
                    if name in found:
                        raise _Wrong("another montage has this name")
                    if len(found) == MOST_MONTAGES:
                        raise _Wrong(
                            f"there are {MOST_MONTAGES} montages before it; no more are shown"
                        )
                    found[name] = _montage(name, asked)
                except _Wrong as error:
                    problems.append(f"{path.name}: montages.{name[:MOST_SHOWN]}: {error}")
        return MontagesAnswer(montages=tuple(found.values()), problems=tuple(problems))


def _stamp(path: Path) -> tuple[int, int]:
    try:
        about = path.stat()
    except OSError:
        return (0, -1)
    return (about.st_mtime_ns, about.st_size)


def _montages(path: Path) -> Mapping[str, Any]:
    try:
        if path.stat().st_size > LARGEST:
            raise _Wrong(f"the file has more than {LARGEST} bytes")
        read = yaml.load(path.read_text("utf-8"), Loader=_Texts)  # noqa: S506
    except OSError as error:
        raise _Wrong(f"cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise _Wrong("is no UTF-8 text") from error
    except Exception as error:  # whatever a parser may meet
        raise _Wrong(f"is no YAML: {_where(error)}") from error
    montages = read.get("montages") if isinstance(read, dict) else None
    if not isinstance(montages, dict):
        raise _Wrong("expected a mapping `montages:` of names to montages at the top")
    return montages


def _where(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    said = getattr(error, "problem", None) or type(error).__name__
    return f"line {mark.line + 1}, column {mark.column + 1}: {said}" if mark else str(said)


def _montage(name: str, asked: object) -> MontageFileItem:
    from realtime.signal.montages import MONTAGES, definitions  # 0.3 s, where there are files

    if NAME.fullmatch(name) is None:
        raise _Wrong("a name has at most 40 letters, digits, dots, hyphens and underscores")
    if name in MONTAGES:
        raise _Wrong("there is a montage of this name already; choose another")
    if not isinstance(asked, dict):
        raise _Wrong("expected a mapping with `derivations`")
    if unknown := set(asked) - {"title", "derivations"}:
        raise _Wrong(f"{min(unknown)[:MOST_SHOWN]} is unknown; expected title and derivations")
    listed = asked.get("derivations")
    if not isinstance(listed, list) or not listed:
        raise _Wrong("derivations: expected a list such as [F7-T7, T7-P7]")
    if len(listed) > MOST_DERIVED:
        raise _Wrong(f"derivations: {len(listed)} of them; at most {MOST_DERIVED} are shown")
    derive = tuple(_derivation(number, each) for number, each in enumerate(listed))
    try:
        definitions(derive)
    except UsageError as error:
        raise _Wrong(str(error).replace("derive:", "derivations:")) from error
    title = asked.get("title", name)
    if not isinstance(title, str) or not title.strip() or len(title) > 80:
        raise _Wrong("title: expected a text of at most 80 letters")
    return MontageFileItem(name=name, title=title.strip(), derive=derive)


def _derivation(number: int, asked: object) -> str:
    place = f"derivations[{number}]"
    if isinstance(asked, str):
        text = asked.strip()
    elif isinstance(asked, dict):
        text = _spelled(place, asked)
    else:
        raise _Wrong(f"{place}: expected a text such as F7-T7, or active and reference")
    if len(text) > LONGEST_DERIVED:
        raise _Wrong(f"{place}: more than {LONGEST_DERIVED} characters")
    from realtime.signal.montages import definitions

    try:
        definitions((text,))
    except UsageError as error:
        raise _Wrong(f"{place}: {str(error).removeprefix('derive: ')}") from error
    return text


def _spelled(place: str, asked: Mapping[Any, Any]) -> str:
    if unknown := set(asked) - {"label", "active", "reference"}:
        raise _Wrong(
            f"{place}: {min(unknown)[:MOST_SHOWN]} is unknown; expected label, active and reference"
        )
    active, reference = asked.get("active"), asked.get("reference")
    names: list[Any] = reference if isinstance(reference, list) else [reference]
    # Texts before they are written: a list of lists of lists unfolds without end.
    if not isinstance(active, str) or not names or not all(isinstance(n, str) for n in names):
        raise _Wrong(f"{place}: expected active: C3 and reference: A2, or a list of references")
    text = f"{active.strip()}-{'+'.join(name.strip() for name in names)}"
    label = asked.get("label")
    if label is not None and not isinstance(label, str):
        raise _Wrong(f"{place}: label: expected a text")
    return text if label is None else f"{label}={text}"
