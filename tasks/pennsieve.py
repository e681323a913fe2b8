"""The steps of uploading one output. Each takes and returns references, never secrets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pydantic import SecretStr

from storage.chunk_files import Advance, silent
from storage.errors import ChannelMismatch
from storage.folders import open_folder
from storage.pennsieve.auth import Credentials
from storage.pennsieve.client import Client, Hosts, connect
from storage.pennsieve.imports import Import, UploadPlan, plan_upload
from storage.pennsieve.imports import prepare_import as prepare
from storage.pennsieve.outputs import Output, load_output
from storage.pennsieve.targets import Target
from storage.pennsieve.targets import find_target as find
from storage.pennsieve.uploads import UploadResult, upload_files
from storage.settings import PennsieveKeys
from tasks.requests import UploadRequest

Connect = Callable[[UploadRequest], Client]


@dataclass(frozen=True, slots=True)
class Claim:
    """A channel, as the platform tells channels apart, and the time that it takes up."""

    name: str
    group: str
    start_us: int
    end_us: int


def connect_by_environment(request: UploadRequest) -> Client:
    """Sign in with the keys or tokens of this process's environment."""
    return connect_with(request, PennsieveKeys())


def connect_with(request: UploadRequest, keys: PennsieveKeys) -> Client:
    """Sign in with given keys or tokens."""
    credentials = Credentials(
        api_key=_shown(keys.pennsieve_api_key),
        api_secret=_shown(keys.pennsieve_api_secret),
        session_token=_shown(keys.session_token),
        refresh_token=_shown(keys.refresh_token),
    )
    hosts = Hosts(request.api_host, request.api2_host)
    return connect(hosts, credentials, request.connections)


def _shown(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret is not None else None


def find_target(request: UploadRequest, connect: Connect = connect_by_environment) -> Target:
    """Look up where an upload is to go."""
    with connect(request) as client:
        return find(
            client,
            integration_id=request.integration_id,
            dataset=request.dataset,
            package=request.package,
        )


def plan_for(
    request: UploadRequest,
    target: Target,
    output: Output,
    connect: Connect = connect_by_environment,
) -> UploadPlan:
    """Find out what an upload would do, without changing anything."""
    with connect(request) as client:
        return plan_upload(client, target, output)


def prepare_import(
    request: UploadRequest,
    target: Target,
    output: str,
    connect: Connect = connect_by_environment,
) -> Import:
    """Create channels and manifest on the platform."""
    with connect(request) as client:
        return prepare(client, target, load_output(open_folder(output)))


def claims_of(output: str) -> tuple[Claim, ...]:
    """Return what the channels of an output will take up on the platform."""
    channels = load_output(open_folder(output)).channels.values()
    return tuple(
        Claim(
            str(channel["name"]).casefold(),
            str(channel["group"]).casefold(),
            int(channel["start"]),
            int(channel["end"]),
        )
        for channel in channels
    )


def require_unclaimed(claims: Sequence[Claim], earlier: Mapping[str, Sequence[Claim]]) -> None:
    """Refuse an output whose channels would lie upon those of another one in the same package.

    Raises
    ------
    ChannelMismatch
        If one has name, group and time of a channel of an earlier source.
    """
    taken: dict[tuple[str, str], list[tuple[Claim, str]]] = {}
    for source, others in earlier.items():
        for other in others:
            taken.setdefault((other.name, other.group), []).append((other, source))
    for claim in claims:
        for other, source in taken.get((claim.name, claim.group), ()):
            if claim.start_us <= other.end_us and other.start_us <= claim.end_us:
                raise ChannelMismatch(
                    f"channel {claim.name} of group {claim.group} has the time of one that was "
                    f"uploaded from {source}; give each file a package of its own"
                )


def file_batches(output: str, most: int | None) -> list[tuple[str, ...]]:
    """Divide the chunk files of an output into batches of at most ``most``."""
    names = [file.name for file in load_output(open_folder(output)).files]
    size = most or max(1, len(names))
    return [tuple(names[at : at + size]) for at in range(0, len(names), size)]


def upload_batch(
    request: UploadRequest,
    import_: Import,
    names: Sequence[str],
    advance: Advance = silent,
    connect: Connect = connect_by_environment,
) -> UploadResult:
    """Send those of some files that the platform does not have yet."""
    wanted = set(names)
    files = [file for file in load_output(open_folder(import_.folder)).files if file.name in wanted]
    with connect(request) as client:
        return upload_files(client, import_, files, on_file=lambda _: advance(1))
