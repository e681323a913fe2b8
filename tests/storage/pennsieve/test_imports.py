"""Imports: what is called, in which order, and what a second run does."""

from __future__ import annotations

import dataclasses
import json
import pickle
import re
from typing import Any

import pytest

from storage.errors import Unreachable
from storage.folders import LocalFolder
from storage.pennsieve import (
    Client,
    Import,
    Target,
    UploadPlan,
    UploadResult,
    find_target,
    load_output,
    plan_upload,
    prepare_import,
    upload_files,
)
from storage.pennsieve.journal import FOLDER
from tests.support.faults import Fault
from tests.support.pennsieve_api import PennsieveApi
from tests.support.pennsieve_cases import (
    CHUNK_BYTES,
    START_US,
    Connect,
    MakeOutput,
    assert_complete,
    channel_metadata,
    run_target,
)

CHANGING = {"properties", "create-channels", "update-channel", "create-import", "add-files", "put"}


def upload(client: Client, target: Target, folder: LocalFolder) -> UploadResult:
    """Prepare and send everything."""
    output = load_output(folder)
    return upload_files(client, prepare_import(client, target, output), output.files)


def test_a_simple_import_call_by_call(
    api: PennsieveApi, connected: Connect, make_output: MakeOutput
) -> None:
    package = api.platform.add_package()
    run = api.platform.add_run([package.id])
    dataset_id = api.platform.runs[run]["datasetId"]
    client = connected(api, concurrency=1)
    target = find_target(client, integration_id=run)
    output = load_output(make_output(1, 2))
    import_ = prepare_import(client, target, output)
    assert upload_files(client, import_, output.files).sent == 2

    (channel_id,) = package.channels
    record = api.platform.imports[str(import_.id)]
    first, second = record.files
    times = (START_US, START_US + 99_999), (START_US + 100_000, START_US + 199_999)
    paths = [f"{channel_id}_{start}_{end}.bin.gz" for start, end in times]
    assert re.fullmatch(r"N:channel:[0-9a-f-]{36}", channel_id)
    assert list(record.files.values()) == paths
    metadata = channel_metadata(0)
    channel = {("channelType" if key == "type" else key): value for key, value in metadata.items()}
    viewer = {"dataType": "string", "fixed": False, "hidden": True}
    in_dataset = {"dataset_id": dataset_id}
    made = f"/import/{record.id}"
    signed = [call.query["X-Amz-Signature"] for call in api.calls if call.route == "put"]
    queries = [{"X-Amz-Expires": "3600", "X-Amz-Signature": signature} for signature in signed]
    assert [(call.method, call.path, call.query, call.json) for call in api.calls] == [
        ("GET", "/authentication/cognito-config", {}, None),
        ("GET", f"/compute/workflows/runs/{run}", {}, None),
        (
            "PUT",
            f"/packages/{package.id}",
            {"updateStorage": "true"},
            {
                "properties": [
                    {"key": "subtype", "value": "pennsieve_timeseries", "category": "Viewer"}
                    | viewer,
                    {"key": "icon", "value": "timeseries", "category": "Pennsieve"} | viewer,
                ]
            },
        ),
        ("GET", f"/timeseries/{package.id}/channels", {}, None),
        ("POST", f"/timeseries/{package.id}/channels", {}, [channel]),
        (
            "POST",
            "/import",
            in_dataset,
            {
                "integration_id": run,
                "package_id": package.id,
                "import_type": "timeseries",
                "files": [
                    {"upload_key": first, "file_path": paths[0]},
                    {"upload_key": second, "file_path": paths[1]},
                ],
            },
        ),
        ("GET", f"{made}/upload/{first}/presign", in_dataset, None),
        ("PUT", f"/store/memory/{record.id}/{first}", queries[0], None),
        ("GET", f"{made}/upload/{second}/presign", in_dataset, None),
        ("PUT", f"/store/memory/{record.id}/{second}", queries[1], None),
    ]
    accepts = {call.route: call.headers["accept"] for call in api.calls}
    assert accepts["run"] == "application/json"
    assert accepts["properties"] == "*/*"
    assert [call.status for call in api.calls] == [200, 200, 200, 200, 201, 201] + [200] * 4
    assert set(package.properties) == {"subtype", "icon"}


