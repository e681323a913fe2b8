"""The document of the container processor, from top to bottom: a test for each statement of it."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import struct
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from deployments.processor import ProcessorSettings
from tests.support.chunk_oracle import Expected
from tests.support.command_line import Ran, ranvier
from tests.support.faults import Fault
from tests.support.moto_server import MotoServer
from tests.support.nwb_files import (
    SeriesSpec,
    numbers,
    uniform_times,
    with_gaps,
    write_nwb,
)
from tests.support.outputs import assert_output, expected_of, metadata_texts, payloads
from tests.support.pennsieve_api import PennsieveApi

ROOT = Path(__file__).parents[2]
KEYS = ["name", "start", "end", "unit", "rate", "type", "group", "lastAnnotation", "properties"]
RAW = SeriesSpec(
    name="raw",
    samples=300_000,
    channels=2,
    rate_hz=20_000.0,
    conversion=1.95e-7,
    offset=2.5e-4,
    channel_conversion=(1.0, 0.5),
)
STAMPED = SeriesSpec(
    name="stamped",
    samples=3000,
    channels=1,
    dtype="float32",
    electrodes=(2,),
    timestamps=with_gaps(uniform_times(3000, 1000.0), {1000: 2.0}),
)


@dataclass(frozen=True)
class Processed:
    """A run of the processor, and what it should have written."""

    ran: Ran
    output: Path
    expected: Expected


def run_processor(source: Path, output: Path, **variables: str | None) -> Ran:
    """Run the processor as its container does: by environment variables alone."""
    folders = {"INPUT_DIR": str(source.parent), "OUTPUT_DIR": str(output)}
    return ranvier("processor", env={**folders, **variables})


@pytest.fixture(scope="module")
def processed(tmp_path_factory: pytest.TempPathFactory) -> Processed:
    folder = tmp_path_factory.mktemp("data")
    (folder / "input").mkdir()
    (folder / "output").mkdir()
    source = write_nwb(folder / "input" / "file.nwb", RAW, STAMPED)
    ran = run_processor(source, folder / "output", ENVIRONMENT="local", CHUNK_SIZE_MB="1")
    assert ran.code == 0, ran.err
    return Processed(ran, folder / "output", expected_of(source))


@pytest.fixture
def api(moto: MotoServer) -> Iterator[PennsieveApi]:
    with PennsieveApi(moto, store="moto") as server:
        yield server


def importing(api: PennsieveApi, moto: MotoServer, packages: int = 1) -> dict[str, str | None]:
    """Return the variables of a run that imports."""
    run = api.platform.add_run([api.platform.add_package().id for _ in range(packages)])
    return {
        **moto.environment,
        "IMPORTER_ENABLED": "true",
        "INTEGRATION_ID": run,
        "PENNSIEVE_API_HOST": api.url,
        "PENNSIEVE_API_HOST2": api.url,
        "PENNSIEVE_API_KEY": moto.tokens.username,
        "PENNSIEVE_API_SECRET": moto.tokens.password,
    }


@pytest.fixture
def small(tmp_path: Path) -> Path:
    (tmp_path / "input").mkdir()
    return write_nwb(tmp_path / "input" / "small.nwb", SeriesSpec(samples=100))


# --- "A processor for converting NWB files into chunked timeseries data" -------------------------


def test_converts_nwb_files_into_chunked_timeseries_data(processed: Processed) -> None:
    assert_output(processed.output, processed.expected)


def test_1_extracts_channel_data_with_proper_scaling(processed: Processed) -> None:
    stored = numbers(RAW).astype(np.float64)
    for channel, gain in enumerate((1.0, 0.5)):
        chunks = sorted(processed.output.glob(f"channel-{channel + 0:05d}_*"))
        found = np.concatenate(
            [np.frombuffer(gzip.decompress(c.read_bytes()), ">f8") for c in chunks]
        )
        expected = (stored[:, channel] * (gain * 1.95e-7) + 2.5e-4) * 1e6
        np.testing.assert_array_equal(found, expected)


def test_2_writes_chunked_binary_files_gzip_compressed_big_endian_float64(
    processed: Processed,
) -> None:
    chunk = next(iter(sorted(processed.output.glob("channel-00000_*"))))
    content = chunk.read_bytes()
    assert content[:2] == b"\x1f\x8b"
    payload = gzip.decompress(content)
    assert len(payload) == 1 << 20
    (first,) = struct.unpack(">d", payload[:8])
    assert first == (float(numbers(RAW)[0, 0]) * 1.95e-7 + 2.5e-4) * 1e6


def test_3_generates_channel_metadata_files_json(processed: Processed) -> None:
    for path in processed.output.glob("*.metadata.json"):
        assert list(json.loads(path.read_text())) == KEYS
    assert len(list(processed.output.glob("*.metadata.json"))) == 3


def test_4_optionally_uploads_the_processed_data_via_the_import_api(
    small: Path, tmp_path: Path, api: PennsieveApi, moto: MotoServer
) -> None:
    ran = run_processor(small, tmp_path / "out", **importing(api, moto))
    assert ran.code == 0, ran.err
    assert sorted(len(copies) for copies in api.arrived.values()) == [1, 1, 1, 1]


def test_4_uploading_is_optional(small: Path, tmp_path: Path, api: PennsieveApi) -> None:
    hosts = {"PENNSIEVE_API_HOST": api.url, "PENNSIEVE_API_HOST2": api.url}
    keys = {"PENNSIEVE_API_KEY": "key", "PENNSIEVE_API_SECRET": "secret", "INTEGRATION_ID": "run"}
    assert run_processor(small, tmp_path / "out", **hosts, **keys).code == 0
    assert not api.board.calls


# --- "Architecture" ------------------------------------------------------------------------------


def test_the_entry_point_orchestrates_the_pipeline(
    small: Path, tmp_path: Path, api: PennsieveApi, moto: MotoServer
) -> None:
    ran = run_processor(small, tmp_path / "out", **importing(api, moto))
    assert ran.code == 0, ran.err
    assert (tmp_path / "out" / "manifest.json").exists()
    routes = [call.route for call in api.board.calls]
    steps = ["run", "properties", "channels", "create-channels", "create-import", "presign", "put"]
    places = [routes.index(step) for step in steps]
    assert places == sorted(places)


def test_the_reader_handles_timestamps_and_sampling_rates(processed: Processed) -> None:
    texts = metadata_texts(processed.output)
    rates = [json.loads(text)["rate"] for text in texts.values()]
    assert rates == pytest.approx([20_000.0, 20_000.0, 1000.0])


def test_the_reader_detects_contiguous_data_chunks(processed: Processed) -> None:
    start = 1_714_979_289_123_456
    assert [path.name for path in sorted(processed.output.glob("channel-00002_*"))] == [
        f"channel-00002_{start}_{start + 999_000}.bin.gz",
        f"channel-00002_{start + 3_000_000}_{start + 4_999_000}.bin.gz",
    ]


def test_the_importer_creates_import_manifests_and_uploads_by_presigned_urls(
    small: Path, tmp_path: Path, api: PennsieveApi, moto: MotoServer
) -> None:
    variables = importing(api, moto)
    assert run_processor(small, tmp_path / "out", **variables).code == 0
    created = [call for call in api.board.calls if call.route == "create-import"]
    assert len(created) == 1
    body = created[0].json
    assert set(body) == {"integration_id", "package_id", "import_type", "files"}
    assert body["integration_id"] == variables["INTEGRATION_ID"]
    assert body["import_type"] == "timeseries"
    assert all(set(file) == {"upload_key", "file_path"} for file in body["files"])
    puts = [call for call in api.board.calls if call.route == "put"]
    assert len(puts) == 4
    assert all("X-Amz-Signature" in call.query for call in puts)
    assert not any("authorization" in call.headers for call in puts)


def test_authentication_client_uses_aws_cognito(
    small: Path, tmp_path: Path, api: PennsieveApi, moto: MotoServer
) -> None:
    assert run_processor(small, tmp_path / "out", **importing(api, moto)).code == 0
    assert [call.route for call in api.board.calls].count("cognito-config") >= 1
    assert api.bearers.seen  # type: ignore[attr-defined]


def test_timeseries_client_manages_channels(
    small: Path, tmp_path: Path, api: PennsieveApi, moto: MotoServer
) -> None:
    assert run_processor(small, tmp_path / "out", **importing(api, moto)).code == 0
    (package,) = api.platform.packages.values()
    names = [channel["content"]["name"] for channel in package.channels.values()]
    assert sorted(names) == ["CH000", "CH001", "CH002", "CH003"]


def test_workflow_client_reads_the_workflow_instance(
    small: Path, tmp_path: Path, api: PennsieveApi, moto: MotoServer
) -> None:
    variables = importing(api, moto)
    assert run_processor(small, tmp_path / "out", **variables).code == 0
    (call,) = (call for call in api.board.calls if call.route == "run")
    assert call.path.endswith(str(variables["INTEGRATION_ID"]))
    assert call.headers["accept"] == "application/json"
    variables["INTEGRATION_ID"] = "no-such-run"
    ran = run_processor(small, tmp_path / "unknown", **variables)
    assert ran.code != 0
    assert "no-such-run" in ran.err


def test_base_client_refreshes_the_session_by_itself(
    small: Path, tmp_path: Path, api: PennsieveApi, moto: MotoServer
) -> None:
    tokens = moto.sign_in(moto.people)
    api.faults.add(Fault(route="create-import", expire=True))
    variables = importing(api, moto)
    variables["SESSION_TOKEN"] = tokens["AccessToken"]
    variables["REFRESH_TOKEN"] = tokens["RefreshToken"]
    ran = run_processor(small, tmp_path / "out", **variables)
    assert ran.code == 0, ran.err
    assert len(set(api.bearers.seen)) > 1  # type: ignore[attr-defined]
    assert tokens["AccessToken"] not in ran.err + ran.out


# --- "Setup" and "Development" -------------------------------------------------------------------


def make(target: str, *arguments: str, folder: Path = ROOT) -> str:
    """Return what make does for a target, or would do."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    ended = subprocess.run(
        ["make", "--no-print-directory", *arguments, target],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_prerequisites() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == ">=3.11"
    assert (ROOT / "deployments" / "Dockerfile").exists()


