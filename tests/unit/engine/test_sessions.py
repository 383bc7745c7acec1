"""Which blocks sessions hold, without a pool."""

from __future__ import annotations

from adaptive_engine.engine.sessions import SessionKey, Sessions, Tail


def key(number: int, owner: bytes = b"a") -> SessionKey:
    return SessionKey(owner, bytes([number]))


def sessions(max_blocks: int = 8) -> Sessions:
    return Sessions(max_blocks, 60, lambda: 0.0)


def test_a_block_is_held_until_its_last_session_lets_go() -> None:
    of = sessions()
    assert of.keep(key(1), [1, 2], None) == []
    assert of.keep(key(2), [1, 3], None) == []
    assert of.keep(key(1), [4], None) == [2]
    assert 1 in of
    assert of.keep(key(2), [], None) == [1, 3]
    assert 1 not in of
    assert 4 in of


def test_too_many_blocks_cost_the_oldest_session_of_the_owner_with_most() -> None:
    of = sessions()
    of.keep(key(1, b"small"), [1, 2], None)
    of.keep(key(1, b"large"), [3, 4, 5], None)
    of.keep(key(2, b"large"), [6, 7], None)
    assert of.keep(key(2, b"small"), [8, 9], None) == [3, 4, 5]
    assert all(block in of for block in (1, 2, 6, 7, 8, 9))


def test_sessions_that_share_all_their_blocks_are_limited_too() -> None:
    of = sessions()
    for number in range(100):
        assert of.keep(key(number), [1], None) == []
    assert of.drop_one() == []
    assert [n for n in range(100) if of.keep(key(n), [], None) == [1]] == [99]


def test_a_tail_belongs_to_the_turn_until_it_is_taken() -> None:
    of = sessions()
    of.keep(key(1), [1], Tail(2, b"parent", (5, 6)))
    assert 2 in of
    assert of.take_tail(key(1), b"parent", [5, 6, 7]) == (2, 2)
    assert 2 not in of
    of.keep(key(1), [], Tail(3, b"parent", (5, 6)))
    assert of.take_tail(key(1), b"parent", [5]) == (3, 1)
    assert of.keep(key(1), [4], None) == []
