"""The engine: what comes out, and that everything ends."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from adaptive_engine.engine import Engine, EngineOptions, GenerationRequest, Prompt, SamplingParams
from adaptive_engine.engine.openvino.runner import PROPERTIES
from adaptive_engine.errors import ContextLengthExceeded, EngineFailed, InvalidRequest, Overloaded
from adaptive_engine.registry import ModelDirectory
from adaptive_engine.types import ChatMessage

SUBJECTS = "cats dogs kings queens stones trees birds fish moons stars rivers books ships wolves bees clouds"
QUESTIONS = [f"Write two sentences about {subject} and the sea." for subject in SUBJECTS.split()]
TOKENS = 20
CAPITAL = "Name the capital of France."
LONG = SamplingParams(ignore_eos=True)


# Deterministic, so that every comparison of texts is exact.
OPTIONS = EngineOptions(precision="deterministic", kv_cache_len=8192, max_seq_len=1024, max_waiting=40)


@pytest.fixture(scope="module")
def real(default_model_dir: ModelDirectory) -> Iterator[Engine]:
    engine = Engine.load(default_model_dir.path, OPTIONS)
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def engine(shallow_model_dir: ModelDirectory) -> Iterator[Engine]:
    engine = Engine.load(shallow_model_dir.path, OPTIONS)
    yield engine
    engine.close()


def request(engine: Engine, question: str, salt: bytes = b"", **params: Any) -> GenerationRequest:
    prompt = engine.render([ChatMessage("user", question)])
    return GenerationRequest(prompt, SamplingParams(**{"temperature": 0, "max_tokens": TOKENS, **params}), salt)


async def text(engine: Engine, question: str, **params: Any) -> str:
    return "".join([delta.text async for delta in engine.submit(request(engine, question, **params))])


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait for what the engine thread does."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - another thread's state has no event to wait for
            await asyncio.sleep(0.005)


async def idle(engine: Engine) -> None:
    """Wait until nothing runs; the engine's own check has then passed."""
    await eventually(
        lambda: not (engine.stats.running or engine.stats.waiting or engine._loop.sequences or engine._loop._inbox)
    )
    assert engine.health().alive
    assert engine.stats.kv_blocks_used == 0


async def test_it_answers(real: Engine) -> None:
    assert "Paris" in await text(real, CAPITAL)
    await idle(real)


async def test_texts_are_the_same_alone_and_in_a_batch_of_16(real: Engine) -> None:
    alone = [await text(real, question) for question in QUESTIONS]
    together = await asyncio.gather(*(text(real, question, salt=b"other") for question in QUESTIONS))
    assert alone == together
    await idle(real)


async def test_texts_equal_openvino_genai_under_the_same_settings(openvino_model_dir: ModelDirectory) -> None:
    """The reference implementation on the same runtime, settings and prompts."""
    import numpy as np
    import openvino as ov
    import openvino_genai as genai

    engine = Engine.load(openvino_model_dir.path, OPTIONS)
    scheduler = genai.SchedulerConfig()
    scheduler.num_kv_blocks = 256
    pipeline = genai.ContinuousBatchingPipeline(
        str(openvino_model_dir.path), scheduler, "CPU", PROPERTIES["deterministic"]
    )
    config = genai.GenerationConfig()
    config.max_new_tokens = TOKENS
    config.do_sample = False
    config.stop_token_ids = set(engine.tokenizer.special.end_ids)
    prompts = [engine.render([ChatMessage("user", question)]) for question in QUESTIONS]
    inputs = [ov.Tensor(np.array([prompt.tokens], np.int64)) for prompt in prompts]
    reference = pipeline.generate(inputs, [config] * len(prompts))
    theirs = [engine.tokenizer.decode(result.m_generation_ids[0]) for result in reference]
    del pipeline
    gc.collect()
    ours = await asyncio.gather(*(text(engine, question) for question in QUESTIONS))
    engine.close()
    assert ours == theirs


