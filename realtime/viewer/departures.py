"""Ends what waits in vain: of a browser that has left, and of everybody once the viewer stops."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar

from starlette.types import Receive

from realtime.viewer.records_api import Unanswered

LAST_S = 4.0  # for answers that are on their way when the viewer stops: containers get 10 s in all

Found = TypeVar("Found")


class Left(Exception):
    """The browser has left; nobody reads the answer."""


class Departures:
    """Knows what waits for the records service, so that it can be given up."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Task[Any]] = set()
        self._sending: set[asyncio.Task[Any]] = set()
        self._stopping = False
        self.cut = False

    async def unless_left(self, receive: Receive, work: Coroutine[Any, Any, Found]) -> Found:
        """Return what comes of some work, which is given up when the browser leaves.

        A page drops what it no longer wants. What went on to the records service would hold one
        of few connections until it is answered, and so keep others out.

        Parameters
        ----------
        receive
            Of a request whose body has been read, or has none.

        Raises
        ------
        Left
            If the browser has left.
        Unanswered
            503 if the viewer stops.
        """
        working = asyncio.create_task(work)
        leaving = asyncio.create_task(_left(receive))
        self._waiting.add(working)
        if self._stopping:
            working.cancel()
        try:
            await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                raise Left
            if working.cancelled():
                raise Unanswered(503, "the viewer is being stopped; try again")
            return working.result()
        finally:
            self._waiting.discard(working)
            for task in (working, leaving):
                task.cancel()
            await asyncio.gather(working, leaving, return_exceptions=True)

    @contextmanager
    def sending(self) -> Iterator[None]:
        """Note that this task sends an answer, which may be long."""
        task = asyncio.current_task()
        assert task is not None
        self._sending.add(task)
        try:
            yield
        finally:
            self._sending.discard(task)

    def stop(self) -> None:
        """Give up what waits at once, and soon what is still being sent."""
        self._stopping = True
        for task in self._waiting:
            task.cancel()
        asyncio.get_running_loop().call_later(LAST_S, self._cut)

    def _cut(self) -> None:
        self.cut = True
        for task in self._sending:
            task.cancel()


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


@contextmanager
def told_to_stop(departures: Departures) -> Iterator[None]:
    """Pass the word on when the process is told to stop.

    The server itself first waits until all is answered, and tells the application afterwards.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    handlers = ((each, signal.getsignal(each)) for each in (signal.SIGINT, signal.SIGTERM))
    before = {each: handler for each, handler in handlers if callable(handler)}

    def stop(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(departures.stop)
        before[signal.Signals(number)](number, frame)

    for each in before:
        signal.signal(each, stop)
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
