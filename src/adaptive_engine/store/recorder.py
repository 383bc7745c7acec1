"""The recorder: one thread that writes interactions, many per transaction.

While one commit runs, what arrives waits and goes into the next; nobody waits for a timer. An answer is acknowledged
only after `finish` has returned, so a client that saw the end of its answer will find it stored. What begins is written
a moment later: an answer that is as quick costs one write then, and not two.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from math import inf
from typing import Protocol
from uuid import UUID

from sqlalchemy import Connection

from adaptive_engine.errors import StorageUnavailable
from adaptive_engine.store import idempotency, interactions
from adaptive_engine.store.database import Database
from adaptive_engine.store.record_queue import Batch, Ended, RecordQueue, settle
from adaptive_engine.store.recorder_stats import COMMIT_BOUNDS, RecorderStats
from adaptive_engine.types import Histogram, Interaction

_log = logging.getLogger(__name__)

# Rows that may wait. New requests are refused at half of it, so that each accepted one still finds room to finish.
QUEUE_ROWS = 16_384
# Rows of one transaction: enough to share a commit, few enough that the first does not wait long for the last.
BATCH_ROWS = 512
# Finished interactions that could not be written are kept for when the store is back, up to this many.
UNSAVED_ROWS = 1024
# Bytes of images that those may have: an outage of the store must not fill the memory.
UNSAVED_IMAGE_BYTES = 256 * 2**20
# Pauses (s) before a failed transaction is tried again. A lock has by then been waited for, for the busy timeout.
RETRY_PAUSES = (0.05, 0.25)
# No retry begins after this many seconds: clients wait for the answer.
RETRY_BUDGET = 2.0
# Before new requests the file and its volume are looked at this often (s). A look lets another thread have the
# interpreter: one for each of a thousand requests a second was a tenth of what these cost.
LOOK_INTERVAL = 0.01
# While the store is down and nobody asks, it is tried this often (s).
PROBE_INTERVAL = 1.0


class Follower(Protocol):
    """What else happens when interactions end. Called in the recorder's thread."""

    def finished(self, connection: Connection, rows: Sequence[Interaction]) -> None:
        """In the transaction that writes these outcomes. Some may be known already."""

    def committed(self) -> None:
        """The transaction is durable."""


