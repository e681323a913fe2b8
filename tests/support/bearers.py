"""Bearer tokens as the test platform judges them."""

from __future__ import annotations

import json
import secrets
import time
import urllib.request
from typing import Any, Protocol

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from tests.support.moto_server import MotoServer


class Bearers(Protocol):
    """Who may call."""

    def refusal(self, token: str) -> str | None:
        """Return why a token is refused, or None where it is good."""
        ...

    def expire_all(self) -> None:
        """Refuse every token that was seen so far."""
        ...


class CognitoBearers:
    """Access tokens of a Cognito: signed by it, from the right pool, and not expired."""

    def __init__(self, moto: MotoServer) -> None:
        self._clients = {
            moto.tokens.client_id: moto.tokens.username,
            moto.people.client_id: moto.people.username,
        }
        self._keys = KeySet.import_key_set(
            json.loads(
                urllib.request.urlopen(f"{moto.url}/{moto.tokens.id}/.well-known/jwks.json").read()
            )
        )
        self._good: set[str] = set()
        self._expired: set[str] = set()
        self.seen: list[str] = []

    def refusal(self, token: str) -> str | None:
        """Return why a token is refused, or None where it is good."""
        if token in self._expired:
            return "token expired"
        if token in self._good:
            return None
        try:
            claims: dict[str, Any] = jwt.decode(token, self._keys, algorithms=["RS256"]).claims
        except (JoseError, ValueError):
            return "not a token of ours"
        if claims.get("token_use") != "access":
            return f"a token for {claims.get('token_use')}, not for access"
        if claims.get("exp", 0) <= time.time():
            return "token expired"
        # moto names users by an id of its own; each pool has one, so that the client tells.
        if claims.get("client_id") not in self._clients:
            return "a token of another client"
        self._good.add(token)
        self.seen.append(token)
        return None

    def expire_all(self) -> None:
        """Refuse every token that was seen so far."""
        self._expired |= self._good
        self._good.clear()


class PlainBearers:
    """One token that the server made up; for benchmarks without a Cognito."""

    def __init__(self) -> None:
        self.token = secrets.token_urlsafe(32)
        self._expired = False

    def refusal(self, token: str) -> str | None:
        """Return why a token is refused, or None where it is good."""
        if token != self.token:
            return "not a token of ours"
        return "token expired" if self._expired else None

    def expire_all(self) -> None:
        """Refuse the token from now on."""
        self._expired = True
