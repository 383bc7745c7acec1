"""The weights of a model, mapped from their file."""

from __future__ import annotations

import mmap
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


class MappedWeights:
    """Weights that are read where they lie, copied nowhere.

    At the first step of a graph OpenVINO packs nearly all of them into the layout of its kernels. What it has read for
    that would stay in memory, as much again as the file has.
    """

    def __init__(self, path: Path) -> None:
        """Raises OSError, and ValueError for an empty file."""
        with path.open("rb") as file:
            # OpenVINO takes no memory that is read-only. Nobody writes into it.
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        self.array: NDArray[np.uint8] = np.frombuffer(self._map, np.uint8)
        """All bytes of the file. Whoever uses them has to keep this object."""

    def release(self) -> None:
        """Let go of what was read. What is read again comes from the file."""
        self._map.madvise(mmap.MADV_DONTNEED)
