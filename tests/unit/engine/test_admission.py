from __future__ import annotations

import math
from types import SimpleNamespace

import pytest

from adaptive_engine.engine.admission import Backlog, Pace, QueueLimits
from adaptive_engine.engine.sequence import Sequence
from adaptive_engine.errors import Overloaded
from unit.engine.test_scheduler import sequence

LIMITS = QueueLimits(requests=8, tokens=1000)


def waiting(owner: bytes, count: int = 1, tokens: int = 10) -> list[Sequence]:
    return [placed(sequence([1] * tokens, owner=owner), "queue") for _ in range(count)]


def running(owner: bytes, count: int = 1) -> list[Sequence]:
    return [placed(sequence([1], owner=owner), "decode") for _ in range(count)]


def placed(one: Sequence, phase: str) -> Sequence:
    one.stream = SimpleNamespace(phase=phase)  # type: ignore[assignment]
    return one


def refusal(
    backlog: Backlog, owner: bytes, requests: int = 1, tokens: int = 10, pace: Pace | None = None
) -> str | None:
    try:
        backlog.require_room(owner, requests, tokens, LIMITS, pace or Pace())
    except Overloaded as error:
        return error.code
    return None


def test_a_queue_takes_as_many_as_it_may_beyond_the_free_places() -> None:
    assert refusal(Backlog([], places=4), b"a", requests=4 + 4) is None
    assert refusal(Backlog([], places=4), b"a", requests=4 + 5) == "project_overloaded"
    full = [*running(b"a", 4), *waiting(b"a", 4), *waiting(b"b", 4)]
    assert refusal(Backlog(full, places=4), b"c") == "overloaded"
    assert refusal(Backlog(full[1:], places=4), b"c") is None


def test_one_owner_leaves_half_of_the_queue_to_others() -> None:
    backlog = Backlog([*running(b"a", 4), *waiting(b"a", 4)], places=4)
    assert refusal(backlog, b"a") == "project_overloaded"
    assert refusal(backlog, b"b", requests=4) is None


def test_prompt_tokens_are_limited_likewise() -> None:
    backlog = Backlog([*running(b"a", 4), *waiting(b"a", tokens=450)], places=4)
    assert refusal(backlog, b"a", tokens=50) is None
    assert refusal(backlog, b"a", tokens=51) == "project_overloaded"
    assert refusal(backlog, b"b", tokens=550) is None
    assert refusal(backlog, b"b", tokens=551) == "overloaded"


def test_where_none_waits_a_request_of_any_length_may() -> None:
    assert refusal(Backlog(running(b"a", 4), places=4), b"a", tokens=5000) is None


def test_an_odd_queue_is_not_halved_to_nothing() -> None:
    assert QueueLimits(1, 1).of_one_owner() == QueueLimits(1, 1)


def test_turns_go_around() -> None:
    taken = running(b"a", 2)
    assert Backlog(taken[1:], places=2).turns(b"b") == 0
    assert Backlog(taken, places=2).turns(b"b") == 1
    crowd = [*taken, *waiting(b"a", 100), *waiting(b"c", 1)]
    assert Backlog(crowd, places=2).turns(b"b") == 3, "one of each other owner goes before it, at most"
    assert Backlog(crowd, places=2).turns(b"a") == 102
    assert Backlog(crowd, places=2).turns(b"c") == 4


def test_who_has_nothing_running_need_not_wait_while_there_are_extra_places() -> None:
    taken = running(b"a", 2)
    assert Backlog(taken, places=2, extra_places=1).turns(b"b") == 0
    assert Backlog(taken, places=2, extra_places=1).turns(b"a") == 1
    assert Backlog([*taken, *waiting(b"b")], places=2, extra_places=1).turns(b"b") == 2
    more = [*taken, *running(b"b")]
    assert Backlog(more, places=2, extra_places=1).turns(b"b") == 2
    assert Backlog(more, places=2, extra_places=1).turns(b"c") == 2
    assert refusal(Backlog(more, places=2, extra_places=1), b"a", requests=4) is None, "an extra one takes no room"
    assert refusal(Backlog(more, places=2, extra_places=1), b"a", requests=5) == "project_overloaded"


def test_when_to_come_again_is_when_its_turn_would_have_been() -> None:
    pace = Pace()
    pace.worked(3.0, 1)
    pace.freed_place()
    crowd = [*running(b"a", 2), *waiting(b"a", 9)]
    with pytest.raises(Overloaded) as caught:
        Backlog(crowd, places=2).require_room(b"a", 1, 1, LIMITS, pace)
    assert caught.value.headers == {"Retry-After": "30"}
    with pytest.raises(Overloaded) as caught:
        Backlog([*crowd, *waiting(b"a", 90)], places=2).require_room(b"a", 1, 1, LIMITS, pace)
    assert caught.value.headers == {"Retry-After": "120"}
    with pytest.raises(Overloaded) as caught:
        Backlog(crowd, places=2).require_room(b"a", 1, 1, LIMITS, Pace())
    assert caught.value.headers == {"Retry-After": "1"}


def test_the_pace_follows_what_it_measures() -> None:
    pace = Pace()
    assert (pace.place_seconds, pace.prompt_tokens_per_second) == (0, math.inf)
    pace.worked(0.5, 100)
    pace.worked(0.5, 10)
    pace.freed_place()
    assert (pace.place_seconds, pace.prompt_tokens_per_second) == (1.0, 200.0)
    for _ in range(30):
        pace.worked(0.1, 64)
        pace.freed_place()
    assert pace.place_seconds == pytest.approx(0.1, rel=0.1)
    assert pace.prompt_tokens_per_second == 640.0
