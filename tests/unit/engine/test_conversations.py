"""Turns of conversations: what the next turn finds in the cache, and who finds nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, takewhile
from typing import Any

import pytest

from adaptive_engine.engine import Engine, EngineOptions, GenerationRequest, Prompt, SamplingParams
from adaptive_engine.registry import ModelDirectory
from adaptive_engine.types import ChatMessage

QUESTIONS = [
    "Tell me a story about the sea.",
    "What happened before?",
    "Who is the oldest of them, and why?",
    "Write the end of it.",
    "Thanks.",
]
SESSION = b"conversation"


@pytest.fixture(scope="module")
def engine(shallow_model_dir: ModelDirectory) -> Iterator[Engine]:
    engine = Engine.load(shallow_model_dir.path, EngineOptions(kv_cache_len=8192))
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def exact(shallow_model_dir: ModelDirectory) -> Iterator[Engine]:
    """Deterministic, so that every comparison of texts is exact."""
    engine = Engine.load(shallow_model_dir.path, EngineOptions(precision="deterministic", kv_cache_len=4096))
    yield engine
    engine.close()


@dataclass
class Answer:
    prompt: list[int]
    tokens: list[int]
    """What was generated, the end token included."""
    text: str
    cached_tokens: int


async def ask(
    engine: Engine,
    history: list[ChatMessage],
    salt: bytes,
    session: bytes | None = None,
    leave_after: int | None = None,
    **params: Any,
) -> Answer:
    """The next turn of `history`, or as much of it as there is after some deltas."""
    prompt = engine.render(history, salt)
    sampling = SamplingParams(**{"temperature": 0, "max_tokens": 24, **params})
    stream = engine.submit(GenerationRequest(prompt, sampling, salt, session))
    sequence = engine._loop.sequences[stream]
    text = ""
    if leave_after is None:
        async for delta in stream:
            text += delta.text
    else:
        for _ in range(leave_after):
            text += (await anext(stream)).text
        cancelled = engine.stats.cancelled
        stream.cancel()
        async with asyncio.timeout(10):
            while engine.stats.cancelled == cancelled:  # noqa: ASYNC110 - another thread's state has no event
                await asyncio.sleep(0.005)
        text += stream.take_waiting()
    return Answer(list(prompt.tokens), sequence.tokens[len(prompt) :], text, stream.cached_tokens)


def then(history: list[ChatMessage], answer: str, question: str) -> list[ChatMessage]:
    return [*history, ChatMessage("assistant", answer), ChatMessage("user", question)]


async def converse(engine: Engine, attempt: int) -> tuple[int, int]:
    """A conversation at a temperature where the model writes what the tokeniser would not.

    In how many turns it did, and how many tokens would be computed again without the memory. It ends where an answer is
    not all text: what is shown for bytes that are no characters, and control tokens, a client cannot send back.
    """
    salt = b"hot %d" % attempt
    history = [ChatMessage("user", QUESTIONS[0])]
    last = await ask(engine, history, salt, SESSION, temperature=1.5, seed=attempt, max_tokens=48)
    others, lost = 0, 0
    for question in QUESTIONS[1:]:
        if "\ufffd" in last.text or not all(engine.tokenizer.token_bytes[token] for token in last.tokens[:-1]):
            break
        history = then(history, last.text, question)
        known = [*last.prompt, *last.tokens]
        plain = engine.render(history, b"")
        if list(plain.tokens[: len(known)]) != known:
            others += 1
            again = GenerationRequest(plain, SamplingParams(max_tokens=1), salt)
            *_, delta = [delta async for delta in engine.submit(again)]
            assert delta.usage is not None
            lost += (len(known) - 1) // 32 * 32 - delta.usage.cached_tokens
        last = await ask(engine, history, salt, SESSION, temperature=1.5, seed=attempt, max_tokens=48)
        assert last.prompt[: len(known)] == known
        assert last.cached_tokens == len(known) - 1, "all but the last token, which was never an input"
    return others, lost


async def test_the_next_turn_begins_with_the_tokens_of_the_last_one(engine: Engine) -> None:
    found = [await converse(engine, attempt) for attempt in range(1, 13)]
    assert sum(others for others, _ in found) > 0, (
        "the answers were all as the tokeniser writes them: nothing was tested"
    )
    assert sum(lost for _, lost in found) >= 32, "without the memory, blocks are computed again"


async def test_without_a_session_full_blocks_are_found(engine: Engine) -> None:
    history = [ChatMessage("user", QUESTIONS[0])]
    first = await ask(engine, history, b"anonymous", temperature=1.5, seed=4, max_tokens=48)
    second = await ask(engine, then(history, first.text, QUESTIONS[1]), b"anonymous")
    assert second.cached_tokens == (len(first.prompt) + len(first.tokens) - 1) // 32 * 32


@pytest.mark.parametrize("how", [{"max_tokens": 7}, {"stop": (" ",)}, {"stop": ("e",)}, {"leave_after": 9}], ids=str)
async def test_a_partial_answer_is_continued_as_far_as_it_was_seen(engine: Engine, how: dict[str, Any]) -> None:
    salt = str(how).encode()
    history = [ChatMessage("user", QUESTIONS[0])]
    first = await ask(engine, history, salt, SESSION, **{"temperature": 1.5, "seed": 11, "max_tokens": 48, **how})
    following = then(history, first.text, QUESTIONS[1])
    second = await ask(engine, following, salt, SESSION)
    assert engine.tokenizer.decode(second.prompt) == engine.tokenizer.decode(engine.render(following).tokens)
    pairs = zip(first.tokens, second.prompt[len(first.prompt) :], strict=False)
    seen = len(list(takewhile(lambda pair: pair[0] == pair[1], pairs)))
    assert first.text.startswith(engine.tokenizer.decode(first.tokens[:seen]))
    assert second.cached_tokens == len(first.prompt) + min(seen, len(first.tokens) - 1)


async def test_an_answer_that_ran_past_its_end_is_tokenised_as_text(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control tokens inside are not in what the client sends back, so they do not come back."""
    steps, finish = count(), engine._runner.finish

    def end_in_between() -> Any:
        logits = finish().copy()
        if next(steps) == 5:
            logits[:, list(engine.tokenizer.special.end_ids)] = 1e9
        return logits

    monkeypatch.setattr(engine._runner, "finish", end_in_between)
    history = [ChatMessage("user", "Name the capital of France.")]
    first = await ask(engine, history, b"past", ignore_eos=True, max_tokens=40)
    assert set(first.tokens) & engine.tokenizer.special.end_ids
    following = then(history, first.text, "Go on.")
    assert engine.render(following, b"past") == engine.render(following)


