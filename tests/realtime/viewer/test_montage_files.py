"""Montages of YAML files: what they mean, what is wrong with them and where."""

from __future__ import annotations

import itertools
import logging
import os
from pathlib import Path

import pytest

from realtime.viewer import montage_files
from realtime.viewer.montage_files import MontageFiles

GOOD = """
montages:
  left:
    title: Left temporal chain
    derivations:
      - F7-T7
      - Left ear=T7-A1
      - {label: C3-ears, active: C3, reference: [A1, A2]}
      - {active: Cz, reference: average}
  right:
    derivations: [F8-T8]
"""


def montage(lines: str) -> str:
    return f"montages:\n  one:\n    {lines}\n"


def read(path: Path) -> tuple[list[str], list[str]]:
    answer = MontageFiles(path, expected=True).read()
    return [each.name for each in answer.montages], list(answer.problems)


def test_derivations_are_spelled_as_the_records_service_reads_them(tmp_path: Path) -> None:
    (tmp_path / "ours.yaml").write_text(GOOD)
    answer = MontageFiles(tmp_path, expected=False).read()
    assert not answer.problems
    left, right = answer.montages
    assert (left.name, left.title) == ("left", "Left temporal chain")
    assert left.derive == ("F7-T7", "Left ear=T7-A1", "C3-ears=C3-A1+A2", "Cz-average")
    assert (right.title, right.derive) == ("right", ("F8-T8",))


def test_the_example_of_the_module_is_one(tmp_path: Path) -> None:
    text = (montage_files.__doc__ or "").partition("::\n")[2]
    lines = [line[4:] for line in text.splitlines()]
    (tmp_path / "a.yml").write_text("\n".join(lines))
    answer = MontageFiles(tmp_path, expected=False).read()
    assert not answer.problems
    assert answer.montages[0].derive == (
        "Fp1-F7", "F7-T7", "Left ear=T7-A1", "C3-ears=C3-A1+A2", "Cz-average"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("montages: [", "line 1, column 12"),
        ("a: b: c", "line 1"),
        ("[]", "expected a mapping `montages:`"),
        ("", "expected a mapping `montages:`"),
        ("montages: 3", "expected a mapping `montages:`"),
        ("montages:\n  one: 3", "montages.one: expected a mapping with `derivations`"),
        ("montages:\n  a b: {derivations: [F7-T7]}", "montages.a b: a name has"),
        ("montages:\n  average: {derivations: [F7-T7]}", "montages.average: there is"),
        (montage("derivation: [F7-T7]"), "montages.one: derivation is unknown"),
        (montage("title: x"), "montages.one: derivations: expected a list"),
        (montage("derivations: []"), "montages.one: derivations: expected a list"),
        (montage("derivations: F7-T7"), "montages.one: derivations: expected a list"),
        (montage("derivations: [F7-T7, F77-T7]"), "montages.one: derivations[1]: expected"),
        (montage("derivations: [7]"), "montages.one: derivations[0]: expected Active"),
        (montage("derivations: [[F7-T7]]"), "montages.one: derivations[0]: expected a text"),
        (montage("derivations: [F7-T7, F7-T7]"), "'F7-T7' is there twice"),
        (montage("derivations: [{active: C3}]"), "derivations[0]: expected active: C3"),
        (montage("derivations: [{active: C3, ref: A1}]"), "derivations[0]: ref is unknown"),
        (montage("derivations: [{active: C3, reference: []}]"), "derivations[0]: expected active"),
        (montage("derivations: [{active: C3, reference: 7}]"), "derivations[0]: expected"),
        (montage("derivations: [C3-A1]\n    title: [7]"), "montages.one: title: expected a text"),
        (montage(f"derivations: [Left={' ' * 200}C3-A1]"), "derivations[0]: more than 200"),
        (montage("derivations: [{active: C3, reference: A1, label: [x]}]"), "label: expected a"),
        (montage("derivations: [{active: C3, reference: [[A1]]}]"), "derivations[0]: expected"),
        (montage("derivations: [C3-A1]\n  one: {}"), "line 4, column 3: one is there twice"),
        (montage("derivations: &a [*a]"), "line 3"),
        (montage(f"derivations: [{','.join(['F7-T7'] * 257)}]"), "257 of them; at most 256"),
        (montage("derivations: !!python/object/apply:os.system [ls]"), "derivations[0]: expected"),
        (montage("derivations: !!int ''"), "derivations: expected a list"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "wrong.yaml").write_text(text)
    (tmp_path / "zood.yaml").write_text(GOOD)
    names, (problem,) = read(tmp_path)
    assert names == ["left", "right"]
    assert problem.startswith("wrong.yaml: ")
    assert said in problem


def test_other_montages_of_the_file_still_work(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD + "  broken: {derivations: [X-Y]}\n")
    names, problems = read(tmp_path)
    assert names == ["left", "right"]
    assert len(problems) == 1


def test_a_name_is_taken_once(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD)
    (tmp_path / "b.yaml").write_text(GOOD)
    names, problems = read(tmp_path)
    assert names == ["left", "right"]
    assert problems == [f"b.yaml: montages.{name}: another montage has this name" for name in names]


def test_files_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "large.yaml").write_text("# " + "x" * 300_000)
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "deep.yaml").write_text("[" * 5000)
    (tmp_path / "notes.txt").write_text("not ours")
    _, problems = read(tmp_path)
    assert [problem.partition(":")[0] for problem in problems] == [
        "bytes.yaml", "deep.yaml", "folder.yaml", "large.yaml"
    ]  # fmt: skip