def test_make_venv_creates_the_virtual_environment(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    assert "-m venv .venv" in make("venv", "--dry-run", folder=tmp_path)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("install", "sync"),
        ("test", "pytest"),
        ("test-cov", "pytest --cov"),
        ("lint", "ruff check"),
    ],
)
def test_make_targets(target: str, words: str) -> None:
    assert words in make(target, "--dry-run")


# --- "Running Locally" ---------------------------------------------------------------------------


def variables_of(path: Path) -> dict[str, str]:
    """Return the variables of an environment file."""
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def test_1_the_environment_file_has_the_settings() -> None:
    example = variables_of(ROOT / "dev.env.example")
    document = {
        "ENVIRONMENT": "local",
        "INPUT_DIR": "/data/input",
        "OUTPUT_DIR": "/data/output",
        "CHUNK_SIZE_MB": "1",
        "IMPORTER_ENABLED": "false",
    }
    assert document.items() <= example.items()


def test_1_the_environment_of_the_document_converts_and_imports_nothing(
    small: Path, tmp_path: Path
) -> None:
    variables = variables_of(ROOT / "dev.env.example")
    variables |= {"INPUT_DIR": str(small.parent), "OUTPUT_DIR": str(tmp_path / "out")}
    ran = ranvier("processor", env=variables)
    assert ran.code == 0, ran.err
    assert_output(tmp_path / "out", expected_of(small))