async def test_what_a_project_repeats_is_cold_for_another(exact: Engine) -> None:
    history = [ChatMessage("user", "The canary sings at 7 in the morning.")]
    # Of these tokens the text is made again, without the memory that only the fast mode has.
    first = await ask(exact, history, b"a", SESSION, max_tokens=12)
    history = then(history, first.text, "When does it sing?")
    mine = await ask(exact, history, b"a", SESSION)
    theirs = await ask(exact, history, b"b", SESSION)
    cold = await ask(exact, history, b"cold")
    assert mine.cached_tokens == len(first.prompt) + len(first.tokens) - 1
    assert theirs.cached_tokens == cold.cached_tokens == 0
    assert mine.text == theirs.text == cold.text


async def test_another_project_gets_no_tokens_of_mine(engine: Engine) -> None:
    history = [ChatMessage("user", QUESTIONS[0])]
    for seed in range(10):
        answer = await ask(engine, history, b"mine", temperature=1.5, seed=seed, max_tokens=32)
        following = then(history, answer.text, QUESTIONS[1])
        if engine.render(following, b"mine") != engine.render(following):
            assert engine.render(following, b"theirs") == engine.render(following)
            return
    raise AssertionError("no answer was tokenised unlike its text")


async def test_deterministic_prompts_depend_on_their_text_alone(exact: Engine) -> None:
    history = [ChatMessage("user", QUESTIONS[0])]
    answer = await ask(exact, history, b"a", temperature=1.5, seed=1, max_tokens=48)
    following = then(history, answer.text, QUESTIONS[1])
    assert exact.render(following, b"a") == exact.render(following, b"b")


async def test_requests_of_one_session_at_the_same_time_do_not_disturb_each_other(exact: Engine) -> None:
    history = [ChatMessage("user", QUESTIONS[0])]
    first = await ask(exact, history, b"busy", SESSION)
    turns = [then(history, first.text, question) for question in (*QUESTIONS, QUESTIONS[1])]
    together = await asyncio.gather(*(ask(exact, turn, b"busy", SESSION) for turn in turns))
    alone = [await ask(exact, turn, b"alone") for turn in turns]
    assert [answer.text for answer in together] == [answer.text for answer in alone]
    assert max(answer.cached_tokens for answer in together) >= len(first.prompt) + len(first.tokens) - 1


async def test_an_edited_history_reuses_less_and_answers_right(exact: Engine) -> None:
    history = [ChatMessage("user", QUESTIONS[0])]
    first = await ask(exact, history, b"edit", SESSION)
    following = then(history, first.text.replace("a", "o"), QUESTIONS[1])
    edited = await ask(exact, following, b"edit", SESSION)
    assert edited.cached_tokens < len(first.prompt) + len(first.tokens) - 1
    assert edited.text == (await ask(exact, following, b"edit cold")).text


async def test_interleaved_sessions_survive_what_does_not_fit_beside_them(shallow_model_dir: ModelDirectory) -> None:
    """Three sessions in half of the cache, and requests without a session that are larger than the other half."""
    small = Engine.load(shallow_model_dir.path, EngineOptions(precision="deterministic", kv_cache_len=1024))
    try:
        histories = [[ChatMessage("user", f"{name} has a boat. {QUESTIONS[0]}")] for name in ("Ada", "Bob", "Eve")]
        computed = [0] * len(histories)
        for question in QUESTIONS[1:4]:
            for at, history in enumerate(histories):
                answer = await ask(small, history, b"crowd", str(at).encode(), max_tokens=8)
                assert answer.cached_tokens >= computed[at]
                computed[at] = len(answer.prompt)
                assert answer.text == (await ask(small, history, b"cold %d" % len(history), max_tokens=8)).text
                histories[at] = then(history, answer.text, question)
            for number in range(3):
                noise = GenerationRequest(Prompt((number + 20,) * 400), SamplingParams(max_tokens=1), b"crowd")
                assert [delta async for delta in small.submit(noise)]
    finally:
        small.close()
