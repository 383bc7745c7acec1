"""What the model sees in the place of tokens, and the memory of it."""

from __future__ import annotations

import threading
from collections import OrderedDict
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


class ImageCache:
    """Encoded images, least recently used ones forgotten first. Any thread may use it.

    Kept by owner and content, so that nobody learns from the time it takes what another owner has shown.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._size = 0
        self._vectors: OrderedDict[ImageKey, Vectors] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: ImageKey) -> Vectors | None:
        with self._lock:
            vectors = self._vectors.get(key)
            if vectors is not None:
                self._vectors.move_to_end(key)
            return vectors

    def put(self, key: ImageKey, vectors: Vectors) -> None:
        """Does nothing where they alone are more than the cache may hold."""
        if vectors.nbytes > self._max_bytes:
            return
        with self._lock:
            known = self._vectors.pop(key, None)
            self._size += vectors.nbytes - (0 if known is None else known.nbytes)
            self._vectors[key] = vectors
            while self._size > self._max_bytes:
                _, oldest = self._vectors.popitem(last=False)
                self._size -= oldest.nbytes
