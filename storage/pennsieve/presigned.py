"""One file's way into the store: a signed URL, the bytes, and the proof that they arrived."""

from __future__ import annotations

import hashlib
import logging
import re
from dataclasses import dataclass
from typing import Literal

from storage.errors import DigestMismatch, NotAuthorized, RanvierError, Rejected, Unreachable
from storage.pennsieve.answers import Answer
from storage.pennsieve.client import Client, segment
from storage.pennsieve.patience import RETRYABLE_STATUSES

log = logging.getLogger(__name__)

PLAIN_MD5 = re.compile(r'"?([0-9a-f]{32})"?')
ERROR_CODE = re.compile(rb"<Code>(\w+)</Code>")
# S3 says 400 to a client that was too slow, and to one whose URL was signed by a session that
# has ended since; both are well after a new URL.
PASSING_CODES = frozenset({"RequestTimeout", "ExpiredToken"})


@dataclass(frozen=True, slots=True)
class Receipt:
    """How we know that a file arrived whole.

    By ``md5``: the store's tag is the MD5 of what it keeps. By ``length``: the store gives
    another kind of tag, and accepted a body of the declared length.
    """

    confirmed_by: Literal["md5", "length"]
    etag: str


def presign(client: Client, dataset_id: str, import_id: str, key: str) -> str:
    """Return a URL that takes the bytes of one file for a while.

    Raises
    ------
    NotFound
        If the import or the key in it does not exist.
    """
    answer = client.call(
        "GET",
        f"{client.hosts.api2}/import/{segment(import_id)}/upload/{segment(key)}/presign",
        params={"dataset_id": dataset_id},
    )
    signed = answer.json()
    url = signed.get("url") if isinstance(signed, dict) else None
    if not isinstance(url, str) or not url.startswith(("https://", "http://")):
        raise Rejected(f"{answer.subject}: expected a URL to upload to, found none")
    return url


def deliver(client: Client, dataset_id: str, import_id: str, key: str, content: bytes) -> Receipt:
    """Send one file and make sure that it arrived; every try gets a URL of its own.

    Raises
    ------
    NotAuthorized
        If the store refuses every URL.
    Rejected
        If the store refuses the file.
    DigestMismatch
        If what arrives is never what was sent.
    Unreachable
        If the store does not answer.
    """
    transport = client.transport
    attempt = 0
    while True:
        attempt += 1
        url = presign(client, dataset_id, import_id, key)
        pause_s = 0.0
        failure: RanvierError
        try:
            answer = transport.put(url, content)
        except Unreachable as unanswered:
            failure = unanswered
        else:
            outcome = _outcome(answer, content)
            if isinstance(outcome, Receipt):
                return outcome
            if isinstance(outcome, Rejected):
                raise outcome
            failure, pause_s = outcome, answer.retry_after_s
        if attempt >= transport.patience.attempts:
            raise failure
        transport.pause(attempt, failure, pause_s)


def _outcome(answer: Answer, content: bytes) -> Receipt | RanvierError:
    if answer.ok:
        return _receipt(answer, content)
    code = ERROR_CODE.search(answer.body)
    reason = code[1].decode() if code else ""
    found = f"{answer.subject}: answered {answer.status} {reason}".rstrip() + ", expected 2xx"
    if answer.status == 403:
        return NotAuthorized(f"{found}, with a new URL each time; check the platform's storage")
    if answer.status in RETRYABLE_STATUSES or reason in PASSING_CODES:
        return Unreachable(f"{found}; try again later")
    return Rejected(f"{found}; asking again changes nothing")


def _receipt(answer: Answer, content: bytes) -> Receipt | DigestMismatch:
    etag = answer.headers.get("ETag", "")
    plain = PLAIN_MD5.fullmatch(etag.lower())
    # With a key of the customer's or of KMS the tag has the form of an MD5, and is none.
    encryption = answer.headers.get("x-amz-server-side-encryption", "AES256")
    own_key = "x-amz-server-side-encryption-customer-algorithm" in answer.headers
    if plain is None or encryption != "AES256" or own_key:
        return Receipt("length", etag.strip('"'))
    sent = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if plain[1] == sent:
        return Receipt("md5", sent)
    return DigestMismatch(f"{answer.subject}: the store has MD5 {plain[1]}, expected {sent}")
