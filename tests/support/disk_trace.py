"""Every call by which a process changes a folder, in order, and what a loss of power would leave.

``traced`` runs a program under strace, so that the writes of SQLite are seen as well as ours.
``SimulatedDisk`` makes the calls again up to any of them, and knows what was flushed: a file's
content by an fsync of the file, its name by an fsync of its folder, and nothing else.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import pytest

CALLS = (
    *("openat", "open", "creat", "lseek", "write", "pwrite64", "writev", "pwritev", "pwritev2"),
    *("ftruncate", "truncate", "fallocate", "copy_file_range", "sendfile"),
    *("fsync", "fdatasync", "sync_file_range", "rename", "renameat", "renameat2"),
    *("unlink", "unlinkat", "rmdir", "mkdir", "mkdirat", "link", "linkat", "symlinkat"),
)
LONGEST = 1 << 26
STANDARD_OUTPUT = 1
# Made anew by SQLite from the log when nobody has the database open.
NOT_KEPT = "-shm"

_LINE = re.compile(r"^(?P<thread>\d+) +(?P<rest>.*)$")
_CALL = re.compile(r"^(?P<name>\w+)\((?P<arguments>.*)\) += (?P<result>-?\d+|\?)")
_RESUMED = re.compile(r"^<\.\.\. \w+ resumed>(?P<rest>.*)$")
_TEXT = re.compile(r'^"(?P<text>(?:\\x[0-9a-f]{2})*)"$')
_DESCRIPTOR = re.compile(
    r"^(?P<number>-?\d+|AT_FDCWD)(?:<(?P<path>[^>]*)>(?P<gone>\(deleted\))?)?$"
)


@dataclass(frozen=True, slots=True)
class Call:
    """One call.

    Parameters
    ----------
    what
        ``make``, ``write``, ``cut``, ``flush``, ``rename``, ``link``, ``remove``, ``folder`` or
        ``told``: something came out of the program.
    path
        Relative to the folder.
    other
        New name of a file.
    at
        Where it is written, or where it is cut.
    content
        What is written, or told.
    """

    what: str
    path: PurePosixPath
    other: PurePosixPath | None = None
    at: int = 0
    content: bytes = b""


def strace() -> str:
    """Return the program, or skip the test where there is none or it may not be used."""
    found = shutil.which("strace")
    if found is None:
        pytest.skip("the program strace is not here")
    tried = subprocess.run(
        [found, "-f", "--seccomp-bpf", "-o", "/dev/null", "true"], capture_output=True, check=False
    )
    if tried.returncode:
        pytest.skip(f"strace may not be used here: {tried.stderr.decode().strip()}")
    return found


def traced(
    words: Sequence[str], environment: Mapping[str, str], folder: Path, log: Path
) -> tuple[Call, ...]:
    """Run a program to its end, and return how it changed a folder, and what it told meanwhile."""
    chosen = ["-e", f"trace={','.join(CALLS)}"]
    subprocess.run(
        [
            strace(),
            "-f",
            "--seccomp-bpf",
            "-y",
            "-xx",
            "-s",
            str(LONGEST),
            *chosen,
            "-o",
            log,
            *words,
        ],
        env=environment,
        stdout=subprocess.PIPE,
        check=True,
    )
    with open(log) as lines:
        return tuple(_Reading(folder).calls(lines))


class _Reading:
    """Reads what strace wrote."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._offsets: dict[int, int] = {}
        self._appending: set[int] = set()
        self._begun: dict[str, str] = {}

    def calls(self, lines: Iterator[str]) -> Iterator[Call]:
        for line in lines:
            matched = _LINE.match(line)
            assert matched is not None, line[:200]
            thread, rest = matched["thread"], matched["rest"]
            if rest.startswith(("+++", "---")):
                continue
            if rest.endswith("<unfinished ...>"):
                self._begun[thread] = rest.removesuffix("<unfinished ...>").rstrip()
                continue
            if resumed := _RESUMED.match(rest):
                # Its effect counts from here on. A flush that began earlier is thought to cover
                # more than it promises only if another thread writes to the same file.
                rest = self._begun.pop(thread) + resumed["rest"]
            called = _CALL.match(rest)
            assert called is not None, rest[:200]
            if called["result"] != "?" and int(called["result"]) >= 0:
                arguments = called["arguments"].split(", ")
                yield from self._call(called["name"], arguments, int(called["result"]))

    def _call(self, name: str, given: list[str], result: int) -> Iterator[Call]:
        match name:
            case "openat":
                self._offsets[result] = 0
                self._appending.discard(result)
                place = self._path(given[1])
                if "O_APPEND" in given[2]:
                    self._appending.add(result)
                if place is not None and "O_CREAT" in given[2]:
                    yield Call("make", place)
                if place is not None and "O_TRUNC" in given[2]:
                    yield Call("cut", place)
            case "lseek":
                self._offsets[_number(given[0])] = result
            case "write":
                number, content = _number(given[0]), _bytes(given[1])[:result]
                if number == STANDARD_OUTPUT:
                    yield Call("told", PurePosixPath(), content=content)
                    return
                place = self._of(given[0])
                if place is not None:
                    assert number not in self._appending
                    yield Call("write", place, at=self._offsets[number], content=content)
                self._offsets[number] = self._offsets.get(number, 0) + result
            case "pwrite64":
                place = self._of(given[0])
                if place is not None:
                    content = _bytes(given[1])[:result]
                    yield Call("write", place, at=int(given[3]), content=content)
            case "ftruncate":
                place = self._of(given[0])
                if place is not None:
                    yield Call("cut", place, at=int(given[1]))
            case "fsync" | "fdatasync":
                place = self._of(given[0])
                if place is not None:
                    yield Call("flush", place)
            case "rename" | "link":
                old, new = self._path(given[0]), self._path(given[1])
                assert (old is None) == (new is None)
                if old is not None:
                    yield Call(name, old, other=new)
            case "unlink" | "rmdir":
                place = self._path(given[0])
                if place is not None:
                    yield Call("remove", place)
            case "mkdir":
                place = self._path(given[0])
                if place is not None:
                    yield Call("folder", place)
            case _:
                # Whoever begins to use another call teaches it to the disk below, too.
                assert not any(self._of(each) or self._path(each) for each in given), (name, given)

    def _of(self, descriptor: str) -> PurePosixPath | None:
        matched = _DESCRIPTOR.match(descriptor)
        if matched is None or matched["gone"] or not (matched["path"] or "").startswith("\\x2f"):
            return None
        return self._below(_unescaped(matched["path"]))

    def _path(self, argument: str) -> PurePosixPath | None:
        matched = _TEXT.match(argument)
        return None if matched is None else self._below(_unescaped(matched["text"]))

    def _below(self, path: bytes) -> PurePosixPath | None:
        place = Path(os.fsdecode(path))
        if place.name.endswith(NOT_KEPT) or not place.is_relative_to(self._folder):
            return None
        return PurePosixPath(place.relative_to(self._folder))


