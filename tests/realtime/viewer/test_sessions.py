"""Sessions end, are bounded, and cannot be guessed; failed tries have to wait."""

from __future__ import annotations

from realtime.viewer import sessions
from realtime.viewer.sessions import IDLE_S, TRIES, WITHIN_S, Sessions, Throttle


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


def test_failed_tries_have_to_wait() -> None:
    clock = Clock()
    throttle = Throttle(clock)
    for _ in range(TRIES):
        assert throttle.wait_s("one") == 0
        throttle.note("one")
        clock.now += 1
    assert throttle.wait_s("one") == WITHIN_S - TRIES
    assert throttle.wait_s("another") == 0
    clock.now += WITHIN_S - TRIES
    assert throttle.wait_s("one") == 0


def test_addresses_are_forgotten() -> None:
    throttle = Throttle(Clock())
    for number in range(2 * sessions.MOST_ADDRESSES):
        for _ in range(TRIES):
            throttle.note(str(number))
    assert throttle.wait_s("0") == 0
    assert throttle.wait_s(str(2 * sessions.MOST_ADDRESSES - 1)) > 0