def test_a_folder_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "montages"
    assert MontageFiles(path, expected=False).read().problems == ()
    (problem,) = MontageFiles(path, expected=True).read().problems
    assert "cannot be read" in problem


def test_files_are_read_again_when_they_change(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = MontageFiles(tmp_path, expected=False)
    assert files.read().montages == ()
    path = tmp_path / "a.yaml"
    path.write_text(GOOD)
    first = files.read()
    assert [each.name for each in first.montages] == ["left", "right"]
    assert files.read() is first
    path.write_text(GOOD.replace("F8-T8", "F8-T9x"))
    os.utime(path, ns=(0, 0))
    with caplog.at_level(logging.WARNING):
        assert len(files.read().problems) == 1
        files.read()
    assert len(caplog.records) == 1
    path.unlink()
    assert files.read().montages == ()


def test_one_file_can_be_named(tmp_path: Path) -> None:
    path = tmp_path / "only.txt"
    path.write_text(GOOD)
    assert read(path) == (["left", "right"], [])


@pytest.mark.parametrize("title", ["2024-02-30", "9" * 70, "0b_", "!!timestamp foo", "on"])
def test_texts_are_texts(tmp_path: Path, title: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(montage(f"title: {title}\n    derivations: [C3-A1]"))
    answer = MontageFiles(path, expected=True).read()
    assert not answer.problems
    assert answer.montages[0].title == title.rpartition(" ")[2]


def test_what_unfolds_without_end_is_not_unfolded(tmp_path: Path) -> None:
    names = "abcdefghijklmno"
    lines = [f"a: &a [{', '.join(['x'] * 9)}]"]
    for last, name in itertools.pairwise(names):
        lines.append(f"{name}: &{name} [{', '.join([f'*{last}'] * 9)}]")
    lines.append(montage("derivations: [{label: *o, active: C3, reference: [*o]}]"))
    path = tmp_path / "a.yaml"
    path.write_text("\n".join(lines))
    names_read, problems = read(path)
    assert not names_read
    assert len(problems) == 1
    assert len(problems[0]) < 300


def test_more_montages_than_are_shown_are_told(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(
        "montages:\n" + "".join(f"  m{n}: {{derivations: [C3-A1]}}\n" for n in range(65))
    )
    names, problems = read(path)
    assert len(names) == 64
    assert problems == ["a.yaml: montages.m64: there are 64 montages before it; no more are shown"]


def test_a_folder_that_may_not_be_read_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refused)
    assert MontageFiles(tmp_path, expected=False).read().problems == (
        f"{tmp_path}: cannot be read (Permission denied)",
    )
