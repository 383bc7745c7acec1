"""How an engine is loaded, and how it feels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Precision = Literal["fast", "deterministic"]


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """How an engine is loaded. Sizes are in tokens unless they say otherwise."""

    precision: Precision = "fast"
    kv_cache_len: int = 32_768
    """Tokens whose keys and values fit into the cache, for all sequences together."""
    max_seq_len: int | None = None
    """Prompt and answer together; None is what the model was trained for."""
    max_running: int = 64
    max_waiting: int = 256
    """Requests beyond the running ones, at most half of them of one owner; more are refused with Overloaded."""
    max_waiting_tokens: int = 131_072
    """The same for the tokens of their prompts."""
    prefill_tokens: int = 256
    """Most prompt tokens in a step. Larger chunks gain a few percent and make everybody wait for the step's end."""
    prefill_tokens_busy: int | None = None
    """The same while others decode: it bounds the gap that a long prompt causes in their streams. None is what suits
    the runner."""
    speculation: bool = True
    """Guess tokens from the text so far where that pays. It changes no text in deterministic mode, and no
    distribution in any."""
    session_keep_seconds: float = 600.0
    """How long the cache of a session's last turn is preferred to that of others; 0 never prefers it."""
    image_cache_bytes: int = 64 * 2**20
    """Most that encoded images may take in memory, for when they are shown again."""
    threads: int = 0
    """Inference threads; 0 is one for each core."""
    hang_seconds: float = 60.0
    """A single step, or call of the vision encoder, that is longer than this makes the engine unhealthy."""


@dataclass(frozen=True, slots=True)
class EngineHealth:
    alive: bool
    reason: str = ""
