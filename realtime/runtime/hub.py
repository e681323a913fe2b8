"""One publisher, many clients: each frame is made once, and each client has a bounded queue."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Hashable
from typing import Generic, Literal, Protocol, TypeVar

Policy = Literal["latest", "lossless"]
TOO_SLOW = 1013  # of the registry that RFC 6455 began: try again later
FAILED = 1011  # of RFC 6455: the server met a condition that it did not expect
KEPT_MOST = 8  # frames that may not be dropped, waiting for one client

Kind = TypeVar("Kind", bound=Hashable)

log = logging.getLogger(__name__)


class Outlet(Protocol):
    """Where the frames of one client go; a ``DirectConnection`` is one."""

    on_writable: Callable[[], None] | None

    @property
    def writable(self) -> bool:
        """Whether a frame would go out soon."""
        ...

    @property
    def closing(self) -> bool:
        """Whether nothing can be written any more."""
        ...

    def write(self, frame: bytes) -> None:
        """Take a frame without waiting."""
        ...

    def close(self, code: int, reason: str = "") -> None:
        """Say goodbye after all that was written."""
        ...


class _Waiting:
    """A frame in a client's queue."""

    __slots__ = ("frame", "keep", "lost")

    def __init__(self, frame: bytes, keep: bool, lost: int) -> None:
        self.frame = frame
        self.keep = keep
        self.lost = lost  # frames that were dropped just before this one


class Client(Generic[Kind]):
    """One who listens; made by ``Hub.join``.

    Attributes
    ----------
    outlet
        Where its frames go.
    kind
        Of the frames it gets.
    policy
        ``latest``: when its queue is full, the oldest frame is dropped. ``lossless``: it is cut.
    sent, dropped : int
        Frames so far.
    gone : bool
        Whether it gets nothing any more.
    """

    def __init__(
        self,
        outlet: Outlet,
        kind: Kind,
        policy: Policy,
        bound: int,
        gap: Callable[[int], bytes],
    ) -> None:
        self.kind = kind
        self.policy = policy
        self.sent = 0
        self.dropped = 0
        self.gone = False
        self.outlet = outlet
        self._bound = bound
        self._gap = gap
        self._queue: deque[_Waiting] = deque()
        self._droppable = 0  # of those in the queue

    @property
    def waiting(self) -> int:
        """Frames in its queue."""
        return len(self._queue)

    def offer(self, frame: bytes, keep: bool) -> str | None:
        """Send a frame or queue it; return why the client must be cut, if so."""
        if self._queue:
            self.send_waiting()
        if self._queue or not self.outlet.writable:
            return self._append(frame, keep)
        self.outlet.write(frame)
        self.sent += 1
        return None

    def send_waiting(self, *, at_once: bool = False) -> None:
        """Send what waits, while there is room or, at the end, whether there is or not."""
        while self._queue and (at_once or self.outlet.writable):
            first = self._queue.popleft()
            self._droppable -= not first.keep
            # In one piece, so that nothing can be dropped between the notice and the frame.
            told = self._gap(first.lost) if first.lost else b""
            self.outlet.write(told + first.frame)
            self.sent += 1

    def forget(self) -> None:
        """Drop the queue for good."""
        self.gone = True
        self.dropped += len(self._queue)
        self._queue.clear()
        self._droppable = 0
        self.outlet.on_writable = None

    def _append(self, frame: bytes, keep: bool) -> str | None:
        if keep:
            if len(self._queue) - self._droppable == KEPT_MOST:
                return f"{KEPT_MOST} messages that may not be dropped wait already"
            self._queue.append(_Waiting(frame, keep, 0))
            return None
        lost = 0
        if self._droppable == self._bound:
            if self.policy == "lossless":
                return f"{self._bound} packets wait already"
            lost = self._drop_oldest()
        self._queue.append(_Waiting(frame, keep, lost))
        self._droppable += 1
        return None

    def _drop_oldest(self) -> int:
        """Drop the oldest frame that may be; return what the one to come must tell of it."""
        place = next(i for i, each in enumerate(self._queue) if not each.keep)
        lost = self._queue[place].lost + 1
        del self._queue[place]
        self._droppable -= 1
        self.dropped += 1
        if place == len(self._queue):
            return lost
        self._queue[place].lost += lost
        return 0


