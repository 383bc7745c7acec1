"""What waits for the recorder's thread: rows that begin, and outcomes, which take them along."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf
from uuid import UUID

from adaptive_engine.errors import StorageUnavailable
from adaptive_engine.types import Interaction

_log = logging.getLogger(__name__)

# How long (s) a row that begins may wait for its outcome, to be written with it. A crash leaves no trace of it by then.
BEGIN_WAIT = 0.05


@dataclass(slots=True, eq=False)
class Ended:
    """The rows of one call of `finish`, and who waits for it."""

    rows: Sequence[Interaction]
    done: asyncio.Future[None]


@dataclass(frozen=True, slots=True)
class Batch:
    """What one transaction writes."""

    begun: list[Interaction]
    """Not stored yet; the outcomes of some are among those that ended."""
    ended: list[Ended]

    @property
    def outcomes(self) -> list[Interaction]:
        return [row for entry in self.ended for row in entry.rows]


class RecordQueue:
    """Bounded, and for one reader. Outcomes are taken at once; a row that begins goes with its outcome, or alone after
    BEGIN_WAIT.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._begun: dict[UUID, tuple[float, Interaction]] = {}
        """With the moment (of the monotonic clock) from which on it does not wait any longer."""
        self._ended: deque[Ended] = deque()
        self._sleeping = False
        """The reader waits for a call, however long that takes."""
        self.rows = 0
        self.is_open = False

    def open(self) -> None:
        self.is_open = True

    def close(self) -> None:
        """What is here is taken without waiting, and nothing more comes in."""
        with self._changed:
            self.is_open = False
            self._changed.notify()

    def begin(self, rows: Sequence[Interaction], most: int) -> None:
        """Raises StorageUnavailable when it is closed, or would have more than `most` rows."""
        due = time.monotonic() + BEGIN_WAIT
        with self._changed:
            self._make_room(len(rows), most)
            self._begun.update({row.id: (due, row) for row in rows})
            # Whoever waits for another row that began looks here in time.
            if self._sleeping:
                self._changed.notify()

    def finish(self, rows: Sequence[Interaction], most: int) -> asyncio.Future[None]:
        """Done when `settle` is called. Raises as `begin` does."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        with self._changed:
            self._make_room(len(rows), most)
            self._ended.append(Ended(rows, done))
            self._changed.notify()
        return done

    def take(self, most: int, patience: float | None) -> Batch | None:
        """About `most` rows for one transaction. Waits for them; after `patience` seconds without any there are none in
        it. None when the queue is closed and empty.
        """
        with self._changed:
            while not self._ended and self.is_open:
                pause = patience
                if self._begun:
                    due = next(iter(self._begun.values()))[0] - time.monotonic()
                    if due <= 0:
                        break
                    pause = due if patience is None else min(patience, due)
                self._sleeping = pause is None
                called = self._changed.wait(pause)
                self._sleeping = False
                if not called and not self._begun:
                    return Batch([], [])
            batch = self._batch(most)
            return batch if batch.begun or batch.ended or self.is_open else None

    def take_ended(self) -> list[Ended]:
        """All outcomes that wait, in place of the rows that began with them."""
        with self._changed:
            batch = Batch([], [])
            self._add_ended(batch, None)
            return batch.ended

    def abandon(self) -> list[Ended]:
        """Close it; those who still wait."""
        with self._changed:
            self.is_open = False
            left, self._ended = list(self._ended), deque()
            return left

    def _make_room(self, rows: int, most: int) -> None:
        if not self.is_open:
            raise StorageUnavailable("The recorder is not running.")
        if self.rows + rows > most:
            raise StorageUnavailable("Too many interactions wait to be stored; try again.")
        self.rows += rows

    def _batch(self, most: int) -> Batch:
        batch = Batch([], [])
        rows = self._add_ended(batch, most)
        now = time.monotonic() if self.is_open else inf
        while self._begun and rows < most:
            id_, (due, row) = next(iter(self._begun.items()))
            if due > now:
                break
            del self._begun[id_]
            batch.begun.append(row)
            rows += 1
            self.rows -= 1
        return batch

    def _add_ended(self, batch: Batch, most: int | None) -> int:
        """Move outcomes, with the rows that began with them, into a batch of about `most` rows. The number of rows."""
        rows = 0
        while self._ended and (most is None or rows < most):
            batch.ended.append(self._ended.popleft())
            ended = batch.ended[-1].rows
            own = [self._begun.pop(row.id)[1] for row in ended if row.id in self._begun]
            batch.begun.extend(own)
            rows += len(ended) + len(own)
        self.rows -= rows
        return rows


def settle(outcomes: Iterable[tuple[Ended, StorageUnavailable | None]]) -> None:
    """Wake those who wait, with one call per event loop: each call costs a system call."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[None], StorageUnavailable | None]]] = {}
    for entry, error in outcomes:
        by_loop.setdefault(entry.done.get_loop(), []).append((entry.done, error))
    for loop, settled in by_loop.items():
        try:
            loop.call_soon_threadsafe(_resolve, settled)
        except RuntimeError:
            _log.warning("%d requests ended before their interactions were stored", len(settled))


def _resolve(settled: Iterable[tuple[asyncio.Future[None], StorageUnavailable | None]]) -> None:
    for done, error in settled:
        # A cancelled request has a cancelled future.
        if done.done():
            continue
        if error is None:
            done.set_result(None)
        else:
            # Each gets its own: a shared exception would collect the tracebacks of all.
            done.set_exception(StorageUnavailable(error.message))