def test_2_the_input_file_is_placed_in_data_input() -> None:
    assert (ROOT / "data" / "input").is_dir()
    assert (ROOT / "data" / "output").is_dir()


def test_3_make_run_builds_and_runs_via_docker() -> None:
    commands = make("run", "--dry-run")
    assert re.search(r"docker build .*deployments/Dockerfile", commands)
    assert re.search(r"docker run [\s\S]*--env-file dev\.env", commands)
    assert "data/input:/data/input" in commands
    assert "data/output:/data/output" in commands


def test_3_the_container_runs_the_processor() -> None:
    lines = (ROOT / "deployments" / "Dockerfile").read_text().splitlines()
    assert 'ENTRYPOINT ["ranvier"]' in lines
    assert 'CMD ["processor"]' in lines


def test_3_output_files_are_written_to_the_output_folder(processed: Processed) -> None:
    assert {path.suffix for path in processed.output.iterdir()} == {".gz", ".json"}
    assert not [path for path in processed.output.iterdir() if path.is_dir()]


def test_4_make_clean_removes_input_and_output_files(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("data/input/a.nwb", "data/output/deep/b.gz", "data/input/.gitkeep"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    make("clean", folder=tmp_path)
    left = [path.relative_to(tmp_path).as_posix() for path in (tmp_path / "data").rglob("*")]
    assert sorted(left) == ["data/input", "data/input/.gitkeep", "data/output"]


# --- "Output Format" -----------------------------------------------------------------------------


def test_binary_data_files_follow_the_pattern(processed: Processed) -> None:
    pattern = re.compile(r"channel-(\d{5})_(-?\d+)_(-?\d+)\.bin\.gz")
    for path in processed.output.glob("*.gz"):
        found = pattern.fullmatch(path.name)
        assert found is not None
        metadata = json.loads((processed.output / f"channel-{found[1]}.metadata.json").read_text())
        assert metadata["start"] <= int(found[2]) <= int(found[3]) <= metadata["end"]


def test_times_in_names_are_microseconds_of_first_and_last_sample(processed: Processed) -> None:
    for path in processed.output.glob("channel-0000[01]_*.gz"):
        _, start, end = path.name.removesuffix(".bin.gz").split("_")
        samples = len(gzip.decompress(path.read_bytes())) // 8
        assert int(end) - int(start) == round((samples - 1) * 50)


def test_format_is_gzip_compressed_big_endian_float64(processed: Processed) -> None:
    for name, payload in payloads(processed.output).items():
        assert len(payload) % 8 == 0
        assert np.isfinite(np.frombuffer(payload, ">f8")).all(), name
    assert sum(map(len, payloads(processed.output).values())) == 8 * (2 * 300_000 + 3000)


def test_the_example_name(tmp_path: Path, small: Path) -> None:
    from storage.chunk_format import chunk_name

    assert chunk_name(1, 1_000_000, 2_000_000) == "channel-00001_1000000_2000000.bin.gz"


def test_metadata_files_follow_the_pattern_and_contain_the_keys(processed: Processed) -> None:
    for index in range(3):
        content = json.loads((processed.output / f"channel-{index:05d}.metadata.json").read_text())
        assert {"name", "rate", "start", "end", "unit", "type", "group", "properties"} <= set(
            content
        )
        assert content["name"] == f"CH{index:03d}"
        assert content["unit"] == "uV"
        assert content["type"] == "CONTINUOUS"
        assert content["group"] == "shank1"
        assert content["properties"] == []
        assert type(content["start"]) is type(content["end"]) is int


# --- "Environment Variables" ---------------------------------------------------------------------


@pytest.fixture
def defaults(monkeypatch: pytest.MonkeyPatch) -> ProcessorSettings:
    """Return the settings where only the folders are given."""
    for name in ProcessorSettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("INPUT_DIR", "/in")
    monkeypatch.setenv("OUTPUT_DIR", "/out")
    return ProcessorSettings()  # type: ignore[call-arg]


def test_environment_is_local_by_default(defaults: ProcessorSettings) -> None:
    assert defaults.environment == "local"
    assert not defaults.imports


def test_environment_production_enables_the_import(
    defaults: ProcessorSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENVIRONMENT", "production")
    assert ProcessorSettings().imports  # type: ignore[call-arg]
    monkeypatch.setenv("IMPORTER_ENABLED", "false")
    assert not ProcessorSettings().imports  # type: ignore[call-arg]


@pytest.mark.parametrize("name", ["INPUT_DIR", "OUTPUT_DIR"])
def test_the_folders_have_no_default(small: Path, tmp_path: Path, name: str) -> None:
    ran = run_processor(small, tmp_path / "out", **{name: None})
    assert ran.code == 2
    assert name in ran.err
    assert not (tmp_path / "out").exists()


def test_chunk_size_mb_is_1_by_default(defaults: ProcessorSettings, processed: Processed) -> None:
    assert defaults.chunk_size_mb == 1
    assert max(map(len, payloads(processed.output).values())) == 1 << 20


def test_chunk_size_mb_is_the_size_of_each_data_chunk(tmp_path: Path) -> None:
    (tmp_path / "input").mkdir()
    source = write_nwb(tmp_path / "input" / "a.nwb", SeriesSpec(samples=600_000, channels=1))
    assert run_processor(source, tmp_path / "out", CHUNK_SIZE_MB="2").code == 0
    sizes = [len(payload) for payload in payloads(tmp_path / "out").values()]
    assert sizes == [2 << 20, 2 << 20, 600_000 * 8 - (4 << 20)]


def test_importer_enabled_is_false_locally_by_default(defaults: ProcessorSettings) -> None:
    assert defaults.importer_enabled is None
    assert defaults.imports is False


@pytest.mark.parametrize(
    ("value", "enabled"),
    [("true", True), ("TRUE", True), ("1", True), ("false", False), ("0", False), ("yes", False)],
)
def test_importer_enabled_takes_true_and_1(
    defaults: ProcessorSettings, monkeypatch: pytest.MonkeyPatch, value: str, enabled: bool
) -> None:
    monkeypatch.setenv("IMPORTER_ENABLED", value)
    assert ProcessorSettings().imports is enabled  # type: ignore[call-arg]


@pytest.mark.parametrize("missing", ["PENNSIEVE_API_KEY", "PENNSIEVE_API_SECRET"])
def test_key_and_secret_have_no_default(
    small: Path, tmp_path: Path, api: PennsieveApi, moto: MotoServer, missing: str
) -> None:
    variables = importing(api, moto)
    variables[missing] = None
    ran = run_processor(small, tmp_path / "out", **variables)
    assert ran.code != 0
    assert missing in ran.err or "PENNSIEVE_API_KEY" in ran.err
    assert not api.arrived


def test_the_hosts_by_default(defaults: ProcessorSettings) -> None:
    assert defaults.pennsieve_api_host == "https://api.pennsieve.net"
    assert defaults.pennsieve_api_host2 == "https://api2.pennsieve.net"


def test_each_host_gets_its_own_calls(
    small: Path, tmp_path: Path, api: PennsieveApi, moto: MotoServer
) -> None:
    variables = importing(api, moto)
    with PennsieveApi(moto, store="moto") as second:
        # Its platform knows no run, so that is where it ends.
        variables["PENNSIEVE_API_HOST2"] = second.url
        ran = run_processor(small, tmp_path / "out", **variables)
        assert ran.code != 0
        assert {call.route for call in api.board.calls} == {"cognito-config"}
        assert {call.route for call in second.board.calls} == {"run"}


def test_the_integration_id_names_the_workflow_run(
    defaults: ProcessorSettings, small: Path, tmp_path: Path, api: PennsieveApi, moto: MotoServer
) -> None:
    assert defaults.integration_id is None
    variables = importing(api, moto)
    variables["INTEGRATION_ID"] = None
    ran = run_processor(small, tmp_path / "out", **variables)
    assert ran.code == 2
    assert "INTEGRATION_ID" in ran.err
    assert not api.board.calls


# --- "License" -----------------------------------------------------------------------------------


def test_there_is_a_license() -> None:
    assert "Apache License" in (ROOT / "LICENSE").read_text()


def test_the_processor_is_one_command() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "deployments.cli", "processor", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in ("INPUT_DIR", "OUTPUT_DIR", "CHUNK_SIZE_MB", "IMPORTER_ENABLED", "INTEGRATION_ID"):
        assert name in ended.stdout
