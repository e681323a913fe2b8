"""Manifests: paths, keys, and how they are cut into requests."""

from __future__ import annotations

import json
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.chunk_format import FileEntry
from storage.errors import Rejected
from storage.pennsieve.manifests import (
    BODY_BYTES,
    Entry,
    batch_size,
    batches,
    content_digest,
    create_import,
    entry_of,
    upload_key,
)
from tests.support.faults import Fault
from tests.support.pennsieve_api import PennsieveApi
from tests.support.pennsieve_cases import Connect, run_target

NONCE = "7c5c2a3e-6d1b-4c1e-9a51-0d5a5f5d8c11"
CHANNEL = "N:channel:0d7a2f0e-5f41-4d2f-8a44-5f0c3b1f9e7a"
REAL = f"{CHANNEL}_1714979289123456_1714979293492489.bin.gz"


def test_a_path_has_the_id_in_place_of_the_index() -> None:
    name = "channel-00012_1714979289123456_1714979293492489.bin.gz"
    file = FileEntry(name, 10, sha256="abc")
    assert entry_of(file, {12: CHANNEL}) == Entry(REAL, "sha256:abc")
    nested = FileEntry(f"folder/{name}", 10, crc32="0000abcd")
    assert entry_of(nested, {12: CHANNEL}) == Entry(REAL, "crc32:0000abcd:10")


def test_a_path_before_1970() -> None:
    name = "channel-00000_-2208988799500000_-2208988797501000.bin.gz"
    path = entry_of(FileEntry(name, 1, sha256="0"), {0: CHANNEL}).path
    assert path == f"{CHANNEL}_-2208988799500000_-2208988797501000.bin.gz"


def test_keys_are_stable_and_differ() -> None:
    one = Entry(REAL, "sha256:1")
    assert upload_key(NONCE, one) == upload_key(NONCE, one)
    assert str(uuid.UUID(upload_key(NONCE, one))) == upload_key(NONCE, one)
    others = {
        upload_key(NONCE, Entry(REAL, "sha256:2")),
        upload_key(NONCE, Entry(REAL[:-1], "sha256:1")),
        upload_key(str(uuid.uuid4()), one),
    }
    assert upload_key(NONCE, one) not in others
    assert len(others) == 3


def test_real_names_go_5275_to_a_request() -> None:
    entries = [Entry(REAL, f"sha256:{number}") for number in range(5276)]
    assert len(json.dumps(entries[0].wire(NONCE))) + 1 == 159
    assert batch_size(entries) == 5275
    assert [len(batch) for batch in batches(entries)] == [5275, 1]
    body = json.dumps({"files": [entry.wire(NONCE) for entry in entries[:5275]]})
    assert len(body.encode()) <= BODY_BYTES


def test_the_first_hundred_are_measured() -> None:
    short = [Entry("a", "d")] * 100
    assert batch_size(short) == batch_size(short + [Entry("b" * 5000, "d")] * 1000)
    assert batch_size([Entry("a" * 2_000_000, "d")]) == 1


@given(st.integers(0, 12_000))
def test_batches_hold_every_entry_once_in_order(count: int) -> None:
    entries = [Entry(REAL, str(number)) for number in range(count)]
    cut = batches(entries)
    assert [entry for batch in cut for entry in batch] == entries
    assert all(cut)


def test_the_digest_of_a_manifest_is_of_paths_and_contents() -> None:
    assert content_digest([Entry("a", "1")]) == content_digest([Entry("a", "1")])
    assert content_digest([Entry("a", "1")]) != content_digest([Entry("a", "2")])
    assert content_digest([Entry("a", "1")]) != content_digest([])


def test_an_import_without_an_id_is_refused(
    api: PennsieveApi, connected: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = run_target(api)
    channel = api.platform.add_channel(api.platform.packages[target.package_id])
    entry = Entry(f"{channel['id']}_0_1.bin.gz", "sha256:1")
    client = connected(api)
    record = api.platform.create_import

    def nameless(*args: object) -> object:
        made = record(*args)  # type: ignore[arg-type]
        made.id = ""
        return made

    monkeypatch.setattr(api.platform, "create_import", nameless)
    with pytest.raises(Rejected, match="expected the id of the new import"):
        create_import(client, target, target.integration_id, NONCE, [entry])


def test_an_import_is_asked_for_again(api: PennsieveApi, connected: Connect) -> None:
    target = run_target(api)
    channel = api.platform.add_channel(api.platform.packages[target.package_id])
    entry = Entry(f"{channel['id']}_0_1.bin.gz", "sha256:1")
    api.faults.add(Fault(route="create-import", status=500, times=2))
    import_id = create_import(connected(api), target, target.integration_id, NONCE, [entry])
    assert list(api.platform.imports) == [import_id]
    assert api.platform.imports[import_id].files == {upload_key(NONCE, entry): entry.path}