def test_everything_that_a_step_returns_may_travel(
    api: PennsieveApi, connected: Connect, make_output: MakeOutput
) -> None:
    client = connected(api)
    target = run_target(api)
    output = load_output(make_output())
    plan = plan_upload(client, target, output)
    import_ = prepare_import(client, target, output)
    result = upload_files(client, import_, output.files)
    secrets = [*api.bearers.seen, "secret"]  # type: ignore[attr-defined]
    for value in (target, plan, import_, result, output.files[0], client.hosts):
        assert pickle.loads(pickle.dumps(value)) == value
        assert not any(secret in repr(value) for secret in secrets)
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, dataclasses.fields(value)[0].name, None)


@pytest.mark.parametrize("digest", ["sha256", "crc32"])
def test_a_finished_upload_is_unchanged(
    api: PennsieveApi, connected: Connect, make_output: MakeOutput, digest: str
) -> None:
    client = connected(api)
    target = run_target(api)
    folder = make_output(3, 3, digest=digest)
    assert upload(client, target, folder) == UploadResult(9, 0, 9 * CHUNK_BYTES)
    before = len(api.calls)
    output = load_output(folder)
    import_ = prepare_import(client, target, output)
    assert import_.unchanged
    assert (import_.files, import_.bytes) == (0, 0)
    seen: list[str] = []
    result = upload_files(client, import_, output.files, lambda file: seen.append(file.name))
    assert result == UploadResult(0, 9, 0)
    assert seen == [file.name for file in output.files]
    assert api.routes[before:] == ["channels"]
    assert_complete(api, target, folder)


def test_a_package_chosen_by_hand_is_resumed_too(
    api: PennsieveApi, connected: Connect, make_output: MakeOutput
) -> None:
    client = connected(api)
    package = api.platform.add_package()
    output = load_output(make_output())
    targets = [find_target(client, dataset="N:dataset:1", package=package.id) for _ in range(2)]
    assert targets[0].integration_id != targets[1].integration_id
    first, second = (prepare_import(client, target, output) for target in targets)
    assert first.id == second.id
    (record,) = api.platform.imports.values()
    assert record.integration_id == targets[0].integration_id


def test_a_plan_changes_nothing(
    api: PennsieveApi, connected: Connect, make_output: MakeOutput
) -> None:
    client = connected(api)
    target = run_target(api)
    package = api.platform.packages[target.package_id]
    api.platform.add_channel(package, name="CH000", rate=30000.0, start=0, end=2**60)
    api.platform.add_channel(package, name="CH001", rate=30000.0, start=0, end=1)
    folder = make_output(3, 2)
    output = load_output(folder)
    plan = plan_upload(client, target, output)
    assert plan == UploadPlan(
        target=target,
        created=("CH002",),
        matched=("CH000", "CH001"),
        extended=("CH001",),
        files=6,
        bytes=6 * CHUNK_BYTES,
        batches=1,
        uploaded=0,
    )
    assert not CHANGING & set(api.routes)
    assert not list(folder.names(FOLDER))
    upload(client, target, folder)
    again = plan_upload(client, target, output)
    assert (again.created, again.extended, again.files, again.batches) == ((), (), 0, 0)
    assert again.uploaded == 6


def test_other_content_starts_an_import_of_what_differs(
    api: PennsieveApi, connected: Connect, make_output: MakeOutput
) -> None:
    client = connected(api)
    target = run_target(api)
    upload(client, target, make_output(2, 2))
    # One channel more, one file changed.
    folder = make_output(3, 2)
    changed = make_output(3, 2, folder="other", salt=0.5)
    manifest = json.loads(folder.read("manifest.json"))
    name = manifest["files"][0]["name"]
    manifest["files"][0] = json.loads(changed.read("manifest.json"))["files"][0]
    folder.write(name, [changed.read(name)])
    folder.write("manifest.json", [json.dumps(manifest).encode()])
    output = load_output(folder)
    import_ = prepare_import(client, target, output)
    assert (import_.files, len(api.platform.imports)) == (3, 2)
    assert upload_files(client, import_, output.files) == UploadResult(3, 3, 3 * CHUNK_BYTES)
    assert prepare_import(client, target, output).unchanged
    # Back to the first content: the file that differs from what arrived last goes again.
    again = load_output(make_output(3, 2))
    import_ = prepare_import(client, target, again)
    assert import_.files == 1
    assert upload_files(client, import_, again.files).sent == 1


def test_another_target_gets_everything(
    api: PennsieveApi, connected: Connect, make_output: MakeOutput
) -> None:
    client = connected(api)
    folder = make_output()
    for _ in range(2):
        assert upload(client, run_target(api), folder).sent == 4
    assert len(api.platform.imports) == 2


