"""The block pool: nothing is lost, nothing is shared that should not be."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from adaptive_engine.engine.kv_cache import BlockPool, OutOfBlocks, block_names

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


class PoolMachine(RuleBasedStateMachine):
    """Random allocation, naming, sharing and release, compared with plain reference counts."""

    held = Bundle("held")

    def __init__(self) -> None:
        super().__init__()
        self.pool = BlockPool(12, SIZE)
        self.references: dict[int, int] = {}

    @rule(target=held, count=st.integers(0, 5), start=st.integers(0, 3))
    def allocate_and_name(self, count: int, start: int) -> list[int]:
        names = block_names(b"", [start] * (count * SIZE), SIZE)
        matched = self.pool.match(names)
        shared = self.pool.share(names[:matched])
        try:
            fresh = self.pool.allocate(count - matched)
        except OutOfBlocks:
            self.pool.release(shared)
            return []
        for block, name in zip(fresh, names[matched:], strict=True):
            self.pool.name(block, name)
        assert not set(fresh) & self.references.keys(), "a block in use was handed out again"
        for block in shared + fresh:
            self.references[block] = self.references.get(block, 0) + 1
        return shared + fresh

    @rule(blocks=consumes(held))
    def release(self, blocks: list[int]) -> None:
        self.pool.release(blocks)
        for block in blocks:
            self.references[block] -= 1
            if not self.references[block]:
                del self.references[block]

    @invariant()
    def nothing_is_lost(self) -> None:
        self.pool.check(in_use=len(self.references))


PoolMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestPool = PoolMachine.TestCase
