"""Equal bytes on threads and on Dask, to a folder and to a bucket; runs that fail in part."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flows.nwb_to_pennsieve import NAME, run_flow
from storage.errors import NotFound, Unreachable
from storage.folders import open_folder
from tasks.callers import DirectCaller
from tasks.nwb_to_pennsieve import convert_all
from tasks.requests import ConvertRequest
from tests.flows.prefect_records import artifacts_of, latest_run, rows_of, run, task_names
from tests.support.moto_server import MotoServer
from tests.support.nwb_files import SeriesSpec, write_nwb, write_text
from tests.support.outputs import CountedProgress, everything_in

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write two recordings; the first has two series and several runs of chunks."""
    folder = tmp_path_factory.mktemp("recordings")
    write_nwb(
        folder / "a.nwb",
        SeriesSpec(samples=300_000, channels=3, starting_time_s=12.5),
        SeriesSpec(name="lfp", samples=5000, channels=2, rate_hz=500.0, dtype="float32"),
    )
    write_nwb(folder / "b.nwb", SeriesSpec(samples=1000, channels=2))
    return folder


@pytest.fixture(scope="module")
def with_bad(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy that folder and add a third file in the middle, which is no NWB file."""
    folder = tmp_path_factory.mktemp("with-bad")
    for path in recordings.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    write_text(folder / "aa-bad.nwb")
    return folder


@pytest.fixture(scope="module")
def direct(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return what the plain steps write, without Prefect."""
    output = tmp_path_factory.mktemp("direct") / "out"
    request = ConvertRequest(sources=(str(recordings),), output=str(output))
    results = convert_all(request, DirectCaller(CountedProgress()))
    assert [one.outcome for one in results] == ["stored", "stored"]
    return everything_in(output)


def in_bucket(moto: MotoServer, url: str) -> dict[str, bytes]:
    prefix = url.removeprefix(f"s3://{moto.bucket}/")
    return {key.removeprefix(f"{prefix}/"): body for key, body in moto.objects(prefix).items()}


def assert_same(written: dict[str, bytes], direct: dict[str, bytes]) -> None:
    """Two outputs hold the same files; their manifests list them in any order."""
    assert set(written) == set(direct)
    for name, content in direct.items():
        if name.endswith("manifest.json"):
            assert listed(written[name]) == listed(content)
        else:
            assert written[name] == content, name


def listed(manifest: bytes) -> list[dict[str, Any]]:
    files: list[dict[str, Any]] = json.loads(manifest)["files"]
    return sorted(files, key=lambda file: str(file["name"]))


def changed(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def put(folder: Path, url: str) -> None:
    target = open_folder(url)
    for path in folder.iterdir():
        target.write(path.name, [path.read_bytes()])


def test_threads_write_to_a_folder_what_the_plain_steps_write(
    recordings: Path, tmp_path: Path, direct: dict[str, bytes]
) -> None:
    request = ConvertRequest(sources=(str(recordings),), output=str(tmp_path / "out"))
    ended = run(request)
    assert ended.state.is_completed()
    assert_same(everything_in(tmp_path / "out"), direct)


def test_a_second_run_leaves_everything_as_it_is(recordings: Path, tmp_path: Path) -> None:
    request = ConvertRequest(sources=(str(recordings),), output=str(tmp_path / "out"))
    run(request)
    before = changed(tmp_path / "out")
    assert set(run(request).outcomes.values()) == {"unchanged"}
    assert changed(tmp_path / "out") == before


def test_a_dask_cluster_writes_to_a_folder_what_the_plain_steps_write(
    recordings: Path, tmp_path: Path, direct: dict[str, bytes], dask_cluster: str
) -> None:
    request = ConvertRequest(sources=(str(recordings),), output=str(tmp_path / "out"))
    ended = run(request, task_runner="dask", dask_address=dask_cluster)
    assert ended.state.is_completed()
    assert_same(everything_in(tmp_path / "out"), direct)


def test_dask_of_its_own_writes_what_the_plain_steps_write(
    recordings: Path, tmp_path: Path, direct: dict[str, bytes]
) -> None:
    request = ConvertRequest(sources=(str(recordings),), output=str(tmp_path / "out"))
    results = run_flow(request, "local")
    assert [one.outcome for one in results] == ["stored", "stored"]
    assert_same(everything_in(tmp_path / "out"), direct)


def test_threads_write_to_a_bucket_what_the_plain_steps_write(
    recordings: Path, bucket_url: str, moto: MotoServer, direct: dict[str, bytes]
) -> None:
    request = ConvertRequest(sources=(str(recordings),), output=bucket_url)
    assert run(request).state.is_completed()
    assert_same(in_bucket(moto, bucket_url), direct)


def test_a_dask_cluster_converts_a_prefix_into_a_bucket_and_names_the_file_that_failed(
    with_bad: Path, bucket_url: str, moto: MotoServer, direct: dict[str, bytes], dask_cluster: str
) -> None:
    put(with_bad, f"{bucket_url}/in")
    request = ConvertRequest(sources=(f"{bucket_url}/in/",), output=f"{bucket_url}/out")
    ended = run(request, task_runner="dask", dask_address=dask_cluster)
    assert ended.outcomes == {"a.nwb": "stored", "aa-bad.nwb": "failed", "b.nwb": "stored"}
    assert ended.state.is_failed()
    assert "1 of 3 failed" in str(ended.state.message)
    assert f"{bucket_url}/in/aa-bad.nwb" in str(ended.state.message)
    assert_same(in_bucket(moto, f"{bucket_url}/out"), direct)


def test_one_failing_file_does_not_stop_the_others_and_the_run_names_it(
    with_bad: Path, tmp_path: Path, direct: dict[str, bytes]
) -> None:
    request = ConvertRequest(sources=(str(with_bad),), output=str(tmp_path / "out"))
    ended = run(request)
    assert ended.outcomes == {"a.nwb": "stored", "aa-bad.nwb": "failed", "b.nwb": "stored"}
    assert_same(everything_in(tmp_path / "out"), direct)
    recorded = latest_run()
    assert recorded.state is not None
    assert recorded.state.is_failed()
    assert "1 of 3 failed" in str(recorded.state.message)
    assert str(with_bad / "aa-bad.nwb") in str(recorded.state.message)


def test_a_run_shows_results_a_link_and_its_progress(with_bad: Path, tmp_path: Path) -> None:
    run(ConvertRequest(sources=(str(with_bad),), output=str(tmp_path / "out")))
    recorded = latest_run()
    shown = artifacts_of(recorded)
    assert shown[f"{NAME}-progress"].data == 100.0
    assert (tmp_path / "out").as_uri() in str(shown[f"{NAME}-output"].data)
    rows = {row["source"].rpartition("/")[2]: row for row in rows_of(shown[f"{NAME}-results"])}
    assert rows["a.nwb"]["outcome"] == "stored"
    assert rows["a.nwb"]["files"] == 16
    assert rows["a.nwb"]["bytes"] > 1000
    assert "not an HDF5 file" in rows["aa-bad.nwb"]["reason"]


def test_task_runs_are_named_after_step_file_and_samples(recordings: Path, tmp_path: Path) -> None:
    run(ConvertRequest(sources=(str(recordings),), output=str(tmp_path / "out")))
    assert task_names(latest_run(), least=9) == [
        "begin_conversion a.nwb",
        "begin_conversion b.nwb",
        "find_sources",
        "finish_conversion a.nwb",
        "finish_conversion b.nwb",
        "write_chunks a.nwb acquisition/lfp 0 to 5000",
        "write_chunks a.nwb acquisition/raw 0 to 262144",
        "write_chunks a.nwb acquisition/raw 262144 to 300000",
        "write_chunks b.nwb acquisition/raw 0 to 1000",
    ]


def test_nothing_is_kept_of_what_steps_return(recordings: Path, tmp_path: Path) -> None:
    from prefect.settings import get_current_settings

    storage = get_current_settings().results.local_storage_path
    assert storage is not None
    # Flows of other tests may have left something there.
    before = set(storage.iterdir()) if storage.exists() else set()
    run(ConvertRequest(sources=(str(recordings),), output=str(tmp_path / "out")))
    assert (set(storage.iterdir()) if storage.exists() else set()) == before


def test_a_folder_without_recordings_fails_with_one_line(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"holds no \.nwb file"):
        run_flow(ConvertRequest(sources=(str(tmp_path),)))
    recorded = latest_run()
    assert recorded.name
    assert recorded.state is not None
    assert recorded.state.is_failed()
    assert "holds no .nwb file" in str(recorded.state.message)


def test_an_address_where_no_scheduler_is_fails_with_one_line(recordings: Path) -> None:
    import dask

    request = ConvertRequest(sources=(str(recordings),))
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
        pytest.raises(Unreachable, match="no Dask scheduler answers there"),
    ):
        run_flow(request, "tcp://127.0.0.1:1")


def test_a_form_as_json_becomes_a_request(recordings: Path, tmp_path: Path) -> None:
    from flows.nwb_to_pennsieve import nwb_to_pennsieve

    form = {"sources": [str(recordings / "b.nwb")], "output": str(tmp_path / "out"), "level": 0}
    as_the_server_calls_it: Any = nwb_to_pennsieve
    (result,) = as_the_server_calls_it(form, return_state=True).result()
    assert (result.outcome, result.samples) == ("stored", 2000)
    assert nwb_to_pennsieve.name == NAME
