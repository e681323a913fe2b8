"""Settings from the environment, read once at the edge of a process."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import platformdirs
from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, SettingsConfigDict

from storage.errors import UsageError

ADDRESS = re.compile(r"https?://[^\s@#?\\\x00-\x1f\x7f]+")
TOKEN = re.compile(r"[\x21-\x7e]{1,500}")


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


class RecordsClient(BaseSettings):
    """How a client reaches the records service.

    Parameters
    ----------
    ranvier_token
        One that ``ranvier tokens add`` gave; None where the service wants none.
    """

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    ranvier_token: SecretStr | None = None


def _first_name(setting: FieldInfo) -> str:
    names = setting.validation_alias
    if not isinstance(names, AliasChoices):
        raise TypeError(f"a setting without the name of a variable: {setting!r}")
    return str(names.choices[0])


def _variable(name: str, *others: str) -> AliasChoices:
    return AliasChoices(f"RANVIER_{name}", *others)


class _ServiceSettings(BaseSettings):
    """What the settings of each service have in common: a home, and variables of our own names.

    Fields can be given by name, too, which wins over the environment.
    """

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    home: Path = Field(
        default_factory=lambda: Path(platformdirs.user_data_dir("ranvier")),
        validation_alias=_variable("HOME"),
    )

    def __init__(self, **given: Any) -> None:
        # By the variables' names, since otherwise HOME and PORT would be taken for ours as well.
        known = type(self).model_fields
        if unknown := set(given) - set(known):
            raise TypeError(f"no such setting: {', '.join(sorted(unknown))}")
        super().__init__(**{_first_name(known[name]): value for name, value in given.items()})

    @field_validator("home")
    @classmethod
    def _absolute_home(cls, path: Path) -> Path:
        return path.expanduser().absolute()


class RecordsSettings(_ServiceSettings):
    """Where recordings rest, and how they are served.

    Everything lies under ``home`` unless a variable says otherwise. Fields can be given by name,
    too, which wins over the environment.

    Parameters
    ----------
    home
        ``RANVIER_HOME``; default the user's data folder.
    store
        ``RANVIER_STORE``: folder or ``s3://`` prefix of the samples; default ``<home>/store``.
    database_url
        ``RANVIER_DATABASE_URL``, or ``DATABASE_URL``: the catalogue; default the SQLite file
        ``<home>/catalog.db``. Secret, since it may hold a password.
    identity_key
        ``RANVIER_IDENTITY_KEY``: file with the key that seals names of people; default
        ``<home>/identity.key``.
    host, port
        ``RANVIER_RECORDS_HOST``, ``RANVIER_RECORDS_PORT``: where the service listens.
    token_required
        ``RANVIER_RECORDS_TOKEN_REQUIRED``: whether every request needs a token; None: unless the
        service listens on this machine alone.
    body_limit_mb
        ``RANVIER_RECORDS_BODY_LIMIT_MB``: largest request, in units of 1,000,000 bytes.
    window_limit_samples
        ``RANVIER_RECORDS_WINDOW_LIMIT_SAMPLES``: most samples of one answer that is not decimated.
    seconds_between_compactions
        ``RANVIER_RECORDS_SECONDS_BETWEEN_COMPACTIONS``: how often whole blocks of live recordings
        are moved from the database to the store; 0 for never.
    """

    store: str | None = Field(default=None, validation_alias=_variable("STORE"))
    database_url: SecretStr | None = Field(
        default=None, validation_alias=_variable("DATABASE_URL", "DATABASE_URL")
    )
    identity_key: Path | None = Field(default=None, validation_alias=_variable("IDENTITY_KEY"))
    host: str = Field(default="127.0.0.1", validation_alias=_variable("RECORDS_HOST"))
    port: int = Field(default=8000, ge=0, le=65535, validation_alias=_variable("RECORDS_PORT"))
    token_required: bool | None = Field(
        default=None, validation_alias=_variable("RECORDS_TOKEN_REQUIRED")
    )
    body_limit_mb: int = Field(
        default=64, ge=1, validation_alias=_variable("RECORDS_BODY_LIMIT_MB")
    )
    window_limit_samples: int = Field(
        default=2_000_000, ge=1, validation_alias=_variable("RECORDS_WINDOW_LIMIT_SAMPLES")
    )
    seconds_between_compactions: float = Field(
        default=10.0, ge=0, validation_alias=_variable("RECORDS_SECONDS_BETWEEN_COMPACTIONS")
    )

    @field_validator("identity_key")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        return None if path is None else path.expanduser().absolute()

    @field_validator("store")
    @classmethod
    def _absolute_store(cls, store: str | None) -> str | None:
        return (
            store if store is None or "://" in store else str(Path(store).expanduser().absolute())
        )

    @property
    def store_url(self) -> str:
        """Folder or ``s3://`` prefix of the samples."""
        return self.store or str(self.home / "store")

    @property
    def catalog_url(self) -> str:
        """Address of the catalogue's database, with its password if it has one: not to be shown."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{self.home / 'catalog.db'}"

    @property
    def identity_path(self) -> Path:
        """File with the key that seals names of people."""
        return self.identity_key or self.home / "identity.key"


class ViewerSettings(_ServiceSettings):
    """Where the viewer listens, and which recordings it shows.

    Fields can be given by name, too, which wins over the environment.

    Parameters
    ----------
    home
        ``RANVIER_HOME``; default the user's data folder.
    host, port
        ``RANVIER_VIEWER_HOST``, ``RANVIER_VIEWER_PORT``: where the viewer listens.
    records_url
        ``RANVIER_RECORDS_URL``: the records service.
    token
        ``RANVIER_TOKEN``: lent to whoever opens the viewer on this machine; never to others.
    montages
        ``RANVIER_VIEWER_MONTAGES``: a YAML file of montages, or a folder of such files; default
        ``<home>/montages``.
    sign_in
        ``RANVIER_VIEWER_SIGN_IN``: whether people sign in with a token of their own; None: unless
        the viewer listens on this machine alone.
    certificate, private_key
        ``RANVIER_VIEWER_CERTIFICATE``, ``RANVIER_VIEWER_PRIVATE_KEY``: PEM files for TLS.
    origin
        ``RANVIER_VIEWER_ORIGIN``: the address that people open where a proxy stands in front, such
        as ``https://eeg.example.org``; everybody then signs in.
    """

    host: str = Field(default="127.0.0.1", validation_alias=_variable("VIEWER_HOST"))
    port: int = Field(default=8050, ge=0, le=65535, validation_alias=_variable("VIEWER_PORT"))
    records_url: str = Field(
        default="http://127.0.0.1:8000", validation_alias=_variable("RECORDS_URL")
    )
    token: SecretStr | None = Field(default=None, validation_alias=_variable("TOKEN"))
    montages: Path | None = Field(default=None, validation_alias=_variable("VIEWER_MONTAGES"))
    sign_in: bool | None = Field(default=None, validation_alias=_variable("VIEWER_SIGN_IN"))
    certificate: Path | None = Field(default=None, validation_alias=_variable("VIEWER_CERTIFICATE"))
    private_key: Path | None = Field(default=None, validation_alias=_variable("VIEWER_PRIVATE_KEY"))
    origin: str | None = Field(default=None, validation_alias=_variable("VIEWER_ORIGIN"))

    @field_validator("montages", "certificate", "private_key")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        return None if path is None else path.expanduser().absolute()

    @field_validator("records_url")
    @classmethod
    def _web_address(cls, url: str) -> str:
        if "@" in url:
            raise ValueError("the address holds a name or password; give RANVIER_TOKEN instead")
        if not _is_address(url):
            raise ValueError("expected an address such as http://127.0.0.1:8000")
        return url.rstrip("/")

    @field_validator("origin")
    @classmethod
    def _origin(cls, url: str | None) -> str | None:
        if url is None:
            return None
        if "@" in url or not _is_address(url) or urlsplit(url).path not in {"", "/"}:
            raise ValueError("expected an address without a path, such as https://eeg.example.org")
        return url.rstrip("/").lower()

    @field_validator("token")
    @classmethod
    def _sendable(cls, token: SecretStr | None) -> SecretStr | None:
        if token is None:
            return None
        stripped = token.get_secret_value().strip()  # files of secrets end with a line break
        if TOKEN.fullmatch(stripped) is None:
            raise ValueError("expected a token as `ranvier tokens add` gives it, in one line")
        return SecretStr(stripped)

    @property
    def montages_path(self) -> Path:
        """A YAML file of montages, or a folder of such files."""
        return self.montages or self.home / "montages"


def _is_address(url: str) -> bool:
    """Return whether requests can go there; what is asked for is added to it."""
    import httpx  # 0.1 s, which other services do not spend

    if ADDRESS.fullmatch(url) is None:
        return False
    try:
        made, parts = httpx.URL(url), urlsplit(url)
        return bool(made.host) and parts.hostname is not None and parts.port != 0
    except (httpx.InvalidURL, ValueError):
        return False


Settings = TypeVar("Settings", bound=_ServiceSettings)


def records_settings(**given: Any) -> RecordsSettings:
    """Return the settings of the records service; see ``_read``."""
    return _read(RecordsSettings, given)


def viewer_settings(**given: Any) -> ViewerSettings:
    """Return the settings of the viewer; see ``_read``."""
    return _read(ViewerSettings, given)


def _read(kind: type[Settings], given: dict[str, Any]) -> Settings:
    """Return the settings of the environment, with those that a person gave instead.

    Parameters
    ----------
    given
        Fields by name; None for what the environment says.

    Raises
    ------
    UsageError
        If one of them is not understood.
    """
    try:
        return kind(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        name = str(first["loc"][0])
        said = first["msg"].removeprefix("Value error, ")
        raise UsageError(f"{name}: {said[:1].lower()}{said[1:]}") from None
