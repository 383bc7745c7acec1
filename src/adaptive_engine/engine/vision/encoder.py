"""Encodes images in a thread of its own, so that no step of the engine waits for one.

known   asyncio loop: what is in the cache
add     engine's thread   ->  jobs, for what is not
step    encoder's thread: tiles of several images in one call of the vision graph, or of a large one in several
done    encoder's thread  ->  the engine's inbox: the sequence has its views and may wait for its turn
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from adaptive_engine.engine.prompt import Prompt
from adaptive_engine.engine.recent import RecentlyUsed
from adaptive_engine.engine.sequence import Sequence
from adaptive_engine.engine.stats import EngineStats
from adaptive_engine.engine.vision.family import Tiles
from adaptive_engine.engine.vision.sight import Sight
from adaptive_engine.engine.vision.views import ImageKey, Vectors, View
from adaptive_engine.errors import AdaptiveError, EngineFailed
from adaptive_engine.types import Image

log = logging.getLogger(__name__)

# So much in a call keeps the cores busy. More would hold up longer whoever comes next, and what runs beside it.
_MAX_TILES, _MAX_PIXELS = 8, 512 * 512
# A call that takes longer than this to end may never do so.
_CLOSING_SECONDS = 10


class VisionGraph(Protocol):
    """The compiled vision encoder, see `graph.py`."""

    def encode(self, inputs: dict[str, NDArray[Any]], *, beside: bool) -> NDArray[np.float32]:
        """`[tiles, tokens, hidden]`; `beside` others that are being answered."""
        ...

    def close(self) -> None: ...


@dataclass(eq=False, slots=True)
class _Job:
    """A sequence, and what is known of its images."""

    sequence: Sequence
    vectors: dict[ImageKey, Vectors] = field(default_factory=dict)

    def missing(self) -> Iterator[tuple[ImageKey, Image]]:
        request = self.sequence.request
        for placed in request.prompt.images:
            key = (request.cache_salt, placed.image.digest)
            if key not in self.vectors:
                yield key, placed.image

    def misses(self, keys: Collection[ImageKey]) -> bool:
        """Whether it is one of these that the sequence waits for."""
        return any(key in keys for key, _ in self.missing())


class _NobodyWaits(Exception):
    """What is being encoded is not wanted any more."""


class Encoder:
    """The vision half of an engine. Owners have their turns one after the other, the background comes last."""

    def __init__(
        self,
        name: str,
        sight: Sight,
        graph: VisionGraph,
        stats: EngineStats,
        *,
        cache_bytes: int,
        together: bool,
    ) -> None:
        """`together` encodes images in batches, where each depends on the others in its last bits."""
        self._sight = sight
        self._family = sight.family
        self._graph = graph
        self._stats = stats
        # By owner too: nobody learns from the time it takes what another owner has shown.
        self._cache: RecentlyUsed[ImageKey, Vectors] = RecentlyUsed(cache_bytes, lambda vectors: vectors.nbytes)
        self._together = together
        self._tiles_per_call = max(min(_MAX_PIXELS // sight.family.tile_pixels, _MAX_TILES), 1)
        self._done: Callable[[Sequence, AdaptiveError | None], None] = _nobody
        # deque.append and popleft are atomic; the event only wakes an idle thread.
        self._inbox: deque[Sequence] = deque()
        self._wake = threading.Event()
        self._jobs: list[_Job] = []
        # When each owner had its last turn.
        self._turns: dict[bytes, int] = {}
        self._clock = count(1)
        self._closing = False
        self._call_started: float | None = None
        self._thread = threading.Thread(target=self._run, name=f"vision-{name}", daemon=True)

    def start(self, done: Callable[[Sequence, AdaptiveError | None], None]) -> None:
        """`done` is called in the encoder's thread: the sequence has its views, or why it has none."""
        self._done = done
        self._thread.start()

    def close(self) -> None:
        """End after the current call of the graph; a call that hangs is not waited for."""
        self._closing = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(_CLOSING_SECONDS)
        self._graph.close()

    def busy_seconds(self) -> float:
        """For how long the current call of the graph has been running."""
        started = self._call_started
        return 0.0 if started is None else time.perf_counter() - started

    def known(self, prompt: Prompt, salt: bytes) -> tuple[View, ...] | None:
        """The views of `prompt`, if all its images are in the cache."""
        found = {}
        for placed in prompt.images:
            vectors = self._cache.get((salt, placed.image.digest))
            if vectors is None:
                return None
            found[salt, placed.image.digest] = vectors
        return self._sight.views(prompt, salt, found)

    def add(self, sequence: Sequence) -> None:
        """Encode the images of `sequence`, in its turn."""
        self._inbox.append(sequence)
        self._wake.set()

    # --- the encoder's thread ------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._closing:
            while self._inbox:
                job = _Job(self._inbox.popleft())
                for key, _ in list(job.missing()):
                    if (vectors := self._cache.get(key)) is not None:
                        job.vectors[key] = vectors
                self._jobs.append(job)
            self._jobs = [job for job in self._jobs if job.sequence.stream.phase != "done"]
            self._deliver()
            if self._jobs:
                self._step()
            else:
                self._turns.clear()
                self._wake.wait()
                self._wake.clear()

    def _deliver(self) -> None:
        """Those of whose images all are known."""
        waiting = []
        for job in self._jobs:
            if next(job.missing(), None) is not None:
                waiting.append(job)
                continue
            request = job.sequence.request
            try:
                job.sequence.views = self._sight.views(request.prompt, request.cache_salt, job.vectors)
            except Exception as exc:
                self._end(job, exc)
            else:
                self._done(job.sequence, None)
        self._jobs = waiting

    def _step(self) -> None:
        """Encode what fills a call of the graph, and at least one image."""
        batch = dict(self._next_images())
        start = time.perf_counter()
        try:
            encoded = self._encode(batch)
        except _NobodyWaits:
            return
        except Exception as exc:
            log.exception("images could not be encoded")
            self._fail(batch, exc)
            return
        self._stats.encode_seconds += time.perf_counter() - start
        self._stats.encoded_images += len(batch)
        for key, vectors in zip(batch, encoded, strict=True):
            self._cache.put(key, vectors)
            for job in self._jobs:
                if job.misses((key,)):
                    job.vectors[key] = vectors

    def _next_images(self) -> Iterator[tuple[ImageKey, Image]]:
        """Those for the next call, and at least one. Whoever had a turn last is next after all others."""
        tiles = 0
        for job in sorted(self._jobs, key=self._turn):
            for key, image in job.missing():
                self._turns[job.sequence.request.owner] = next(self._clock)
                yield key, image
                tiles += self._family.tokens(image.width, image.height) // self._family.tokens_per_tile
                if not self._together or tiles >= self._tiles_per_call:
                    return

    def _turn(self, job: _Job) -> tuple[bool, int]:
        request = job.sequence.request
        return request.background, self._turns.get(request.owner, 0)

    def _encode(self, images: Mapping[ImageKey, Image]) -> list[Vectors]:
        """Raises _NobodyWaits between two calls."""
        parts = [self._family.tiles(image) for image in images.values()]
        tiles = np.concatenate(parts)
        size = self._tiles_per_call
        calls = []
        for at in range(0, len(tiles), size):
            self._require_waiting(images)
            calls.append(self._call(tiles[at : at + size]))
        vectors = np.concatenate(calls)
        if vectors.shape[:2] != (len(tiles), self._family.tokens_per_tile):
            raise EngineFailed(
                f"The vision encoder made {vectors.shape[1]} vectors of a tile, "
                f"{self._family.tokens_per_tile} were expected.",
                code="vision_config",
            )
        ends = np.cumsum([len(part) for part in parts])[:-1]
        # Copies, so that none keeps the others in memory.
        return [part.reshape(-1, vectors.shape[2]).copy() for part in np.split(vectors, ends)]

    def _call(self, tiles: Tiles) -> NDArray[np.float32]:
        self._call_started = time.perf_counter()
        try:
            return self._graph.encode(self._family.inputs(tiles), beside=self._stats.running > 0)
        finally:
            self._call_started = None

    def _require_waiting(self, keys: Collection[ImageKey]) -> None:
        """Raises _NobodyWaits for these images where all have left who did."""
        waiting = (job for job in self._jobs if job.sequence.stream.phase != "done")
        if self._closing or not any(job.misses(keys) for job in waiting):
            raise _NobodyWaits

    def _fail(self, keys: Collection[ImageKey], cause: Exception) -> None:
        """End those who wait for one of these images."""
        waiting = []
        for job in self._jobs:
            if job.misses(keys):
                self._end(job, cause)
            else:
                waiting.append(job)
        self._jobs = waiting

    def _end(self, job: _Job, cause: Exception) -> None:
        reason = f"An image of this request could not be encoded: {type(cause).__name__}."
        self._done(job.sequence, cause if isinstance(cause, AdaptiveError) else EngineFailed(reason))


def _nobody(sequence: Sequence, error: AdaptiveError | None) -> None:
    raise AssertionError("the encoder was not started")
