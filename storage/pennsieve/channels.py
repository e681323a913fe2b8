"""The channels of a package: listed, created in one call, extended, never doubled."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from storage.errors import Rejected, Unreachable
from storage.pennsieve.channel_match import (
    Match,
    Metadata,
    RemoteChannel,
    creation,
    extension,
    match,
    read_listing,
)
from storage.pennsieve.client import Client, segment

log = logging.getLogger(__name__)


def list_channels(client: Client, package_id: str) -> list[RemoteChannel]:
    """Return every channel that the package has."""
    answer = client.call("GET", _place(client, package_id))
    return read_listing(answer.json(), answer.subject)


def settle_channels(
    client: Client, package_id: str, ours: Mapping[int, Metadata]
) -> dict[int, str]:
    """Make the platform have all our channels, each covering our data.

    Parameters
    ----------
    client, package_id
        Where.
    ours
        Channel metadata by index.

    Returns
    -------
    ids
        The platform's id of each channel, by our index.

    Raises
    ------
    Rejected
        If the platform refuses a channel, or creates others than asked for.
    Unreachable
        If it does not answer.
    """
    matched = match(ours, list_channels(client, package_id))
    extend_channels(client, package_id, ours, matched)
    if not matched.missing:
        return matched.ids
    return matched.ids | _create(client, package_id, ours, matched)


def _create(
    client: Client, package_id: str, ours: Mapping[int, Metadata], matched: Match
) -> dict[int, str]:
    """Create what is missing in one call; after an unclear end look before calling again."""
    taken = set(matched.ids.values())
    wanted = {index: ours[index] for index in matched.missing}
    have: dict[int, str] = {}
    attempt = 0
    while len(have) < len(wanted):
        attempt += 1
        lacking = {index: channel for index, channel in wanted.items() if index not in have}
        try:
            answer = client.call(
                "POST",
                _place(client, package_id),
                body=[creation(channel) for channel in lacking.values()],
                repeatable=False,
            )
        except Unreachable as failure:
            if attempt >= client.transport.patience.attempts:
                raise
            client.transport.pause(attempt, failure)
            listed = [
                remote for remote in list_channels(client, package_id) if remote.id not in taken
            ]
            have = match(wanted, listed).ids
            continue
        created = match(lacking, read_listing(answer.json(), answer.subject))
        if created.missing:
            name = lacking[created.missing[0]]["name"]
            raise Rejected(
                f"{answer.subject}: asked for {len(lacking)} channels, {len(created.found)} came"
                f" back; the first one missing is {name!r}"
            )
        have |= created.ids
        log.info("channels created: %d in %s", len(lacking), package_id)
    return have


def extend_channels(
    client: Client, package_id: str, ours: Mapping[int, Metadata], matched: Match
) -> None:
    """Widen the matched channels that do not cover our data."""
    bodies = extensions(ours, matched)

    def widen(index: int) -> None:
        place = f"{_place(client, package_id)}/{segment(matched.found[index].id)}"
        client.call("PUT", place, body=bodies[index])

    if not bodies:
        return
    with ThreadPoolExecutor(min(client.concurrency, len(bodies)), "channels") as pool:
        for _ in pool.map(widen, bodies):
            continue
    log.info("channels extended: %d in %s", len(bodies), package_id)


def extensions(ours: Mapping[int, Metadata], matched: Match) -> dict[int, dict[str, object]]:
    """Return the bodies of the channels that have to be widened, by our index."""
    bodies = {index: extension(ours[index], remote) for index, remote in matched.found.items()}
    return {index: body for index, body in bodies.items() if body is not None}


def _place(client: Client, package_id: str) -> str:
    return f"{client.hosts.api}/timeseries/{segment(package_id)}/channels"