class Hub(Generic[Kind]):
    """Gives each frame to all who listen; used on one event loop, and never waits for anybody.

    A client that fails, in whatever way, is let go; the others notice nothing.

    Attributes
    ----------
    published, sent, dropped, cut : int
        Frames published, frames given to clients, frames dropped on the way to one client, and
        clients that were let go for being slow; so far.
    """

    def __init__(self) -> None:
        self._clients: tuple[Client[Kind], ...] = ()
        self.published = 0
        self.cut = 0
        self._sent_before = 0  # to clients that are gone
        self._dropped_before = 0

    def __len__(self) -> int:
        return len(self._clients)

    @property
    def clients(self) -> tuple[Client[Kind], ...]:
        """Those who listen."""
        return self._clients

    @property
    def sent(self) -> int:
        """Frames given to clients."""
        return self._sent_before + sum(client.sent for client in self._clients)

    @property
    def dropped(self) -> int:
        """Frames dropped on the way to one client."""
        return self._dropped_before + sum(client.dropped for client in self._clients)

    def join(
        self,
        outlet: Outlet,
        kind: Kind,
        *,
        policy: Policy = "latest",
        bound: int = 1,
        gap: Callable[[int], bytes] = lambda _: b"",
    ) -> Client[Kind]:
        """Let somebody listen from the next frame on.

        Parameters
        ----------
        outlet
            Where the frames go.
        kind
            Which frames, such as the name of a format.
        policy
            What happens when its queue is full.
        bound
            Frames in its queue at most; what the outlet itself holds comes on top.
        gap
            Makes the notice that goes before the first frame after a run of dropped ones, from
            their number.

        Raises
        ------
        ValueError
            If the queue is to hold nothing.
        """
        if bound < 1:
            raise ValueError(f"a queue of {bound} frames; it must hold 1 at least")
        client = Client(outlet, kind, policy, bound, gap)
        outlet.on_writable = lambda: self._send_waiting(client)
        self._clients = (*self._clients, client)
        return client

    def leave(self, client: Client[Kind]) -> None:
        """Send nothing more to a client; a second time changes nothing."""
        if client.gone:
            return
        client.forget()
        self._clients = tuple(each for each in self._clients if each is not client)
        self._sent_before += client.sent
        self._dropped_before += client.dropped

    def publish(self, make: Callable[[Kind], bytes], *, keep: bool = False) -> None:
        """Give the next frame to all who listen now.

        Parameters
        ----------
        make
            Makes the frame of a kind; called once for each kind that somebody listens to. What it
            raises goes to the caller, and nobody gets anything.
        keep
            Whether the frame may not be dropped, such as one that says how to read the next.
        """
        clients = self._clients
        frames = {kind: make(kind) for kind in {client.kind for client in clients}}
        self.published += 1
        for client in clients:
            if client.gone:
                continue
            try:
                if client.outlet.closing:
                    continue
                refused = client.offer(frames[client.kind], keep)
            except Exception:
                log.exception("a client's connection failed")
                self._let_go(client, FAILED, "the server could not write to this connection")
                continue
            if refused is not None:
                self.cut += 1
                log.warning("client cut, too slow: %s", refused)
                self._let_go(client, TOO_SLOW, f"too slow: {refused}")

    def close(self, code: int, reason: str) -> None:
        """Let all go with a reason, after what waits for them."""
        for client in self._clients:
            if not client.outlet.closing:
                self._send_waiting(client, at_once=True)
            self._let_go(client, code, reason)

    def _send_waiting(self, client: Client[Kind], *, at_once: bool = False) -> None:
        try:
            client.send_waiting(at_once=at_once)
        except Exception:
            log.exception("a client's connection failed")
            self._let_go(client, FAILED, "the server could not write to this connection")

    def _let_go(self, client: Client[Kind], code: int, reason: str) -> None:
        if client.gone:
            return
        self.leave(client)
        try:
            client.outlet.close(code, reason)
        except Exception:
            log.exception("a client could not be told why it was let go")
