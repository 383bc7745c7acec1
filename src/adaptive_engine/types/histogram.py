"""Values by size, as plain data: whoever counts needs no library for it, and exporters read it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class Histogram:
    """How many values are at most as large as each bound, and their sum. One thread at a time may `observe`."""

    bounds: Sequence[float]
    """Ascending. What is larger than the last one is counted too."""
    total: float = 0.0
    counts: list[int] = field(default_factory=list)
    """Of each bound those that no smaller bound has; the last one is of the values beyond all bounds."""

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)

    @property
    def count(self) -> int:
        return sum(self.counts)

    def observe(self, value: float, times: int = 1) -> None:
        self.counts[bisect_left(self.bounds, value)] += times
        self.total += value * times

    def copy(self) -> Histogram:
        """As it is now."""
        made = Histogram(self.bounds, self.total)
        made.counts = list(self.counts)
        return made
