"""A generation within its grammar, with a model that chooses at random."""

from __future__ import annotations

import json
import random
import re
from typing import Any

import jsonschema_rs
import pytest

from adaptive_engine.grammar.closing import Preference, find_completion
from adaptive_engine.grammar.constraint import Constraint
from adaptive_engine.grammar.masks import Grammar, GrammarError, Vocabulary

BYTES = Vocabulary.of_bytes()
PREFERENCE = Preference(BYTES)
PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
        "tags": {"type": "array", "items": {"enum": ["a", "bcd"]}},
        "home": {
            "type": "object",
            "properties": {"street": {"type": "string", "minLength": 9}},
            "required": ["street"],
        },
    },
    "required": ["name", "age", "tags"],
    "additionalProperties": False,
}


def generate(schema: Any, budget: int, seed: int, *, force: bool = True, close: bool = False) -> tuple[str, bool]:
    """A random answer, and whether it is complete."""
    grammar = Grammar.compile(schema, BYTES)
    constraint = Constraint(grammar, force=force)
    if close:
        completion = find_completion(grammar.start(), PREFERENCE, budget)
        assert completion is not None
        constraint.keep_closable(completion, PREFERENCE)
    choose = random.Random(seed)
    tokens = constraint.begin(budget)
    while len(tokens) < budget and not constraint.finished:
        allowed = constraint.allowed()
        taken = constraint.take(int(allowed[choose.randrange(len(allowed))]), budget - len(tokens))
        if taken[0] in BYTES.end_ids:
            return BYTES.decode(tokens).decode("utf-8", "replace"), True
        tokens += taken
    assert len(tokens) <= budget
    return BYTES.decode(tokens).decode("utf-8", "replace"), constraint.finished or constraint.closed


@pytest.mark.parametrize("seed", range(20))
def test_a_complete_answer_is_valid(seed: int) -> None:
    text, complete = generate(PERSON, 4000, seed)
    if complete:
        jsonschema_rs.validate(PERSON, json.loads(text))
    assert text.startswith('{"name":"')


@pytest.mark.parametrize(
    "schema",
    [
        PERSON,
        {"type": "number", "minimum": -7.5},
        {"anyOf": [{"type": "string", "minLength": 30}, {"type": "integer", "minimum": 1000}]},
        {"type": "string", "pattern": "^[a-z]+@[a-z]+[.]org$"},
        {"type": "array", "items": {"type": "array", "items": {"type": "boolean"}}},
        {"$defs": {"n": {"type": "object", "properties": {"n": {"$ref": "#/$defs/n"}}}}, "$ref": "#/$defs/n"},
    ],
)
@pytest.mark.parametrize("spare", [0, 1, 7, 40])
def test_an_answer_is_closed_within_its_budget(schema: Any, spare: int) -> None:
    shortest = find_completion(Grammar.compile(schema, BYTES).start(), PREFERENCE, 200)
    assert shortest is not None
    jsonschema_rs.validate(schema, json.loads(BYTES.decode(shortest)))
    for seed in range(5):
        text, complete = generate(schema, len(shortest) + spare, seed, close=True)
        assert complete
        jsonschema_rs.validate(schema, json.loads(text))


def test_a_required_pattern_is_closed_with_an_example_of_it() -> None:
    grammar = Grammar.compile({"type": "string", "pattern": "ab+c.*xyz"}, BYTES)
    assert find_completion(grammar.start(), PREFERENCE, 100) is None
    knowing = PREFERENCE.with_examples(["zzz", "abcxyz"])
    completion = find_completion(grammar.start(), knowing, 100)
    assert completion == BYTES.encode(b'"abcxyz"')
    for seed in range(5):
        constraint = Constraint(grammar)
        constraint.keep_closable(completion, knowing)
        choose, tokens = random.Random(seed), constraint.begin(30)
        while not constraint.finished:
            allowed = constraint.allowed()
            tokens += constraint.take(int(allowed[choose.randrange(len(allowed))]), 30 - len(tokens))
        assert len(tokens) <= 30
        assert re.search("ab+c.*xyz", json.loads(BYTES.decode(tokens)), re.DOTALL)


def test_forced_tokens_come_with_the_sampled_one() -> None:
    schema = {"type": "object", "properties": {"kind": {"enum": ["x1", "y2"]}}, "required": ["kind"]}
    constraint = Constraint(Grammar.compile({**schema, "additionalProperties": False}, BYTES))
    assert BYTES.decode(constraint.begin(100)) == b'{"kind":"'
    assert sorted(BYTES.decode([token]) for token in constraint.allowed().tolist()) == [b"x", b"y"]
    assert BYTES.decode(constraint.take(ord("y"), 100)) == b'y2"}'
    assert constraint.finished


def test_forced_tokens_end_with_the_budget() -> None:
    constraint = Constraint(Grammar.compile({"const": "a long text that is forced"}, BYTES))
    assert len(constraint.begin(5)) == 5
    assert not constraint.finished


@pytest.mark.parametrize("seed", range(5))
def test_without_forcing_the_masks_lead_to_the_same_tokens(seed: int) -> None:
    schema = {**PERSON, "properties": {**PERSON["properties"], "name": {"enum": ["Ann", "Bob"]}}}
    # Where one token is allowed there is nothing to choose, so the draws differ in number but not in their effect.
    constraint = Constraint(Grammar.compile(schema, BYTES), force=False)
    assert constraint.begin(100) == []
    forced = Constraint(Grammar.compile(schema, BYTES))
    prefix = forced.begin(100)
    for token in prefix:
        assert constraint.allowed().tolist() == [token]
        assert constraint.take(token, 100) == [token]
    assert constraint.allowed().tolist() == forced.allowed().tolist()


def test_a_token_that_is_not_allowed_is_an_error() -> None:
    constraint = Constraint(Grammar.compile({"type": "integer"}, BYTES))
    with pytest.raises(GrammarError):
        constraint.take(ord("x"), 10)


def test_a_limit_that_is_met_by_a_mask_is_an_error_without_parser_state() -> None:
    schema = {"type": "object", "properties": {f"key{n}": {"type": "string"} for n in range(600)}}
    constraint = Constraint(Grammar.compile(schema, BYTES))
    with pytest.raises(GrammarError, match="row") as raised:
        constraint.begin(10)
    assert "key1" not in str(raised.value)
