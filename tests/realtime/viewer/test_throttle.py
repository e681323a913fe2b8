"""Failed tries take their time; a token that works gets in behind them."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec

import pytest

from realtime.viewer import throttle as module
from realtime.viewer.throttle import AT_ONCE, MOST_ADDRESSES, TRIES, WITHIN_S, Throttle, TooMany

P = ParamSpec("P")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1e-6
        return self.now


def in_loop(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    @functools.wraps(test)
    def run(*args: P.args, **named: P.kwargs) -> None:
        asyncio.run(test(*args, **named))

    return run


async def once(throttle: Throttle, address: str = "one", failed: bool = True) -> None:
    async with throttle.turn(address) as this:
        this.failed = failed


@in_loop
async def test_what_failed_is_forgotten_after_a_minute() -> None:
    clock = Clock()
    throttle = Throttle(clock)
    for _ in range(TRIES):
        assert not throttle.slowed("one")
        await once(throttle)
    assert throttle.slowed("one")
    assert not throttle.slowed("another")
    clock.now += WITHIN_S
    assert not throttle.slowed("one")


@in_loop
async def test_what_works_does_not_count() -> None:
    throttle = Throttle(Clock())
    for _ in range(3 * TRIES):
        await once(throttle, failed=False)
    assert not throttle.slowed("one")


@in_loop
async def test_tries_side_by_side_count_before_they_have_failed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "APART_S", 0.05)
    monkeypatch.setattr(module, "PATIENCE_S", 0.4)
    throttle = Throttle()
    done, most, now = 0, 0, 0

    async def one() -> None:
        nonlocal done, most, now
        async with throttle.turn("one"):
            now += 1
            most = max(most, now)
            await asyncio.sleep(0)
            now -= 1
            done += 1

    found = await asyncio.gather(*(one() for _ in range(100)), return_exceptions=True)
    assert most <= AT_ONCE
    assert TRIES < done <= TRIES + 8
    assert sum(isinstance(each, TooMany) for each in found) == 100 - done
    # And whoever comes now, from the same address and with a token that works, gets in.
    await once(throttle, failed=False)


@in_loop
async def test_addresses_are_forgotten() -> None:
    throttle = Throttle(Clock())
    for number in range(MOST_ADDRESSES + 1):
        for _ in range(TRIES):
            await once(throttle, str(number))
    assert not throttle.slowed("0")
    assert throttle.slowed(str(MOST_ADDRESSES))
