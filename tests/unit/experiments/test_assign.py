from __future__ import annotations

from collections import Counter
from uuid import UUID, uuid4

import pytest

from adaptive_engine.experiments.assign import MAX_ARMS, admits, choose, draw, unit_number

TEST = UUID("01890000-0000-7000-8000-000000000001")
UNITS = [f"session:{number}" for number in range(20_000)]


def test_a_unit_always_draws_the_same() -> None:
    assert draw(TEST, "session:1") == draw(TEST, "session:1")
    assert draw(TEST, "session:1") != draw(uuid4(), "session:1")
    assert draw(TEST, "session:1") != draw(TEST, "user:1")
    # No text of a client is refused, not even one that is no Unicode.
    assert draw(TEST, "user:\ud800")


@pytest.mark.parametrize("split", [0.1, 0.5, 1.0])
def test_the_share_that_enters(split: float) -> None:
    entered = sum(admits(draw(TEST, unit), split) for unit in UNITS)
    # Five standard errors.
    assert abs(entered - split * len(UNITS)) <= 5 * (len(UNITS) * split * (1 - split)) ** 0.5


@pytest.mark.parametrize("arms", [2, 3, MAX_ARMS])
def test_those_that_enter_are_divided_equally(arms: int) -> None:
    entered = [lot for unit in UNITS if admits(lot := draw(TEST, unit), 0.5)]
    counts = Counter(choose(lot, range(arms)) for lot in entered)
    expected = len(entered) / arms
    assert all(abs(counts[arm] - expected) <= 5 * expected**0.5 for arm in range(arms))


def test_when_an_arm_falls_out_only_its_units_move() -> None:
    for unit in UNITS[:2000]:
        lot = draw(TEST, unit)
        before, after = choose(lot, [0, 1, 2]), choose(lot, [0, 2])
        assert after == before or before == 1


def test_units_are_told_apart_and_can_be_stored() -> None:
    numbers = {unit_number(draw(TEST, unit)) for unit in UNITS}
    assert len(numbers) == len(UNITS)
    assert all(0 <= number < 2**63 for number in numbers)
