"""Uploads: many files at once, each verified, sent, confirmed and noted."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from queue import SimpleQueue

from storage.chunk_format import FileEntry
from storage.errors import RanvierError, UsageError
from storage.folders import Folder, open_folder
from storage.pennsieve.client import Client
from storage.pennsieve.imports import Import
from storage.pennsieve.journal import Journal
from storage.pennsieve.manifests import entry_of, upload_key
from storage.pennsieve.presigned import deliver

log = logging.getLogger(__name__)

BYTES_IN_MEMORY = 128 << 20
FAILURES_NAMED = 5
LEAST_FAILURES_IN_A_ROW = 20


@dataclass(frozen=True, slots=True)
class UploadResult:
    """Files sent now, files that had arrived before, and the bytes of the former."""

    sent: int
    skipped: int
    bytes: int


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What became of one file; ``error`` is None once it arrived."""

    file: FileEntry
    error: Exception | None


def upload_files(
    client: Client,
    import_: Import,
    files: Iterable[FileEntry],
    on_file: Callable[[FileEntry], None] | None = None,
) -> UploadResult:
    """Send the files of an import that have not arrived yet.

    Parameters
    ----------
    client
        Connection; as many files are under way at once as it has connections, and at most 128 MiB
        of them are in memory.
    import_
        What :func:`prepare_import` returned.
    files
        All files of the output, or some of them. Calls for parts of one output may run at the same
        time while the output is a local folder; in a bucket its journal takes one call at a time.
    on_file
        Called in the caller's thread with each file that has arrived, now or before. If it
        raises, the upload ends, and the client makes no further tries for anyone.

    Raises
    ------
    RanvierError
        If files failed for good, after all others were tried; names them. Of the class of the
        failures, so that it is retryable when they are. When everything fails in a row, the
        rest is not tried.
    UsageError
        If the import is of other files.
    """
    folder = open_folder(import_.folder)
    journal = Journal(folder, import_.journal)
    waiting: list[FileEntry] = []
    skipped = 0
    for file in files:
        entry = entry_of(file, import_.channel_ids)
        if journal.confirmed.get(entry.path) != entry.digest:
            waiting.append(file)
            continue
        skipped += 1
        if on_file is not None:
            on_file(file)
    if not waiting:
        return UploadResult(0, skipped, 0)
    errand = _Errand(client, import_, folder, journal)
    failed: list[_Outcome] = []
    sent, sent_bytes = 0, 0
    # Closed at once when the caller's function raises, not whenever its traceback is dropped.
    with closing(errand.run(waiting)) as outcomes:
        for outcome in outcomes:
            if outcome.error is not None:
                log.warning("upload failed: %s: %s", outcome.file.name, outcome.error)
                failed.append(outcome)
                continue
            sent += 1
            sent_bytes += outcome.file.bytes
            if on_file is not None:
                on_file(outcome.file)
    if failed:
        raise _failure(failed, len(waiting) - sent - len(failed), len(waiting))
    log.info("upload done: %d sent, %d had arrived before: %s", sent, skipped, import_.id)
    return UploadResult(sent, skipped, sent_bytes)


def _failure(failed: list[_Outcome], untried: int, total: int) -> RanvierError:
    """Return one error for all failed files; not retryable as soon as one of them is not."""
    errors = [outcome.error for outcome in failed if isinstance(outcome.error, RanvierError)]
    first = next((error for error in errors if not error.retryable), errors[0])
    named = ", ".join(outcome.file.name for outcome in failed[:FAILURES_NAMED])
    more = f" and {len(failed) - FAILURES_NAMED} more" if len(failed) > FAILURES_NAMED else ""
    rest = f", {untried} not tried since nothing got through" if untried else ""
    return type(first)(
        f"{len(failed)} of {total} files were not uploaded{rest}: {named}{more}; {first};"
        " a further run sends only what is missing"
    )


class _Errand:
    """The threads of one upload and what they share."""

    def __init__(self, client: Client, import_: Import, folder: Folder, journal: Journal) -> None:
        if import_.id is None or import_.nonce is None:
            raise UsageError(
                f"{import_.folder}: nothing was to be uploaded when the import was prepared, and"
                " files have changed since; prepare it again"
            )
        self._client = client
        self._import = import_
        self._import_id = import_.id
        self._nonce = import_.nonce
        self._folder = folder
        self._journal = journal
        self._memory = _Memory(BYTES_IN_MEMORY)
        self._stop = threading.Event()
        self._turn = threading.Lock()

    def run(self, files: list[FileEntry]) -> Generator[_Outcome]:
        """Yield what became of each file, as it becomes known."""
        todo = iter(files)
        outcomes: SimpleQueue[_Outcome | None] = SimpleQueue()
        threads = min(self._client.concurrency, len(files))
        patience = max(LEAST_FAILURES_IN_A_ROW, 2 * threads)
        in_a_row = 0
        with ThreadPoolExecutor(threads, "upload") as pool:
            for _ in range(threads):
                pool.submit(self._work, todo, outcomes)
            running = threads
            try:
                while running:
                    outcome = outcomes.get()
                    if outcome is None:
                        running -= 1
                        continue
                    if outcome.error is not None and not isinstance(outcome.error, RanvierError):
                        raise outcome.error
                    in_a_row = 0 if outcome.error is None else in_a_row + 1
                    if in_a_row >= patience:
                        self._stop.set()
                    yield outcome
            except BaseException:
                # The caller gives up: do not make it wait for back-offs that nobody needs.
                self._stop.set()
                self._client.transport.stop()
                raise

    def _work(self, todo: Iterator[FileEntry], outcomes: SimpleQueue[_Outcome | None]) -> None:
        try:
            while not self._stop.is_set():
                with self._turn:
                    file = next(todo, None)
                if file is None:
                    break
                outcomes.put(_Outcome(file, self._error_of(file)))
        finally:
            outcomes.put(None)

    def _error_of(self, file: FileEntry) -> Exception | None:
        try:
            self._send(file)
        except Exception as error:  # noqa: BLE001 - the thread that waits for it raises it
            return error
        return None

    def _send(self, file: FileEntry) -> None:
        entry = entry_of(file, self._import.channel_ids)
        with self._memory.hold(file.bytes):
            content = self._folder.read(file.name)
            file.check(self._folder.url, content)
            receipt = deliver(
                self._client,
                self._import.target.dataset_id,
                self._import_id,
                upload_key(self._nonce, entry),
                content,
            )
        self._journal.confirm(
            entry.path, entry.digest, file.bytes, receipt.confirmed_by, receipt.etag
        )
        log.debug("uploaded: %s, confirmed by %s", file.name, receipt.confirmed_by)


class _Memory:
    """Bounds the bytes of the files that are in memory at once; a larger file goes alone."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._free = limit
        self._changed = threading.Condition()

    @contextmanager
    def hold(self, size: int) -> Iterator[None]:
        """Wait until there is room, and keep it."""
        share = min(size, self._limit)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= share)
            self._free -= share
        try:
            yield
        finally:
            with self._changed:
                self._free += share
                self._changed.notify_all()