def test_channels_that_were_deleted_get_their_files_again(
    api: PennsieveApi, connected: Connect, make_output: MakeOutput
) -> None:
    client = connected(api)
    target = run_target(api)
    folder = make_output()
    upload(client, target, folder)
    package = api.platform.packages[target.package_id]
    del package.channels[next(iter(package.channels))]
    assert upload(client, target, folder) == UploadResult(2, 2, 2 * CHUNK_BYTES)


def test_a_channel_that_shrank_is_widened_without_an_import(
    api: PennsieveApi, connected: Connect, make_output: MakeOutput
) -> None:
    client = connected(api)
    target = run_target(api)
    folder = make_output()
    upload(client, target, folder)
    package = api.platform.packages[target.package_id]
    next(iter(package.channels.values()))["content"]["end"] = 5
    output = load_output(folder)
    assert prepare_import(client, target, output).unchanged
    assert api.routes.count("update-channel") == 1
    assert len(api.platform.imports) == 1


def test_an_import_that_the_platform_forgot_is_begun_anew(
    api: PennsieveApi, connected: Connect, make_output: MakeOutput
) -> None:
    client = connected(api)
    target = run_target(api)
    output = load_output(make_output())
    first = prepare_import(client, target, output)
    upload_files(client, first, output.files[:1])
    api.platform.imports.clear()
    second = prepare_import(client, target, output)
    assert second.id != first.id
    assert (second.files, second.nonce == first.nonce) == (3, False)
    assert upload_files(client, second, output.files) == UploadResult(3, 1, 3 * CHUNK_BYTES)


def test_an_interrupted_creation_uses_the_same_keys(
    api: PennsieveApi, connected: Connect, make_output: MakeOutput
) -> None:
    client = connected(api)
    target = run_target(api)
    output = load_output(make_output())
    for after in (False, True):
        api.faults.add(Fault(route="create-import", status=500, times=6, after=after))
        with pytest.raises(Unreachable):
            prepare_import(client, target, output)
    import_ = prepare_import(client, target, output)
    bodies = [call.json for call in api.calls if call.route == "create-import"]
    assert len(bodies) == 13
    assert all(body == bodies[0] for body in bodies)
    upload_files(client, import_, output.files)
    arrived = api.arrived
    assert len(arrived) == 4
    assert all(len(copies) == 1 for copies in arrived.values())


def test_batches_that_were_taken_are_not_sent_again(
    api: PennsieveApi,
    connected: Connect,
    make_output: MakeOutput,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("storage.pennsieve.manifests.BODY_BYTES", 400)
    client = connected(api)
    target = run_target(api)
    output = load_output(make_output(2, 4))
    api.faults.add(Fault(route="add-files", status=500, times=6, skip=1))
    with pytest.raises(Unreachable):
        prepare_import(client, target, output)
    assert api.routes.count("add-files") == 7
    before = len(api.calls)
    import_ = prepare_import(client, target, output)
    assert api.routes[before:] == ["properties", "channels", "presign", "add-files", "add-files"]
    sent = [
        item["upload_key"]
        for call in api.calls
        if call.status in (200, 201) and call.route in ("create-import", "add-files")
        for item in call.json["files"]
    ]
    assert sorted(sent) == sorted(api.platform.imports[str(import_.id)].files)
    assert len(set(sent)) == len(sent) == 8
    # Prepared completely, nothing of the manifest goes again.
    before = len(api.calls)
    assert prepare_import(client, target, output) == import_
    assert api.routes[before:] == ["properties", "channels", "presign"]


def test_an_import_says_what_it_is(
    api: PennsieveApi, connected: Connect, make_output: MakeOutput
) -> None:
    client = connected(api)
    target = run_target(api)
    folder = make_output(2, 2)
    import_ = prepare_import(client, target, load_output(folder))
    package = api.platform.packages[target.package_id]
    ids: dict[int, Any] = dict(enumerate(package.channels))
    assert import_ == Import(
        target=target,
        folder=folder.url,
        journal=import_.journal,
        channel_ids=ids,
        id=next(iter(api.platform.imports)),
        nonce=import_.nonce,
        files=4,
        bytes=4 * CHUNK_BYTES,
    )
    assert re.fullmatch(r"\.upload/[0-9a-f]{64}\.jsonl", import_.journal)