async def test_a_seed_repeats_itself_alone_and_among_others(engine: Engine) -> None:
    sampled = {"temperature": 1.0, "top_p": 0.9, "seed": 5, "max_tokens": 24}
    first = await text(engine, QUESTIONS[0], **sampled)
    others = [text(engine, question, temperature=1.0, seed=9) for question in QUESTIONS[1:6]]
    again, *_ = await asyncio.gather(text(engine, QUESTIONS[0], **sampled), *others)
    assert first == again
    assert first != await text(engine, QUESTIONS[0], **{**sampled, "seed": 6})


async def test_stop_strings_end_the_text_across_tokens(real: Engine) -> None:
    whole = await text(real, CAPITAL)
    stream = real.submit(request(real, CAPITAL, stop=("tal of Fr", "never")))
    deltas = [delta async for delta in stream]
    assert "".join(delta.text for delta in deltas) == whole[: whole.index("tal of Fr")]
    assert deltas[-1].finish_reason == "stop"


async def test_the_last_delta_tells_usage_and_timings(engine: Engine) -> None:
    asked = request(engine, "Tell me about salt.", max_tokens=5)
    *_, last = [delta async for delta in engine.submit(asked)]
    assert last.finish_reason == "length"
    assert last.usage is not None
    assert (last.usage.prompt_tokens, last.usage.completion_tokens) == (len(asked.prompt), 5)
    assert last.timings is not None
    assert 0 <= last.timings.queue_ms <= last.timings.ttft_ms <= last.timings.total_ms


async def test_ignore_eos_generates_all_tokens(engine: Engine) -> None:
    *_, last = [
        d async for d in engine.submit(request(engine, "What is 1+1? One word.", ignore_eos=True, max_tokens=60))
    ]
    assert last.usage is not None
    assert last.usage.completion_tokens == 60


async def test_prompts_at_the_limit(engine: Engine) -> None:
    limit = engine.max_seq_len
    with pytest.raises(ContextLengthExceeded, match=f"{limit + 1} tokens.*holds {limit}"):
        engine.submit(GenerationRequest(Prompt((5,) * (limit + 1))))
    with pytest.raises(InvalidRequest):
        engine.submit(GenerationRequest(Prompt(())))
    for length, expected in ((limit, 1), (limit - 1, 2)):
        asked = GenerationRequest(Prompt((5,) * length), SamplingParams(temperature=0, ignore_eos=True))
        *_, last = [delta async for delta in engine.submit(asked)]
        assert last.finish_reason == "length"
        assert last.usage is not None
        assert last.usage.completion_tokens == expected
    await idle(engine)


async def test_a_prompt_is_cached_for_its_owner_only(engine: Engine) -> None:
    question = "Tell me a long story about an owner of a very special and never before mentioned prefix cache."
    cached = []
    for salt in (b"one", b"one", b"two"):
        *_, last = [d async for d in engine.submit(request(engine, question, salt=salt, max_tokens=2))]
        assert last.usage is not None
        cached.append(last.usage.cached_tokens)
    assert cached[0] == cached[2] == 0
    assert cached[1] >= 32


@pytest.mark.parametrize("after", [0, 1, 5])
async def test_a_cancelled_request_frees_everything(engine: Engine, after: int) -> None:
    before = engine.stats.cancelled
    stream = engine.submit(request(engine, "Count to one thousand.", max_tokens=500, ignore_eos=True))
    for _ in range(after):
        await anext(stream)
    stream.cancel()
    stream.cancel()
    await eventually(lambda: engine.stats.cancelled == before + 1)
    await idle(engine)
    stream.cancel()


async def test_cancelling_in_a_queue_of_many_lets_the_others_finish(engine: Engine) -> None:
    streams = [engine.submit(request(engine, question, max_tokens=6)) for question in QUESTIONS * 2]
    for stream in streams[::2]:
        stream.cancel()

    async def finish(stream: Any) -> str | None:
        *_, last = [delta async for delta in stream]
        return last.finish_reason

    reasons = await asyncio.gather(*(finish(stream) for stream in streams[1::2]))
    assert set(reasons) <= {"stop", "length"}
    await idle(engine)


