"""Claims of Idempotency-Keys in the store, many per transaction: what comes while one runs goes into the next."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from adaptive_engine.errors import StorageUnavailable
from adaptive_engine.store import Connection, Database, idempotency
from adaptive_engine.store.idempotency import Claimed, Place

_log = logging.getLogger(__name__)

KEEP_HOURS: Final = 24
KEYS_OF_OWNER: Final = 10_000
"""Answers that are kept for one API key; the oldest go first."""
_TIDY_EVERY = 256
"""Claims, after which old ones are deleted."""


@dataclass(eq=False, slots=True)
class _Wanted:
    place: Place
    fingerprint: bytes
    found: asyncio.Future[int | Claimed | None]


class Claims:
    """One server's claims. Its coroutines belong to one event loop; a place is claimed by one at a time."""

    def __init__(self, database: Database, server_id: UUID, clock: Callable[[], int]) -> None:
        """`clock` gives epoch ms."""
        self._database = database
        self._server_id = server_id
        self._clock = clock
        self._wanted: list[_Wanted] = []
        self._released: list[tuple[Place, int]] = []
        self._writing: asyncio.Task[None] | None = None
        # From here on used by one thread at a time.
        self._last_at = 0
        self._untidied = 0
        self._owners: set[str] = set()

    async def claim(self, place: Place, fingerprint: bytes) -> int | Claimed | None:
        """When it was claimed now, or what is known of it; None where that was deleted in this moment.

        Raises StorageUnavailable.
        """
        wanted = _Wanted(place, fingerprint, asyncio.get_running_loop().create_future())
        self._wanted.append(wanted)
        self._write_soon()
        return await wanted.found

    def release(self, place: Place, claimed_at: int) -> None:
        """Delete a claim, before any is made from now on. One that stays is this server's to take up again."""
        self._released.append((place, claimed_at))
        self._write_soon()

    def oldest(self) -> int:
        """What was claimed before that moment (epoch ms) counts no more."""
        return self._clock() - KEEP_HOURS * 3_600_000

    def _write_soon(self) -> None:
        if self._writing is None or self._writing.done():
            self._writing = asyncio.get_running_loop().create_task(self._write_all())

    async def _write_all(self) -> None:
        while self._wanted or self._released:
            # Who was cancelled wants nothing any more, and another may want the same.
            wanted = [each for each in self._wanted if not each.found.done()]
            released = self._released
            self._wanted, self._released = [], []
            try:
                found = await asyncio.to_thread(self._write, wanted, released)
            except Exception as error:
                if released:
                    _log.warning("%d claims of Idempotency-Keys could not be deleted: %s", len(released), error)
                for each in wanted:
                    if not each.found.done():
                        # Each gets its own: a shared exception would collect the tracebacks of all.
                        each.found.set_exception(copy(error))
            else:
                for each, known in zip(wanted, found, strict=True):
                    if not each.found.done():
                        each.found.set_result(known)

    def _write(self, wanted: Sequence[_Wanted], released: Sequence[tuple[Place, int]]) -> list[int | Claimed | None]:
        """What `claim` returns, for each that is wanted. Runs in a thread."""
        # Never the same moment twice: it tells a claim from an earlier one of this server.
        now = self._last_at = max(self._clock(), self._last_at + 1)
        with self._database.append() as connection:
            idempotency.release(connection, released)
            fingerprints = {each.place: each.fingerprint for each in wanted}
            known = idempotency.claim(connection, fingerprints, self._server_id, now)
        found = [self._judge(each, known[each.place], now) if each.place in known else now for each in wanted]
        self._untidied += len(wanted)
        self._owners.update(owner for owner, _ in fingerprints)
        if self._untidied >= _TIDY_EVERY:
            with suppress(StorageUnavailable):
                self._tidy()
        return found

    def _judge(self, wanted: _Wanted, found: Claimed | None, now: int) -> int | Claimed | None:
        """What to do about one that was known."""
        if found is None:
            return None
        if found.claimed_at >= self.oldest():
            if found.server_id is None:
                return found
            # Not in turn with those who write: one asks often while another server is at it.
            with self._database.read() as connection:
                if not self._is_left(connection, found):
                    return found
        return self._take_over(wanted, now)

    def _take_over(self, wanted: _Wanted, now: int) -> int | Claimed | None:
        """Of what nobody works on any more, nobody will know the answer."""
        with self._database.write() as connection:
            found = idempotency.get(connection, wanted.place)
            if (
                found is not None
                and found.claimed_at >= self.oldest()
                and not (self._is_left(connection, found) and found.fingerprint == wanted.fingerprint)
            ):
                return found
            idempotency.forget(connection, wanted.place)
            # Never the same moment: who was taken for dead must not answer for us.
            claimed_at = now if found is None else max(now, found.claimed_at + 1)
            self._last_at = max(self._last_at, claimed_at)
            fingerprints = {wanted.place: wanted.fingerprint}
            return idempotency.claim(connection, fingerprints, self._server_id, claimed_at).get(
                wanted.place, claimed_at
            )

    def _is_left(self, connection: Connection, found: Claimed) -> bool:
        """Whether it has no answer, and nobody works on it."""
        if found.server_id is None:
            return False
        # What this server has claimed and is asked for again, it does not do any more: it could not delete it.
        return found.server_id == self._server_id or self._database.is_gone(connection, found.server_id)

    def _tidy(self) -> None:
        owners, self._owners, self._untidied = self._owners, set(), 0
        with self._database.write() as connection:
            idempotency.forget_until(connection, self.oldest())
            for owner in owners:
                idempotency.forget_all_but(connection, owner, KEYS_OF_OWNER)
