"""The convert journey, input bytes to output bytes: real processes and servers."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import h5py
import pytest

from storage.errors import CorruptRecording
from storage.folders import open_folder
from tasks.nwb import begin_conversion, finish_conversion, write_chunks
from tasks.requests import ConvertRequest
from tests.support.chunk_oracle import Expected, expected_chunks
from tests.support.command_line import command, environment, ranvier
from tests.support.faults import Fault
from tests.support.moto_server import MotoServer
from tests.support.nwb_files import SeriesSpec, move_data_out, uniform_times, with_gaps, write_nwb
from tests.support.nwb_zarr import write_nwb_zarr_v2, write_nwb_zarr_v3
from tests.support.pennsieve_api import PennsieveApi

DEADLINE_S = 60.0
RAW = SeriesSpec(name="raw", samples=300_000, channels=3, rate_hz=10_000.0, starting_time_s=2.5)
SLOW = SeriesSpec(
    name="slow",
    samples=5_000,
    channels=2,
    dtype="float32",
    rate_hz=500.0,
    timestamps=with_gaps(uniform_times(5_000, 500.0), {2_000: 1.5}),
    conversion=1e-3,
    offset=0.25,
    electrodes=(4, 3),
)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    return write_nwb(tmp_path / "two-series.nwb", RAW, SLOW)


@pytest.fixture
def expected(recording: Path) -> Expected:
    return expected_chunks(recording)


@pytest.fixture
def api(moto: MotoServer) -> Iterator[PennsieveApi]:
    with PennsieveApi(moto, store="moto") as server:
        yield server


def stored(url: str) -> dict[str, bytes]:
    """Return the decompressed chunks and the metadata of an output."""
    folder = open_folder(url)
    return {
        name: gzip.decompress(folder.read(name)) if name.endswith(".gz") else folder.read(name)
        for name in folder.names("channel-")
    }


def agrees(found: dict[str, bytes], expected: Expected) -> None:
    chunks = {name: data for name, data in found.items() if name.endswith(".gz")}
    metadata = {name: json.loads(data) for name, data in found.items() if name.endswith(".json")}
    assert chunks == expected.files
    assert metadata == expected.metadata


def keys(moto: MotoServer) -> dict[str, str]:
    return {
        **moto.environment,
        "PENNSIEVE_API_KEY": moto.tokens.username,
        "PENNSIEVE_API_SECRET": moto.tokens.password,
    }


def target(api: PennsieveApi) -> tuple[str, list[str]]:
    """Add a package and a run that names it; return the run and the options that lead there."""
    run = api.platform.add_run([api.platform.add_package().id])
    return run, ["--upload", "--integration-id", run, "--api-host", api.url, "--api2-host", api.url]


def arrived_once_and_whole(api: PennsieveApi, output: str) -> None:
    """Every chunk of an output is on the platform exactly once, byte for byte."""
    folder = open_folder(output)
    channels = {
        channel["content"]["name"]: id_
        for package in api.platform.packages.values()
        for id_, channel in package.channels.items()
    }
    local = {}
    for name in folder.names("channel-"):
        if name.endswith(".gz"):
            index = name.partition("_")[0]
            metadata = json.loads(folder.read(f"{index}.metadata.json"))
            remote = name.replace(index, channels[metadata["name"]])
            local[remote] = hashlib.md5(folder.read(name), usedforsecurity=False).hexdigest()
    arrived = api.arrived
    assert arrived.keys() == local.keys()
    for path, objects in arrived.items():
        assert [thing.md5 for thing in objects] == [local[path]]


def test_a_file_becomes_chunks(recording: Path, expected: Expected, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    assert ranvier("convert", str(recording), "-o", out).code == 0
    agrees(stored(out), expected)
    assert ranvier("convert", "--verify", out, str(recording)).code == 0


@pytest.mark.parametrize("write", [write_nwb_zarr_v2, write_nwb_zarr_v3])
def test_nwb_in_zarr_gives_the_same_chunks_as_in_hdf5(
    write: object, recording: Path, expected: Expected, tmp_path: Path
) -> None:
    assert callable(write)
    folder = write(tmp_path / "zarr" / "two-series.nwb.zarr", RAW, SLOW)
    out = str(tmp_path / "out")
    done = ranvier("convert", str(folder), "-o", out)
    assert done.code == 0, done.err
    agrees(stored(out), expected)
    assert ranvier("convert", "--verify", out, str(folder)).code == 0


def test_from_s3_to_s3_without_downloading_the_file(
    recording: Path, expected: Expected, bucket_url: str, moto: MotoServer
) -> None:
    folder = open_folder(f"{bucket_url}/in")
    folder.write("two-series.nwb", [recording.read_bytes()])
    source, out = f"{bucket_url}/in/two-series.nwb", f"{bucket_url}/out"
    done = ranvier("convert", source, "-o", out, "--json", env=moto.environment)
    assert done.code == 0, done.err
    agrees(stored(out), expected)
    assert not list(open_folder(out).names("."))
    again = ranvier("convert", source, "-o", out, "--json", env=moto.environment)
    assert again.json["outcome"] == "unchanged"
    assert ranvier("convert", "--verify", out, source, env=moto.environment).code == 0


def test_a_zarr_folder_in_s3_is_read_there(
    expected: Expected, bucket_url: str, moto: MotoServer, tmp_path: Path
) -> None:
    local = write_nwb_zarr_v3(tmp_path / "two-series.nwb.zarr", RAW, SLOW)
    remote = open_folder(f"{bucket_url}/two-series.nwb.zarr")
    for path in sorted(local.rglob("*")):
        if path.is_file():
            remote.write(path.relative_to(local).as_posix(), [path.read_bytes()])
    out = str(tmp_path / "out")
    done = ranvier("convert", remote.url, "-o", out, env=moto.environment)
    assert done.code == 0, done.err
    agrees(stored(out), expected)


def test_upload_brings_every_chunk_once(
    recording: Path, tmp_path: Path, api: PennsieveApi, moto: MotoServer
) -> None:
    run, options = target(api)
    out = str(tmp_path / "out")
    done = ranvier("convert", str(recording), "-o", out, *options, "--json", env=keys(moto))
    assert done.code == 0, done.err + done.out
    (result,) = done.json["results"]
    assert result["uploaded"] == len(list(Path(out).glob("*.bin.gz")))
    arrived_once_and_whole(api, out)
    puts = api.routes.count("put")
    again = ranvier("convert", str(recording), "-o", out, *options, "--json", env=keys(moto))
    assert (again.code, again.json["outcome"]) == (0, "unchanged")
    assert api.routes.count("put") == puts
    assert len(api.platform.imports) == 1
    said = done.out + done.err + again.out + again.err
    assert moto.tokens.password not in said
    assert run not in api.url


def test_a_dry_run_asks_and_changes_nothing(
    recording: Path, tmp_path: Path, api: PennsieveApi, moto: MotoServer
) -> None:
    _, options = target(api)
    arguments = ["convert", str(recording), "-o", str(tmp_path / "out"), *options, "--dry-run"]
    told = ranvier(*arguments, env=keys(moto))
    assert told.code == 0, told.err
    assert "create 5 channels" in told.out
    assert "13 files in 1 manifest batches" in told.out
    assert not api.platform.imports
    assert all(call.method == "GET" for call in api.calls)
    assert not (tmp_path / "out").exists()


def test_an_unknown_target_fails_before_anything_is_converted(
    recording: Path, tmp_path: Path, api: PennsieveApi, moto: MotoServer
) -> None:
    _, options = target(api)
    options[2] = "no-such-run"
    done = ranvier("convert", str(recording), "-o", str(tmp_path / "out"), *options, env=keys(moto))
    assert done.code == 1
    assert "no-such-run" in done.err
    assert not (tmp_path / "out").exists()


def test_a_killed_upload_goes_on_where_it_was(
    tmp_path: Path, api: PennsieveApi, moto: MotoServer
) -> None:
    recording = write_nwb(
        tmp_path / "many.nwb", SeriesSpec(samples=2_000, channels=200, electrodes=range(200))
    )
    _, options = target(api)
    out = str(tmp_path / "out")
    arguments = ["convert", str(recording), "-o", out, *options, "--connections", "4"]
    api.faults.add(Fault(route="put", delay_s=0.05, times=None))
    first = subprocess.Popen(
        command(*arguments), env=environment(keys(moto)), stderr=subprocess.DEVNULL
    )
    due = time.monotonic() + DEADLINE_S
    while len(api.arrived) < 40:
        assert first.poll() is None, "the upload ended before it could be killed"
        assert time.monotonic() < due, "the upload did not get under way"
        time.sleep(0.01)
    first.kill()
    first.wait()
    (journal,) = (Path(out) / ".upload").glob("*.jsonl")
    confirmed = journal.read_text().count("\n")
    puts = api.routes.count("put")
    done = ranvier(*arguments, "--json", env=keys(moto))
    assert done.code == 0, done.err + done.out
    (result,) = done.json["results"]
    assert result["uploaded"] + result["already_uploaded"] == 200
    assert result["already_uploaded"] >= min(confirmed - 5, 36)
    assert api.routes.count("put") - puts == result["uploaded"]
    arrived_once_and_whole(api, out)


def test_a_killed_conversion_goes_on_where_it_was(tmp_path: Path) -> None:
    recording = write_nwb(
        tmp_path / "long.nwb", SeriesSpec(samples=6_000_000, channels=4, rate_hz=30_000.0)
    )
    out = tmp_path / "out"
    first = subprocess.Popen(
        command("convert", str(recording), "-o", str(out)),
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    parts = tmp_path / ".out.staging" / ".parts"
    due = time.monotonic() + DEADLINE_S
    while not (parts.is_dir() and any(part.stat().st_size for part in parts.iterdir())):
        assert first.poll() is None, "the conversion ended before it could be killed"
        assert time.monotonic() < due, "the conversion did not get under way"
        time.sleep(0.001)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    assert not out.exists()
    done = ranvier("convert", str(recording), "-o", str(out), "--json")
    assert done.code == 0, done.err
    assert done.json["results"][0]["resumed"] > 0
    agrees(stored(str(out)), expected_chunks(recording))
    assert not (tmp_path / ".out.staging").exists()


def processor(recording: Path, out: Path, **variables: str | None) -> tuple[int, str]:
    done = ranvier(
        "processor",
        env={"INPUT_DIR": str(recording.parent), "OUTPUT_DIR": str(out), **variables},
    )
    return done.code, done.err


def test_the_processor_converts_and_imports(
    recording: Path, expected: Expected, tmp_path: Path, api: PennsieveApi, moto: MotoServer
) -> None:
    run, _ = target(api)
    out = tmp_path / "data" / "output"
    out.mkdir(parents=True)
    variables: dict[str, str | None] = {
        **keys(moto),
        "ENVIRONMENT": "production",
        "INTEGRATION_ID": run,
        "PENNSIEVE_API_HOST": api.url,
        "PENNSIEVE_API_HOST2": api.url,
    }
    code, said = processor(recording, out, **variables)
    assert code == 0, said
    agrees(stored(str(out)), expected)
    arrived_once_and_whole(api, str(out))


def test_the_processor_says_4_when_it_converted_and_could_not_import(
    recording: Path, tmp_path: Path, api: PennsieveApi, moto: MotoServer
) -> None:
    run, _ = target(api)
    api.faults.add(Fault(route="create-import", status=400, times=None))
    out = tmp_path / "out"
    code, said = processor(
        recording,
        out,
        **keys(moto),
        IMPORTER_ENABLED="true",
        INTEGRATION_ID=run,
        PENNSIEVE_API_HOST=api.url,
        PENNSIEVE_API_HOST2=api.url,
    )
    assert code == 4, said
    assert (out / "manifest.json").exists()


def test_the_processor_says_1_for_more_or_less_than_one_file(
    recording: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    code, said = processor(tmp_path / "empty" / "x", tmp_path / "out")
    assert code == 1
    assert "found none" in said
    (recording.parent / "second.NWB").write_bytes(b"")
    code, said = processor(recording, tmp_path / "out")
    assert code == 1
    assert "second.NWB, two-series.nwb" in said


@pytest.mark.parametrize(
    "variables",
    [
        {"INPUT_DIR": None},
        {"OUTPUT_DIR": None},
        {"CHUNK_SIZE_MB": "0"},
        {"CHUNK_SIZE_MB": "0.5"},
        {"CHUNK_SIZE_MB": "-1"},
        {"CHUNK_SIZE_MB": "x"},
        {"IMPORTER_ENABLED": "TRUE"},
        {"ENVIRONMENT": "production"},
    ],
)
def test_the_processor_says_2_for_missing_or_wrong_variables(
    variables: dict[str, str | None], recording: Path, tmp_path: Path
) -> None:
    given: dict[str, str | None] = {
        "INPUT_DIR": str(recording.parent), "OUTPUT_DIR": str(tmp_path / "out"), **variables
    }  # fmt: skip
    done = ranvier("processor", env=given)
    assert done.code == 2, done.err
    assert len(done.err.splitlines()) == 1


def test_the_processor_says_3_when_there_is_nothing_to_convert(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    recording = write_nwb(
        tmp_path / "in" / "lfp.nwb", SeriesSpec(module="ecephys", container="LFP", samples=100)
    )
    code, said = processor(recording, tmp_path / "out")
    assert code == 3
    assert "no ElectricalSeries in acquisition" in said


def test_the_processor_replaces_another_output_only_when_told(
    recording: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert processor(recording, out)[0] == 0
    assert processor(recording, out)[0] == 0
    code, said = processor(recording, out, CHUNK_SIZE_MB="2")
    assert code == 1
    assert "another output" in said or "other options" in said
    assert processor(recording, out, CHUNK_SIZE_MB="2", RANVIER_OVERWRITE="1")[0] == 0
    names = {path.name for path in out.iterdir()}
    listed = json.loads((out / "manifest.json").read_text())["files"]
    assert names == {"manifest.json", *(entry["name"] for entry in listed)}


def test_two_files_never_lie_upon_each_other_on_the_platform(
    tmp_path: Path, api: PennsieveApi, moto: MotoServer
) -> None:
    _, options = target(api)
    for name in ("probe-a", "probe-b"):
        (tmp_path / "in").mkdir(exist_ok=True)
        write_nwb(tmp_path / "in" / f"{name}.nwb", SeriesSpec(samples=500, channels=2))
    arguments = ["convert", str(tmp_path / "in"), "-o", str(tmp_path / "out"), *options, "--json"]
    done = ranvier(*arguments, env=keys(moto))
    assert done.code == 1
    first, second = done.json["results"]
    assert first["outcome"] == "stored"
    assert "a package of its own" in second["reason"]
    assert all(len(objects) == 1 for objects in api.arrived.values())


def test_after_an_upload_a_dry_run_has_nothing_to_send(
    recording: Path, tmp_path: Path, api: PennsieveApi, moto: MotoServer
) -> None:
    _, options = target(api)
    arguments = ["convert", str(recording), "-o", str(tmp_path / "out"), *options]
    assert ranvier(*arguments, env=keys(moto)).code == 0
    told = ranvier(*arguments, "--dry-run", env=keys(moto))
    assert "send 0 files in 0 manifest batches, 13 are there already" in told.out


def test_a_file_that_changes_meanwhile_is_not_published(recording: Path, tmp_path: Path) -> None:
    request = ConvertRequest(sources=(str(recording),), output=str(tmp_path / "out"))
    conversion = begin_conversion(request, str(recording), str(tmp_path / "out"))
    write_chunks(conversion, conversion.runs[0])
    write_nwb(recording, RAW)
    with pytest.raises(CorruptRecording, match="changed while it was being converted"):
        write_chunks(conversion, conversion.runs[-1])
    with pytest.raises(CorruptRecording, match="changed while it was being converted"):
        finish_conversion(conversion)
    assert not (tmp_path / "out").exists()


def test_a_change_in_a_linked_file_is_a_change(recording: Path, tmp_path: Path) -> None:
    linked = tmp_path / "linked.h5"
    move_data_out(recording, linked)
    out = str(tmp_path / "out")
    assert ranvier("convert", str(recording), "-o", out).code == 0
    assert ranvier("convert", str(recording), "-o", out, "--json").json["outcome"] == "unchanged"
    with h5py.File(linked, "r+") as file:
        data = next(iter(file.values()))
        data[0, 0] += 5
    assert ranvier("convert", str(recording), "-o", out).code == 1


def test_a_virtual_dataset_without_its_source_is_an_error(recording: Path, tmp_path: Path) -> None:
    source = tmp_path / "source.h5"
    with h5py.File(recording, "r+") as file:
        data = file["acquisition/raw/data"]
        with h5py.File(source, "w") as other:
            other["data"] = data[:]
        layout = h5py.VirtualLayout(data.shape, data.dtype)
        layout[:] = h5py.VirtualSource("source.h5", "data", data.shape)
        kept = dict(data.attrs)
        del file["acquisition/raw/data"]
        virtual = file["acquisition/raw"].create_virtual_dataset("data", layout)
        virtual.attrs.update(kept)
    assert ranvier("convert", str(recording), "-o", str(tmp_path / "whole")).code == 0
    source.unlink()
    done = ranvier("convert", str(recording), "-o", str(tmp_path / "out"))
    assert done.code == 1
    assert "source.h5 is missing" in done.err


def test_a_damaged_file_in_staging_is_written_again(recording: Path, tmp_path: Path) -> None:
    request = ConvertRequest(sources=(str(recording),), output=str(tmp_path / "out"))
    conversion = begin_conversion(request, str(recording), str(tmp_path / "out"))
    for run in conversion.runs:
        write_chunks(conversion, run)
    victim = next((tmp_path / ".out.staging").glob("*.gz"))
    victim.write_bytes(victim.read_bytes()[:100])
    assert ranvier("convert", str(recording), "-o", str(tmp_path / "out")).code == 0
    agrees(stored(str(tmp_path / "out")), expected_chunks(recording))


@pytest.mark.parametrize("out", ["/dev/null/x", "/proc/none/x"])
def test_a_place_that_cannot_be_written_is_one_line(recording: Path, out: str) -> None:
    done = ranvier("convert", str(recording), "-o", out)
    assert done.code == 1
    (line,) = done.err.splitlines()
    assert line.startswith("ranvier: failed: ")
