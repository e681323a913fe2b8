"""Uploads: many files, many threads, and failures among them."""

from __future__ import annotations

import hashlib
import json
import threading
import time

import pytest

from storage.buckets import BucketFolder
from storage.chunk_format import FileEntry
from storage.errors import (
    DigestMismatch,
    NotAuthorized,
    NotFound,
    Rejected,
    Unreachable,
    UsageError,
)
from storage.pennsieve import (
    UploadResult,
    load_output,
    prepare_import,
    upload_files,
)
from storage.pennsieve.uploads import _Memory
from tests.support.faults import Fault
from tests.support.moto_server import MotoServer
from tests.support.pennsieve_api import PennsieveApi
from tests.support.pennsieve_cases import (
    CHUNK_BYTES,
    Connect,
    MakeOutput,
    assert_complete,
    local_digests,
    run_target,
)


def test_896_files_with_32_connections(
    api: PennsieveApi, connected: Connect, make_output: MakeOutput
) -> None:
    client = connected(api, concurrency=32)
    target = run_target(api)
    folder = make_output(64, 14)
    output = load_output(folder)
    import_ = prepare_import(client, target, output)
    seen: list[str] = []
    threads = set()

    def on_file(file: FileEntry) -> None:
        seen.append(file.name)
        threads.add(threading.current_thread())

    api.board.delay_s = 0.01
    result = upload_files(client, import_, output.files, on_file)
    assert result == UploadResult(896, 0, sum(file.bytes for file in output.files))
    assert sorted(seen) == [file.name for file in output.files]
    assert threads == {threading.current_thread()}
    assert 16 <= api.board.most_under_way <= 32
    assert_complete(api, target, folder)
    assert set(api.board.puts.values()) == {1}


def test_what_is_in_the_bucket_is_what_is_here(
    s3_api: PennsieveApi, connected: Connect, make_output: MakeOutput, moto: MotoServer
) -> None:
    client = connected(s3_api, concurrency=8)
    target = run_target(s3_api)
    folder = make_output(4, 8)
    output = load_output(folder)
    s3_api.faults.add(Fault(route="put", status=403, code="AccessDenied", times=3, skip=4))
    s3_api.faults.add(Fault(route="put", drop=True, times=3, skip=4))
    s3_api.faults.add(Fault(route="presign", expire=True, times=2, skip=7))
    import_ = prepare_import(client, target, output)
    assert upload_files(client, import_, output.files).sent == 32
    record = s3_api.platform.imports[str(import_.id)]
    stored = moto.objects(f"{record.id}/")
    found = {
        record.files[key.partition("/")[2]]: hashlib.md5(content).hexdigest()
        for key, content in stored.items()
    }
    assert found == local_digests(s3_api, target, folder)
    log = folder.read_log(import_.journal)
    files = [entry for line in log.splitlines() for entry in json.loads(line) if "file" in entry]
    assert {entry["file"]: entry["etag"] for entry in files} == found
    assert {entry["confirmed_by"] for entry in files} == {"md5"}


def test_an_output_in_a_bucket(
    s3_api: PennsieveApi, connected: Connect, make_output: MakeOutput, moto: MotoServer
) -> None:
    local = make_output(2, 3)
    bucket = BucketFolder(f"s3://{moto.bucket}/outputs/one")
    for name in local.names():
        bucket.write(name, [local.read(name)])
    client = connected(s3_api)
    target = run_target(s3_api)
    output = load_output(bucket)
    import_ = prepare_import(client, target, output)
    assert upload_files(client, import_, output.files).sent == 6
    assert_complete(s3_api, target, local)
    assert prepare_import(client, target, load_output(bucket)).unchanged


