"""Drafts from the text so far, and that computing them changes no text."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from adaptive_engine.engine import Engine, EngineOptions, GenerationRequest, SamplingParams
from adaptive_engine.engine.runner import StepCosts
from adaptive_engine.engine.speculation import DRAFTS, Drafter, pays
from adaptive_engine.grammar.constraint import Constraint
from adaptive_engine.grammar.masks import Grammar
from adaptive_engine.registry import ModelDirectory
from adaptive_engine.types import ChatMessage

COSTS = StepCosts(row=0.25, resize=3, doubling_depth=1500, busy_prompt_tokens=64)


def test_the_draft_is_what_followed_the_last_time() -> None:
    tokens = [5, 6, 7, 1, 2, 3, 8, 6, 7, 4, 4, 4, 4, 4, 4, 4, 4, 4, 9, 6, 7]
    assert Drafter().propose(tokens) == tokens[9 : 9 + DRAFTS]


def test_the_longest_match_wins_over_the_latest() -> None:
    tokens = [1, 2, 3, 4, 50, 0, 3, 4, 60, 0, 1, 2, 3, 4]
    assert Drafter().propose(tokens)[0] == 50


def test_a_circle_goes_on() -> None:
    assert Drafter().propose([1, 2, 3, 1, 2, 3, 1, 2]) == ([3, 1, 2] * DRAFTS)[:DRAFTS]


@pytest.mark.parametrize("tokens", [[1], [1, 2], [1, 2, 3], [1, 2, 3, 2, 1], [1, 2, 3, 3, 2]])
def test_nothing_repeats_nothing_is_drafted(tokens: list[int]) -> None:
    assert Drafter().propose(tokens) == []


def test_a_match_across_the_bytes_of_two_tokens_is_none() -> None:
    """0x00010000 follows 0x00000001 in memory as 01 00 00 00 00 00 01 00: shifted by two bytes it is other tokens."""
    shifted = int.from_bytes(b"\x01\x00\x02\x00", "little")
    tokens = [shifted, int.from_bytes(b"\x03\x00\x04\x00", "little"), 7, 0x00020001 >> 16 | 0x00030000, 9]
    assert Drafter().propose([*tokens, 0x00020000, 0x00040003]) == []


def test_tokens_may_come_in_pieces() -> None:
    tokens = [1, 2, 3, 4, 5, 1, 2, 3]
    piecewise = Drafter()
    for end in range(1, len(tokens)):
        piecewise.propose(tokens[:end])
        piecewise.observe(tokens[end : end + 1])
    assert piecewise.propose(tokens) == Drafter().propose(tokens)


def test_the_chance_follows_what_comes() -> None:
    drafter, tokens = Drafter(), [1, 2, 3]
    for _ in range(40):
        tokens += [1, 2]
        drafter.propose(tokens)
        tokens.append(len(tokens) + 100)
        drafter.observe(tokens[-1:])
    assert drafter.chance < 0.05
    for _ in range(40):
        # Nothing needs to be drafted for that: what would have been is compared with what comes.
        tokens += [1, 2]
        guess = drafter.propose(tokens)
        drafter.observe(guess)
        tokens += guess[:1]
    assert drafter.chance > 0.95


def test_drafts_pay_sooner_for_a_single_stream_than_in_a_batch() -> None:
    least = [next(c / 100 for c in range(101) if c == 100 or pays(c / 100, COSTS, rows)) for rows in (1, 2, 4, 16)]
    assert least == sorted(least)
    assert 0.3 < least[0] < 0.6
    assert least[-1] == 1.0


@pytest.fixture(scope="module")
def engines(shallow_model_dir: ModelDirectory) -> Iterator[tuple[Engine, Engine]]:
    """With and without speculation, both deterministic: every comparison of texts is exact."""
    pair = tuple(
        Engine.load(
            shallow_model_dir.path,
            EngineOptions(precision="deterministic", kv_cache_len=4096, max_seq_len=1024, speculation=speculation),
        )
        for speculation in (True, False)
    )
    yield pair  # type: ignore[misc]
    for engine in pair:
        engine.close()


async def answer(engine: Engine, question: str, constraint: Constraint | None = None, **params: Any) -> tuple[Any, ...]:
    """Text, finish reason, usage and log probabilities."""
    prompt = engine.render([ChatMessage("user", question)])
    sampling = SamplingParams(**{"temperature": 0, "max_tokens": 60, "logprobs": 2, **params})
    deltas = [delta async for delta in engine.submit(GenerationRequest(prompt, sampling, constraint=constraint))]
    last = deltas[-1]
    text = "".join(delta.text for delta in deltas)
    return text, last.finish_reason, last.usage, [logprob for delta in deltas for logprob in delta.logprobs]


QUESTIONS = (
    "Repeat this: one fish, two fish, red fish, blue fish, one fish, two fish, red fish, blue fish.",
    "Write the word sea thirty times.",
    "List ten animals, one per line, each with the word animal.",
)


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"temperature": 0.7, "seed": 3},
        {"temperature": 1.3, "top_p": 0.8, "seed": 4},
        {"stop": ("fish, red", "sea, sea")},
        {"max_tokens": 7},
        {"ignore_eos": True, "max_tokens": 90},
    ],
    ids=str,
)
async def test_answers_are_the_same_with_and_without(engines: tuple[Engine, Engine], params: dict[str, Any]) -> None:
    on, off = engines
    accepted, steps = on.stats.accepted_tokens, (on.stats.steps, off.stats.steps)
    for question in QUESTIONS:
        assert await answer(on, question, **params) == await answer(off, question, **params)
    assert on.stats.accepted_tokens > accepted
    assert on.stats.steps - steps[0] < off.stats.steps - steps[1]
    assert off.stats.draft_tokens == 0


async def test_answers_are_the_same_in_a_batch(engines: tuple[Engine, Engine]) -> None:
    on, _ = engines
    alone = [await answer(on, question) for question in QUESTIONS]
    together = await asyncio.gather(*(answer(on, question) for question in QUESTIONS * 2))
    # Prompts are cached by now, and usage says so.
    assert [(text, reason, logprobs) for text, reason, _, logprobs in together] == [
        (text, reason, logprobs) for text, reason, _, logprobs in alone * 2
    ]


async def test_drafts_keep_to_the_grammar(engines: tuple[Engine, Engine]) -> None:
    on, off = engines
    item = {
        "type": "object",
        "properties": {"name": {"type": "string", "maxLength": 12}, "kind": {"enum": ["animal", "plant"]}},
        "required": ["name", "kind"],
        "additionalProperties": False,
    }
    grammar = Grammar.compile({"type": "array", "items": item, "minItems": 5, "maxItems": 5}, on.vocabulary)
    drafts = on.stats.draft_tokens
    for temperature in (0, 0.8):
        answers = [
            await answer(
                engine,
                "List five animals as JSON.",
                Constraint(grammar),
                temperature=temperature,
                seed=1,
                max_tokens=200,
            )
            for engine in engines
        ]
        assert answers[0] == answers[1]
    assert on.stats.draft_tokens > drafts
    assert off.stats.draft_tokens == 0


async def test_drafts_preempt_nobody(shallow_model_dir: ModelDirectory) -> None:
    """Two answers fill a cache to the last block; drafts take only what is left over."""
    small = Engine.load(
        shallow_model_dir.path, EngineOptions(precision="deterministic", kv_cache_len=320, max_seq_len=320)
    )
    try:
        answers = await asyncio.gather(
            *(answer(small, QUESTIONS[1], ignore_eos=True, max_tokens=110) for _ in range(2))
        )
        assert answers[0][0] == answers[1][0]
        assert small.stats.accepted_tokens > 0
        assert small.stats.preemptions == 0
    finally:
        small.close()
