"""The weights of a model, mapped from their file."""

from __future__ import annotations

import mmap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_RELEASE_SECONDS = 0.02
"""Between two releases. OpenVINO reads some 20 MB meanwhile."""


class MappedWeights:
    """Weights that are read where they lie, copied nowhere."""

    def __init__(self, path: Path) -> None:
        """Raises OSError, and ValueError for an empty file."""
        with path.open("rb") as file:
            # OpenVINO takes no memory that is read-only. Nobody writes into it.
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        self.array: NDArray[np.uint8] = np.frombuffer(self._map, np.uint8)
        """All bytes of the file. Whoever uses them has to keep this object."""

    @contextmanager
    def released(self) -> Iterator[None]:
        """Let go of what is read meanwhile, soon after it is read. What is read again comes from the file.

        OpenVINO packs nearly all weights into the layout of its kernels, until the end of a graph's first step. What it
        has read for that would stay in memory, as much again as the file has.
        """
        ended = threading.Event()
        releasing = threading.Thread(target=self._release_until, args=(ended,), name="release-weights", daemon=True)
        releasing.start()
        try:
            yield
        finally:
            ended.set()
            releasing.join()

    def _release_until(self, ended: threading.Event) -> None:
        going_on = True
        while going_on:
            going_on = not ended.wait(_RELEASE_SECONDS)
            self._map.madvise(mmap.MADV_DONTNEED)
