"""One call of the paged model: tokens of many sequences, one behind the other, and where their keys and values are."""

from __future__ import annotations

from collections.abc import Sequence as Seq
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adaptive_engine.engine.vision.views import View

# The names of the inputs after the transformation, in OpenVINO 2026.4. The tokens are one of the first two.
TOKENS, VECTORS = "input_ids", "inputs_embeds"
INPUTS = (
    "position_ids",
    "past_lens",
    "subsequence_begins",
    "block_indices",
    "block_indices_begins",
    "max_context_len",
)
LOGITS_INPUT = "sampled_tokens_indices"

_SMALL_STEP, _STEP_ROWS = 32, 8


def step_rows(rows: int) -> int:
    """How many rows a step of `rows` tokens has at least: large ones a multiple of eight.

    OpenVINO makes kernels for each number of rows that it meets and keeps them: 1.5 MiB each with a model of 30 layers,
    440 MiB for all steps of up to 288 rows.
    """
    return rows if rows <= _SMALL_STEP else -(-rows // _STEP_ROWS) * _STEP_ROWS


class Batch:
    """The inputs of one call, subsequence by subsequence."""

    def __init__(self, block_size: int) -> None:
        self.ids: list[int] = []
        self.wanted: list[int] = []
        self._block_size = block_size
        self._positions: list[int] = []
        self._past: list[int] = []
        self._begins = [0]
        self._blocks: list[int] = []
        self._block_begins = [0]
        self._longest = 1
        self._views: list[tuple[View, int, int, int]] = []

    def add(self, tokens: list[int], start: int, blocks: list[int], views: Seq[View] | None = None) -> None:
        """`tokens` at the positions from `start` on, of a sequence that `blocks` and `views` belong to."""
        stop = start + len(tokens)
        if views:
            for view in views:
                if start <= view.positions[-1] and view.positions[0] < stop:
                    self._views.append((view, start, len(self.ids), len(self.ids) + len(tokens)))
        self.ids += tokens
        self._positions += range(start, stop)
        self._past.append(start)
        self._begins.append(len(self.ids))
        self._blocks += blocks[: -(-stop // self._block_size)]
        self._block_begins.append(len(self._blocks))
        self._longest = max(self._longest, stop)

    def want(self, count: int) -> None:
        """The logits of the last `count` tokens."""
        self.wanted += range(len(self.ids) - count, len(self.ids))

    def overlay(self, vectors: NDArray[np.float32]) -> None:
        """Put what the sequences see in the place of their tokens' `vectors`."""
        for view, start, row, end in self._views:
            view.overlay(vectors[row:end], start)

    def inputs(self) -> dict[str, NDArray[Any]]:
        return {
            TOKENS: np.array(self.ids, np.int64),
            "position_ids": np.array(self._positions, np.int64),
            "past_lens": np.array(self._past, np.int32),
            "subsequence_begins": np.array(self._begins, np.int32),
            "block_indices": np.array(self._blocks, np.int32),
            "block_indices_begins": np.array(self._block_begins, np.int32),
            "max_context_len": np.array(self._longest, np.int32),
            LOGITS_INPUT: np.array(self.wanted, np.int64),
        }
