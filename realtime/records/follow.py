"""Who follows a live recording learns at once that it has grown."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends
from starlette.concurrency import run_in_threadpool
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from realtime.records.access import READ, Access, Opened, opened
from realtime.records.page import seconds
from storage.catalog_rows import RecordingEntry
from storage.errors import NotAuthorized
from storage.recording_store import RecordingStore

LOOK_S = 1.0  # for what other processes append
REVOKED = 1008  # of RFC 6455: a policy is violated
SEND_S = 10.0  # a client that takes nothing for so long is let go

router = APIRouter()


class Followers:
    """Wakes those that wait for a recording; lives on one event loop.

    Nothing is queued for a slow client: it is told the newest end when it is ready.
    """

    def __init__(self) -> None:
        self._waiting: defaultdict[UUID, set[asyncio.Event]] = defaultdict(set)

    def grown(self, recording: UUID) -> None:
        """Wake everybody who follows a recording."""
        for event in self._waiting.get(recording, ()):
            event.set()

    def join(self, recording: UUID) -> asyncio.Event:
        """Return an event that is set whenever the recording grows."""
        event = asyncio.Event()
        self._waiting[recording].add(event)
        return event

    def leave(self, recording: UUID, event: asyncio.Event) -> None:
        """Forget an event."""
        self._waiting[recording].discard(event)
        if not self._waiting[recording]:
            del self._waiting[recording]

    def close(self) -> None:
        """Wake everybody, so that connections end soon."""
        for recording in list(self._waiting):
            self.grown(recording)


def state_of(store: RecordingStore, entry: RecordingEntry) -> tuple[float, bool]:
    """Return the end of a recording in seconds, and whether it is sealed."""
    now = store.catalog.refresh(entry)
    ends = [seconds(store.stop(now, group.number), group.rate) for group in store.groups(now)]
    return max(ends, default=0.0), now.sealed


@router.websocket("/recordings/{recording_id}/follow")
async def follow(socket: WebSocket, found: Annotated[Opened, Depends(opened(READ))]) -> None:
    """Send ``{"type": "appended", "end": seconds}`` now and whenever the recording grows.

    ``{"type": "sealed", "end": seconds}`` is the last message. The connection is closed with 1008
    when its token does not open the recording any more.
    """
    parts = socket.app.state.parts
    followers: Followers = parts.followers
    await socket.accept()
    grown = followers.join(found.entry.uuid)
    listening = asyncio.create_task(_until_left(socket))
    try:
        await _tell(socket, parts.store, found.entry, grown, listening)
    except (WebSocketDisconnect, TimeoutError):
        return
    finally:
        followers.leave(found.entry.uuid, grown)
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        if socket.application_state is WebSocketState.CONNECTED:
            await socket.close()


async def _tell(
    socket: WebSocket,
    store: RecordingStore,
    entry: RecordingEntry,
    grown: asyncio.Event,
    listening: asyncio.Task[None],
) -> None:
    told: float | None = None
    access: Access = socket.app.state.parts.access
    while not listening.done():
        if not await _still_open(access, socket, entry):
            await socket.close(REVOKED, "the token does not open this recording any more")
            return
        grown.clear()
        end, sealed = await run_in_threadpool(state_of, store, entry)
        if end != told or sealed:
            told = end
            await _send(socket, {"type": "sealed" if sealed else "appended", "end": end})
        if sealed:
            return
        waiting = asyncio.create_task(grown.wait())
        try:
            await asyncio.wait(
                (waiting, listening), timeout=LOOK_S, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            waiting.cancel()


async def _still_open(access: Access, socket: WebSocket, entry: RecordingEntry) -> bool:
    try:
        caller = await access.caller(socket)
    except NotAuthorized:
        return False
    return caller.may(READ) and caller.sees(entry.patient)


async def _send(socket: WebSocket, message: dict[str, Any]) -> None:
    async with asyncio.timeout(SEND_S):
        await socket.send_json(message)


async def _until_left(socket: WebSocket) -> None:
    """Read, and ignore, what the client says, until it leaves."""
    try:
        while True:
            await socket.receive_text()
    except (WebSocketDisconnect, RuntimeError, KeyError):
        return
