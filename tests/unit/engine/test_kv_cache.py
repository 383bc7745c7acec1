"""The block pool: nothing is lost, nothing is shared that should not be."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from adaptive_engine.engine.kv_cache import BlockPool, OutOfBlocks
from adaptive_engine.engine.prefix import block_names
from adaptive_engine.engine.sessions import SessionKey, Tail

SIZE = 4


def test_names_depend_on_all_tokens_before_and_on_the_salt() -> None:
    tokens = list(range(12))
    names = block_names(b"a", tokens, SIZE)
    assert len(names) == 3
    assert block_names(b"a", tokens[:11], SIZE) == names[:2]
    assert block_names(b"b", tokens, SIZE)[0] != names[0]
    changed = [99, *tokens[1:]]
    assert not set(block_names(b"a", changed, SIZE)) & set(names)
    assert block_names(b"a", tokens, SIZE, names[:2]) == names


def test_a_released_prefix_is_found_again_and_evicted_from_its_end() -> None:
    pool = BlockPool(5, SIZE)
    names = block_names(b"", list(range(12)), SIZE)
    blocks = pool.allocate(3)
    for block, name in zip(blocks, names, strict=True):
        pool.name(block, name)
    pool.release(blocks)
    assert pool.match(names) == 3
    assert pool.share(names) == blocks
    pool.release(blocks)
    pool.allocate(2)
    assert pool.match(names) == 2, "the last block of the prefix goes first"
    pool.check(in_use=2)


def test_allocation_is_all_or_nothing() -> None:
    pool = BlockPool(4, SIZE)
    pool.allocate(2)
    with pytest.raises(OutOfBlocks):
        pool.allocate(2)
    pool.check(in_use=2)


def test_check_sees_a_leak() -> None:
    pool = BlockPool(4, SIZE)
    pool.allocate(1)
    with pytest.raises(AssertionError, match="leaked"):
        pool.check()


class Clock:
    """Seconds that pass when a test says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def ends(pool: BlockPool, session: SessionKey | None, tokens: list[int], computed: int | None = None) -> None:
    """A turn of `session` computes `tokens`, shares what there is of them, and ends."""
    tokens = tokens[:computed]
    names = block_names(b"", tokens, SIZE)
    blocks = pool.share(names[: pool.match(names)])
    blocks += pool.allocate(-(-len(tokens) // SIZE) - len(blocks))
    for block, name in zip(blocks, names, strict=False):
        pool.name(block, name)
    if session is not None:
        rest = tuple(tokens[len(names) * SIZE :])
        tail = Tail(blocks[-1], names[-1] if names else b"", rest) if rest else None
        pool.keep(session, names, tail)
    pool.release(blocks)
    pool.check()


def cached(pool: BlockPool, tokens: list[int]) -> int:
    """Tokens of a prompt that would be shared."""
    return SIZE * pool.match(block_names(b"", tokens, SIZE))


def talk(number: int, length: int = 8) -> list[int]:
    """Tokens that no other number has."""
    return [1000 * number + n for n in range(length)]


ANNE, BOB = SessionKey(b"a", b"1"), SessionKey(b"b", b"1")


def test_a_sessions_turn_outlives_what_came_after_it() -> None:
    pool = BlockPool(9, SIZE, session_keep_seconds=60)
    ends(pool, ANNE, talk(1))
    for number in range(2, 20):
        ends(pool, None, talk(number))
    assert cached(pool, talk(1)) == 8
    assert cached(pool, talk(2)) == 0


def test_a_sessions_turn_gives_way_when_nothing_else_is_left() -> None:
    pool = BlockPool(9, SIZE, session_keep_seconds=60)
    ends(pool, ANNE, talk(1, 10))
    assert pool.available == 8
    blocks = pool.allocate(8)
    assert cached(pool, talk(1)) == 0
    pool.check(in_use=8)
    pool.release(blocks)
    pool.check()


def test_a_dead_session_is_not_preferred_for_ever() -> None:
    clock = Clock()
    pool = BlockPool(9, SIZE, session_keep_seconds=60, clock=clock)
    ends(pool, ANNE, talk(1))
    clock.now = 61
    ends(pool, None, talk(2))
    assert cached(pool, talk(1)) == 8, "it is still there while nobody needs the room"
    pool.release(pool.allocate(5))
    assert (cached(pool, talk(1)), cached(pool, talk(2))) == (4, 8), "but goes first"


def test_the_next_turn_takes_the_place_of_the_last_one() -> None:
    pool = BlockPool(17, SIZE, session_keep_seconds=60)
    ends(pool, ANNE, talk(1, 16))
    ends(pool, ANNE, talk(1, 8) + talk(9, 8))
    ends(pool, None, talk(2, 16))
    pool.release(pool.allocate(pool.num_blocks - 8))
    assert cached(pool, talk(1, 8) + talk(9, 8)) == 16
    assert cached(pool, talk(1, 16)) == 8, "what was edited away is kept no longer"


def test_a_hundred_thousand_sessions_hold_half_of_the_cache() -> None:
    pool = BlockPool(41, SIZE, session_keep_seconds=60)
    ends(pool, BOB, talk(1, 16))
    for number in range(100_000):
        ends(pool, SessionKey(b"a", b"%d" % number), [5, 5, 5, 5, *talk(2 + number, 4)])
    ends(pool, None, talk(0, 64))
    assert cached(pool, talk(0, 64)) == 64, "the other half is for all"
    assert cached(pool, talk(1, 16)) == 16, "and they displace their own project's sessions first"
    assert len(pool._sessions._turns) <= 20
    assert cached(pool, [5, 5, 5, 5]) == 4, "what they all share is used all the time"


def test_a_turn_larger_than_the_share_keeps_its_beginning() -> None:
    pool = BlockPool(21, SIZE, session_keep_seconds=60)
    ends(pool, ANNE, talk(1, 78))
    pool.release(pool.allocate(10))
    assert cached(pool, talk(1, 78)) == 40


def test_nothing_is_kept_when_sessions_are_kept_for_no_time() -> None:
    pool = BlockPool(9, SIZE)
    ends(pool, ANNE, talk(1))
    ends(pool, None, talk(2))
    pool.release(pool.allocate(6))
    assert (cached(pool, talk(1)), cached(pool, talk(2))) == (0, 8)


def test_the_unfilled_block_of_a_turn_is_continued_by_its_own_session_once() -> None:
    pool = BlockPool(17, SIZE, session_keep_seconds=60)
    ends(pool, ANNE, talk(1, 7))
    parent = block_names(b"", talk(1, 4), SIZE)[-1]
    following = talk(1, 30)[4:]
    assert pool.take_tail(BOB, parent, following) == ([], 0)
    assert pool.take_tail(ANNE, b"another prefix", following) == ([], 0)
    assert pool.take_tail(ANNE, parent, [77, *following]) == ([], 0)
    blocks, count = pool.take_tail(ANNE, parent, following)
    assert (len(blocks), count) == (1, 3)
    assert pool.take_tail(ANNE, parent, following) == ([], 0), "another request is writing in it"
    pool.check(in_use=1)
    pool.release(blocks)
    pool.check()


def test_an_edited_end_continues_as_far_as_it_is_the_same() -> None:
    pool = BlockPool(17, SIZE, session_keep_seconds=60)
    ends(pool, ANNE, talk(1, 3))
    assert pool.take_tail(ANNE, b"", [*talk(1, 2), 99, 98])[1] == 2


class PoolMachine(RuleBasedStateMachine):
    """Random allocation, naming, sharing, sessions and release, compared with plain reference counts."""

    held = Bundle("held")

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.pool = BlockPool(12, SIZE, session_keep_seconds=10, clock=self.clock)
        self.references: dict[int, int] = {}

    @rule(target=held, count=st.integers(0, 5), start=st.integers(0, 3), rest=st.integers(0, 3), who=st.integers(0, 3))
    def begin(self, count: int, start: int, rest: int, who: int) -> tuple[list[int], list[int]]:
        tokens = [start] * (count * SIZE + rest)
        names = block_names(b"", tokens, SIZE)
        blocks = self.pool.share(names[: self.pool.match(names)])
        known = len(blocks)
        if known == count:
            blocks += self.pool.take_tail(self.session(who), names[-1] if names else b"", tokens[count * SIZE :])[0]
        try:
            fresh = self.pool.allocate(-(-len(tokens) // SIZE) - len(blocks))
        except OutOfBlocks:
            self.pool.release(blocks)
            return [], []
        for block, name in zip(fresh, names[known:], strict=False):
            self.pool.name(block, name)
        assert not set(fresh + blocks[known:]) & self.references.keys(), "a block in use was handed out again"
        for block in blocks + fresh:
            self.references[block] = self.references.get(block, 0) + 1
        return blocks + fresh, tokens

    @rule(turn=consumes(held))
    def release(self, turn: tuple[list[int], list[int]]) -> None:
        blocks, _ = turn
        self.pool.release(blocks)
        for block in blocks:
            self.references[block] -= 1
            if not self.references[block]:
                del self.references[block]

    @rule(turn=consumes(held), who=st.integers(0, 3))
    def end_turn(self, turn: tuple[list[int], list[int]], who: int) -> None:
        blocks, tokens = turn
        names = block_names(b"", tokens, SIZE)
        rest = tuple(tokens[len(names) * SIZE :])
        tail = Tail(blocks[-1], names[-1] if names else b"", rest) if rest else None
        self.pool.keep(self.session(who), names, tail)
        self.release((blocks, tokens))

    @rule(seconds=st.integers(1, 12))
    def wait(self, seconds: int) -> None:
        self.clock.now += seconds

    @staticmethod
    def session(who: int) -> SessionKey:
        return SessionKey(bytes([who % 2]), bytes([who]))

    @invariant()
    def nothing_is_lost(self) -> None:
        self.pool.check(in_use=len(self.references))


PoolMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
TestPool = PoolMachine.TestCase
