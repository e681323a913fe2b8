"""Amazon Cognito: the pools that the platform names, and signing in to them."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from storage.errors import NotAuthorized, Rejected, RemoteError, Unreachable
from storage.pennsieve.secrecy import Secret, quiet_botocore
from storage.pennsieve.transport import Transport

if TYPE_CHECKING:
    from mypy_boto3_cognito_idp.literals import AuthFlowTypeType

OVERLOADED = frozenset(
    {"TooManyRequestsException", "InternalErrorException", "ServiceUnavailable", "Throttling"}
)


@dataclass(frozen=True, slots=True)
class Pool:
    """A Cognito user pool, as far as signing in to it goes."""

    region: str
    client_id: str


@dataclass(frozen=True, slots=True)
class Pools:
    """``people`` sign in by password in a browser, ``keys`` are API keys."""

    people: Pool
    keys: Pool

    def of_token(self, token: str) -> Pool:
        """Return the pool that issued an access token; the people's where it does not say."""
        client_id = claims(token).get("client_id")
        return self.keys if client_id == self.keys.client_id else self.people


@dataclass(frozen=True, slots=True)
class Grant:
    """What Cognito gave."""

    access: Secret
    refresh: Secret | None


def fetch_pools(transport: Transport, api: str) -> Pools:
    """Ask the platform where to sign in.

    Raises
    ------
    Rejected
        If the answer does not name both pools.
    """
    answer = transport.call("GET", f"{api}/authentication/cognito-config")
    config = answer.json()
    try:
        region = config["region"]
        people, keys = (
            Pool(str(pool.get("region") or region), str(pool["appClientId"]))
            for pool in (config["userPool"], config["tokenPool"])
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise Rejected(
            f"{answer.subject}: expected region, userPool and tokenPool with appClientId;"
            " check the address of the API"
        ) from error
    return Pools(people, keys)


def claims(token: str) -> Mapping[str, Any]:
    """Return what a JSON web token says of itself, unverified; empty where it is none."""
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    payload = parts[1] + "=" * (-len(parts[1]) % 4)
    try:
        found = json.loads(base64.urlsafe_b64decode(payload))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def sign_in(pool: Pool, flow: AuthFlowTypeType, parameters: Mapping[str, str], who: str) -> Grant:
    """Run one of Cognito's flows, without any AWS key.

    Parameters
    ----------
    pool
        Where to.
    flow, parameters
        As Cognito's ``InitiateAuth`` takes them.
    who
        What is presented, in words, for messages.

    Raises
    ------
    NotAuthorized
        If Cognito says no, or asks for more than we have.
    Unreachable
        If it does not answer, or cannot just now.
    """
    with quiet_botocore():
        import boto3
        from botocore import UNSIGNED, exceptions
        from botocore.config import Config

        config = Config(
            signature_version=UNSIGNED,
            connect_timeout=10,
            read_timeout=30,
            retries={"mode": "standard", "max_attempts": 3},
        )
        try:
            cognito = boto3.session.Session().client(
                "cognito-idp", region_name=pool.region, config=config
            )
            try:
                reply = cognito.initiate_auth(
                    ClientId=pool.client_id, AuthFlow=flow, AuthParameters=dict(parameters)
                )
            finally:
                cognito.close()
        except exceptions.ClientError as error:
            failure = _refusal(who, str(error.response.get("Error", {}).get("Code", "")))
        except (exceptions.HTTPClientError, exceptions.ConnectionError) as error:
            failure = Unreachable(
                f"sign-in: no answer from Cognito in {pool.region} ({type(error).__name__});"
                " check the network and try again"
            )
        except exceptions.BotoCoreError as error:
            failure = NotAuthorized(
                f"sign-in: boto3 cannot ask Cognito ({type(error).__name__});"
                " check the AWS settings of this machine"
            )
        else:
            result = reply.get("AuthenticationResult", {})
            access = result.get("AccessToken")
            refresh = result.get("RefreshToken")
            if access:
                return Grant(Secret(access), Secret(refresh) if refresh else None)
            failure = NotAuthorized(
                f"sign-in: Cognito took {who} and asks for"
                f" {reply.get('ChallengeName', 'more')}; sign in on the platform's page first"
            )
    # Raised out here, the error carries no context: that one would hold what was presented.
    raise failure


def _refusal(who: str, code: str) -> RemoteError:
    if code in OVERLOADED:
        return Unreachable(f"sign-in: Cognito answered {code}; try again later")
    return NotAuthorized(
        f"sign-in: Cognito refused {who} ({code}); check that it is right and still valid"
    )
