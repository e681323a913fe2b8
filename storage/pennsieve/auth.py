"""Who we are to the platform: credentials, and the access token that they buy."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field

from storage.errors import NotAuthorized, UsageError
from storage.pennsieve.cognito import Grant, Pool, Pools, claims, fetch_pools, sign_in
from storage.pennsieve.secrecy import Secret
from storage.pennsieve.transport import Transport

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Credentials:
    """An API key with its secret, or a session token; the session token wins.

    Parameters
    ----------
    api_key, api_secret
        A pair from the platform's profile page.
    session_token, refresh_token
        An access token that someone else signed in for, and what renews it. Without a refresh
        token the work ends when the session token does.

    Raises
    ------
    UsageError
        If neither is complete.
    """

    api_key: str | None = field(default=None, repr=False)
    api_secret: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    refresh_token: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not self.session_token and not (self.api_key and self.api_secret):
            raise UsageError(
                "no complete credentials for Pennsieve: expected SESSION_TOKEN, or"
                " PENNSIEVE_API_KEY with PENNSIEVE_API_SECRET"
            )


class Tokens:
    """The access token that all threads share.

    Each replacement starts a new generation. A thread whose token was refused names the
    generation that it used, so that thirty threads refused at once renew it once.
    """

    def __init__(self, transport: Transport, api: str, credentials: Credentials) -> None:
        self._transport = transport
        self._api = api
        self._credentials = credentials
        self._lock = threading.Lock()
        self._generation = 0
        self._pools: Pools | None = None
        self._refused: str | None = None
        self._grant: Grant | None = None
        if credentials.session_token:
            refresh = credentials.refresh_token
            # A token that was read from a file often brings the end of its line along.
            self._grant = Grant(
                Secret(credentials.session_token.strip()),
                Secret(refresh.strip()) if refresh else None,
            )

    def current(self) -> tuple[str, int]:
        """Return the access token and its generation, signing in first if need be.

        Raises
        ------
        NotAuthorized
            If Cognito refuses the key.
        """
        with self._lock:
            grant = self._grant or self._replace(None)
            return grant.access.reveal(), self._generation

    def renew(self, generation: int) -> None:
        """Replace the token of that generation, unless another thread already has.

        Raises
        ------
        NotAuthorized
            If there is nothing to renew it with, or Cognito refuses that.
        """
        with self._lock:
            if generation == self._generation:
                self._replace(self._grant)

    # The lock is held through the call to Cognito: whoever waits for it needs its result.
    def _replace(self, old: Grant | None) -> Grant:
        if self._refused is not None:
            raise NotAuthorized(self._refused)
        try:
            self._grant = self._bought(old)
        except NotAuthorized as error:
            # Asking once for each waiting thread could lock the account.
            self._refused = str(error)
            raise
        if old is not None:
            self._generation += 1
            log.info("token renewed, generation %d", self._generation)
        return self._grant

    def _bought(self, old: Grant | None) -> Grant:
        if self._pools is None:
            self._pools = fetch_pools(self._transport, self._api)
        if self._credentials.session_token:
            if old is None or old.refresh is None:
                raise NotAuthorized(
                    "the session token was refused and there is no refresh token;"
                    " start again with a new SESSION_TOKEN"
                )
            return _refreshed(self._pools.of_token(old.access.reveal()), old, old.refresh)
        if old is not None and old.refresh is not None:
            try:
                return _refreshed(self._pools.keys, old, old.refresh)
            except NotAuthorized as error:
                log.info("signing in again: %s", error)
        return sign_in(
            self._pools.keys,
            "USER_PASSWORD_AUTH",
            {
                "USERNAME": self._credentials.api_key or "",
                "PASSWORD": self._credentials.api_secret or "",
            },
            "the API key and its secret",
        )


def _refreshed(pool: Pool, old: Grant, refresh: Secret) -> Grant:
    parameters = {"REFRESH_TOKEN": refresh.reveal()}
    device = claims(old.access.reveal()).get("device_key")
    if device:
        parameters["DEVICE_KEY"] = str(device)
    grant = sign_in(pool, "REFRESH_TOKEN_AUTH", parameters, "the refresh token")
    return Grant(grant.access, grant.refresh or refresh)
