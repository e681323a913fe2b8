"""Sessions end, are bounded, and cannot be guessed."""

from __future__ import annotations

from realtime.viewer import sessions
from realtime.viewer.sessions import IDLE_S, LONGEST_S, Sessions


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_session_keeps_its_token_until_it_is_closed() -> None:
    kept = Sessions()
    one, other = kept.open("a"), kept.open("a")
    assert one != other
    assert len(one) >= 43  # 256 bits
    assert kept.token(one) == "a"
    kept.close(one)
    kept.close(one)
    kept.close(None)
    assert kept.token(one) is None
    assert kept.token(other) == "a"
    assert kept.token(None) is None
    assert kept.token("") is None
    assert kept.token("guessed") is None


def test_a_session_ends_when_nobody_uses_it() -> None:
    clock = Clock()
    kept = Sessions(clock)
    name = kept.open("a")
    for _ in range(3):
        clock.now += IDLE_S - 1
        assert kept.token(name) == "a"
    clock.now += IDLE_S + 1
    assert kept.token(name) is None
    clock.now = 0
    assert kept.token(name) is None


def test_the_longest_idle_makes_room() -> None:
    kept = Sessions()
    names = [kept.open(str(number)) for number in range(sessions.MOST)]
    assert kept.token(names[0]) == "0"
    kept.open("more")
    assert kept.token(names[0]) == "0"
    assert kept.token(names[1]) is None


def test_a_session_ends_though_somebody_uses_it() -> None:
    clock = Clock()
    kept = Sessions(clock)
    name = kept.open("a")
    while clock.now + IDLE_S / 2 <= LONGEST_S:
        clock.now += IDLE_S / 2
        assert kept.token(name) == "a"
    clock.now += IDLE_S / 2
    assert kept.token(name) is None


def test_nobody_signs_all_others_out() -> None:
    kept = Sessions()
    other = kept.open("of another")
    mine = [kept.open("mine") for _ in range(2 * sessions.MOST)]
    assert kept.token(other) == "of another"
    standing = [name for name in mine if kept.token(name)]
    assert standing == mine[-sessions.MOST_OF_ONE :]
