"""The word that a live recording has grown, passed on from the records API."""

from __future__ import annotations

import asyncio
import contextlib

from fastapi import APIRouter
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from realtime.runtime.problems import Problem
from realtime.viewer.callers import Callers
from realtime.viewer.passable import passable, target_of
from realtime.viewer.records_api import CONNECT_S, RecordsApi

LONGEST_MESSAGE = 64_000
# Of RFC 6455, and of the registry that it founded.
GOING_AWAY, POLICY, TRY_LATER = 1001, 1008, 1013
NEVER_SENT = {None, 1005, 1006, 1015}  # they only say that there was no code

LONGEST_REASON = 120  # bytes; a frame that closes takes 123

router = APIRouter()


class _Straight(connect):
    """Goes where it is sent, and nowhere else."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        """Take a redirect as what it is here: not the answer that was asked for."""
        return exc


@router.websocket("/api/{path:path}")
async def follow(socket: WebSocket) -> None:
    """Connect to the records API and say what it says, until one side leaves.

    Closed with 1008 if the recording is not open to who asks, and with 1013 if the records API
    cannot be reached.
    """
    path, target = target_of(socket.scope["raw_path"], socket.scope["query_string"])
    if not passable("FOLLOW", path):
        await socket.close(POLICY)  # before it is accepted: the answer is 403
        return
    callers: Callers = socket.app.state.callers
    records: RecordsApi = socket.app.state.records
    await socket.accept()
    try:
        source = await _Straight(
            records.socket_url(target),
            additional_headers=callers.authorization(socket),
            open_timeout=CONNECT_S,
            max_size=LONGEST_MESSAGE,
            compression=None,
            proxy=None,
            ssl=records.tls(),
        )
    except Problem:
        await socket.close(POLICY, "sign in first")
    except InvalidStatus as error:
        status = error.response.status_code
        if status == 401:
            callers.end(socket)
        if 400 <= status < 500:
            await socket.close(POLICY, "this recording cannot be followed")
        else:
            await socket.close(TRY_LATER, f"the records service answered {status}")
    # What they say may hold the token.
    except (InvalidHandshake, InvalidURI, ConnectionClosed):
        await socket.close(TRY_LATER, "the records service could not be followed")
    except (OSError, TimeoutError) as error:
        await socket.close(TRY_LATER, _reason(str(records.unanswered(error))))
    else:
        async with source:
            await _until_either_left(socket, source, callers)


def _reason(said: str) -> str:
    return said.encode()[:LONGEST_REASON].decode(errors="ignore")


async def _until_either_left(socket: WebSocket, source: ClientConnection, callers: Callers) -> None:
    leaving = asyncio.create_task(_until_left(socket))
    telling = asyncio.create_task(_tell(source, socket, callers))
    try:
        await asyncio.wait((leaving, telling), return_when=asyncio.FIRST_COMPLETED)
        left = leaving.done()
    finally:
        for task in (leaving, telling):
            task.cancel()
        await asyncio.gather(leaving, telling, return_exceptions=True)
    if not left:
        code = GOING_AWAY if source.close_code in NEVER_SENT else source.close_code
        with contextlib.suppress(RuntimeError, WebSocketDisconnect):
            await socket.close(code or GOING_AWAY, source.close_reason)


async def _tell(source: ClientConnection, socket: WebSocket, callers: Callers) -> None:
    with contextlib.suppress(ConnectionClosed, WebSocketDisconnect, RuntimeError):
        async for message in source:
            if callers.required and not callers.signed_in(socket):
                await source.close(POLICY, "sign in first")  # signed out meanwhile
                return
            await socket.send_text(message if isinstance(message, str) else message.decode())


async def _until_left(socket: WebSocket) -> None:
    """Read, and ignore, what the page says, until it leaves."""
    with contextlib.suppress(WebSocketDisconnect, RuntimeError, KeyError):
        while True:
            await socket.receive_text()
