"""What is counted of keys and projects, by a clock that the test moves."""

from __future__ import annotations

from typing import Any

import pytest

from adaptive_engine.errors import RateLimited
from adaptive_engine.services import limits
from adaptive_engine.services.limits import Hold, Limiter
from adaptive_engine.settings import LimitSettings
from adaptive_engine.types import Limits, Principal, Project, Usage, uuid7
from adaptive_engine.wire.chat import ChatRequest

PROJECT = Project(uuid7(), "shop", "Shop", "", 0)


class Asking:
    """A limiter with its time and what it has refused."""

    def __init__(self, parts: int = 1, **settings: int) -> None:
        self.now = 1000.5
        self.refused: list[tuple[str, str]] = []
        self.limiter = Limiter(
            LimitSettings(**settings), lambda *what: self.refused.append(what), parts, lambda: self.now
        )

    def admit(self, key: str = "k1", project: Project = PROJECT, **own: int) -> Hold:
        hold = self.limiter.admit(Principal(key, limits=Limits(**own)), project)
        assert hold is not None
        return hold

    def wait_of_refusal(self, key: str = "k1", **own: int) -> int:
        with pytest.raises(RateLimited) as refused:
            self.admit(key, **own)
        assert refused.value.body()["error"]["code"] == "rate_limit_exceeded"
        return int(refused.value.headers["Retry-After"])


def project(**limited: int) -> Project:
    return Project(uuid7(), "shop", "Shop", "", 0, settings={"limits": limited})


def test_where_nothing_is_limited_nothing_is_held() -> None:
    assert Asking().limiter.admit(Principal("k1"), PROJECT) is None


def test_no_minute_has_more_requests_than_the_limit() -> None:
    asking, admitted = Asking(key_requests_per_minute=10), []
    for tenth in range(4000):
        asking.now = 1000.5 + tenth / 10
        try:
            asking.admit().settle(Usage(1, 1))
        except RateLimited:
            continue
        admitted.append(asking.now)
    assert len(admitted) >= 60
    assert all(later - first > 60 for first, later in zip(admitted, admitted[10:], strict=False))


def test_who_waits_as_long_as_it_is_told_is_admitted() -> None:
    asking = Asking(key_requests_per_minute=2)
    asking.admit()
    asking.now += 20
    asking.admit()
    wait = asking.wait_of_refusal()
    assert 30 < wait <= 61
    asking.now += wait
    asking.admit()
    assert asking.refused == [("key", "requests_per_minute")]


def test_own_limits_win_over_defaults_and_each_key_has_its_own() -> None:
    asking = Asking(key_requests_per_minute=1)
    asking.admit("a")
    asking.admit("b")
    asking.wait_of_refusal("a")
    asking.admit("c", requests_per_minute=2)
    asking.admit("c", requests_per_minute=2)
    asking.wait_of_refusal("c", requests_per_minute=2)


def test_a_project_limits_all_its_keys_together_and_no_other_project() -> None:
    asking, limited = Asking(), project(requests_per_minute=2)
    asking.admit("a", limited)
    asking.admit("b", limited)
    with pytest.raises(RateLimited, match="Project 'shop' may have 2 requests per minute"):
        asking.admit("c", limited)
    asking.admit("c", project(requests_per_minute=2))
    # What the project refused, the key has not used.
    assert asking.limiter.admit(Principal("c"), PROJECT) is None
    assert asking.refused == [("project", "requests_per_minute")]


def test_what_runs_at_the_same_time_ends_with_an_answer_or_a_refusal() -> None:
    asking = Asking(key_concurrent_requests=2)
    first, second = asking.admit(), asking.admit()
    assert asking.wait_of_refusal() == 1
    first.settle(Usage(1, 1))
    first.settle(Usage(1, 1))
    first.release()
    third = asking.admit()
    asking.wait_of_refusal()
    second.release()
    third.release()
    asking.admit()
    asking.admit()
    asking.wait_of_refusal()


def test_tokens_are_reserved_and_settled_with_what_was_used() -> None:
    asking = Asking(key_tokens_per_minute=100)
    hold = asking.admit()
    hold.reserve(20, 60)
    assert hold.headers()["x-ratelimit-remaining-tokens"] == "20"
    other = asking.admit()
    with pytest.raises(RateLimited, match="100 tokens per minute"):
        other.reserve(10, 11)
    hold.settle(Usage(20, 5))
    assert hold.headers()["x-ratelimit-remaining-tokens"] == "75"
    asking.admit().reserve(70, 5)
    asking.wait_of_refusal()
    asking.now += 61
    asking.admit().reserve(90, 10)


def test_an_answer_that_is_longer_than_reserved_counts_in_full() -> None:
    asking = Asking(key_tokens_per_minute=100)
    hold = asking.admit()
    hold.reserve(10, 10)
    asking.now += 90
    hold.settle(Usage(10, 200))
    # What was reserved a minute ago counts no more, what nobody knew of counts from now on.
    assert hold.headers()["x-ratelimit-remaining-tokens"] == "0"
    asking.wait_of_refusal()
    asking.now += 61
    assert hold.headers()["x-ratelimit-remaining-tokens"] == "100"


