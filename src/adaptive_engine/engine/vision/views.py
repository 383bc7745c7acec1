"""What the model sees in the place of tokens."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
"""`[tokens, hidden]`"""
ImageKey = tuple[bytes, bytes]
"""The salt of an owner, and the digest of an image."""


@dataclass(frozen=True, slots=True)
class View:
    """An image of a prompt."""

    positions: NDArray[np.int64]
    """The tokens that stand for it, ascending."""
    vectors: Vectors
    """What is seen in the place of each: the same array for all who show this image."""

    def overlay(self, embeddings: Vectors, start: int) -> None:
        """Write the vectors that belong to the tokens from `start` on, whose embeddings are given."""
        first, last = np.searchsorted(self.positions, [start, start + len(embeddings)])
        embeddings[self.positions[first:last] - start] = self.vectors[first:last]
