"""Imports: everything that the platform has to know before the first byte is sent."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from storage.chunk_format import FileEntry
from storage.errors import NotFound
from storage.folders import open_folder
from storage.pennsieve.channel_match import match
from storage.pennsieve.channels import extensions, list_channels, settle_channels
from storage.pennsieve.client import Client
from storage.pennsieve.journal import BegunImport, Journal, journal_name
from storage.pennsieve.manifests import (
    Entry,
    add_batch,
    batches,
    content_digest,
    create_import,
    entry_of,
    upload_key,
)
from storage.pennsieve.outputs import Output
from storage.pennsieve.packages import mark_as_time_series
from storage.pennsieve.presigned import presign
from storage.pennsieve.targets import Target

log = logging.getLogger(__name__)

# Stands for the id of a channel that does not exist yet; as long as a real one.
UNBORN = "N:channel:00000000-0000-0000-0000-{index:012d}"


@dataclass(frozen=True, slots=True)
class Import:
    """An import that waits for its files; holds no secret and may travel between processes.

    Parameters
    ----------
    target
        Where it goes.
    folder, journal
        URL of the output's folder, and the name of its journal in there.
    channel_ids
        The platform's id of each channel, by index.
    id, nonce
        Its id on the platform, and what the keys of its files derive from; None where
        everything is on the platform already and no import was needed.
    files, bytes
        What is still to be sent.
    """

    target: Target
    folder: str
    journal: str
    channel_ids: Mapping[int, str]
    id: str | None = None
    nonce: str | None = None
    files: int = 0
    bytes: int = 0

    @property
    def unchanged(self) -> bool:
        """Whether everything is on the platform already."""
        return self.id is None


@dataclass(frozen=True, slots=True)
class UploadPlan:
    """What an upload would do; nothing was changed to find out.

    Parameters
    ----------
    target
        Where it would go.
    created, matched, extended
        Names of the channels that would be created; that exist; and those of the latter that
        would be widened.
    files, bytes
        To be sent.
    batches
        Requests that the manifest would take.
    uploaded
        Files that are on the platform already.
    """

    target: Target
    created: tuple[str, ...]
    matched: tuple[str, ...]
    extended: tuple[str, ...]
    files: int
    bytes: int
    batches: int
    uploaded: int


def plan_upload(client: Client, target: Target, output: Output) -> UploadPlan:
    """Find out what an upload would do, without changing anything.

    Raises
    ------
    NotFound, NotAuthorized, Rejected, Unreachable
        As the platform answers.
    """
    journal = _journal(client, target, output)
    matched = match(output.channels, list_channels(client, target.package_id))
    unborn = {index: UNBORN.format(index=index) for index in matched.missing}
    pending = _pending(output.files, matched.ids | unborn, journal.confirmed)
    names = {index: str(channel.get("name")) for index, channel in output.channels.items()}
    return UploadPlan(
        target=target,
        created=tuple(names[index] for index in matched.missing),
        matched=tuple(names[index] for index in sorted(matched.found)),
        extended=tuple(names[index] for index in extensions(output.channels, matched)),
        files=len(pending),
        bytes=sum(file.bytes for _, file in pending),
        batches=len(batches([entry for entry, _ in pending])),
        uploaded=len(output.files) - len(pending),
    )


def prepare_import(client: Client, target: Target, output: Output) -> Import:
    """Make the platform ready for the files of an output.

    Sets the package's properties, matches or creates the channels, creates the import and sends
    its manifest. An import that was begun before for the same files is taken up where it stopped;
    when every file has arrived already, nothing is created or changed.

    Raises
    ------
    NotFound, NotAuthorized, Rejected, Unreachable
        As the platform answers.
    """
    journal = _journal(client, target, output)
    name, folder = journal.name, output.folder.url
    if journal.confirmed:
        matched = match(output.channels, list_channels(client, target.package_id))
        settled = not matched.missing and not extensions(output.channels, matched)
        if settled and not _pending(output.files, matched.ids, journal.confirmed):
            return Import(target, folder, name, matched.ids)
    mark_as_time_series(client, target.package_id)
    ids = settle_channels(client, target.package_id, output.channels)
    pending = _pending(output.files, ids, journal.confirmed)
    if not pending:
        return Import(target, folder, name, ids)
    begun = _resumed(client, target, output.files, ids, journal)
    if begun is None:
        begun = _created(client, target, [entry for entry, _ in pending], journal)
    return Import(
        target=target,
        folder=folder,
        journal=name,
        channel_ids=ids,
        id=begun.id,
        nonce=begun.nonce,
        files=len(pending),
        bytes=sum(file.bytes for _, file in pending),
    )


def _journal(client: Client, target: Target, output: Output) -> Journal:
    return Journal(open_folder(output.folder.url), journal_name(client.hosts, target))


def _pending(
    files: Iterable[FileEntry], ids: Mapping[int, str], arrived: Mapping[str, str]
) -> list[tuple[Entry, FileEntry]]:
    """Return the files whose content did not arrive, each with its entry."""
    entries = ((entry_of(file, ids), file) for file in files)
    return [(entry, file) for entry, file in entries if arrived.get(entry.path) != entry.digest]


def _resumed(
    client: Client,
    target: Target,
    files: Iterable[FileEntry],
    ids: Mapping[int, str],
    journal: Journal,
) -> BegunImport | None:
    """Take up the last import, if it is of the same files and the platform still knows it."""
    begun = journal.last
    if begun is None:
        return None
    entries = [entry for entry, _ in _pending(files, ids, begun.before)]
    if content_digest(entries) != begun.content:
        log.info("output differs from the last import, beginning another: %s", begun.id)
        return None
    try:
        _look_for(client, target, entries, begun, journal)
        _send_manifest(client, target, entries, begun, journal)
    except NotFound:
        log.info("the platform does not know the last import any more: %s", begun.id)
        return None
    log.info("upload taken up again: import %s", begun.id)
    return begun


def _look_for(
    client: Client,
    target: Target,
    entries: Sequence[Entry],
    begun: BegunImport,
    journal: Journal,
) -> None:
    """Ask for a URL that will be needed anyhow: NotFound if the import is gone."""
    for number, batch in enumerate(batches(entries)):
        for entry in batch if number in begun.accepted else ():
            if begun.id is not None and journal.confirmed.get(entry.path) != entry.digest:
                key = upload_key(begun.nonce, entry)
                presign(client, target.dataset_id, begun.id, key)
                return


def _created(
    client: Client, target: Target, entries: Sequence[Entry], journal: Journal
) -> BegunImport:
    begun = journal.begin(target.integration_id, content_digest(entries), len(entries))
    _send_manifest(client, target, entries, begun, journal)
    log.info("import created: %d files, import %s", len(entries), begun.id)
    return begun


def _send_manifest(
    client: Client,
    target: Target,
    entries: Sequence[Entry],
    begun: BegunImport,
    journal: Journal,
) -> None:
    for number, batch in enumerate(batches(entries)):
        if begun.id is None:
            created = create_import(client, target, begun.integration_id, begun.nonce, batch)
            journal.created(created)
        elif number not in begun.accepted:
            add_batch(client, target, begun.id, begun.nonce, batch)
            journal.accepted(number)