class Recorder:
    """Writes interactions in the order of the calls, from any event loop. `start` before use, `close` at the end."""

    def __init__(self, database: Database, server_id: UUID | None = None, follower: Follower | None = None) -> None:
        """`server_id` is what `Presence` shows to other servers; None where there are none."""
        self._database = database
        self._server_id = server_id
        self._follower = follower
        self._queue = RecordQueue()
        self._closing = threading.Event()
        self._looked_at = -inf
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        # From here on written by the recorder's thread only.
        self._failure: str | None = None
        self._unsaved: dict[UUID, Interaction] = {}
        # The newest ids that count as failed, in order: a request may hand in another outcome of a row that failed.
        self._failed_ids: dict[UUID, None] = {}
        self._committed = 0
        self._failed = 0
        self._transactions = 0
        self._last_commit_ms: float | None = None
        self._lost = 0
        self._by_state: Counter[str] = Counter()
        self._commit_seconds = Histogram(COMMIT_BOUNDS)

    def start(self) -> None:
        self._queue.open()
        self._thread.start()

    def close(self) -> None:
        """Write what waits, then stop. Blocks; later calls of `begin` and `finish` are refused."""
        self._closing.set()
        self._queue.close()
        if self._thread.ident is not None:
            self._thread.join()

    @property
    def problem(self) -> str | None:
        """Why interactions cannot be stored now, None when they can. Heals by itself."""
        if not self._queue.is_open:
            return "The recorder is not running."
        return self._failure or self._database.obstacle()

    @property
    def stats(self) -> RecorderStats:
        return RecorderStats(
            self._committed,
            self._failed,
            len(self._unsaved),
            self._queue.rows,
            self._transactions,
            self._last_commit_ms,
            self._lost,
            dict(self._by_state),
            self._commit_seconds.copy(),
        )

    def begin(self, rows: Sequence[Interaction]) -> None:
        """Queue the pending rows of a request, before it generates anything.

        Raises StorageUnavailable when the store is known to be unwritable or too much waits. A file that was moved
        since the last look is noticed when the outcome is written.
        """
        now = time.monotonic()
        if self._failure is not None or now - self._looked_at >= LOOK_INTERVAL:
            if (problem := self.problem) is not None:
                raise StorageUnavailable(problem)
            self._looked_at = now
        self._queue.begin(rows, QUEUE_ROWS // 2)

    async def finish(self, rows: Sequence[Interaction]) -> None:
        """Return once these outcomes are committed; raise StorageUnavailable when they are not.

        A caller that is cancelled meanwhile stops waiting; the rows are written all the same.
        """
        await self._queue.finish(rows, QUEUE_ROWS)

    def _run(self) -> None:
        try:
            while (batch := self._queue.take(BATCH_ROWS, PROBE_INTERVAL if self._failure else None)) is not None:
                if batch.begun or batch.ended:
                    self._record(batch)
                else:
                    self._heal()
            if self._unsaved:
                self._heal()
        finally:
            self._abandon()

    def _record(self, batch: Batch) -> None:
        finished = batch.outcomes
        try:
            self._write_retrying(batch.begun, finished)
        except StorageUnavailable as error:
            # Those who came during the tries need not wait for as long again.
            self._give_up([*batch.ended, *self._queue.take_ended()], error)
        except Exception:
            _log.warning("a batch of interactions was refused; writing its rows one by one", exc_info=True)
            self._write_singly(batch)
        else:
            self._count_committed(finished)
            settle((entry, None) for entry in batch.ended)
        if self._unsaved and self._failure is None:
            self._heal()

    def _give_up(self, ended: Sequence[Ended], error: StorageUnavailable) -> None:
        """Tell the requests, and hold what they finished for when the store is back."""
        for row in (row for entry in ended for row in entry.rows):
            is_new = self._count_failed(row)
            # The first outcome stays, as it does in the store.
            if len(self._unsaved) < UNSAVED_ROWS and self._has_room(row):
                self._unsaved.setdefault(row.id, row)
            else:
                self._lost += is_new
        settle((entry, error) for entry in ended)

    def _has_room(self, row: Interaction) -> bool:
        kept = (row, *self._unsaved.values()) if row.images else ()
        return sum(len(image.data) for each in kept for image in each.images) <= UNSAVED_IMAGE_BYTES

    def _write_retrying(self, begun: Sequence[Interaction], finished: Sequence[Interaction]) -> None:
        """One transaction. A store that worked before gets a few tries, one that is known to fail gets one."""
        if self._failure is not None and self._closing.is_set():
            # Each try may wait for a lock; a server that stops has no time for one per batch.
            raise StorageUnavailable(self._failure)
        give_up = time.monotonic() + RETRY_BUDGET
        pauses = RETRY_PAUSES if self._failure is None else ()
        for attempt, pause in enumerate(pauses):
            try:
                return self._write(begun, finished, again=attempt > 0)
            except StorageUnavailable:
                if time.monotonic() + pause > give_up or self._closing.wait(pause):
                    raise
        return self._write(begun, finished, again=bool(pauses))

    def _write_singly(self, batch: Batch) -> None:
        """A transaction per row, so that a row the store refuses costs no other."""
        left = list(batch.ended)
        try:
            # Those whose outcome is here are written with it.
            outcomes = {row.id for row in batch.outcomes}
            for row in batch.begun:
                if row.id not in outcomes:
                    self._write_row(row, is_finished=False)
            while left:
                rows = left[0].rows
                failures = [self._write_row(row, is_finished=True) for row in rows]
                refused = [row for row, failure in zip(rows, failures, strict=True) if failure is not None]
                self._lost += sum(map(self._count_failed, refused))
                settle([(left.pop(0), next(filter(None, failures), None))])
        except StorageUnavailable as error:
            self._give_up(left, error)

    def _write_row(self, row: Interaction, is_finished: bool) -> StorageUnavailable | None:
        """The failure of a row that the store refuses. Raises StorageUnavailable when the store is down."""
        try:
            self._write([], [row]) if is_finished else self._write([row], [], again=True)
        except StorageUnavailable:
            raise
        except Exception:
            _log.exception("interaction %s cannot be stored", row.id)
            return StorageUnavailable("The interaction could not be stored.")
        if is_finished:
            self._count_committed([row])
        return None

    def _count_committed(self, rows: Iterable[Interaction]) -> None:
        for row in rows:
            self._committed += 1
            self._by_state[row.state] += 1
            # Whatever else there is of it came too late.
            self._unsaved.pop(row.id, None)

    def _count_failed(self, row: Interaction) -> bool:
        """Whether it was not counted before."""
        if row.id in self._failed_ids or row.id in self._unsaved:
            return False
        self._failed += 1
        self._failed_ids[row.id] = None
        if len(self._failed_ids) > QUEUE_ROWS:
            del self._failed_ids[next(iter(self._failed_ids))]
        return True

    def _write(self, begun: Sequence[Interaction], finished: Sequence[Interaction], *, again: bool = False) -> None:
        """`again`: an earlier try may have been committed, although the connection broke before it could say so."""
        started = time.perf_counter()
        try:
            # Images are stored in turn with who deletes them.
            has_images = any(row.images for row in (*begun, *finished))
            with self._database.write() if has_images else self._database.append() as connection:
                _write_rows(connection, begun, finished, self._server_id, again)
                if self._follower is not None and finished:
                    self._follower.finished(connection, finished)
        except StorageUnavailable as error:
            if self._failure is None:
                _log.error("interactions cannot be stored: %s", error.message)
            self._failure = error.message
            raise
        if self._failure is not None:
            _log.info("interactions can be stored again")
        self._failure = None
        if self._follower is not None and finished:
            self._follower.committed()
        self._transactions += 1
        took = time.perf_counter() - started
        self._last_commit_ms = took * 1000
        self._commit_seconds.observe(took)

    def _heal(self) -> None:
        """See whether the store works again, and if so write what could not be written before."""
        try:
            self._database.probe()
            self._failure = None
            for row in list(self._unsaved.values()):
                self._lost += self._write_row(row, is_finished=True) is not None
                # One that the store refuses would be refused for ever.
                self._unsaved.pop(row.id, None)
        except StorageUnavailable as error:
            self._failure = error.message
        except Exception:
            _log.exception("trying the store again failed")
            self._failure = "The interaction store fails for an unknown reason; see the server's log."

    def _abandon(self) -> None:
        """The thread ends: nobody may wait for what it did not write."""
        settle((entry, StorageUnavailable("The recorder has stopped.")) for entry in self._queue.abandon())


def _write_rows(
    connection: Connection,
    begun: Sequence[Interaction],
    finished: Sequence[Interaction],
    server_id: UUID | None,
    again: bool,
) -> None:
    # What begins and ends within one batch is written once, with its first outcome.
    outcomes = {row.id: row for row in reversed(finished)}
    new = [outcomes.get(row.id, row) for row in begun]
    if again:
        new = interactions.unknown(connection, new)
    interactions.insert(connection, new, server_id)
    written = {row.id for row in new}
    interactions.finish(connection, [row for row in finished if row.id not in written])
    idempotency.keep(connection, [row.kept for row in finished if row.kept is not None])
