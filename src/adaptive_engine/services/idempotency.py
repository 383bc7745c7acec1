"""Requests that carry an Idempotency-Key: each is done once, and whoever repeats it has the same answer.

What is being done is claimed in the store, so that no other server does it too. Its answer is stored in the transaction
of what it did: after a crash both are there or neither. Who repeats a request that is being done waits for its answer.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from adaptive_engine.errors import Conflict, InvalidRequest, StillRunning
from adaptive_engine.services.claims import Claims
from adaptive_engine.store import Database
from adaptive_engine.store.idempotency import Place
from adaptive_engine.types import KeptAnswer, now_ms

MEMORY_ANSWERS: Final = 1000
"""Answers that are not stored with an interaction are kept by the server that gave them, so many ..."""
MEMORY_BYTES: Final = 64 * 2**20
"""... of so many characters together; the oldest go first."""
WAIT_SECONDS: Final = 60.0
"""How long a request waits for the answer of an equal one."""
MOST_WAITING: Final = 100
"""Requests that wait for one answer."""

_KEY = re.compile(r"[!-~]{1,255}")
_LOOK_SECONDS = 0.1
"""How often one looks whether another server has answered."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What an equal request was answered before."""

    content: str
    stored: bool
    """It is what was kept in the store; else all that was answered."""


@dataclass(eq=False, slots=True)
class _Running:
    fingerprint: bytes
    done: asyncio.Future[str | None]
    """The answer; None when there is none, and who waits may try."""
    waiting: int = 0


class Claim:
    """The right to do a request. It ends with `answered`, `release` or `leave`, whichever comes first."""

    def __init__(self, keys: Idempotency, place: Place, running: _Running, claimed_at: int) -> None:
        self._keys = keys
        self._place = place
        self._running = running
        self._claimed_at = claimed_at

    def kept(self, content: str | None, interaction_id: UUID | None = None) -> KeptAnswer:
        """For the transaction that does it."""
        return KeptAnswer(*self._place, self._claimed_at, content, interaction_id)

    def answered(self, content: str, *, stored: bool) -> None:
        """It is done. What is not `stored` is kept in memory for a while."""
        if self._keys.end(self._place, self._running, content) and not stored:
            self._keys.remember(self._place, self._running.fingerprint, content)
            self._keys.forget(self._place, self._claimed_at)

    def leave(self) -> None:
        """Nobody knows what became of it; whoever sends it again finds out."""
        self._keys.end(self._place, self._running, None)

    def release(self) -> None:
        """It was refused, has failed or was given up: the next one may try."""
        if self._keys.end(self._place, self._running, None):
            self._keys.forget(self._place, self._claimed_at)


class Idempotency:
    """The keys of one server's requests. Its coroutines belong to the server's event loop."""

    def __init__(self, database: Database, server_id: UUID, clock: Callable[[], int] = now_ms) -> None:
        """`clock` gives epoch ms."""
        self._claims = Claims(database, server_id, clock)
        self._clock = clock
        self._running: dict[Place, _Running] = {}
        self._memory: OrderedDict[Place, _Remembered] = OrderedDict()
        self._memory_size = 0

    async def enter(self, owner: str, key: str, fingerprint: bytes) -> Claim | Answer:
        """The right to do the request, or what it was answered before.

        Raises Conflict when the key came with another request, and StillRunning when an equal one runs for too long.
        """
        place = owner, key
        deadline = asyncio.get_running_loop().time() + WAIT_SECONDS
        while True:
            if (remembered := self._recall(place)) is not None:
                _require_same(remembered.fingerprint, fingerprint)
                return Answer(remembered.content, stored=False)
            if (running := self._running.get(place)) is not None:
                _require_same(running.fingerprint, fingerprint)
                content = await self._wait(running, deadline)
                if content is not None:
                    return Answer(content, stored=False)
                continue
            running = _Running(fingerprint, asyncio.get_running_loop().create_future())
            self._running[place] = running
            try:
                found = await self._claims.claim(place, fingerprint)
            except BaseException:
                self.end(place, running, None)
                raise
            if isinstance(found, int):
                return Claim(self, place, running, found)
            self.end(place, running, None)
            if found is None:
                continue
            _require_same(found.fingerprint, fingerprint)
            if found.server_id is None:
                if found.content is None:
                    raise Conflict(
                        "This request was answered already, and its answer is not kept: those with logprobs are not. "
                        "Its interaction is stored. Send another Idempotency-Key to ask again.",
                        code="idempotency_answer_not_kept",
                        param="Idempotency-Key",
                    )
                return Answer(found.content, stored=True)
            if asyncio.get_running_loop().time() >= deadline:
                raise StillRunning
            await asyncio.sleep(_LOOK_SECONDS)

    def end(self, place: Place, running: _Running, content: str | None) -> bool:
        """Tell those who wait. Whether it had not ended before."""
        if running.done.done():
            return False
        running.done.set_result(content)
        self._running.pop(place, None)
        return True

    def remember(self, place: Place, fingerprint: bytes, content: str) -> None:
        """Keep an answer in memory."""
        self._memory[place] = _Remembered(fingerprint, content, self._clock())
        self._memory_size += len(content)
        while len(self._memory) > MEMORY_ANSWERS or self._memory_size > MEMORY_BYTES:
            _, oldest = self._memory.popitem(last=False)
            self._memory_size -= len(oldest.content)

    def forget(self, place: Place, claimed_at: int) -> None:
        """Delete a claim, so that others need not wait."""
        self._claims.release(place, claimed_at)

    async def _wait(self, running: _Running, deadline: float) -> str | None:
        if running.waiting >= MOST_WAITING:
            raise StillRunning
        running.waiting += 1
        try:
            await asyncio.wait([running.done], timeout=max(0, deadline - asyncio.get_running_loop().time()))
        finally:
            running.waiting -= 1
        if not running.done.done():
            raise StillRunning
        return running.done.result()

    def _recall(self, place: Place) -> _Remembered | None:
        remembered = self._memory.get(place)
        if remembered is not None and remembered.since < self._claims.oldest():
            del self._memory[place]
            self._memory_size -= len(remembered.content)
            return None
        return remembered


@dataclass(frozen=True, slots=True)
class _Remembered:
    fingerprint: bytes
    content: str = field(repr=False)
    since: int


def check_key(key: str) -> str:
    """Returns the key, or raises InvalidRequest."""
    if not _KEY.fullmatch(key):
        raise InvalidRequest(
            "An Idempotency-Key has 1 to 255 visible ASCII characters and no spaces; a UUID is a good one.",
            code="invalid_idempotency_key",
            param="Idempotency-Key",
        )
    return key


def fingerprint(path: str, body: bytes) -> bytes:
    """What two requests have in common that ask for the same."""
    return hashlib.blake2b(path.encode() + b"\0" + body, digest_size=32).digest()


def _require_same(known: bytes, given: bytes) -> None:
    if known != given:
        raise Conflict(
            "This Idempotency-Key was used for another request: with another body, or to another method and path. Send "
            "the request that it was used for, or a new key.",
            code="idempotency_key_reused",
            param="Idempotency-Key",
        )
