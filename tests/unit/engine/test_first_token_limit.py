"""A limit to the first token, met, late in the queue, late in the prompt, hopeless."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from adaptive_engine.engine import (
    Engine,
    EngineOptions,
    FirstTokenLimit,
    GenerationRequest,
    Prompt,
    SamplingParams,
    TokenStream,
)
from adaptive_engine.errors import FirstTokenTimeout
from adaptive_engine.registry import ModelDirectory
from unit.engine.test_engine import idle

LONG = tuple(range(1000, 1900))


@pytest.fixture(scope="module")
def engine(shallow_model_dir: ModelDirectory) -> Iterator[Engine]:
    """One place."""
    engine = Engine.load(shallow_model_dir.path, EngineOptions(kv_cache_len=8192, max_seq_len=2048, max_running=1))
    yield engine
    engine.close()


def request(prompt: tuple[int, ...] = (5, 6, 7), limit: int | FirstTokenLimit | None = None, **params: Any) -> Any:
    if isinstance(limit, int):
        limit = FirstTokenLimit(limit, time.perf_counter())
    sampling = SamplingParams(**{"temperature": 0, "max_tokens": 4, "ignore_eos": True, **params})
    return GenerationRequest(Prompt(prompt), sampling, first_token_limit=limit)


async def tokens(stream: TokenStream) -> int:
    *_, last = [delta async for delta in stream]
    assert last.usage is not None
    return last.usage.completion_tokens


@asynccontextmanager
async def busy(engine: Engine) -> AsyncIterator[TokenStream]:
    """The only place is taken by a request that goes on and on."""
    running = engine.submit(request(max_tokens=2000))
    await anext(running)
    yield running
    assert running.phase == "decode", "it is nobody's business"
    running.cancel()
    await idle(engine)
    assert not engine._loop._deadlines


@pytest.mark.parametrize("limit", [60_000, 10**12, 2**63 - 1])
async def test_a_limit_that_is_met_changes_nothing(engine: Engine, limit: int) -> None:
    assert await tokens(engine.submit(request(limit=limit))) == 4
    await idle(engine)
    assert not engine._loop._deadlines


async def test_no_time_at_all_is_never_enough(engine: Engine) -> None:
    with pytest.raises(FirstTokenTimeout, match="within 0 ms"):
        await anext(engine.submit(request(limit=0)))
    await idle(engine)


async def test_an_idle_engine_tries_a_cached_prompt_whatever_its_averages_say(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await tokens(engine.submit(request(LONG))) == 4
    monkeypatch.setattr(engine._pace, "place_seconds", 1e9)
    monkeypatch.setattr(engine._pace, "prompt_tokens_per_second", 1e-9)
    assert await tokens(engine.submit(request(LONG, limit=60_000))) == 4


async def test_what_clearly_has_to_wait_longer_is_refused_at_once(engine: Engine) -> None:
    for _ in range(5):
        await tokens(engine.submit(request(max_tokens=20)))
    async with busy(engine):
        queued = [engine.submit(request()) for _ in range(20)]
        refused = engine.submit(request(limit=50))
        # Before the engine thread has heard of it.
        assert refused.phase == "done"
        with pytest.raises(FirstTokenTimeout, match="when 21 of the requests before it have ended"):
            await anext(refused)
        for stream in queued:
            stream.cancel()


async def test_time_that_passes_in_the_queue_ends_it(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine._pace, "place_seconds", 0.0)
    async with busy(engine):
        queued = engine.submit(request(limit=50))
        assert queued.phase == "queue"
        with pytest.raises(FirstTokenTimeout, match=r"within 50 ms.*waiting for its turn") as caught:
            await anext(queued)
    assert caught.value.headers["x-should-retry"] == "false"


async def test_time_that_passes_in_the_prompt_ends_it(engine: Engine) -> None:
    failed = engine.stats.failed
    with pytest.raises(FirstTokenTimeout, match="of 900 prompt tokens were computed"):
        await anext(engine.submit(request(tuple(n + 1000 for n in LONG), limit=30)))
    await idle(engine)
    assert engine.stats.failed == failed + 1


async def test_a_prompt_that_cannot_be_ready_in_time_is_given_up_early(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine._pace, "worked", lambda seconds, tokens: None)
    monkeypatch.setattr(engine._pace, "prompt_tokens_per_second", 1.0)
    with pytest.raises(FirstTokenTimeout, match="256 of 900 prompt tokens"):
        await anext(engine.submit(request(tuple(n + 2000 for n in LONG), limit=60_000)))
    await idle(engine)


async def test_a_token_of_one_choice_meets_the_limit_for_all(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine._pace, "place_seconds", 0.0)
    limit = FirstTokenLimit(60_000, time.perf_counter())
    first, second = engine.submit_all([request(limit=limit, max_tokens=1000), request(limit=limit)])
    await anext(first)
    assert limit.met
    # As if it had passed meanwhile.
    limit.since -= 3600
    while engine._loop._deadlines:  # noqa: ASYNC110 - another thread's state has no event to wait for
        await asyncio.sleep(0.005)
    assert second.phase == "queue"
    first.cancel()
    assert await tokens(second) == 4
    await idle(engine)


async def test_leaving_before_the_limit_is_a_cancellation(engine: Engine) -> None:
    cancelled, failed = engine.stats.cancelled, engine.stats.failed
    async with busy(engine):
        queued = engine.submit(request(limit=60_000))
        queued.cancel()
    assert (engine.stats.cancelled, engine.stats.failed) == (cancelled + 2, failed)
