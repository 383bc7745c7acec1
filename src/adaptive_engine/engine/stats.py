"""What the engine counts, as plain data; exporters read it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class EngineStats:
    """Written by the engine thread, those of images by the thread that encodes them. Counters since the start, except
    the first four."""

    running: int = 0
    waiting: int = 0
    kv_blocks_used: int = 0
    kv_blocks_total: int = 0
    steps: int = 0
    """Also the heartbeat: it grows while there is work."""
    prompt_tokens: int = 0
    cached_tokens: int = 0
    generated_tokens: int = 0
    forced_tokens: int = 0
    """Those of the generated ones that a grammar left no choice about."""
    draft_tokens: int = 0
    """Guessed and computed; of these the next were right."""
    accepted_tokens: int = 0
    finished: int = 0
    cancelled: int = 0
    failed: int = 0
    preemptions: int = 0
    forward_seconds: float = 0.0
    """Time inside the model, to compare with the time around it."""
    mask_seconds: float = 0.0
    """Processor time for token masks, while the model computes."""
    encoded_images: int = 0
    """Images that the vision encoder computed. One that was found again is not among them."""
    encode_seconds: float = 0.0
    """Time for it, while the language model computes too."""
