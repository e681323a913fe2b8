"""What a server answered, and the error that it means where it is no success."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from storage.errors import NotAuthorized, NotFound, RanvierError, Rejected, Unreachable
from storage.pennsieve.patience import RETRYABLE_STATUSES, retry_after_s

DETAIL_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered; ``subject`` is method, host and path, fit for a message."""

    subject: str
    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def ok(self) -> bool:
        """Whether the status is a 2xx."""
        return 200 <= self.status < 300

    @property
    def retry_after_s(self) -> float:
        """Seconds that the server asks to wait; 0 where it does not say."""
        return retry_after_s(self.headers.get("Retry-After"))

    def json(self) -> Any:
        """Return the decoded body.

        Raises
        ------
        Rejected
            If it is not JSON.
        """
        try:
            return json.loads(self.body)
        except ValueError:
            kind = self.headers.get("Content-Type", "no type")
            message = f"{self.subject}: expected JSON, found {len(self.body)} bytes of {kind}"
        raise Rejected(f"{message}; check the address of the API")


def refusal(answer: Answer, hide: str | None = None) -> RanvierError:
    """Return the error that an answer without success means."""
    detail = _detail(answer)
    if hide:
        detail = detail.replace(hide, "***")
    found = f"{answer.subject}: answered {answer.status}{detail}, expected 2xx"
    if answer.status in (401, 403):
        return NotAuthorized(f"{found}; check the credentials and their rights on this dataset")
    if answer.status == 404:
        return NotFound(f"{found}; check that the id exists on this platform")
    if answer.status in RETRYABLE_STATUSES:
        return Unreachable(f"{found}; try again later")
    return Rejected(f"{found}; asking again changes nothing")


def _detail(answer: Answer) -> str:
    text = answer.body.decode("utf-8", "replace")
    try:
        said = json.loads(text)
    except ValueError:
        said = text
    if isinstance(said, dict):
        said = said.get("message") or said.get("error") or ""
    line = " ".join(str(said).split())[:DETAIL_CHARACTERS]
    return f" ({line})" if line else ""
