"""Limits to the first token: which requests cannot meet theirs, and why."""

from __future__ import annotations

import threading
import time

from adaptive_engine.engine.admission import Pace
from adaptive_engine.engine.sequence import FirstTokenLimit, GenerationRequest, Sequence
from adaptive_engine.errors import FirstTokenTimeout

# Averages may be wrong by so much before they end a request that could have met its limit.
_DOUBT = 2


def too_late(request: GenerationRequest, turns: int, pace: Pace) -> FirstTokenTimeout | None:
    """Why a new request, whose turn comes after so many others have ended, should not even wait.

    Where a place is free, it is tried: nobody knows how much of its prompt is cached.
    """
    limit = request.first_token_limit
    if limit is None:
        return None
    left = limit.deadline - time.perf_counter()
    if left <= 0:
        return FirstTokenTimeout(limit.milliseconds, "the time was over before the request could be queued")
    seconds = turns * pace.place_seconds
    if seconds > _DOUBT * left:
        reason = f"its turn comes when {turns} of the requests before it have ended, in about {seconds:.1f} s"
        return FirstTokenTimeout(limit.milliseconds, reason)
    return None


class Deadlines:
    """The sequences whose first token has to come in time, until it has come. Used by the engine's thread."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._sequences: set[Sequence] = set()

    def __len__(self) -> int:
        return len(self._sequences)

    def add(self, sequence: Sequence) -> None:
        """Does nothing for one without a limit."""
        if sequence.request.first_token_limit is not None:
            self._sequences.add(sequence)

    def discard(self, sequence: Sequence) -> None:
        self._sequences.discard(sequence)

    def seconds_left(self) -> float | None:
        """Until the first of them is late, or as long as a thread can wait; None where there is none."""
        limits = [sequence.request.first_token_limit for sequence in self._sequences]
        deadlines = [limit.deadline for limit in limits if limit is not None and not limit.met]
        if not deadlines:
            return None
        return min(max(min(deadlines) - time.perf_counter(), 0.0), threading.TIMEOUT_MAX)

    def missed(self) -> list[tuple[Sequence, FirstTokenTimeout]]:
        """Those whose first token is late, or clearly will be."""
        if not self._sequences:
            return []
        now = time.perf_counter()
        late = []
        for sequence in list(self._sequences):
            limit = sequence.request.first_token_limit
            if limit is None or limit.met:
                self._sequences.discard(sequence)
                continue
            # How fast its prompt is computed is known from its first chunk on.
            begun = sequence.computed > sequence.cached_tokens
            seconds = sequence.remaining / self._pace.prompt_tokens_per_second if begun else 0.0
            if now >= limit.deadline or seconds > _DOUBT * (limit.deadline - now):
                late.append((sequence, _late(sequence, limit)))
        return late

    def meet(self, sequence: Sequence, now: float) -> FirstTokenTimeout | None:
        """A token was sampled `now`: why that is too late, if it is."""
        limit = sequence.request.first_token_limit
        if limit is None or limit.met:
            return None
        limit.met = now <= limit.deadline
        return None if limit.met else _late(sequence, limit)


def _late(sequence: Sequence, limit: FirstTokenLimit) -> FirstTokenTimeout:
    done, whole = min(sequence.computed, sequence.prompt_length), sequence.prompt_length
    waiting = "its images were being encoded" if sequence.unseen else "the request was waiting for its turn"
    reason = waiting if sequence.admitted_at is None else f"{done} of {whole} prompt tokens were computed"
    return FirstTokenTimeout(limit.milliseconds, reason)
