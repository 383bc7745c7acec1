"""Sessions: whose last turn is still in the cache, so that its blocks are kept when others have to go.

A session *holds* blocks; a block may be held by several. Nothing here hands out or frees one: `BlockPool` asks which
are held, and hears which are no longer.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable
from collections.abc import Sequence as Seq
from dataclasses import dataclass
from typing import NamedTuple

from adaptive_engine.engine.prefix import common_length


class SessionKey(NamedTuple):
    owner: bytes
    id: bytes


@dataclass(frozen=True, slots=True)
class Tail:
    """The last block of a turn, which is not full. Nobody else can share it, so the next turn writes on in it."""

    block: int
    parent: bytes
    """The name of the block before it; the owner's salt when it is the first."""
    tokens: tuple[object, ...]
    """Whose keys and values it holds, as `prompt.content` has them."""


@dataclass(frozen=True, slots=True)
class _Turn:
    blocks: tuple[int, ...]
    tail: Tail | None
    expires: float


class Sessions:
    """The last turns of sessions, for a limited time and of a limited size."""

    def __init__(self, max_blocks: int, keep_seconds: float, clock: Callable[[], float]) -> None:
        """`keep_seconds` 0 holds nothing."""
        self._max_blocks = max_blocks if keep_seconds else 0
        self._keep_seconds = keep_seconds
        self._clock = clock
        # In the order in which their turns ended, which is the order in which they expire.
        self._turns: OrderedDict[SessionKey, _Turn] = OrderedDict()
        self._holders: Counter[int] = Counter()
        self._held_by: Counter[bytes] = Counter()

    def __contains__(self, block: int) -> bool:
        return block in self._holders

    def keep(self, key: SessionKey, blocks: Seq[int], tail: Tail | None) -> list[int]:
        """A turn has ended: hold its blocks, first to last, not those of the turn before. Returns what is let go."""
        if len(blocks) >= self._max_blocks:
            blocks, tail = blocks[: self._max_blocks], None
        turn = _Turn((*blocks, tail.block) if tail else tuple(blocks), tail, self._clock() + self._keep_seconds)
        self._holders.update(turn.blocks)
        dropped = self._drop(key) if key in self._turns else []
        if turn.blocks:
            self._turns[key] = turn
            self._held_by[key.owner] += len(turn.blocks)
        # Sessions may share all their blocks, so their number has a limit as well.
        while len(self._holders) > self._max_blocks or len(self._turns) > self._max_blocks:
            dropped += self.drop_one()
        return dropped

    def take_tail(self, key: SessionKey, parent: bytes, tokens: Seq[object]) -> tuple[int, int] | None:
        """The tail block of the session's last turn, no longer held, and how many of `tokens` it begins with."""
        turn = self._turns.get(key)
        if turn is None or turn.tail is None or turn.tail.parent != parent:
            return None
        count = common_length(turn.tail.tokens, tokens)
        if count == 0:
            return None
        if len(turn.blocks) == 1:
            self._drop(key)
        else:
            self._turns[key] = _Turn(turn.blocks[:-1], None, turn.expires)
            self._held_by[key.owner] -= 1
            self._let_go(turn.tail.block)
        return turn.tail.block, count

    def expire(self) -> list[int]:
        """Forget the turns that ended too long ago. Returns what is let go."""
        now = self._clock()
        dropped = []
        while self._turns and next(iter(self._turns.values())).expires <= now:
            dropped += self._drop(next(iter(self._turns)))
        return dropped

    def drop_one(self) -> list[int]:
        """Forget the oldest turn of the owner that holds most, so that many sessions cost their own owner first.

        Returns what is let go, which may be nothing. There must be a turn.
        """
        owner = max(self._held_by, key=self._held_by.__getitem__)
        return self._drop(next(key for key in self._turns if key.owner == owner))

    def _drop(self, key: SessionKey) -> list[int]:
        turn = self._turns.pop(key)
        self._held_by[key.owner] -= len(turn.blocks)
        if not self._held_by[key.owner]:
            del self._held_by[key.owner]
        return [block for block in turn.blocks if self._let_go(block)]

    def _let_go(self, block: int) -> bool:
        self._holders[block] -= 1
        if self._holders[block]:
            return False
        del self._holders[block]
        return True
