"""The command line as people and scripts meet it."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.command_line import command, environment, ranvier
from tests.support.nwb_files import SeriesSpec, write_nwb

COMMANDS = (
    "convert", "demo", "processor", "ingest", "recordings", "tokens", "serve", "simulate",
    "deploy", "benchmark",
)  # fmt: skip


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    return write_nwb(tmp_path / "in" / "sub-01.nwb", SeriesSpec(samples=2000, channels=3))


def test_help_lists_every_command() -> None:
    told = ranvier("--help")
    assert told.code == 0
    assert all(name in told.out for name in COMMANDS)


@pytest.mark.parametrize(
    "name",
    [
        "convert",
        "demo",
        "processor",
        "ingest",
        *(f"recordings {name}" for name in ("list", "show", "verify", "seal", "export")),
        *(f"tokens {name}" for name in ("add", "list", "revoke")),
        "serve records",
        "simulate wearable",
        "deploy",
    ],
)
def test_the_help_of_each_command_has_examples(name: str) -> None:
    told = ranvier(*name.split(), "--help")
    assert told.code == 0
    assert "Example" in told.out
    assert f"ranvier {name}" in told.out


def test_a_conversion_says_what_was_stored_and_where(recording: Path, tmp_path: Path) -> None:
    done = ranvier("convert", str(recording), cwd=tmp_path)
    assert done.code == 0
    assert "3 channels x 2000 samples at 1000 Hz" in done.out
    assert "stored: 6 files" in done.out
    assert str(tmp_path / "sub-01-pennsieve") in done.out
    assert (tmp_path / "sub-01-pennsieve" / "manifest.json").exists()


def test_progress_is_plain_lines_where_there_is_no_terminal(
    recording: Path, tmp_path: Path
) -> None:
    done = ranvier("convert", str(recording), "-o", str(tmp_path / "out"))
    assert "converting" in done.err
    assert "6,000 samples" in done.err
    assert "\x1b" not in done.err


def test_json_is_one_result_and_nothing_else(recording: Path, tmp_path: Path) -> None:
    done = ranvier("convert", str(recording), "-o", str(tmp_path / "out"), "--json")
    assert done.err == ""
    (result,) = done.json["results"]
    assert done.json["outcome"] == result["outcome"] == "stored"
    assert result["source"] == str(recording)
    assert (result["files"], result["samples"]) == (6, 6000)
    again = ranvier("convert", str(recording), "-o", str(tmp_path / "out"), "--json")
    assert (again.code, again.json["outcome"]) == (0, "unchanged")


def test_a_failure_is_one_line_and_exit_code_1(tmp_path: Path) -> None:
    (tmp_path / "no.nwb").write_text("nothing")
    done = ranvier("convert", str(tmp_path / "no.nwb"), "-o", str(tmp_path / "out"))
    assert done.code == 1
    assert done.out == ""
    (line,) = done.err.splitlines()
    assert line.startswith("ranvier: failed: ")
    assert "not an HDF5 file" in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["x.nwb", "--level", "4"],
        ["x.nwb", "--chunk-size-mb", "0"],
        ["x.nwb", "--chunk-size-mb", "0.5"],
        ["x.nwb", "--digest", "md5"],
        ["x.nwb", "--gap-threshold", "nan"],
        ["x.nwb", "--gap-threshold", "inf"],
        ["x.nwb", "--gap-threshold", "1"],
        ["x.nwb", "--no-such-option"],
        ["x.nwb", "--upload"],
        ["x.nwb", "--upload", "--dataset", "N:dataset:1"],
        ["x.nwb", "--upload", "--integration-id", "1", "--dataset", "d", "--package", "p"],
        ["x.nwb", "--package", "N:package:1"],
    ],
)
def test_wrong_usage_is_exit_code_2(arguments: list[str], tmp_path: Path) -> None:
    done = ranvier("convert", *arguments, cwd=tmp_path)
    assert done.code == 2
    assert done.err


def test_one_bad_file_does_not_stop_the_others(recording: Path, tmp_path: Path) -> None:
    bad = recording.parent / "bad.nwb"
    bad.write_bytes(recording.read_bytes()[:3000])
    done = ranvier("convert", str(recording.parent), "-o", str(tmp_path / "out"), "--json")
    assert done.code == 1
    assert done.json["outcome"] == "failed"
    assert done.json["failed"] == [str(bad)]
    assert (tmp_path / "out" / "sub-01" / "manifest.json").exists()
    assert not (tmp_path / "out" / "bad").exists()


def test_another_output_is_refused_unless_it_is_to_be_replaced(
    recording: Path, tmp_path: Path
) -> None:
    out = str(tmp_path / "out")
    assert ranvier("convert", str(recording), "-o", out).code == 0
    refused = ranvier("convert", str(recording), "-o", out, "--level", "0")
    assert refused.code == 1
    assert "--overwrite" in refused.err
    assert ranvier("convert", str(recording), "-o", out, "--level", "0", "--overwrite").code == 0


def test_a_dry_run_writes_nothing(recording: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    told = ranvier("convert", str(recording), "-o", str(tmp_path / "out"), "--dry-run")
    assert told.code == 0
    assert "would write 6 files, 48 kB before compression" in told.out
    assert sorted(tmp_path.rglob("*")) == before


def test_verify_holds_for_what_was_written_and_names_what_was_changed(
    recording: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    ranvier("convert", str(recording), "-o", str(out))
    good = ranvier("convert", "--verify", str(out), str(recording))
    assert good.code == 0
    assert "agree with the manifest and source" in good.out
    victim = next(out.glob("*.bin.gz"))
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    victim.write_bytes(content)
    bad = ranvier("convert", "--verify", str(out))
    assert bad.code == 1
    assert victim.name in bad.err
    assert ranvier("convert", "--verify", str(out), "--json").json["outcome"] == "failed"


def test_verify_without_an_output_says_so(tmp_path: Path) -> None:
    done = ranvier("convert", "--verify", str(tmp_path))
    assert done.code == 1
    assert "no finished output" in done.err


def test_validate_reports_what_pynwb_says_and_converts_all_the_same(
    recording: Path, tmp_path: Path
) -> None:
    done = ranvier("convert", str(recording), "-o", str(tmp_path / "out"), "--validate")
    assert done.code == 0
    assert f"PyNWB: {recording}: " in done.err


def test_relative_paths_are_taken_from_here(recording: Path, tmp_path: Path) -> None:
    done = ranvier("convert", "in/sub-01.nwb", "-o", "here", "--json", cwd=tmp_path)
    assert done.json["results"][0]["output"] == str(tmp_path / "here")


def test_the_manifest_names_no_place_of_this_machine(recording: Path, tmp_path: Path) -> None:
    ranvier("convert", str(recording), "-o", str(tmp_path / "out"))
    manifest = (tmp_path / "out" / "manifest.json").read_text()
    assert str(tmp_path) not in manifest
    assert json.loads(manifest)["recording"] == "sub-01"


def test_json_says_why_when_nothing_could_be_begun(tmp_path: Path) -> None:
    done = ranvier("convert", str(tmp_path), "--json")
    assert done.code == 1
    assert done.json["outcome"] == "failed"
    assert "holds no .nwb file" in done.json["reason"]
    assert "holds no .nwb file" in done.err


@pytest.mark.parametrize("profile", [None, "no-such-profile"])
def test_s3_without_keys_says_which_to_set(tmp_path: Path, profile: str | None) -> None:
    env = {"AWS_PROFILE": profile, "HOME": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "true"}
    done = ranvier("convert", "s3://bucket/x.nwb", "-o", str(tmp_path / "out"), env=env)
    assert done.code == 1
    (line,) = done.err.splitlines()
    assert "no AWS keys were found" in line
    assert "AWS_ACCESS_KEY_ID" in line


def test_stopped_by_hand_it_says_that_it_can_go_on(tmp_path: Path) -> None:
    recording = write_nwb(
        tmp_path / "long.nwb", SeriesSpec(samples=8_000_000, channels=4, rate_hz=30_000.0)
    )
    out = tmp_path / "out"
    with subprocess.Popen(
        command("convert", str(recording), "-o", str(out)),
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        due = time.monotonic() + 60
        while not (tmp_path / ".out.staging").exists():
            assert time.monotonic() < due, "the conversion did not get under way"
            time.sleep(0.005)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert said.splitlines()[-1] == "ranvier: stopped; the same command goes on where it was"
    assert not out.exists()
    assert ranvier("convert", str(recording), "-o", str(out)).code == 0
