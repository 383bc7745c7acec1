"""What an upstream can do wrong, and what becomes of it: before the first byte and after, in JSON and in streams."""

from __future__ import annotations

import asyncio

import pytest

from adaptive_engine._version import __version__
from adaptive_engine.errors import AdaptiveError
from adaptive_engine.providers.base import ProviderRequest
from adaptive_engine.providers.breaker import BreakerLimits
from adaptive_engine.providers.http import Timeouts
from adaptive_engine.providers.stream import ProviderStream
from faultserver import FAULTS, WORDS, Connection, FaultServer, answer
from unit.providers.conftest import KEY, Start, provider_of

BOTH = pytest.mark.parametrize("stream", [True, False], ids=["stream", "json"])
BEGUN = "".join(WORDS[:2])


async def outcome(stream: ProviderStream) -> tuple[str, int, str]:
    """Text, status and code: 200 and the finish reason of one that ends well."""
    pieces: list[str] = []
    reason, failure = None, None
    try:
        async for delta in stream:
            pieces.append(delta.text)
            reason = delta.finish_reason
    except AdaptiveError as exc:
        failure = exc
    if failure is None:
        assert reason is not None
        return "".join(pieces), 200, reason
    said = f"{failure.message} {failure}"
    assert not any(secret in said for secret in (KEY, "CANARY", "\x1b"))
    return "".join(pieces), failure.status, failure.code


@BOTH
@pytest.mark.parametrize(
    ("model", "status", "code"),
    [
        ("status-400", 400, "upstream_rejected"),
        ("status-401", 502, "upstream_auth_failed"),
        ("status-403", 502, "upstream_auth_failed"),
        ("status-404", 502, "upstream_not_found"),
        ("status-408", 504, "upstream_timeout"),
        ("status-413", 400, "upstream_rejected"),
        ("status-422", 400, "upstream_rejected"),
        ("status-429", 503, "upstream_rate_limited"),
        ("status-500", 502, "upstream_error"),
        ("status-502", 502, "upstream_error"),
        ("status-503", 503, "upstream_overloaded"),
        ("status-504", 504, "upstream_timeout"),
        ("status-529", 503, "upstream_overloaded"),
        ("status-302", 502, "upstream_redirect"),
        ("status-204", 502, "upstream_bad_response"),
        ("silent", 504, "upstream_timeout"),
        ("not-http", 502, "upstream_bad_response"),
        ("hang-up", 502, "upstream_incomplete"),
        ("reset", 502, "upstream_incomplete"),
        ("long-headers", 502, "upstream_bad_response"),
        ("html", 502, "upstream_bad_response"),
        ("empty", 502, "upstream_bad_response"),
        ("null", 502, "upstream_bad_response"),
        ("list", 502, "upstream_bad_response"),
        ("number", 502, "upstream_bad_response"),
        ("error-in-200", 502, "upstream_error"),
        ("no-choices", 502, "upstream_bad_response"),
        ("content-is-a-number", 502, "upstream_bad_response"),
        ("endless-line", 502, "upstream_bad_response"),
    ],
)
async def test_before_the_first_byte(
    start: Start, upstream: FaultServer, model: str, status: int, code: str, stream: bool
) -> None:
    assert await outcome(start(model, stream=stream)) == ("", status, code)
    assert upstream.asked(model) == 1
    await upstream.until_idle()


@pytest.mark.parametrize(
    ("model", "status", "code"),
    [
        ("end-after-2", 502, "upstream_incomplete"),
        ("hang-up-after-2", 502, "upstream_incomplete"),
        ("reset-after-2", 502, "upstream_incomplete"),
        ("half-close-after-2", 502, "upstream_incomplete"),
        ("silent-after-2", 504, "upstream_timeout"),
        ("garbage-after-2", 502, "upstream_bad_response"),
        ("error-after-2", 502, "upstream_error"),
        ("endless-line-after-2", 502, "upstream_bad_response"),
        ("no-finish-reason", 502, "upstream_incomplete"),
        ("no-done", 502, "upstream_incomplete"),
    ],
)
async def test_after_the_first_byte(start: Start, upstream: FaultServer, model: str, status: int, code: str) -> None:
    """What came is kept, and nothing is tried again."""
    assert await outcome(start(model, retries=3)) == (BEGUN, status, code)
    assert upstream.asked(model) == 1
    await upstream.until_idle()


@pytest.mark.parametrize("model", ["hang-up-after-2", "reset-after-2", "half-close-after-2", "silent-after-2"])
async def test_half_of_a_json_body_is_none(start: Start, upstream: FaultServer, model: str) -> None:
    text, status, _ = await outcome(start(model, stream=False))
    assert (text, status) == ("", 504 if model.startswith("silent") else 502)
    await upstream.until_idle()


@pytest.mark.parametrize(("model", "reason"), [("length", "length"), ("filtered", "content_filter")])
async def test_finish_reasons(start: Start, model: str, reason: str) -> None:
    assert await outcome(start(model)) == (BEGUN, 200, reason)


@BOTH
async def test_usage_is_not_made_up(start: Start, stream: bool) -> None:
    deltas = [delta async for delta in start("without-usage", stream=stream)]
    assert deltas[-1].finish_reason == "stop"
    assert deltas[-1].usage is None


async def test_events_may_come_in_any_pieces(start: Start) -> None:
    assert await outcome(start("crumbs")) == ("caf\u00e9 \U0001f600", 200, "length")


@BOTH
async def test_heads_that_only_announce_are_passed_over(start: Start, stream: bool) -> None:
    assert await outcome(start("continue-first", stream=stream)) == ("".join(WORDS), 200, "stop")