def test_a_journal_in_a_bucket_loses_nothing(
    s3_api: PennsieveApi, connected: Connect, make_output: MakeOutput, moto: MotoServer
) -> None:
    bucket = BucketFolder(f"s3://{moto.bucket}/outputs/two")
    client = connected(s3_api, concurrency=4)
    target = run_target(s3_api)
    for channels, sent in ((2, 6), (4, 12), (4, 12)):
        local = make_output(channels, 3)
        for name in local.names():
            bucket.write(name, [local.read(name)])
        # The same folder object serves all of it, as it does in a job that tries again.
        output = load_output(bucket)
        for part in (output.files[:2], output.files):
            import_ = prepare_import(client, target, output)
            upload_files(client, import_, part)
        assert sum(s3_api.board.puts.values()) == sent
    assert len(s3_api.platform.imports) == 2


def test_a_token_that_expires_in_the_middle(
    api: PennsieveApi, connected: Connect, make_output: MakeOutput
) -> None:
    client = connected(api, concurrency=8)
    target = run_target(api)
    folder = make_output(4, 25)
    output = load_output(folder)
    import_ = prepare_import(client, target, output)
    api.board.delay_s = 0.005
    for skip in (20, 60):
        api.faults.add(Fault(route="presign", expire=True, skip=skip))
    assert upload_files(client, import_, output.files).sent == 100
    assert_complete(api, target, folder)
    # Refused with many at once, renewed once each time.
    assert client._tokens._generation == len(api.bearers.seen) - 1 == 2  # type: ignore[attr-defined]


@pytest.mark.parametrize("digest", ["sha256", "crc32"])
def test_a_damaged_file_is_not_sent_and_named(
    api: PennsieveApi, connected: Connect, make_output: MakeOutput, digest: str
) -> None:
    client = connected(api)
    target = run_target(api)
    folder = make_output(2, 10, digest=digest)
    output = load_output(folder)
    import_ = prepare_import(client, target, output)
    bad = output.files[3]
    content = bytearray(folder.read(bad.name))
    content[-6] ^= 1
    folder.write(bad.name, [content])
    with pytest.raises(DigestMismatch, match=f"1 of 20 files were not uploaded: {bad.name}; "):
        upload_files(client, import_, output.files)
    assert api.routes.count("put") == 19


def test_failed_files_are_named_after_all_others_arrived(
    api: PennsieveApi, connected: Connect, make_output: MakeOutput
) -> None:
    client = connected(api, concurrency=1)
    target = run_target(api)
    output = load_output(make_output(3, 10))
    import_ = prepare_import(client, target, output)
    api.faults.add(Fault(route="put", status=400, code="EntityTooLarge", times=7, skip=2))
    with pytest.raises(Rejected) as caught:
        upload_files(client, import_, output.files)
    message = str(caught.value)
    named = ", ".join(file.name for file in output.files[2:7])
    assert message.startswith(f"7 of 30 files were not uploaded: {named} and 2 more; PUT ")
    assert message.endswith("a further run sends only what is missing")
    assert "\n" not in message
    assert upload_files(client, import_, output.files) == UploadResult(7, 23, 7 * CHUNK_BYTES)


def test_failures_are_retryable_only_when_all_are(
    api: PennsieveApi, connected: Connect, make_output: MakeOutput
) -> None:
    client = connected(api, concurrency=1)
    target = run_target(api)
    output = load_output(make_output(1, 8))
    import_ = prepare_import(client, target, output)
    api.faults.add(Fault(route="put", status=503, times=6))
    with pytest.raises(Unreachable, match="1 of 8 files") as caught:
        upload_files(client, import_, output.files)
    assert caught.value.retryable
    api.faults.clear()
    unsent = import_.nonce
    folder = make_output(1, 8, salt=0.5)
    output = load_output(folder)
    import_ = prepare_import(client, target, output)
    assert import_.nonce != unsent
    api.faults.add(Fault(route="put", status=503, times=6))
    api.faults.add(Fault(route="put", status=400, times=1))
    with pytest.raises(Rejected, match="2 of 8 files"):
        upload_files(client, import_, output.files)


