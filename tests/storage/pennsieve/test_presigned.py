"""One file's way into the store, with everything that can happen on it."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import pytest

from storage.errors import DigestMismatch, NotAuthorized, NotFound, Rejected, Unreachable
from storage.pennsieve import Client, Patience
from storage.pennsieve.manifests import Entry, create_import, upload_key
from storage.pennsieve.presigned import Receipt, deliver, presign
from tests.support.faults import Fault
from tests.support.pennsieve_api import PennsieveApi
from tests.support.pennsieve_cases import QUICK, Connect, run_target

NONCE = "7c5c2a3e-6d1b-4c1e-9a51-0d5a5f5d8c11"
CONTENT = b"\x1f\x8b" + bytes(1000)
MD5 = hashlib.md5(CONTENT).hexdigest()


class Errand:
    """One file that waits to be delivered."""

    def __init__(self, api: PennsieveApi, client: Client) -> None:
        target = run_target(api)
        channel = api.platform.add_channel(api.platform.packages[target.package_id])
        entry = Entry(f"{channel['id']}_0_1.bin.gz", "sha256:1")
        self.client = client
        self.dataset_id = target.dataset_id
        self.import_id = create_import(client, target, target.integration_id, NONCE, [entry])
        self.key = upload_key(NONCE, entry)

    def deliver(self, content: bytes = CONTENT) -> Receipt:
        return deliver(self.client, self.dataset_id, self.import_id, self.key, content)


@pytest.fixture
def errand(api: PennsieveApi, connected: Connect) -> Errand:
    return Errand(api, connected(api))


def test_a_file_arrives(api: PennsieveApi, errand: Errand) -> None:
    assert errand.deliver() == Receipt("md5", MD5)
    assert api.routes[-2:] == ["presign", "put"]
    put = api.calls[-1]
    assert put.headers["content-length"] == str(len(CONTENT))
    assert not {"content-type", "content-encoding", "transfer-encoding"} & set(put.headers)
    assert api.calls[-2].query == {"dataset_id": errand.dataset_id}


def test_an_empty_file_has_a_length_too(api: PennsieveApi, errand: Errand) -> None:
    errand.deliver(b"")
    assert api.calls[-1].headers["content-length"] == "0"


def test_a_file_arrives_in_s3(s3_api: PennsieveApi, connected: Connect, moto: Any) -> None:
    errand = Errand(s3_api, connected(s3_api))
    assert errand.deliver() == Receipt("md5", MD5)
    stored = moto.objects(f"{errand.import_id}/")
    assert stored == {f"{errand.import_id}/{errand.key}": CONTENT}


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 403, "code": "AccessDenied"},
        {"status": 403},
        {"status": 408},
        {"status": 429},
        {"status": 500, "code": "InternalError"},
        {"status": 503, "code": "SlowDown"},
        {"status": 400, "code": "RequestTimeout"},
        {"status": 400, "code": "ExpiredToken"},
        {"drop": True},
        {"drop": True, "after": True},
        {"status": 500, "after": True},
        {"damage": True},
    ],
    ids=str,
)
def test_every_try_has_a_url_of_its_own(
    api: PennsieveApi, errand: Errand, fault: dict[str, Any]
) -> None:
    api.faults.add(Fault(route="put", times=3, **fault))
    assert errand.deliver() == Receipt("md5", MD5)
    assert api.routes[-8:] == ["presign", "put"] * 4
    used = [call.query["X-Amz-Signature"] for call in api.calls if call.route == "put"]
    assert len(set(used)) == 4
    # A refusal by the store is no reason to renew the token of the API.
    assert len(api.bearers.seen) == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("fault", "error", "tries"),
    [
        ({"status": 400, "code": "EntityTooLarge"}, Rejected, 1),
        ({"status": 404, "code": "NoSuchBucket"}, Rejected, 1),
        ({"status": 412}, Rejected, 1),
        ({"status": 307}, Rejected, 1),
        ({"status": 403, "code": "AccessDenied"}, NotAuthorized, QUICK.attempts),
        ({"status": 503}, Unreachable, QUICK.attempts),
        ({"drop": True}, Unreachable, QUICK.attempts),
        ({"damage": True}, DigestMismatch, QUICK.attempts),
    ],
    ids=str,
)
def test_failures_that_stay(
    api: PennsieveApi,
    errand: Errand,
    fault: dict[str, Any],
    error: type[Exception],
    tries: int,
) -> None:
    api.faults.add(Fault(route="put", times=None, **fault))
    with pytest.raises(error) as caught:
        errand.deliver()
    assert api.routes.count("put") == tries
    message = str(caught.value)
    assert re.match(r"PUT 127\.0\.0\.1/store/memory/[^?\s]+: ", message)
    assert "Signature" not in message
    assert "\n" not in message
    assert caught.value.__context__ is None


def test_a_pause_that_the_store_asks_for_is_too_long(api: PennsieveApi, errand: Errand) -> None:
    api.faults.add(Fault(route="put", status=503, retry_after="4000"))
    with pytest.raises(Unreachable, match="asks to wait 4000 s"):
        errand.deliver()


@pytest.mark.parametrize(
    ("etag", "headers"),
    [
        ('"d41d8cd98f00b204e9800998ecf8427e-3"', {}),
        ("", {}),
        ('"opaque"', {}),
        ('"d41d8cd98f00b204e9800998ecf8427e"', {"x-amz-server-side-encryption": "aws:kms"}),
        (
            '"d41d8cd98f00b204e9800998ecf8427e"',
            {"x-amz-server-side-encryption-customer-algorithm": "AES256"},
        ),
    ],
)
def test_without_an_md5_the_length_confirms(
    api: PennsieveApi, errand: Errand, etag: str, headers: dict[str, str]
) -> None:
    api.board.etag = etag
    api.board.store_headers = headers
    assert errand.deliver() == Receipt("length", etag.strip('"'))


def test_a_key_that_is_not_in_the_manifest(api: PennsieveApi, errand: Errand) -> None:
    errand.key = "00000000-0000-0000-0000-000000000000"
    with pytest.raises(NotFound, match="upload key 00000000"):
        errand.deliver()


def test_another_dataset_has_no_such_import(api: PennsieveApi, errand: Errand) -> None:
    with pytest.raises(NotFound, match=r"import .* not found"):
        presign(errand.client, "N:dataset:other", errand.import_id, errand.key)


def test_an_answer_without_a_url_is_refused(
    api: PennsieveApi, errand: Errand, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.board.url = "file:"
    with pytest.raises(Rejected, match="expected a URL to upload to, found none"):
        errand.deliver()


def test_a_store_that_hangs_is_given_up(api: PennsieveApi, connected: Connect) -> None:
    patience = Patience(read_s=0.2, attempts=2, first_delay_s=0.001)
    errand = Errand(api, connected(api, patience=patience))
    api.faults.add(Fault(route="put", delay_s=1))
    assert errand.deliver().confirmed_by == "md5"
    api.faults.add(Fault(route="put", delay_s=1, times=None))
    with pytest.raises(Unreachable, match=r"no answer within 0\.2 s"):
        errand.deliver()
