"""S3 and Cognito on this machine: moto's server with a bucket, two pools and two identities."""

from __future__ import annotations

import logging
import uuid
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import boto3
from botocore.config import Config
from moto.server import ThreadedMotoServer

REGION = "us-east-1"
PASSWORD_FLOWS = ["ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"]


@dataclass(frozen=True, slots=True)
class UserPool:
    """A Cognito pool, its app client, and the only user in it."""

    id: str
    client_id: str
    username: str
    password: str


class MotoServer:
    """Runs until it is stopped; everything in it is its own.

    ``tokens`` holds an API key with its secret and nobody else, ``people`` one person and nobody
    else, so that whoever signs in to the wrong pool is refused.
    """

    def __init__(self) -> None:
        # Its lines name signed URLs, and nobody reads them.
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._server.start()
        host, port = self._server.get_host_and_port()
        self.url = f"http://{host}:{port}"
        self.bucket = f"uploads-{uuid.uuid4().hex[:12]}"
        self.s3 = self.client("s3")
        self.s3.create_bucket(Bucket=self.bucket)
        self.cognito = self.client("cognito-idp")
        self.tokens = self._pool("tokens", str(uuid.uuid4()), f"Secret-{uuid.uuid4()}")
        self.people = self._pool("people", "ada@example.org", f"Pass-{uuid.uuid4()}")

    @property
    def environment(self) -> dict[str, str]:
        """Variables that lead boto3 and obstore here."""
        return {
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL": self.url,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    @property
    def cognito_config(self) -> dict[str, Any]:
        """What the platform tells about its pools."""
        pools = {"userPool": self.people, "tokenPool": self.tokens}
        described: dict[str, Any] = {
            name: {"region": REGION, "id": pool.id, "appClientId": pool.client_id}
            for name, pool in pools.items()
        }
        return {"region": REGION, **described, "identityPool": {"region": REGION, "id": "none"}}

    def client(self, service: str) -> Any:
        """Return a boto3 client that needs no environment."""
        session: Any = boto3.session.Session()
        return session.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
            config=Config(signature_version="s3v4", s3={"addressing_style": "path"})
            if service == "s3"
            else None,
        )

    def sign_in(self, pool: UserPool) -> dict[str, str]:
        """Return AccessToken and RefreshToken of the pool's user."""
        reply = self.cognito.initiate_auth(
            ClientId=pool.client_id,
            AuthFlow="USER_PASSWORD_AUTH",
            AuthParameters={"USERNAME": pool.username, "PASSWORD": pool.password},
        )
        result: dict[str, str] = reply["AuthenticationResult"]
        return result

    def objects(self, prefix: str = "") -> dict[str, bytes]:
        """Return the bucket's content by key."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        keys = [item["Key"] for page in pages for item in page.get("Contents", ())]
        return {key: self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read() for key in keys}

    def stop(self) -> None:
        """Close the clients and end the server."""
        self.s3.close()
        self.cognito.close()
        self._server.stop()
        if self._server._server is not None:
            self._server._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _pool(self, name: str, username: str, password: str) -> UserPool:
        pool_id = self.cognito.create_user_pool(PoolName=name)["UserPool"]["Id"]
        app = self.cognito.create_user_pool_client(
            UserPoolId=pool_id, ClientName=name, ExplicitAuthFlows=PASSWORD_FLOWS
        )
        self.cognito.admin_create_user(UserPoolId=pool_id, Username=username)
        self.cognito.admin_set_user_password(
            UserPoolId=pool_id, Username=username, Password=password, Permanent=True
        )
        return UserPool(pool_id, app["UserPoolClient"]["ClientId"], username, password)