async def test_more_than_the_queue_holds_is_refused(engine: Engine) -> None:
    capacity = engine.options.max_running + engine.options.max_waiting // 2
    streams = [engine.submit(GenerationRequest(Prompt((5,)), LONG)) for _ in range(capacity)]
    with pytest.raises(Overloaded, match="half") as caught:
        engine.submit(GenerationRequest(Prompt((5,)), LONG))
    assert 1 <= int(caught.value.headers["Retry-After"]) <= 120
    other = GenerationRequest(Prompt((5,)), LONG, owner=b"other")
    streams += engine.submit_all([other] * (engine.options.max_waiting // 2))
    with pytest.raises(Overloaded, match="full"):
        engine.submit(other)
    for stream in streams:
        stream.cancel()
    await idle(engine)


async def test_the_choices_of_a_completion_are_queued_together_or_not_at_all(engine: Engine) -> None:
    most = engine.options.max_running + engine.options.max_waiting // 2
    with pytest.raises(InvalidRequest, match=f"{most} choices"):
        engine.submit_all([GenerationRequest(Prompt((5,)), LONG)] * (most + 1))
    streams = engine.submit_all([GenerationRequest(Prompt((5,)), LONG)] * (most - 1))
    with pytest.raises(Overloaded):
        engine.submit_all([GenerationRequest(Prompt((5,)), LONG)] * 2)
    assert len(engine._loop.sequences) == most - 1
    for stream in streams:
        stream.cancel()
    await idle(engine)


async def test_a_failing_step_fails_its_requests_and_not_the_next(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await text(engine, CAPITAL)
    with monkeypatch.context() as broken:
        broken.setattr(engine._runner, "start", lambda slices: 1 / 0)
        streams = [engine.submit(request(engine, question)) for question in QUESTIONS[:3]]
        for stream in streams:
            with pytest.raises(EngineFailed):
                await anext(stream)
    await idle(engine)
    assert await text(engine, CAPITAL) == before


async def test_requests_that_cannot_even_begin_fail_and_the_next_do_not(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await text(engine, CAPITAL)
    with monkeypatch.context() as broken:
        broken.setattr(engine._loop._generation, "begin", lambda sequence: 1 / 0)
        # What waits in the inbox is read together.
        streams = engine.submit_all([request(engine, QUESTIONS[0])] * 4)
        async with asyncio.timeout(10):
            for stream in streams:
                with pytest.raises(EngineFailed, match="ZeroDivisionError"):
                    await anext(stream)
    await idle(engine)
    assert await text(engine, CAPITAL) == before


async def test_a_leak_is_noticed_when_idle_and_healed(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    before = await text(engine, CAPITAL)
    await idle(engine)
    engine._scheduler.pool.allocate(1)
    assert await text(engine, CAPITAL) == before
    await eventually(lambda: "KV blocks leaked" in caplog.text)
    assert await text(engine, CAPITAL) == before
    await idle(engine)
    assert caplog.text.count("KV blocks leaked") == 1


async def test_more_sequences_than_blocks_are_preempted_and_still_complete(shallow_model_dir: ModelDirectory) -> None:
    options = EngineOptions(precision="deterministic", kv_cache_len=512, max_seq_len=256)
    small = Engine.load(shallow_model_dir.path, options)
    try:
        long = {"max_tokens": 100, "ignore_eos": True}
        alone = [await text(small, question, **long) for question in QUESTIONS[:6]]
        together = await asyncio.gather(*(text(small, question, **long) for question in QUESTIONS[:6]))
        await idle(small)
        assert small.stats.preemptions > 0
        assert alone == together
    finally:
        small.close()


async def test_closing_ends_what_runs(shallow_model_dir: ModelDirectory) -> None:
    closing = Engine.load(shallow_model_dir.path, EngineOptions(kv_cache_len=1024))
    stream = closing.submit(request(closing, QUESTIONS[0], ignore_eos=True, max_tokens=900))
    await anext(stream)
    await asyncio.to_thread(closing.close)
    with pytest.raises(EngineFailed, match="has stopped"):
        async for _ in stream:
            pass
    with pytest.raises(EngineFailed):
        closing.submit(request(closing, QUESTIONS[0]))
    assert not closing.health().alive