def test_an_answer_that_ends_after_minutes_gives_nothing_back_twice() -> None:
    asking = Asking(key_tokens_per_minute=100, key_requests_per_minute=5)
    hold = asking.admit()
    hold.reserve(10, 60)
    asking.now += 200
    asking.admit().reserve(10, 20)
    hold.settle(Usage(10, 1))
    assert hold.headers()["x-ratelimit-remaining-tokens"] == "70"
    assert hold.headers()["x-ratelimit-remaining-requests"] == "4"


def test_a_request_that_was_refused_or_failed_before_it_used_anything_costs_no_tokens() -> None:
    asking = Asking(key_tokens_per_minute=100, key_requests_per_minute=5)
    hold = asking.admit()
    hold.reserve(50, 50)
    hold.settle(None)
    assert hold.headers()["x-ratelimit-remaining-tokens"] == "100"
    assert hold.headers()["x-ratelimit-remaining-requests"] == "4"
    other = asking.admit()
    other.release()
    assert hold.headers()["x-ratelimit-remaining-requests"] == "4"


def test_a_failed_provider_that_does_not_count_costs_the_estimate_of_the_prompt() -> None:
    asking = Asking(key_tokens_per_minute=100)
    hold = asking.admit()
    hold.reserve(30, 50)
    hold.settle(Usage(0, 7))
    assert hold.headers()["x-ratelimit-remaining-tokens"] == "63"


def test_what_can_never_be_admitted_is_not_to_be_tried_again() -> None:
    hold = Asking(key_tokens_per_minute=100).admit()
    with pytest.raises(RateLimited, match="smaller max_tokens") as refused:
        hold.reserve(50, 51)
    assert refused.value.headers["x-should-retry"] == "false"
    assert "Retry-After" not in refused.value.headers
    assert refused.value.headers["x-ratelimit-remaining-tokens"] == "100"


def test_headers_are_of_the_tightest_limit_and_count_down() -> None:
    asking = Asking(key_requests_per_minute=10)
    hold = asking.admit("a", project(requests_per_minute=3, tokens_per_minute=500))
    hold.reserve(1, 99)
    assert hold.headers() == {
        "x-ratelimit-limit-requests": "3",
        "x-ratelimit-remaining-requests": "2",
        "x-ratelimit-reset-requests": "1m1s",
        "x-ratelimit-limit-tokens": "500",
        "x-ratelimit-remaining-tokens": "400",
        "x-ratelimit-reset-tokens": "1m1s",
    }
    asking.now += 50
    assert hold.headers()["x-ratelimit-reset-requests"] == "11s"
    asking.now += 11
    assert hold.headers()["x-ratelimit-reset-requests"] == "0s"
    assert hold.headers()["x-ratelimit-remaining-requests"] == "3"


def test_servers_of_one_store_let_through_their_parts() -> None:
    servers = [Asking(parts=3, key_requests_per_minute=10) for _ in range(3)]
    admitted = 0
    for server in servers:
        for _ in range(10):
            try:
                server.admit()
            except RateLimited:
                continue
            admitted += 1
    assert admitted == 9


def test_keys_that_ask_nothing_any_more_are_forgotten() -> None:
    asking = Asking(key_requests_per_minute=1)
    running = asking.admit("runs")
    for number in range(limits.MOST_IDLE + 10):
        asking.admit(f"key {number}").settle(Usage(1, 1))
    # As long as their minute lasts, they must be known.
    asking.wait_of_refusal("key 3")
    asking.now += 62
    for number in range(3 * limits.MOST_IDLE):
        asking.admit(f"new {number}").settle(Usage(1, 1))
    assert len(asking.limiter._counters) <= 4 * limits.MOST_IDLE
    assert "runs" in asking.limiter._counters
    assert "key 3" not in asking.limiter._counters
    running.release()


@pytest.mark.parametrize(
    ("asked", "prompt_tokens", "length", "expected"),
    [
        ({"max_tokens": 50}, 20, 0, (20, 50)),
        ({"max_tokens": 50, "n": 8}, 20, 0, (20, 400)),
        ({}, 20, 0, (20, limits.UNKNOWN_ANSWER_TOKENS)),
        ({"max_tokens": 50_000}, 20, 2048, (20, 2028)),
        ({"max_completion_tokens": 7}, 0, 0, (1 + 300 // 3, 7)),
    ],
)
def test_an_estimate_is_the_prompt_and_all_answers(
    asked: dict[str, Any], prompt_tokens: int, length: int, expected: tuple[int, int]
) -> None:
    body = {"model": "shop", "messages": [{"role": "user", "content": "x" * 300}], **asked}
    assert limits.estimate(ChatRequest.model_validate(body), prompt_tokens, length) == expected


def test_a_fallback_takes_no_more_than_what_failed_before_it() -> None:
    asking = Asking()
    hold = asking.admit(tokens_per_minute=100)
    hold.reserve(10, 20)
    hold.reserve(10, 50)
    assert hold.headers()["x-ratelimit-remaining-tokens"] == "70"
    hold.settle(Usage(10, 5))
    assert hold.headers()["x-ratelimit-remaining-tokens"] == "85"


def test_each_of_many_servers_lets_one_request_through() -> None:
    asking = Asking(parts=4, key_requests_per_minute=2)
    asking.admit()
    asking.wait_of_refusal()
