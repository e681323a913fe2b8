"""Keys from Prefect's Secret blocks: loaded where they are used, never passed on."""

from __future__ import annotations

from typing import Any, cast

from prefect.blocks.system import Secret
from pydantic import SecretStr

from storage.errors import NotFound, UsageError
from storage.pennsieve.client import Client
from storage.settings import PennsieveKeys
from tasks.pennsieve import connect_with
from tasks.requests import UploadRequest


def connect_by_block(request: UploadRequest) -> Client:
    """Sign in with the keys of the Secret block that a request names."""
    if request.credentials_block is None:
        raise UsageError("no Secret block was named to take keys from")
    return connect_with(request, load_keys(request.credentials_block))


def load_keys(block: str) -> PennsieveKeys:
    """Return the keys that a Secret block holds.

    Raises
    ------
    NotFound
        If there is no such block.
    UsageError
        If it holds something else than a key and its secret.
    """
    try:
        content = cast("Secret[Any]", Secret.load(block)).get()
    except ValueError as error:
        raise NotFound(
            f"Secret block {block}: is not on this Prefect server; create it there with "
            '{"api_key": "...", "api_secret": "..."} as its value'
        ) from error
    key, secret = (
        (content.get("api_key"), content.get("api_secret"))
        if isinstance(content, dict)
        else (None, None)
    )
    if not (isinstance(key, str) and isinstance(secret, str)):
        # Neither the content nor any error that might show it goes into the message.
        raise UsageError(
            f"Secret block {block}: expected a JSON object with api_key and api_secret"
        )
    return PennsieveKeys(
        pennsieve_api_key=SecretStr(key),
        pennsieve_api_secret=SecretStr(secret),
        session_token=None,
        refresh_token=None,
    )
