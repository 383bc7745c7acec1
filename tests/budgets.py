"""Budgets of time, as tests hold them. What else the machine does can only make more of it, so the least counts."""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Callable

TRIES = 12
_YARDSTICK = b"[" + b"1," * 200_000 + b"1]"
_YARDSTICK_SECONDS = 0.016


def least(measure: Callable[[], float], enough: float) -> float:
    """The smallest of several measurements. The first that is below `enough` is the last."""
    smallest = float("inf")
    for _ in range(TRIES):
        smallest = min(smallest, measure())
        if smallest < enough:
            break
    return smallest


def slowness() -> float:
    """How much more processor time the same work takes at this moment than on a quiet machine: cores share caches and
    arithmetic with others. At least 1.
    """
    begun = time.process_time()
    json.loads(_YARDSTICK)
    return max((time.process_time() - begun) / _YARDSTICK_SECONDS, 1)


def seconds_of_children() -> float:
    """The processor time of all child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
