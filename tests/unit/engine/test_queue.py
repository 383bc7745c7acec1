"""Turns between owners, without a scheduler."""

from __future__ import annotations

from adaptive_engine.engine.queue import FairQueue
from adaptive_engine.engine.sequence import Sequence
from unit.engine.test_scheduler import sequence


def run_next(queue: FairQueue) -> Sequence:
    taken = next(queue.in_turn())
    queue.take(taken)
    return taken


def owners(queue: FairQueue, count: int) -> bytes:
    return b"".join(run_next(queue).request.owner for _ in range(count))


def test_one_request_does_not_wait_for_the_many_of_another() -> None:
    queue = FairQueue()
    for n in range(200):
        queue.add(sequence([n] * 10, owner=b"a"))
    assert owners(queue, 5) == b"aaaaa"
    queue.add(sequence([1] * 10, owner=b"b"))
    assert owners(queue, 3) == b"baa"


def test_turns_are_weighed_by_tokens() -> None:
    queue = FairQueue()
    for n in range(20):
        queue.add(sequence([n] * 40, owner=b"a"))
        queue.add(sequence([n] * 10, owner=b"b"))
    assert owners(queue, 10) == b"abbbbabbbb"


def test_generated_tokens_count_as_those_of_the_prompt_do() -> None:
    queue = FairQueue()
    first, second = sequence([1] * 10, owner=b"a"), sequence([2] * 10, owner=b"a")
    other, another = sequence([3] * 10, owner=b"b"), sequence([4] * 10, owner=b"b")
    for one in (first, second, other, another):
        queue.add(one)
    assert owners(queue, 2) == b"ab"
    queue.charge(first, 11)
    assert owners(queue, 1) == b"b"


def test_what_was_cached_or_is_computed_again_costs_nothing() -> None:
    queue = FairQueue()
    cached, again, other = (sequence([n] * 10, owner=o) for n, o in ((1, b"a"), (2, b"a"), (3, b"b")))
    for one in (cached, again, other):
        queue.add(one)
    cached.computed = 9
    assert owners(queue, 2) == b"ba"
    queue.put_back(cached)
    cached.computed = 0
    assert run_next(queue) is cached, "it was served before, so it goes first"
    assert owners(queue, 1) == b"a", "still one token against ten"


def test_a_pause_earns_no_turns_and_forgives_no_debts() -> None:
    queue = FairQueue()
    early = sequence([1] * 10, owner=b"b")
    queue.add(early)
    queue.take(early)
    for n in range(30):
        queue.add(sequence([n] * 10, owner=b"a"))
    queue.leave(early)
    owners(queue, 10)
    for n in range(10):
        queue.add(sequence([n] * 10, owner=b"b"))
    assert owners(queue, 6).count(b"b") == 3, "equal from here on, not ten turns ahead"

    queue.charge(early, 1000)
    for one in [one for one in queue.in_turn() if one.request.owner == b"b"]:
        queue.leave(one)
    for _ in range(4):
        queue.add(sequence([1] * 10, owner=b"b"))
    assert owners(queue, 10) == b"a" * 10, "what it had before the pause still counts"


def test_whoever_leaves_is_gone() -> None:
    queue = FairQueue()
    one, two = sequence([1], owner=b"a"), sequence([2], owner=b"a")
    queue.add(one)
    queue.add(two)
    queue.leave(one)
    assert one not in queue
    assert two in queue
    assert list(queue.in_turn()) == [two]
    assert len(queue) == 1
    queue.clear()
    assert not queue
    assert two not in queue
