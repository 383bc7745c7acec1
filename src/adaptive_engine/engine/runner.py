"""What computes the steps of a model: `native.py` or `openvino/runner.py`, whichever its files are for."""

from __future__ import annotations

from collections.abc import Sequence as Seq
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from adaptive_engine.engine.sequence import Slice

# Block 0 takes the keys and values of padding tokens.
SCRATCH_BLOCKS = 1


@dataclass(frozen=True, slots=True)
class RunnerShape:
    """Sizes fixed by the model."""

    block_size: int
    vocab_size: int
    bytes_per_block: int
    """Keys and values of all layers."""


@dataclass(frozen=True, slots=True)
class StepCosts:
    """What the time of a step depends on, as measured. Constants: what depends on a clock cannot be repeated."""

    row: float
    """What a token more adds to the time of a step, in shares of a step without any."""
    resize: int
    """A step with another number of tokens than the last one takes as much longer as so many tokens."""
    doubling_depth: int
    """So deep in a prompt attention to what stands before makes a token twice as dear."""
    busy_prompt_tokens: int
    """So many tokens of prompts can a step compute while few streams wait for it, and not be much longer than others.
    Where many do, that are more: their steps take longer anyway."""


class Runner(Protocol):
    """A model that is ready to compute, and its KV cache. Used by one thread at a time."""

    shape: RunnerShape
    num_blocks: int
    max_rows: int | None
    """No step may have more tokens."""
    costs: StepCosts

    def start(self, slices: Seq[Slice]) -> None:
        """Begin to compute the slices. Nothing else may be asked of the runner before `finish`."""

    def finish(self) -> NDArray[np.float32]:
        """Logits `[n, vocab_size]` of the slices that want them, in order: a view that the next step overwrites."""