def test_when_nothing_gets_through_the_rest_is_not_tried(
    api: PennsieveApi, connected: Connect, make_output: MakeOutput
) -> None:
    client = connected(api, concurrency=4)
    target = run_target(api)
    output = load_output(make_output(4, 25))
    import_ = prepare_import(client, target, output)
    api.faults.add(Fault(route="presign", status=403, times=None))
    with pytest.raises(NotAuthorized, match=r"not tried since nothing got through: channel-0"):
        upload_files(client, import_, output.files)
    assert api.routes.count("presign") <= 2 * 30
    assert api.routes.count("put") == 0


def test_a_missing_file_is_named(
    api: PennsieveApi, connected: Connect, make_output: MakeOutput
) -> None:
    client = connected(api)
    folder = make_output(1, 3)
    output = load_output(folder)
    import_ = prepare_import(client, run_target(api), output)
    folder.delete(output.files[1].name)
    with pytest.raises(NotFound, match=f"1 of 3 files were not uploaded: {output.files[1].name}"):
        upload_files(client, import_, output.files)


def test_a_caller_that_gives_up_waits_for_nobody(
    api: PennsieveApi, connected: Connect, make_output: MakeOutput
) -> None:
    client = connected(api, concurrency=4)
    output = load_output(make_output(2, 10))
    import_ = prepare_import(client, run_target(api), output)
    api.faults.add(Fault(route="put", status=503, retry_after="200", times=None, skip=2))

    def on_file(file: FileEntry) -> None:
        raise KeyboardInterrupt

    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        upload_files(client, import_, output.files, on_file)
    assert time.monotonic() - begun < 60
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("upload")]


def test_an_unforeseen_error_is_not_swallowed(
    api: PennsieveApi,
    connected: Connect,
    make_output: MakeOutput,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = connected(api)
    output = load_output(make_output(2, 10))
    import_ = prepare_import(client, run_target(api), output)

    def broken(*_: object) -> None:
        raise OSError(5, "input/output error")

    monkeypatch.setattr("storage.folders.LocalFolder.read", broken)
    with pytest.raises(OSError, match="input/output error"):
        upload_files(client, import_, output.files)


def test_an_import_of_nothing_takes_no_other_files(
    api: PennsieveApi, connected: Connect, make_output: MakeOutput
) -> None:
    client = connected(api)
    target = run_target(api)
    output = load_output(make_output(1, 2))
    upload_files(client, prepare_import(client, target, output), output.files)
    unchanged = prepare_import(client, target, output)
    other = load_output(make_output(1, 2, salt=0.5))
    with pytest.raises(UsageError, match="prepare it again"):
        upload_files(client, unchanged, other.files)


def test_parts_of_an_output_may_go_at_the_same_time(
    api: PennsieveApi, connected: Connect, make_output: MakeOutput
) -> None:
    client = connected(api)
    target = run_target(api)
    folder = make_output(8, 10)
    output = load_output(folder)
    import_ = prepare_import(client, target, output)
    parts = [output.files[start::4] for start in range(4)]
    results: list[UploadResult] = []
    threads = [
        threading.Thread(target=lambda p=part: results.append(upload_files(client, import_, p)))
        for part in parts
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [result.sent for result in results] == [20] * 4
    assert_complete(api, target, folder)
    assert prepare_import(client, target, output).unchanged


def test_memory_is_bounded() -> None:
    memory = _Memory(100)
    held = threading.Event()
    entered = threading.Event()
    with memory.hold(60):

        def second() -> None:
            with memory.hold(50):
                entered.set()
                held.wait()

        thread = threading.Thread(target=second)
        thread.start()
        assert not entered.wait(0.05)
        with memory.hold(40):
            assert not entered.is_set()
    assert entered.wait(30)
    held.set()
    thread.join()
    with memory.hold(10**9):
        assert memory._free == 0
    assert memory._free == 100
