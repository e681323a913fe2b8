"""The door for live chunks: one thread writes, and many chunks share a commit.

Order of writes, which is what makes an answer a promise:

1. The request's thread hashes each chunk and puts it into a bounded queue.
2. The writer thread takes all that waits (up to a limit) and opens one writing transaction. In
   it, a chunk that is new gets its row in the recording's chain, its row in ``chunk`` and its
   samples in ``chunk_body``: all three or none.
3. The transaction commits. SQLite writes it to the log and syncs the log (``synchronous=FULL``);
   PostgreSQL syncs its own (``synchronous_commit``).
4. Only then the futures resolve.

A process that dies between 3 and 4 leaves chunks behind that nobody was told of. The client sends
them again, and the same content for the same span gets the receipt of the first time.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import Self

from storage.audit import chunk_digest
from storage.catalog import Catalog
from storage.errors import Busy, RanvierError, StorageError, UsageError
from storage.ingest_commit import Answer, Commit, NewChunk, Offer, Receipt

__all__ = ["Answer", "Appender", "NewChunk", "Receipt"]

MOST_CHUNKS = 256
MOST_BYTES = 16 * 1024 * 1024
WAITING_CHUNKS = 8192
WAITING_BYTES = 256 * 1024 * 1024
TRIES = 2
FARTHEST = 2**62

log = logging.getLogger(__name__)


class _Request:
    """What one call of ``append`` waits for."""

    def __init__(self, answers: list[Answer | None]) -> None:
        self.future: Future[list[Answer]] = Future()
        self.future.set_running_or_notify_cancel()
        self.answers = answers
        self.missing = sum(answer is None for answer in answers)

    def answer(self, place: int, answer: Answer) -> None:
        """Take the answer to one of its chunks."""
        self.answers[place] = answer
        self.missing -= 1
        self.resolve()

    def resolve(self) -> None:
        """Resolve the future if nothing is missing."""
        if not self.missing and not self.future.done():
            self.future.set_result([one for one in self.answers if one is not None])

    def fail(self, error: BaseException) -> None:
        """Give up."""
        if not self.future.done():
            self.future.set_exception(error)


class Appender:
    """Takes chunks in, durably and once; may be used by many threads.

    Parameters
    ----------
    most_chunks, most_bytes
        Of one transaction.
    waiting_chunks, waiting_bytes
        How much may wait; beyond that ``append`` says ``Busy``.
    """

    def __init__(
        self,
        catalog: Catalog,
        *,
        most_chunks: int = MOST_CHUNKS,
        most_bytes: int = MOST_BYTES,
        waiting_chunks: int = WAITING_CHUNKS,
        waiting_bytes: int = WAITING_BYTES,
    ) -> None:
        self._catalog = catalog
        self._most_chunks, self._most_bytes = most_chunks, most_bytes
        self._limit_chunks, self._limit_bytes = waiting_chunks, waiting_bytes
        self._queue: deque[tuple[Offer, _Request, int]] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closing = False
        self._broken: BaseException | None = None

    @property
    def waiting(self) -> tuple[int, int]:
        """Chunks and bytes that wait to be written."""
        return len(self._queue), self._bytes

    def append(self, chunks: Sequence[NewChunk]) -> Future[list[Answer]]:
        """Take chunks in; the answers come in their order, once all of them are durable.

        A chunk that is refused has its error as an answer, and does not stop the others.

        Raises
        ------
        Busy
            If too much waits already, or the appender is closing.
        """
        answers: list[Answer | None] = [_refusal(one) for one in chunks]
        offers = [
            (Offer(one, _digest(one)), place)
            for place, one in enumerate(chunks)
            if answers[place] is None
        ]
        request = _Request(answers)
        request.resolve()
        size = sum(len(offer.chunk.body) for offer, _ in offers)
        with self._changed:
            if self._broken is not None:
                raise StorageError(
                    f"the thread that writes chunks has ended ({self._broken}); restart"
                ) from self._broken
            if self._closing:
                raise Busy("chunks are not taken any more: the store is closing; try again later")
            if (
                offers
                and self._queue
                and (
                    len(self._queue) + len(offers) > self._limit_chunks
                    or self._bytes + size > self._limit_bytes
                )
            ):
                raise Busy(
                    f"{len(self._queue)} chunks of {self._bytes} bytes wait to be written; "
                    "try again in a moment"
                )
            self._queue.extend((offer, request, place) for offer, place in offers)
            self._bytes += size
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="ranvier-append")
                self._thread.start()
            self._changed.notify()
        return request.future

    def close(self) -> None:
        """Write what waits, then end; no chunk is taken from now on."""
        with self._changed:
            self._closing = True
            self._changed.notify()
            thread = self._thread
        if thread is not None:
            thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _run(self) -> None:
        taken: list[tuple[Offer, _Request, int]] = []
        try:
            while taken := self._take():
                self._write(taken)
        except BaseException as error:
            with self._changed:
                self._broken = error
                left = [*taken, *self._queue]
                self._queue.clear()
                self._bytes = 0
            for _, request, _ in left:
                failure = StorageError(f"the thread that writes chunks has ended: {error}")
                failure.__cause__ = error
                request.fail(failure)
            raise

    def _take(self) -> list[tuple[Offer, _Request, int]]:
        """Return what waits, as much as one transaction may hold; nothing at the end."""
        with self._changed:
            while not self._queue and not self._closing:
                self._changed.wait()
            taken: list[tuple[Offer, _Request, int]] = []
            size = 0
            while self._queue and len(taken) < self._most_chunks:
                size += len(self._queue[0][0].chunk.body)
                if taken and size > self._most_bytes:
                    break
                taken.append(self._queue.popleft())
            self._bytes -= sum(len(offer.chunk.body) for offer, _, _ in taken)
            return taken

    def _write(self, taken: list[tuple[Offer, _Request, int]]) -> None:
        try:
            answers = self._commit([offer for offer, _, _ in taken])
        except Exception as error:
            # Those who wait for these chunks are told; others come, and are served.
            log.exception("%d chunks could not be written", len(taken))
            failure = StorageError(f"{len(taken)} chunks could not be written: {error!r}")
            failure.__cause__ = error
            for _, request, _ in taken:
                request.fail(failure)
            return
        for (_, request, place), answer in zip(taken, answers, strict=True):
            request.answer(place, answer)

    def _commit(self, offers: list[Offer]) -> list[Answer]:
        for left in reversed(range(TRIES)):
            try:
                with self._catalog.writing() as connection:
                    answers = Commit(connection, offers).run()
            except StorageError as error:
                # Lost connections and races: what was committed after all is found as such.
                if left and isinstance(error, Busy):
                    continue
                if len(offers) == 1:
                    return [error]
                # One of them may be at fault, and the others shall not suffer from it.
                return self._one_by_one(offers, error)
            else:
                return answers
        raise AssertionError("unreachable")

    def _one_by_one(self, offers: list[Offer], error: StorageError) -> list[Answer]:
        if isinstance(error, Busy):
            return [error] * len(offers)
        return [self._commit([offer])[0] for offer in offers]


def _digest(new: NewChunk) -> str:
    group = new.group
    return chunk_digest(
        new.entry.uuid,
        group.number,
        group.keys,
        group.dtype.name,
        new.start,
        new.n_samples,
        new.body,
    )


def _refusal(new: NewChunk) -> RanvierError | None:
    """Return why a chunk cannot be taken whatever is stored, or None."""
    group = new.group
    where = f"recording {new.entry.name!r}, group {group.number}"
    if group.recording_id != new.entry.id:
        return UsageError(f"{where}: the group belongs to another recording")
    if new.start < 0 or new.n_samples < 1 or new.start + new.n_samples > FARTHEST:
        return UsageError(
            f"{where}: {new.n_samples} samples from {new.start}; expected at least one, from 0 on"
        )
    if not -FARTHEST < new.shift_us < FARTHEST:
        return UsageError(f"{where}: a shift of {new.shift_us} us; check the time of the chunk")
    if not new.source.isprintable():
        return UsageError(f"{where}: source {new.source!r}; expected printable characters")
    if new.n_samples > group.block_samples:
        return UsageError(
            f"{where}: a chunk of {new.n_samples} samples; send at most {group.block_samples} at "
            "once"
        )
    expected = new.n_samples * group.bytes_per_sample
    if len(new.body) != expected:
        return UsageError(
            f"{where}: {len(new.body)} bytes for {new.n_samples} samples of {len(group.channels)} "
            f"channels in {group.dtype}; expected {expected}"
        )
    return None
