"""Where the time of an answer went."""

from __future__ import annotations

from itertools import pairwise

import pytest

from adaptive_engine.telemetry.answered import Answered
from adaptive_engine.types import Interaction, Timings, now_ms, uuid7


@pytest.mark.parametrize("begun", [2.05, 2.4])
def test_no_time_is_counted_twice(begun: float) -> None:
    """Also when the engine had run for a while before the request's task did again."""
    timings = Timings(queue_ms=100, ttft_ms=300, total_ms=900).as_dict()
    row = Interaction(uuid7(), uuid7(), uuid7(), [], "complete", "LIVE", now_ms(), timings=timings)
    answer = Answered(row, arrived=1, routed=2, begun=begun, generated=3, ended=3.25, waited=None)
    phases = list(answer.phases().items())
    assert [name for name, _ in phases] == ["route", "prepare", "queue", "prefill", "decode", "store"]
    for (_, (start, end)), (_, (following, _)) in pairwise(phases):
        assert start <= end <= following
    assert sum(answer.breakdown().values()) <= 2250