def _unescaped(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


def _bytes(argument: str) -> bytes:
    matched = _TEXT.match(argument)
    assert matched is not None, argument[:100]
    return _unescaped(matched["text"])


def _number(descriptor: str) -> int:
    matched = _DESCRIPTOR.match(descriptor)
    assert matched is not None, descriptor[:100]
    return int(matched["number"])


@dataclass
class _File:
    """A file's content, what of it is flushed, and what was written since."""

    now: bytearray = field(default_factory=bytearray)
    kept: bytes = b""
    since: list[Call] = field(default_factory=list)

    def change(self, call: Call) -> None:
        self.since.append(call)
        _apply(self.now, call)

    def flush(self) -> None:
        self.kept = bytes(self.now)
        self.since.clear()

    def left(self, survives: Callable[[], bool]) -> bytes:
        content = bytearray(self.kept)
        for call in self.since:
            if survives():
                _apply(content, call)
        return bytes(content)


def _apply(content: bytearray, call: Call) -> None:
    size = call.at + len(call.content)
    if call.what == "cut":
        del content[call.at :]
        size = call.at
    if len(content) < size:
        content.extend(bytes(size - len(content)))
    content[call.at : call.at + len(call.content)] = call.content


Change = Callable[[dict[str, "_File | _Folder"]], None]


@dataclass
class _Folder:
    """The names in a folder, those that are flushed, and what was changed since."""

    now: dict[str, _File | _Folder] = field(default_factory=dict)
    kept: dict[str, _File | _Folder] = field(default_factory=dict)
    since: list[Change] = field(default_factory=list)

    def change(self, change: Change) -> None:
        self.since.append(change)
        change(self.now)

    def flush(self) -> None:
        self.kept = dict(self.now)
        self.since.clear()

    def left(self, survives: Callable[[], bool]) -> dict[str, _File | _Folder]:
        names = dict(self.kept)
        for change in self.since:
            if survives():
                change(names)
        return names


class SimulatedDisk:
    """A folder, empty at first, that loses what was not flushed when the power goes."""

    def __init__(self) -> None:
        self._root = _Folder()

    def do(self, call: Call) -> None:
        """Make a call."""
        match call.what:
            case "make":
                folder = self._folder(call.path.parent)
                if call.path.name not in folder.now:
                    folder.change(_putting(call.path.name, _File()))
            case "folder":
                self._folder(call.path.parent).change(_putting(call.path.name, _Folder()))
            case "write" | "cut":
                # A file that was removed while it was open is nobody's any more.
                if (file := self._find(call.path)) is not None:
                    assert isinstance(file, _File)
                    file.change(call)
            case "flush":
                if (found := self._find(call.path)) is not None:
                    found.flush()
            case "remove":
                self._folder(call.path.parent).change(_removing(call.path.name))
            case "link":
                assert call.other is not None
                found = self._find(call.path)
                assert found is not None
                self._folder(call.other.parent).change(_putting(call.other.name, found))
            case "rename":
                assert call.other is not None
                assert call.other.parent == call.path.parent
                found = self._find(call.path)
                assert found is not None
                self._folder(call.path.parent).change(
                    _renaming(call.path.name, call.other.name, found)
                )

    def is_flushed(self, path: PurePosixPath) -> bool:
        """Return whether all of a file's present content is flushed, whatever of its name."""
        found = self._find(path)
        assert isinstance(found, _File), path
        return not found.since

    def kept(self, path: PurePosixPath) -> bytes | None:
        """Return the content that a file would surely have; None where its name may be lost."""
        place: _File | _Folder | None = self._root
        for name in path.parts:
            assert isinstance(place, _Folder)
            place = place.kept.get(name)
            if place is None:
                return None
        assert isinstance(place, _File)
        return place.kept

    def lose_power(self, into: Path, survives: Callable[[], bool]) -> None:
        """Write what is left into a folder.

        Parameters
        ----------
        survives
            Asked of each change that was not flushed.
        """
        _write(self._root, into, survives, {})

    def _find(self, path: PurePosixPath) -> _File | _Folder | None:
        place: _File | _Folder | None = self._root
        for name in path.parts:
            if not isinstance(place, _Folder):
                return None
            place = place.now.get(name)
        return place

    def _folder(self, path: PurePosixPath) -> _Folder:
        found = self._find(path)
        assert isinstance(found, _Folder), path
        return found


def _write(
    folder: _Folder, into: Path, survives: Callable[[], bool], written: dict[int, Path]
) -> None:
    into.mkdir(exist_ok=True)
    for name, each in folder.left(survives).items():
        place = into / name
        if isinstance(each, _Folder):
            _write(each, place, survives, written)
        elif id(each) in written:
            os.link(written[id(each)], place)
        else:
            place.write_bytes(each.left(survives))
            place.chmod(0o600)
            written[id(each)] = place


def _putting(name: str, what: _File | _Folder) -> Change:
    return lambda names: names.update({name: what})


def _removing(name: str) -> Change:
    def change(names: dict[str, _File | _Folder]) -> None:
        names.pop(name, None)

    return change


def _renaming(old: str, new: str, what: _File | _Folder) -> Change:
    def change(names: dict[str, _File | _Folder]) -> None:
        names.pop(old, None)
        names[new] = what

    return change


def chances(kind: str, rng: random.Random) -> Callable[[], bool]:
    """Return what decides about changes that were not flushed: ``none``, ``all`` or ``some``."""
    if kind == "some":
        share = rng.random()
        return lambda: rng.random() < share
    return lambda: kind == "all"
