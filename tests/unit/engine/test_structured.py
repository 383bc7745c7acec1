"""Structured output through the engine."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest

from adaptive_engine.engine import (
    Delta,
    Engine,
    EngineOptions,
    FirstTokenLimit,
    GenerationRequest,
    Prompt,
    SamplingParams,
)
from adaptive_engine.errors import FirstTokenTimeout, GrammarLimit
from adaptive_engine.grammar.constraint import Constraint
from adaptive_engine.grammar.masks import Grammar, GrammarError
from adaptive_engine.registry import ModelDirectory
from adaptive_engine.types import ChatMessage

PERSON = {
    "type": "object",
    "properties": {
        "first_name": {"type": "string", "maxLength": 20},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
        "favourite_colour": {"enum": ["red", "green", "blue"]},
        "lives_in": {
            "type": "object",
            "properties": {"city": {"type": "string", "maxLength": 20}, "country": {"type": "string", "maxLength": 20}},
            "required": ["city", "country"],
            "additionalProperties": False,
        },
    },
    "required": ["first_name", "age", "favourite_colour", "lives_in"],
    "additionalProperties": False,
}
NAMES = ["Bob", "Alice", "Zoë", "李雷", "O'Neil", "Tom", "Jerry", "Eva"]


@pytest.fixture(scope="module")
def engine(shallow_model_dir: ModelDirectory) -> Iterator[Engine]:
    options = EngineOptions(precision="deterministic", kv_cache_len=8192, max_seq_len=1024)
    engine = Engine.load(shallow_model_dir.path, options)
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def person(engine: Engine) -> Grammar:
    return Grammar.compile(PERSON, engine.vocabulary)


async def generate(engine: Engine, name: str, constraint: Constraint | None, **params: Any) -> tuple[str, Delta]:
    """The whole text and the last delta."""
    prompt = engine.render([ChatMessage("user", f"Describe a person named {name} as JSON.")])
    sampling = SamplingParams(**{"temperature": 0, "max_tokens": 150, **params})
    deltas = [delta async for delta in engine.submit(GenerationRequest(prompt, sampling, constraint=constraint))]
    return "".join(delta.text for delta in deltas), deltas[-1]


async def test_forced_tokens_change_the_number_of_steps_and_nothing_else(engine: Engine, person: Grammar) -> None:
    for name in NAMES:
        before = engine.stats.steps
        fast, last = await generate(engine, name, Constraint(person))
        steps = engine.stats.steps - before
        slow, slow_last = await generate(engine, name, Constraint(person, force=False))
        assert fast == slow
        assert last.usage is not None
        assert slow_last.usage is not None
        assert last.usage.completion_tokens == slow_last.usage.completion_tokens
        assert steps < 0.7 * last.usage.completion_tokens


async def test_alone_and_in_a_batch_with_free_text_the_same(engine: Engine, person: Grammar) -> None:
    alone = [(await generate(engine, name, Constraint(person)))[0] for name in NAMES]
    free = asyncio.gather(*(generate(engine, name, None, max_tokens=40) for name in NAMES[:4]))
    together = await asyncio.gather(*(generate(engine, name, Constraint(person)) for name in NAMES))
    await free
    assert [text for text, _ in together] == alone
    for text in alone:
        jsonschema_rs.validate(PERSON, json.loads(text))


async def test_stop_strings_are_found_in_forced_text(engine: Engine, person: Grammar) -> None:
    text, last = await generate(engine, "Bob", Constraint(person), stop=('_colour":',))
    assert text.endswith(',"favourite')
    assert last.finish_reason == "stop"
    text, last = await generate(engine, "Bob", Constraint(person), stop=("first",))
    assert (text, last.finish_reason) == ('{"', "stop")


@pytest.mark.parametrize("max_tokens", range(1, 12))
async def test_max_tokens_cuts_forced_runs_too(engine: Engine, person: Grammar, max_tokens: int) -> None:
    whole, _ = await generate(engine, "Bob", Constraint(person))
    text, last = await generate(engine, "Bob", Constraint(person), max_tokens=max_tokens)
    assert whole.startswith(text)
    assert last.finish_reason == "length"
    assert last.usage is not None
    assert last.usage.completion_tokens == max_tokens


async def test_an_answer_without_a_choice_needs_no_step(engine: Engine) -> None:
    constraint = Constraint(Grammar.compile({"const": {"a": [1, 2, 3]}}, engine.vocabulary))
    before = engine.stats.steps
    text, last = await generate(engine, "Bob", constraint)
    assert (text, last.finish_reason, engine.stats.steps) == ('{"a":[1,2,3]}', "stop", before)


async def test_what_a_grammar_begins_with_is_no_token_of_an_answer_that_never_began(
    engine: Engine, person: Grammar
) -> None:
    prompt = Prompt(tuple(range(5000, 5900)))
    late = GenerationRequest(
        prompt, constraint=Constraint(person), first_token_limit=FirstTokenLimit(30, time.perf_counter())
    )
    stream = engine.submit(late)
    with pytest.raises(FirstTokenTimeout):
        await anext(stream)
    assert stream.completion_tokens == 0


async def test_json_ends_even_with_ignore_eos(engine: Engine, person: Grammar) -> None:
    text, last = await generate(engine, "Bob", Constraint(person), ignore_eos=True)
    assert last.finish_reason == "stop"
    jsonschema_rs.validate(PERSON, json.loads(text))


class Breaking(Constraint):
    """Meets a limit after some tokens."""

    def __init__(self, grammar: Grammar, where: str) -> None:
        super().__init__(grammar)
        self._where = where
        self._left = 5

    def _tick(self, where: str) -> None:
        self._left -= where == self._where
        if self._left == 0:
            raise GrammarError("Parser Error: too many items")

    def allowed(self) -> Any:
        self._tick("mask")
        return super().allowed()

    def take(self, token: int, budget: int) -> list[int]:
        self._tick("take")
        return super().take(token, budget)


@pytest.mark.parametrize("where", ["mask", "take"])
async def test_a_failing_mask_ends_its_answer_and_no_other(engine: Engine, person: Grammar, where: str) -> None:
    expected, _ = await generate(engine, "Alice", Constraint(person))
    good = asyncio.create_task(generate(engine, "Alice", Constraint(person)))
    with pytest.raises(GrammarLimit, match="too many items"):
        await generate(engine, "Bob", Breaking(person, where))
    assert (await good)[0] == expected
    assert engine.stats.kv_blocks_used == 0


async def test_preempted_answers_go_on_in_their_grammar(shallow_model_dir: ModelDirectory) -> None:
    options = EngineOptions(precision="deterministic", kv_cache_len=256, max_seq_len=200)
    small = Engine.load(shallow_model_dir.path, options)
    try:
        grammar = Grammar.compile(PERSON, small.vocabulary)
        alone = [(await generate(small, name, Constraint(grammar)))[0] for name in NAMES]
        together = await asyncio.gather(*(generate(small, name, Constraint(grammar)) for name in NAMES))
        assert [text for text, _ in together] == alone
        assert small.stats.preemptions > 0
    finally:
        small.close()


async def test_no_more_of_a_prompt_is_cached_than_there_is_of_it(engine: Engine) -> None:
    """A session's last block holds what the grammar begins with, too."""
    schema = {"type": "object", "properties": {"first_name": {"maxLength": 5}}, "required": ["first_name"]}
    grammar = Grammar.compile(schema, engine.vocabulary)
    prompt = Prompt(tuple(range(1000, 1040)))
    params, cached = SamplingParams(temperature=0, max_tokens=12), engine.stats.cached_tokens
    for expected in (0, 40):
        request = GenerationRequest(prompt, params, session=b"s", constraint=Constraint(grammar))
        *_, last = [delta async for delta in engine.submit(request)]
        assert last.usage is not None
        assert last.usage.cached_tokens == expected
    assert engine.stats.cached_tokens == cached + 40
