"""Whether a new request may wait, and what for: decided on the asyncio side, from a snapshot of what there is."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from adaptive_engine.engine.sequence import Sequence
from adaptive_engine.errors import Overloaded

# OpenAI's client does not wait for longer pauses, nor does ours.
_MAX_RETRY_AFTER = 120
# How much the newest measurement counts in a moving average.
_NEWEST = 0.2
# Steps with fewer tokens say little about how fast a prompt can be computed.
_MANY_TOKENS = 64


class Pace:
    """How fast an engine is, measured. Written by its thread."""

    def __init__(self) -> None:
        self.place_seconds = 0.0
        """From one place that becomes free to the next while there is work, on average; 0 before the first."""
        self.prompt_tokens_per_second = math.inf
        """The fastest step with many tokens; infinite before the first."""
        self._working = 0.0

    def worked(self, seconds: float, tokens: int) -> None:
        """A step has computed so many tokens."""
        self._working += seconds
        if tokens >= _MANY_TOKENS:
            known = self.prompt_tokens_per_second
            self.prompt_tokens_per_second = max(tokens / seconds, 0.0 if math.isinf(known) else known)

    def freed_place(self) -> None:
        """A request that had a place has ended."""
        first = self.place_seconds == 0.0
        self.place_seconds += (self._working - self.place_seconds) * (1.0 if first else _NEWEST)
        self._working = 0.0


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """What may wait. One owner may have half of it, so that there is room for others whatever one of them sends."""

    requests: int
    tokens: int

    def of_one_owner(self) -> QueueLimits:
        return QueueLimits(-(-self.requests // 2), -(-self.tokens // 2))


class Backlog:
    """The requests that wait for a place, as they are now."""

    def __init__(self, sequences: Iterable[Sequence], places: int, extra_places: int = 0) -> None:
        """`sequences` are all that have not ended, `places` how many of them can run. Beyond, `extra_places` can of
        owners of whom nothing else runs.
        """
        self._requests: Counter[bytes] = Counter()
        self._tokens: Counter[bytes] = Counter()
        self._running: Counter[bytes] = Counter()
        for sequence in sequences:
            if sequence.stream.phase == "queue":
                self._requests[sequence.request.owner] += 1
                self._tokens[sequence.request.owner] += sequence.prompt_length
            else:
                self._running[sequence.request.owner] += 1
        self._free = places - self._running.total()
        self._free_with_extra = self._free + extra_places

    def turns(self, owner: bytes) -> int:
        """How many places have to become free before a new request of `owner` has one; 0 if one is free now."""
        mine = self._requests[owner] + 1
        if mine == 1 and not self._running[owner] and self._free_with_extra > 0:
            return 0
        others = sum(min(count, mine) for other, count in self._requests.items() if other != owner)
        return max(mine + others - self._free, 0)

    def require_room(self, owner: bytes, requests: int, tokens: int, limits: QueueLimits, pace: Pace) -> None:
        """Raises Overloaded where `requests` more, with `tokens` prompt tokens in all, would be beyond `limits`.

        Whatever its tokens, a request may wait where none does.
        """
        problem = self._beyond(limits, self._requests.total(), self._tokens.total(), requests, tokens)
        if problem is not None:
            raise Overloaded(
                f"The model's queue is full: {problem}. Try again later.", retry_after=self._pause(owner, pace)
            )
        share = limits.of_one_owner()
        problem = self._beyond(share, self._requests[owner], self._tokens[owner], requests, tokens)
        if problem is not None:
            raise Overloaded(
                f"The project's half of the model's queue is full: {problem}. Try again later.",
                code="project_overloaded",
                retry_after=self._pause(owner, pace),
            )

    def _beyond(self, limits: QueueLimits, waiting: int, waiting_tokens: int, requests: int, tokens: int) -> str | None:
        if waiting - max(self._free, 0) + requests > limits.requests:
            return f"{waiting} requests wait, {limits.requests} may"
        if waiting and waiting_tokens + tokens > limits.tokens:
            return f"{waiting_tokens} prompt tokens wait, with the {tokens} of this request {limits.tokens} may"
        return None

    def _pause(self, owner: bytes, pace: Pace) -> int:
        """Seconds until a request of `owner` would have had its turn."""
        return min(max(math.ceil(self.turns(owner) * pace.place_seconds), 1), _MAX_RETRY_AFTER)