@BOTH
async def test_it_says_who_asks(start: Start, upstream: FaultServer, stream: bool) -> None:
    await outcome(start("good", stream=stream))
    assert upstream.requests[-1].headers["user-agent"] == f"adaptive-engine/{__version__}"


async def test_it_shows_no_key(start: Start) -> None:
    begun = start("good")
    assert KEY in str(begun.call.headers)
    assert KEY not in repr(begun)


@BOTH
async def test_a_connection_is_used_again(start: Start, upstream: FaultServer, stream: bool) -> None:
    for _ in range(3):
        assert await outcome(start("good", stream=stream)) == ("".join(WORDS), 200, "stop")
        # The end of a stream's body comes behind the end of its answer.
        await asyncio.sleep(0.01)
    assert upstream.open == 1


async def test_one_that_was_closed_meanwhile_is_no_failure(start: Start, upstream: FaultServer) -> None:
    await outcome(start("good", stream=False))
    upstream.behaviours["good"] = [FAULTS["hang-up"]]
    assert await outcome(start("good", stream=False)) == ("".join(WORDS), 200, "stop")
    assert upstream.asked("good") == 3


async def test_nobody_listens() -> None:
    async with FaultServer() as gone:
        url = gone.url
    provider = provider_of(url)
    with pytest.raises(AdaptiveError) as caught:
        await anext(provider.generate(provider.call(ProviderRequest("m", [], False)), 1e9))
    assert (caught.value.status, caught.value.code) == (502, "upstream_unreachable")


async def test_the_whole_answer_has_a_limit_too(start: Start) -> None:
    limits = Timeouts(1, 1, 1, 1, 0.1)
    assert (await outcome(start("silent", timeouts=limits)))[1:] == (504, "upstream_timeout")


async def test_silence_is_limited_however_long_the_first_byte_may_take(start: Start) -> None:
    limits = Timeouts(1, 60, 60, 0.05, 60)
    async with asyncio.timeout(5):
        assert await outcome(start("silent-after-2", timeouts=limits)) == (BEGUN, 504, "upstream_timeout")


@BOTH
async def test_second_tries(start: Start, upstream: FaultServer, stream: bool) -> None:
    upstream.behaviours["good"] = [lambda c: c.json({}, 503), lambda c: c.json({}, 500)]
    begun = start("good", stream=stream, retries=2)
    assert await outcome(begun) == ("".join(WORDS), 200, "stop")
    assert [attempt.error for attempt in begun.attempts] == ["upstream_overloaded", "upstream_error", None]


async def test_a_long_pause_is_left_to_the_client(start: Start, upstream: FaultServer) -> None:
    begun = start("status-429", retries=2)
    with pytest.raises(AdaptiveError) as caught:
        await anext(begun)
    assert caught.value.headers["Retry-After"] == "60"
    assert upstream.asked("status-429") == 1


async def test_tries_are_a_share_of_all_requests(start: Start, upstream: FaultServer) -> None:
    """Ten are saved up; after that there is one for five requests."""
    for _ in range(30):
        await outcome(start("status-500", retries=1, breaker=BreakerLimits(failures=0)))
    assert 30 + 10 <= upstream.asked("status-500") <= 30 + 10 + 6


async def test_the_breaker_opens_and_one_probe_closes_it(start: Start, upstream: FaultServer) -> None:
    limits = BreakerLimits(failures=3, open_seconds=0.05)
    upstream.behaviours["good"] = [lambda c: c.json({}, 500)] * 4
    for _ in range(3):
        assert (await outcome(start("good", breaker=limits)))[2] == "upstream_error"
    assert (await outcome(start("good")))[1:] == (503, "upstream_suspended")
    assert upstream.asked("good") == 3
    await asyncio.sleep(0.06)
    # The probe fails, and keeps it open.
    assert (await outcome(start("good")))[2] == "upstream_error"
    assert (await outcome(start("good")))[2] == "upstream_suspended"
    await asyncio.sleep(0.06)
    upstream.behaviours["good"] = [_later]
    many = await asyncio.gather(*(outcome(start("good")) for _ in range(20)))
    assert sorted(code for _, _, code in many) == ["stop"] + ["upstream_suspended"] * 19
    assert upstream.asked("good") == 5
    assert (await outcome(start("good")))[2] == "stop"


async def _later(connection: Connection) -> None:
    await asyncio.sleep(0.05)
    await answer(connection)


async def test_slow_is_as_bad_as_dead(start: Start) -> None:
    limits = BreakerLimits(failures=2, slow_seconds=0.05)
    for _ in range(2):
        assert (await outcome(start("slow", breaker=limits)))[2] == "stop"
    assert (await outcome(start("slow")))[2] == "upstream_suspended"


async def test_who_was_closed_keeps_no_connection(start: Start, upstream: FaultServer) -> None:
    """As when its registration is changed while it answers."""
    closed = asyncio.Event()

    async def halves(connection: Connection) -> None:
        await connection.begin_stream()
        await connection.words(*WORDS)
        await closed.wait()
        await connection.finish()

    upstream.behaviours["good"] = [halves]
    begun = start("good")
    await anext(begun)
    begun.upstream.provider.close()
    closed.set()
    assert (await outcome(begun))[1:] == (200, "stop")
    await upstream.until_left()


@pytest.mark.parametrize("model", ["silent", "silent-after-2", "good"])
async def test_leaving_closes_the_upstream(start: Start, upstream: FaultServer, model: str) -> None:
    begun = start(model, timeouts=Timeouts(1, 60, 60, 60, 60))
    reading = asyncio.ensure_future(anext(begun))
    await asyncio.sleep(0.02)
    if model != "silent":
        await reading
    # Whoever still waits for the provider is sent away with it.
    begun.cancel()
    await upstream.until_idle()
    assert begun.phase == "done"
