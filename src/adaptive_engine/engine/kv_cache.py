"""Blocks of the paged KV cache: which are free, which are in use, and which hold a prefix worth keeping.

The tensors belong to the runner; this file only hands out block numbers. A block holds the keys and values of
`block_size` consecutive tokens. A *full* block is named by the chained hash of all tokens up to its end (vLLM's
scheme), salted by its owner, so equal prefixes of one owner share blocks and two owners never do.

A block number is in exactly one of four places:

    free      holds nothing
    idle      unreferenced, but named: reused on a hash hit, taken in least-recently-used order when free runs out
    kept      like idle, but of a session's last turn: taken only when no idle block is left
    in use    referenced by one sequence or more
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from collections.abc import Sequence as Seq

from adaptive_engine.engine.prefix import BlockName
from adaptive_engine.engine.sessions import SessionKey, Sessions, Tail

SESSION_SHARE = 0.5
"""Most of the cache that sessions may hold."""


class OutOfBlocks(Exception):
    """Neither a free nor an idle block is left."""


class BlockPool:
    """Hands out blocks and remembers named ones. Not thread-safe: only the engine thread uses it."""

    def __init__(
        self,
        num_blocks: int,
        block_size: int,
        *,
        reserved: int = 1,
        session_keep_seconds: float = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Blocks `0 .. reserved-1` are never handed out; the runner uses them as scratch."""
        if num_blocks <= reserved:
            raise ValueError("the KV cache needs more blocks than are reserved")
        self.block_size = block_size
        self.num_blocks = num_blocks - reserved
        self._reserved = reserved
        self._session_keep_seconds = session_keep_seconds
        self._clock = clock
        self.reset()

    def reset(self) -> None:
        """As new. After a failed step nobody knows what the tensors hold."""
        total = self._reserved + self.num_blocks
        self._free = list(range(total - 1, self._reserved - 1, -1))
        self._idle: OrderedDict[int, BlockName] = OrderedDict()
        self._kept: set[int] = set()
        self._sessions = Sessions(int(SESSION_SHARE * self.num_blocks), self._session_keep_seconds, self._clock)
        self._references = [0] * total
        self._name_of: dict[int, BlockName] = {}
        self._block_of: dict[BlockName, int] = {}

    @property
    def available(self) -> int:
        """Blocks that `allocate` can hand out now."""
        return len(self._free) + len(self._idle) + len(self._kept)

    @property
    def used(self) -> int:
        return self.num_blocks - self.available

    def match(self, names: Seq[BlockName]) -> int:
        """How many leading `names` have a block. Takes nothing."""
        count = 0
        for name in names:
            if name not in self._block_of:
                break
            count += 1
        return count

    def idle_among(self, names: Seq[BlockName]) -> int:
        """How many blocks of `names` are idle or kept, so that sharing them lowers `available`."""
        return sum(not self._references[self._block_of[name]] for name in names)

    def share(self, names: Seq[BlockName]) -> list[int]:
        """Reference the blocks of `names`, all of which must match."""
        blocks = [self._block_of[name] for name in names]
        for block in blocks:
            self._references[block] += 1
            self._idle.pop(block, None)
            self._kept.discard(block)
        return blocks

    def allocate(self, count: int) -> list[int]:
        """`count` blocks with undefined content, each referenced once; all or none."""
        if count > self.available:
            raise OutOfBlocks
        if count > len(self._free):
            self._let_go(self._sessions.expire())
        while count > len(self._free) + len(self._idle):
            self._let_go(self._sessions.drop_one())
        blocks = []
        for _ in range(count):
            if self._free:
                block = self._free.pop()
            else:
                block, name = self._idle.popitem(last=False)
                del self._block_of[name], self._name_of[block]
            self._references[block] = 1
            blocks.append(block)
        return blocks

    def name(self, block: int, name: BlockName) -> None:
        """Record that `block` is full and holds `name`. The first block of a name keeps it."""
        if name not in self._block_of and block not in self._name_of:
            self._block_of[name] = block
            self._name_of[block] = name

    def release(self, blocks: Seq[int]) -> None:
        """Drop one reference of each. Last blocks of a prefix are evicted before the ones they build on."""
        for block in reversed(blocks):
            self._references[block] -= 1
            if self._references[block]:
                continue
            name = self._name_of.get(block)
            if block in self._sessions:
                self._kept.add(block)
            elif name is None:
                self._free.append(block)
            else:
                self._idle[block] = name

    def keep(self, session: SessionKey, names: Seq[BlockName], tail: Tail | None) -> None:
        """A turn of `session` ends: keep its blocks longer than others once they are released.

        `names` are those of its full blocks, first to last; `tail` has a block that only the caller references.
        """
        blocks = [self._block_of[name] for name in names[: self.match(names)]]
        if len(blocks) < len(names):
            tail = None
        self._let_go(self._sessions.keep(session, blocks, tail))
        # Of two blocks that were computed with the same content, the one that has the name may be idle already.
        for block in blocks:
            if block in self._idle and block in self._sessions:
                del self._idle[block]
                self._kept.add(block)

    def take_tail(self, session: SessionKey, parent: BlockName, tokens: Seq[object]) -> tuple[list[int], int]:
        """The block that continues `parent` with `tokens`, referenced, and how many of them it holds; or no block."""
        found = self._sessions.take_tail(session, parent, tokens)
        if found is None:
            return [], 0
        block, count = found
        self._kept.remove(block)
        self._references[block] = 1
        return [block], count

    def _let_go(self, blocks: Seq[int]) -> None:
        """No session holds these any longer: they are the next to be evicted, last blocks of a prefix first."""
        for block in blocks:
            if block not in self._kept:
                continue
            self._kept.remove(block)
            name = self._name_of.get(block)
            if name is None:
                self._free.append(block)
            else:
                self._idle[block] = name
                self._idle.move_to_end(block, last=False)

    def check(self, in_use: int = 0) -> None:
        """Raise when a block was lost or counted twice; `in_use` blocks may be referenced."""
        referenced = sum(count > 0 for count in self._references)
        if min(self._references) < 0 or referenced != in_use or self.available + in_use != self.num_blocks:
            raise AssertionError(
                f"KV blocks leaked: {len(self._free)} free + {len(self._idle)} idle + {len(self._kept)} kept + "
                f"{referenced} in use "
                f"of {self.num_blocks}, expected {in_use} in use"
            )
        if len(self._name_of) != len(self._block_of):
            raise AssertionError("KV block names and blocks disagree")
        if any(block not in self._sessions for block in self._kept) or any(b in self._sessions for b in self._idle):
            raise AssertionError("KV blocks are kept for no session, or idle in spite of one")
