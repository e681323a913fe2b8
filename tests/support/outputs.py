"""Makes outputs as ``ranvier convert`` does; reads them with the standard library alone."""

from __future__ import annotations

import gzip
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from tasks.callers import DirectCaller
from tasks.nwb_to_pennsieve import convert_all
from tasks.requests import ConvertRequest
from tasks.results import ConvertResult
from tests.support.chunk_oracle import Expected, expected_chunks


class CountedProgress:
    """Adds up what a job says of its progress."""

    def __init__(self) -> None:
        self.total = self.done = 0

    def stage(self, what: str, total: int, unit: str) -> None:
        """Begin a stage."""
        self.total, self.done = total, 0

    def advance(self, done: int) -> None:
        """Note that some more is done."""
        self.done += done


class RunsCaller(DirectCaller):
    """Calls every step here, one run of chunks after the other, as a flow does elsewhere."""

    def __init__(self, run_bytes: int | None) -> None:
        super().__init__(CountedProgress())
        self.run_bytes = run_bytes


def convert(
    source: Path | str, output: Path | str, *, run_bytes: int | None = None, **request: Any
) -> ConvertResult:
    """Convert one file and return what became of it.

    Parameters
    ----------
    source, output
        From where, to where.
    run_bytes
        Divide the work into runs of about that many stored bytes.
    request
        Fields of a ``ConvertRequest``.
    """
    asked = ConvertRequest(sources=(str(source),), output=str(output), **request)
    (result,) = convert_all(asked, RunsCaller(run_bytes))
    return result


def payloads(folder: Path) -> dict[str, bytes]:
    """Return the decompressed content of every chunk file by name."""
    return {
        path.name: gzip.decompress(path.read_bytes()) for path in sorted(folder.glob("*.bin.gz"))
    }


def metadata_texts(folder: Path) -> dict[str, str]:
    """Return every metadata file as text, keys sorted; so 1 and 1.0 differ."""
    return {
        path.name: json.dumps(json.loads(path.read_text()), sort_keys=True)
        for path in sorted(folder.glob("*.metadata.json"))
    }


def everything_in(folder: Path) -> dict[str, bytes]:
    """Return every file of a folder and its subfolders by name."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def expected_of(source: Path, **options: Any) -> Expected:
    """Ask the oracle, whatever PyNWB thinks of the file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return expected_chunks(source, **options)


def assert_output(folder: Path, expected: Expected) -> None:
    """Names, samples and metadata of an output are the expected ones; nothing else is there."""
    found = payloads(folder)
    assert sorted(found) == sorted(expected.files)
    for name, payload in found.items():
        if payload != expected.files[name]:
            ours, theirs = (np.frombuffer(b, ">f8") for b in (payload, expected.files[name]))
            assert len(ours) == len(theirs), name
            np.testing.assert_array_equal(ours, theirs, err_msg=name)
            # Equal as numbers, and not as bytes: the bits of a NaN, or the sign of a zero.
            np.testing.assert_array_equal(ours.view(">u8"), theirs.view(">u8"), err_msg=name)
    wanted = {name: json.dumps(one, sort_keys=True) for name, one in expected.metadata.items()}
    assert metadata_texts(folder) == wanted
    listed = {file["name"] for file in json.loads((folder / "manifest.json").read_text())["files"]}
    assert listed == {*found, *wanted}
    assert set(everything_in(folder)) == {*listed, "manifest.json"}
