"""What generates an answer says of it, piece by piece."""

from __future__ import annotations

from dataclasses import dataclass

from adaptive_engine.types.interactions import FinishReason, Usage


def choice_seed(seed: int, index: int) -> int:
    """Choices of one request differ by their seed, which stays one that a request may send: of 64 bits, with sign."""
    return (seed + index + 2**63) % 2**64 - 2**63


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """One token of an answer and how likely it was, before temperature and top-p, among those its grammar allowed."""

    token: bytes
    logprob: float
    """Natural logarithm; 0 for a token that the grammar left no choice about."""
    top: tuple[tuple[bytes, float], ...] = ()
    """The most likely tokens in its place, best first."""


@dataclass(frozen=True, slots=True)
class Timings:
    """Milliseconds since the request was submitted."""

    queue_ms: float
    """Until the scheduler admitted it; until the request that was answered went to a provider."""
    ttft_ms: float
    """Until its first token was sampled, or came from the provider."""
    total_ms: float

    def as_dict(self) -> dict[str, float]:
        return {
            "queue_ms": round(self.queue_ms, 3),
            "ttft_ms": round(self.ttft_ms, 3),
            "total_ms": round(self.total_ms, 3),
        }


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of text, and on the last one why generation ended."""

    text: str
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    timings: Timings | None = None
    logprobs: tuple[TokenLogprob, ...] = ()
    """Of the tokens since the last delta, when asked for. Their text may come later, or never behind a stop string."""
    reasoning: str = ""
    """What the model thought before it answers, where a provider tells it."""
