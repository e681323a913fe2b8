"""Faults come as often as they were asked for, and the same with the same seed."""

from __future__ import annotations

import pytest

from realtime.simulator.faults import LONGEST_DELAY_S, FaultDice, FaultRates, Faults
from storage.errors import UsageError


def thrown(rates: FaultRates, seed: int, device: int = 0) -> list[object]:
    dice = FaultDice(rates, seed, device)
    return [dice.throw() for _ in range(2000)]


def test_equal_seeds_give_equal_faults_and_devices_differ() -> None:
    rates = FaultRates(drop=0.3, duplicate=0.3, reorder=0.3, delay=0.3)
    assert thrown(rates, 7) == thrown(rates, 7)
    assert thrown(rates, 7) != thrown(rates, 8)
    assert thrown(rates, 7, device=0) != thrown(rates, 7, device=1)


def test_they_come_as_often_as_asked() -> None:
    dice = FaultDice(FaultRates(drop=0.2, duplicate=0.1, reorder=0.5, delay=0.3), 1, 0)
    faults = [dice.throw() for _ in range(4000)]
    assert sum(one.lost for one in faults) == pytest.approx(400, rel=0.25)
    assert sum(one.answer_lost for one in faults) == pytest.approx(400, rel=0.25)
    assert sum(one.twice for one in faults) == pytest.approx(400, rel=0.25)
    assert sum(one.held_back for one in faults) == pytest.approx(2000, rel=0.1)
    assert sum(one.wait_s > 0 for one in faults) == pytest.approx(1200, rel=0.15)
    assert max(one.wait_s for one in faults) <= LONGEST_DELAY_S


def test_none_were_asked_for_none_come() -> None:
    dice = FaultDice(FaultRates(), 0, 0)
    quiet = dice.throw()
    assert quiet == Faults()


@pytest.mark.parametrize("rates", [{"drop": -0.1}, {"reorder": 1.1}, {"drop": 1.0}])
def test_what_is_no_probability_is_wrong_usage(rates: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="--"):
        FaultRates(**rates)
