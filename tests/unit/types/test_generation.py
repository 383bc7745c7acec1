from __future__ import annotations

import pytest
from pydantic import TypeAdapter

from adaptive_engine.types import choice_seed
from adaptive_engine.wire.chat import Seed


@pytest.mark.parametrize("seed", [0, 7, -1, 2**63 - 1, -(2**63)])
def test_each_choice_has_a_seed_that_a_request_may_send(seed: int) -> None:
    seeds = [choice_seed(seed, index) for index in range(16)]
    assert seeds[0] == seed
    assert len(set(seeds)) == 16
    for each in seeds:
        assert TypeAdapter(Seed).validate_python(each) == each


def test_behind_the_largest_seed_comes_the_smallest() -> None:
    assert [choice_seed(2**63 - 1, index) for index in range(3)] == [2**63 - 1, -(2**63), -(2**63) + 1]
