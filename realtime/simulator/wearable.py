"""A wearable: reads a recording and posts it second by second, until everything is acknowledged."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import quote, urlencode

from realtime.simulator.chunks import DueChunk, chunks_of
from realtime.simulator.faults import FaultDice, Faults
from realtime.simulator.link import Answer, Link
from realtime.simulator.messages import binary_chunk, declaration, has_one_unit, json_chunk
from storage.errors import ProtocolViolation, RanvierError, Unreachable
from storage.protocols import RecordingSource

log = logging.getLogger(__name__)

FIRST_BACK_OFF_S = 0.05
LONGEST_BACK_OFF_S = 2.0
MOST_HELD_BACK = 8
LATENCIES = 10_000

Form = Literal["json", "binary"]


@dataclass(frozen=True, slots=True)
class Pace:
    """When chunks are due.

    Parameters
    ----------
    interval_s
        Between one second of the recording and the next that there is; 0 for no pause.
    real_time
        Whether gaps of the recording are waited for, too.
    """

    interval_s: float = 0.05
    real_time: bool = False

    def due_s(self, ordinal: int, second: int) -> float:
        """Return when a second is due, after the first one, given its place among those sent."""
        return (second if self.real_time else ordinal) * self.interval_s


@dataclass(slots=True)
class WearableReport:
    """What one device did.

    Parameters
    ----------
    chunks, samples
        Acknowledged; samples of all channels together.
    stored, duplicates
        Answers that said so; a chunk that was sent again may have been stored the first time.
    sent
        Requests with a chunk that left the device.
    dropped, doubled, reordered, delayed
        Faults that were made.
    reconnects
        Attempts after no answer came.
    p50_ms, p99_ms
        Time to an answer, of the latest ones.
    wall_s
        From the first chunk to the last answer.
    reason
        Why it stopped early; None if it did not.
    """

    recording_id: str
    patient_id: str
    chunks: int = 0
    samples: int = 0
    stored: int = 0
    duplicates: int = 0
    sent: int = 0
    dropped: int = 0
    doubled: int = 0
    reordered: int = 0
    delayed: int = 0
    reconnects: int = 0
    sealed: bool = False
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    wall_s: float = 0.0
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WearableOptions:
    """How a device sends.

    Parameters
    ----------
    pace
        When chunks are due.
    form
        JSON with physical values, or raw numbers. A rate group whose channels have several units
        goes as raw numbers in any case, since a chunk of values names one.
    patience_s
        How long the service may be silent before the device gives up.
    seal
        Whether the recording is closed for good at the end.
    """

    pace: Pace = field(default_factory=Pace)
    form: Form = "json"
    patience_s: float = 60.0
    seal: bool = False


class Wearable:
    """One device.

    Nothing is kept but the places of chunks that wait: samples are read again when they are sent
    again, so that memory does not grow with the recording or with the time without a connection.

    Parameters
    ----------
    source
        What it measures; used by this device alone.
    link
        To the service.
    patient_id, recording_id
        How the recording is to be called.
    options
        How it sends.
    dice
        Throws its faults.
    stop
        Set when it is to stop after the chunk under way.
    advance
        Told of every acknowledged chunk's number of samples, of all channels together.
    """

    def __init__(
        self,
        source: RecordingSource,
        link: Link,
        patient_id: str,
        recording_id: str,
        options: WearableOptions,
        dice: FaultDice,
        stop: threading.Event,
        advance: Callable[[int], None],
    ) -> None:
        self._source = source
        self._link = link
        self._options = options
        self._dice = dice
        self._stop = stop
        self._advance = advance
        self._latencies_s: deque[float] = deque(maxlen=LATENCIES)
        self.report = WearableReport(recording_id, patient_id)

    def run(self) -> WearableReport:
        """Declare the recording, send all of it, and say what was done.

        Errors of ours end up as the reason in the report.
        """
        began_s = time.monotonic()
        try:
            body = declaration(
                self._source.recording, self.report.patient_id, self.report.recording_id
            )
            self._insist(lambda: self._link.post("/recordings", body))
            self._send_all()
            if self._options.seal and not self._stop.is_set():
                path = f"{self._path('seal')}?{urlencode({'patient_id': self.report.patient_id})}"
                self._insist(lambda: self._link.post(path, b""))
                self.report.sealed = True
        except RanvierError as error:
            self.report.reason = str(error)
        self.report.wall_s = time.monotonic() - began_s
        self._note_latencies()
        return self.report

    def _send_all(self) -> None:
        held: deque[DueChunk] = deque()
        began_s = time.monotonic()
        ordinal, second = -1, None
        for chunk in chunks_of(self._source):
            if chunk.second != second:
                ordinal, second = ordinal + 1, chunk.second
                due_s = began_s + self._options.pace.due_s(ordinal, second)
                # An event rather than a sleep, so that stopping takes no second.
                self._stop.wait(max(0.0, due_s - time.monotonic()))
            if self._stop.is_set():
                self.report.reason = "stopped; the same command goes on where it was"
                return
            faults = self._dice.throw()
            if faults.held_back and len(held) < MOST_HELD_BACK:
                self.report.reordered += 1
                held.append(chunk)
                continue
            self._deliver(chunk, faults)
            if len(held) == MOST_HELD_BACK or (held and not self._dice.throw().held_back):
                self._deliver(held.popleft(), self._dice.throw())
        while held:
            # From the newest to the oldest, since this is the last chance to mix them.
            self._deliver(held.pop(), self._dice.throw())

    def _deliver(self, chunk: DueChunk, faults: Faults) -> None:
        body = self._body(chunk)
        receipt: Answer | None = None
        while receipt is None:
            if faults.wait_s:
                self.report.delayed += 1
                self._stop.wait(faults.wait_s)
            if faults.lost:
                self.report.dropped += 1
            else:
                answer = self._insist(lambda: self._post(chunk, body))
                if faults.answer_lost:
                    self.report.dropped += 1
                else:
                    receipt = answer
            if receipt is None:
                faults = self._dice.throw()
        if faults.twice:
            self.report.doubled += 1
            again = self._insist(lambda: self._post(chunk, body))
            if again.content.get("checksum") != receipt.content.get("checksum"):
                raise ProtocolViolation(
                    f"{self.report.recording_id}: the same chunk got two receipts, "
                    f"{receipt.content} and {again.content}"
                )
        samples = len(chunk.span) * len(self._source.recording.groups[chunk.group].channels)
        self.report.chunks += 1
        self.report.samples += samples
        self._advance(samples)

    def _is_binary(self, chunk: DueChunk) -> bool:
        group = self._source.recording.groups[chunk.group]
        return self._options.form == "binary" or not has_one_unit(group)

    def _body(self, chunk: DueChunk) -> bytes:
        if self._is_binary(chunk):
            return binary_chunk(self._source, chunk)
        return json_chunk(self._source, chunk, self.report.patient_id, self.report.recording_id)

    def _post(self, chunk: DueChunk, body: bytes) -> Answer:
        began_s = time.monotonic()
        self.report.sent += 1
        if self._is_binary(chunk):
            query = urlencode(
                {
                    "patient_id": self.report.patient_id,
                    "group": chunk.group,
                    "start_sample": chunk.start,
                    "shift_us": chunk.shift_us,
                }
            )
            digest = {"X-Content-SHA256": hashlib.sha256(body).hexdigest()}
            path = f"{self._path('chunks')}?{query}"
            answer = self._link.post(path, body, "application/octet-stream", digest)
        else:
            answer = self._link.post("/ingest", body)
        self._latencies_s.append(time.monotonic() - began_s)
        if answer.content.get("status") == "duplicate":
            self.report.duplicates += 1
        else:
            self.report.stored += 1
        return answer

    def _path(self, end: str) -> str:
        return f"/recordings/{quote(self.report.recording_id, safe='')}/{end}"

    def _insist(self, request: Callable[[], Answer]) -> Answer:
        """Make a request until it is answered, with growing pauses, while there is patience."""
        pause_s = FIRST_BACK_OFF_S
        give_up_s = time.monotonic() + self._options.patience_s
        while True:
            try:
                return request()
            except Unreachable as error:
                if time.monotonic() + pause_s > give_up_s or self._stop.is_set():
                    raise
                self.report.reconnects += 1
                log.debug("no answer, trying again in %.2f s: %s", pause_s, error)
                self._stop.wait(pause_s)
                pause_s = min(2 * pause_s, LONGEST_BACK_OFF_S)

    def _note_latencies(self) -> None:
        if self._latencies_s:
            ordered = sorted(self._latencies_s)
            self.report.p50_ms = 1e3 * ordered[len(ordered) // 2]
            self.report.p99_ms = 1e3 * ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]
