"""The hub: bounded queues, order, gap notices, and clients that disturb nobody."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from realtime.runtime.hub import FAILED, KEPT_MOST, TOO_SLOW, Client, Hub, Policy


@dataclass
class Connection:
    """Takes frames while it has room; may be stalled, closed or broken."""

    writable: bool = True
    closing: bool = False
    broken: bool = False
    written: list[bytes] = field(default_factory=list)
    closed: tuple[int, str] | None = None
    on_writable: Callable[[], None] | None = None
    room: int | None = None  # frames until it stalls by itself

    def write(self, frame: bytes) -> None:
        if self.broken:
            raise OSError("broken on purpose")
        assert not self.closed, "nothing may follow the goodbye"
        self.written.append(frame)
        if self.room is not None:
            self.room -= 1
            self.writable = self.room > 0

    def close(self, code: int, reason: str = "") -> None:
        if self.broken:
            raise OSError("broken on purpose")
        assert self.closed is None
        self.closed = (code, reason)
        self.closing = True

    def go_on(self, room: int | None = None) -> None:
        self.room = room
        self.writable = True
        if self.on_writable is not None:
            self.on_writable()


def gap(lost: int) -> bytes:
    return b"gap %d;" % lost


def publish(hub: Hub[str], *numbers: int, keep: bool = False) -> None:
    for number in numbers:
        hub.publish(lambda _, number=number: b"%d;" % number, keep=keep)  # type: ignore[misc]


def test_each_kind_is_made_once() -> None:
    hub: Hub[str] = Hub()
    made: list[str] = []
    kinds = ["json", "json", "packed", "json", "packed"]
    connections = [Connection() for _ in kinds]
    for connection, kind in zip(connections, kinds, strict=True):
        hub.join(connection, kind)

    def make(kind: str) -> bytes:
        made.append(kind)
        return kind.encode()

    hub.publish(make)
    assert sorted(made) == ["json", "packed"]
    assert [each.written for each in connections] == [[kind.encode()] for kind in kinds]
    assert connections[0].written[0] is connections[1].written[0]
    assert (len(hub), hub.published, hub.sent, hub.dropped) == (5, 1, 5, 0)


def test_nobody_listens() -> None:
    hub: Hub[str] = Hub()
    hub.publish(lambda _: pytest.fail("made for nobody"))
    assert hub.published == 1


def test_what_cannot_be_made_reaches_nobody() -> None:
    hub: Hub[str] = Hub()
    connection = Connection()
    hub.join(connection, "json")
    hub.join(Connection(), "other")

    def make(kind: str) -> bytes:
        if kind == "other":
            raise ArithmeticError("on purpose")
        return b""

    with pytest.raises(ArithmeticError):
        hub.publish(make)
    assert not connection.written
    assert (len(hub), hub.published) == (2, 0)


@pytest.mark.parametrize(("bound", "left"), [(1, [9]), (3, [7, 8, 9])])
def test_latest_drops_the_oldest(bound: int, left: list[int]) -> None:
    hub: Hub[str] = Hub()
    slow, quick = Connection(), Connection()
    client = hub.join(slow, "json", bound=bound, gap=gap)
    hub.join(quick, "json", gap=gap)
    publish(hub, 0, 1)
    slow.writable = False
    publish(hub, *range(2, 10))
    assert client.waiting == bound
    slow.go_on()
    publish(hub, 10)
    lost = 8 - bound
    told = [b"gap %d;%d;" % (lost, left[0]), *(b"%d;" % each for each in left[1:])]
    assert slow.written == [b"0;", b"1;", *told, b"10;"]
    assert quick.written == [b"%d;" % number for number in range(11)]
    assert (client.dropped, hub.dropped) == (lost, lost)


def test_a_second_run_of_losses_has_a_notice_of_its_own() -> None:
    hub: Hub[str] = Hub()
    slow = Connection(writable=False)
    hub.join(slow, "json", bound=2, gap=gap)
    publish(hub, *range(5))
    slow.go_on(room=1)
    assert slow.written == [b"gap 3;3;"]
    publish(hub, 5, 6)
    slow.go_on()
    publish(hub, 7)
    assert slow.written[1:] == [b"gap 1;5;", b"6;", b"7;"]


def test_without_a_drain_the_next_frame_brings_what_waits() -> None:
    hub: Hub[str] = Hub()
    slow = Connection(writable=False)
    hub.join(slow, "json", bound=2, gap=gap)
    publish(hub, 0, 1, 2)
    slow.writable = True
    publish(hub, 3)
    assert slow.written == [b"gap 1;1;", b"2;", b"3;"]


def test_lossless_is_cut_when_its_queue_is_full(caplog: pytest.LogCaptureFixture) -> None:
    hub: Hub[str] = Hub()
    slow, quick = Connection(), Connection()
    client = hub.join(slow, "json", policy="lossless", bound=3)
    hub.join(quick, "json", policy="lossless", bound=3)
    publish(hub, 0)
    slow.writable = False
    publish(hub, 1, 2, 3)
    assert (client.waiting, client.gone) == (3, False)
    with caplog.at_level(logging.WARNING):
        publish(hub, 4, 5)
    assert slow.closed == (TOO_SLOW, "too slow: 3 packets wait already")
    assert client.gone
    assert slow.written == [b"0;"]
    assert slow.on_writable is None
    assert quick.written == [b"%d;" % number for number in range(6)]
    assert (len(hub), hub.cut) == (1, 1)
    assert "3 packets wait already" in caplog.text


def test_lossless_loses_nothing_while_there_is_room() -> None:
    hub: Hub[str] = Hub()
    slow = Connection(writable=False)
    hub.join(slow, "json", policy="lossless", bound=3, gap=gap)
    publish(hub, 0, 1, 2)
    slow.go_on(room=2)
    publish(hub, 3, 4)
    slow.go_on()
    publish(hub, 5)
    assert slow.written == [b"%d;" % number for number in range(6)]
    assert hub.dropped == 0


def test_what_must_be_kept_is_kept_in_its_place() -> None:
    hub: Hub[str] = Hub()
    slow = Connection(writable=False)
    client = hub.join(slow, "json", bound=1, gap=gap)
    publish(hub, 0, 1)
    publish(hub, 100, keep=True)
    publish(hub, 2, 3, 4)
    assert client.waiting == 2
    slow.go_on()
    assert slow.written == [b"gap 2;100;", b"gap 2;4;"]


def test_too_much_to_keep() -> None:
    hub: Hub[str] = Hub()
    slow = Connection(writable=False)
    hub.join(slow, "json", gap=gap)
    publish(hub, *range(KEPT_MOST), keep=True)
    assert slow.closed is None
    publish(hub, KEPT_MOST, keep=True)
    assert slow.closed is not None
    assert slow.closed[0] == TOO_SLOW


def test_one_that_breaks_is_let_go(caplog: pytest.LogCaptureFixture) -> None:
    hub: Hub[str] = Hub()
    bad, worse, good = Connection(broken=True), Connection(writable=False), Connection()
    hub.join(bad, "json")

    def no_notice(_: int) -> bytes:
        raise ArithmeticError("on purpose")

    hub.join(worse, "json", gap=no_notice)
    hub.join(good, "json")
    publish(hub, 0, 1)
    assert len(hub) == 2
    worse.go_on()
    assert len(hub) == 1
    publish(hub, 2)
    assert worse.closed == (FAILED, "the server could not write to this connection")
    assert good.written == [b"0;", b"1;", b"2;"]
    assert caplog.text.count("a client's connection failed") == 2


def test_one_that_closes_gets_nothing_and_may_leave_twice() -> None:
    hub: Hub[str] = Hub()
    closed, good = Connection(), Connection()
    client = hub.join(closed, "json")
    hub.join(good, "json")
    closed.closing = True
    publish(hub, 0)
    hub.leave(client)
    hub.leave(client)
    publish(hub, 1)
    assert (closed.written, good.written) == ([], [b"0;", b"1;"])
    assert len(hub) == 1


def test_join_and_leave_while_a_frame_is_published() -> None:
    hub: Hub[str] = Hub()
    late = Connection()
    leaves = Connection()

    class Busy(Connection):
        def write(self, frame: bytes) -> None:
            super().write(frame)
            if len(self.written) == 1:
                hub.join(late, "json")
                hub.leave(client)

    busy = Busy()
    hub.join(busy, "json")
    client = hub.join(leaves, "json")
    publish(hub, 0)
    assert (leaves.written, late.written) == ([], [])
    publish(hub, 1)
    assert (busy.written, late.written) == ([b"0;", b"1;"], [b"1;"])
    assert (len(hub), hub.sent) == (2, 3)


def test_the_end_comes_after_all_that_waits() -> None:
    hub: Hub[str] = Hub()
    slow, quick, broken = Connection(writable=False), Connection(), Connection()
    gone = Connection(closing=True)
    hub.join(slow, "json", policy="lossless", bound=5)
    for each in (quick, broken, gone):
        hub.join(each, "json")
    publish(hub, 0, 1)
    broken.broken = True
    hub.close(1000, "the end")
    assert slow.written == [b"0;", b"1;"]
    assert slow.closed == quick.closed == (1000, "the end")
    assert len(hub) == 0


def test_a_queue_of_nothing() -> None:
    with pytest.raises(ValueError, match="queue of 0"):
        Hub[str]().join(Connection(), "json", bound=0)


class Listener:
    """A client with the numbers that it must get, as a plain model of the promise."""

    def __init__(self, hub: Hub[str], policy: Policy, bound: int, begin: int) -> None:
        self.connection = Connection()
        self.policy = policy
        self.bound = bound
        self.next = begin
        self.known = True  # False once it left or broke: no more is promised
        self.client: Client[str] = hub.join(
            self.connection, "json", policy=policy, bound=bound, gap=gap
        )
        self.read = 0

    def check(self) -> None:
        """Read what came since; each number once, in order, and each hole announced once."""
        for frame in self.connection.written[self.read :]:
            parts = frame.decode().split(";")[:-1]
            if len(parts) == 2:
                lost = int(parts[0].removeprefix("gap "))
                assert lost > 0
                assert self.policy == "latest"
                self.next += lost
            assert int(parts[-1]) == self.next
            self.next += 1
        self.read = len(self.connection.written)


class AnyOrder(RuleBasedStateMachine):
    """Publishing, stalling, joining, leaving, closing and breaking in any order."""

    listeners = Bundle("listeners")

    def __init__(self) -> None:
        super().__init__()
        self.hub: Hub[str] = Hub()
        self.number = 0
        self.all: list[Listener] = []

    @rule(
        target=listeners,
        policy=st.sampled_from(["latest", "lossless"]),
        bound=st.integers(1, 4),
    )
    def join(self, policy: Policy, bound: int) -> Listener:
        self.all.append(Listener(self.hub, policy, bound, self.number))
        return self.all[-1]

    @rule(count=st.integers(1, 6))
    def publish(self, count: int) -> None:
        publish(self.hub, *range(self.number, self.number + count))
        self.number += count

    @rule(one=listeners)
    def stall(self, one: Listener) -> None:
        one.connection.writable = False

    @rule(one=listeners, room=st.none() | st.integers(1, 4))
    def go_on(self, one: Listener, room: int | None) -> None:
        one.connection.go_on(room)

    @rule(one=consumes(listeners))
    def leave(self, one: Listener) -> None:
        self.hub.leave(one.client)
        one.known = False

    @rule(one=consumes(listeners))
    def close(self, one: Listener) -> None:
        one.connection.closing = True
        one.known = False

    @rule(one=consumes(listeners))
    def break_down(self, one: Listener) -> None:
        one.connection.broken = True
        one.known = False

    @invariant()
    def promises(self) -> None:
        for one in self.all:
            one.check()
            assert one.client.waiting <= one.bound
            if not one.known:
                continue
            if one.client.gone:
                assert one.policy == "lossless"
                assert one.connection.closed is not None
                assert one.connection.closed[0] == TOO_SLOW
                continue
            # What has not come is waiting, or was dropped and is still to be told.
            missing = self.number - one.next
            assert missing >= one.client.waiting
            if one.policy == "lossless" or one.client.waiting == 0:
                assert missing == one.client.waiting
            if one.connection.writable:
                assert missing == 0
            assert one.client.sent + one.client.dropped + one.client.waiting >= missing
        assert self.hub.dropped == sum(one.client.dropped for one in self.all)
        assert self.hub.sent == sum(len(one.connection.written) for one in self.all)


AnyOrder.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestAnyOrder = AnyOrder.TestCase
