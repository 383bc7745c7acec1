"""When a provider is not asked at all: a circuit breaker, and a budget of second tries."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from adaptive_engine.errors import UpstreamBusy


@dataclass(frozen=True, slots=True)
class BreakerLimits:
    failures: int = 5
    """So many in a row open it; 0: never."""
    slow_seconds: float = 20.0
    """An answer that begins later counts as a failure too; 0: none does."""
    open_seconds: float = 15.0
    """Then one request may try."""


class Breaker:
    """Opens after failures in a row. Then requests are refused at once, but for a single one from time to time, whose
    outcome decides. Belongs to all event loops: nothing here takes long enough to need a lock.
    """

    def __init__(self, limits: BreakerLimits, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._failures = 0
        self._try_at: float | None = None
        """When it is open: from when on a request may try."""
        self._probing = False

    @property
    def is_open(self) -> bool:
        return self._try_at is not None

    def admit(self) -> bool:
        """Whether this request is the one that tries. Raises UpstreamBusy when it is not and the breaker is open."""
        if self._try_at is None:
            return False
        now = self._clock()
        if now < self._try_at or self._probing:
            raise UpstreamBusy(
                "The provider has failed, or was very slow, several times in a row. It is tried again in a moment.",
                code="upstream_suspended",
                wanted=round(self._try_at - now),
            )
        self._probing = True
        return True

    def succeeded(self, seconds: float, probing: bool) -> None:
        """An answer began after so many `seconds`; `probing` is what `admit` said."""
        if 0 < self._limits.slow_seconds < seconds:
            self.failed(probing)
            return
        self._failures = 0
        self._try_at = None
        self._probing = False

    def failed(self, probing: bool) -> None:
        self._failures += 1
        # While it is open, those that began before say nothing new.
        if probing or (self._try_at is None and self._failures == self._limits.failures):
            self._try_at = self._clock() + self._limits.open_seconds
        self.undecided(probing)

    def undecided(self, probing: bool) -> None:
        """It was given up before anything could be seen. If it was the one that tried, another may."""
        if probing:
            self._probing = False


class RetryBudget:
    """Second tries for a share of requests at most, so that a provider in trouble does not get twice the load."""

    def __init__(self, share: float = 0.2, most: float = 10.0) -> None:
        self._share = share
        self._most = most
        self._saved = most
        self.taken = 0

    @property
    def left(self) -> float:
        """Second tries that may be made now."""
        return self._saved

    def request(self) -> None:
        self._saved = min(self._saved + self._share, self._most)

    def take(self) -> bool:
        if self._saved < 1:
            return False
        self._saved -= 1
        self.taken += 1
        return True
