"""Promises of the scheduler under any traffic: all sequences end, no block leaks, nobody is starved."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaptive_engine.engine.scheduler import Scheduler
from adaptive_engine.engine.sequence import Sequence
from unit.engine.test_scheduler import SIZE, scheduler, sequence, step


@dataclass(frozen=True)
class Arrival:
    """A request that comes `pause` steps after the one before. It leaves after `patience` steps, if that is given."""

    owner: int
    pause: int
    shared: int
    """Tokens that its prompt has in common with others of the owner; then come `own` tokens."""
    own: int
    answer: int
    patience: int | None = None


class Traffic:
    """Runs arrivals through a scheduler and checks in each step what has to hold in all of them."""

    def __init__(self, of: Scheduler) -> None:
        self.of = of
        self.steps = 0
        self.served: Counter[int] = Counter()
        """Tokens computed for each owner, without those computed again."""
        self._fresh = itertools.count(1000)
        self._alive: dict[Sequence, tuple[Arrival, int]] = {}
        self._computed: dict[Sequence, int] = {}

    def add(self, arrival: Arrival) -> Sequence:
        prompt = [arrival.owner] * arrival.shared + [next(self._fresh) for _ in range(arrival.own)]
        owner = bytes([arrival.owner])
        one = sequence(prompt, salt=owner, owner=owner)
        self._alive[one] = (arrival, self.steps)
        self.of.add(one)
        return one

    def step(self) -> list[Sequence]:
        """One step; the sequences that ended in it."""
        slices = step(self.of)
        assert slices, "there is work, and none of it gets on"
        assert len({part.sequence for part in slices}) == len(slices)
        for part in slices:
            one = part.sequence
            assert part.start < part.stop <= len(one.blocks) * SIZE
            before = self._computed.get(one, one.cached_tokens)
            self._computed[one] = max(before, part.stop)
            self.served[one.request.owner[0]] += self._computed[one] - before
        self.of.pool.check(len({block for one in self.of.running for block in one.blocks}))
        self.steps += 1
        ended = [one for one in self._alive if self._has_ended(one)]
        for one in ended:
            del self._alive[one]
            self.of.remove(one)
        return ended

    def run(self, arrivals: Iterable[Arrival]) -> None:
        """Until all have ended."""
        for arrival in arrivals:
            for _ in range(arrival.pause):
                if self._alive:
                    self.step()
            self.add(arrival)
        while self._alive:
            self.step()
        self.of.check()

    def _has_ended(self, one: Sequence) -> bool:
        arrival, since = self._alive[one]
        left = arrival.patience is not None and self.steps - since > arrival.patience
        return left or one.generated >= arrival.answer


BLOCKS = 16
ROOM = BLOCKS * SIZE
ARRIVALS = st.builds(
    Arrival,
    owner=st.integers(0, 2),
    pause=st.integers(0, 6),
    shared=st.integers(0, 20),
    own=st.integers(1, 3) | st.integers(1, ROOM - 40),
    answer=st.integers(1, 20),
    patience=st.none() | st.integers(0, 40),
)


@settings(max_examples=150, deadline=None)
@given(arrivals=st.lists(ARRIVALS, max_size=25), max_running=st.integers(1, 12), busy=st.none() | st.integers(1, 16))
def test_everything_ends_and_nothing_leaks(arrivals: list[Arrival], max_running: int, busy: int | None) -> None:
    traffic = Traffic(scheduler(blocks=BLOCKS, max_running=max_running, prefill=16, busy=busy))
    traffic.run(arrivals)
    tokens = sum(a.shared + a.own + a.answer for a in arrivals)
    assert traffic.steps <= 3 * tokens, "most of the work is done once"


def mixed(seed: int, count: int) -> Iterator[Arrival]:
    """Small and large requests of three owners, some of which leave early; more than fit."""
    rng = random.Random(seed)
    for _ in range(count):
        own = rng.randrange(1, 200) if rng.random() < 0.1 else rng.randrange(1, 30)
        patience = rng.randrange(100) if rng.random() < 0.1 else None
        yield Arrival(rng.randrange(3), rng.randrange(8), rng.choice([0, 0, 12]), own, rng.randrange(1, 60), patience)


@pytest.mark.parametrize("seed", range(3))
def test_thousands_of_steps_at_the_limit_of_the_cache(seed: int) -> None:
    of = scheduler(blocks=100, max_running=16)
    traffic = Traffic(of)
    traffic.run(mixed(seed, 500))
    assert traffic.steps > 1500
    assert of.preemptions > 20, "the cache was not full: the test shows little"


@pytest.mark.parametrize("seed", range(3))
def test_owners_that_always_have_work_get_equal_shares(seed: int) -> None:
    """Whatever they ask for: many short requests or few long ones."""
    rng = random.Random(seed)
    traffic = Traffic(scheduler(blocks=100, max_running=8))
    room = 100 * SIZE

    def ask(owner: int) -> None:
        own = rng.randrange(1, 8) if owner == 0 else rng.randrange(60, 120)
        traffic.add(Arrival(owner, 0, 0, own, rng.randrange(1, 40 if owner else 8)))

    for owner in [0] * 50 + [1] * 20:
        ask(owner)
    widest = 0
    for _ in range(3000):
        for ended in traffic.step():
            ask(ended.request.owner[0])
        widest = max(widest, abs(traffic.served[0] - traffic.served[1]))
    assert widest <= 2 * room, "the bound that the virtual token counter has"
    assert min(traffic.served.values()) > 10 * room


def test_a_single_request_is_served_within_twice_the_time_it_takes_alone() -> None:
    """Beside a thousand of another owner that have all places."""

    def small(owner: int) -> Arrival:
        return Arrival(owner, 0, 0, 40, 30)

    alone = Traffic(scheduler(blocks=400, max_running=4, prefill=16, busy=16))
    alone.run([small(1)])

    crowded = Traffic(scheduler(blocks=400, max_running=4, prefill=16, busy=16))
    for _ in range(1000):
        crowded.add(small(0))
    for _ in range(50):
        crowded.step()
    single = crowded.add(small(1))
    before = crowded.steps
    while single not in crowded.step():
        assert crowded.steps - before <= 2 * alone.steps


def test_a_single_request_keeps_its_blocks_beside_many_of_another_that_grow() -> None:
    traffic = Traffic(scheduler(blocks=40, max_running=16))
    for _ in range(15):
        traffic.add(Arrival(0, 0, 0, 7, 60))
    traffic.step()
    single = traffic.add(Arrival(1, 0, 0, 7, 60))
    while single not in traffic.step():
        pass
    assert traffic.of.preemptions > 5
    assert single.preemptions == 0


def test_small_ones_pass_one_that_lacks_room_only_a_few_times() -> None:
    traffic = Traffic(scheduler(blocks=BLOCKS, max_running=4))
    traffic.add(Arrival(0, 0, 0, 20, 20))
    traffic.step()
    large = traffic.add(Arrival(0, 0, 0, ROOM - 10, 5))
    before = 0
    for _ in range(100):
        traffic.add(Arrival(0, 0, 0, 3, 3))
    while not large.generated:
        before += len(traffic.step())
    assert 4 <= before <= 15
