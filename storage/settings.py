"""Settings from the environment, read once at the edge of a process."""

from __future__ import annotations

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class PennsieveKeys(BaseSettings):
    """Who we are to the Pennsieve platform; the variables are those of its container processors.

    Parameters
    ----------
    pennsieve_api_key, pennsieve_api_secret
        A key pair of a person or an integration.
    session_token, refresh_token
        Tokens that a workflow run hands to its containers; they win over the pair.
    """

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    pennsieve_api_key: SecretStr | None = None
    pennsieve_api_secret: SecretStr | None = None
    session_token: SecretStr | None = None
    refresh_token: SecretStr | None = None
