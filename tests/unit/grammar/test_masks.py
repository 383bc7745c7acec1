"""The masks of a model that has control tokens: their texts are text like any other, and they are in no answer."""

from __future__ import annotations

import contextlib
import json
import random
from pathlib import Path
from typing import Any

import llguidance
import pytest

from adaptive_engine.engine.tokenizer import Tokenizer, read_definition
from adaptive_engine.grammar.checker import Checkers
from adaptive_engine.grammar.compiler import compile_schema
from adaptive_engine.grammar.masks import Grammar, Vocabulary

MODEL = Path(__file__).parents[2] / "fixtures" / "vision_model"
DEFINITION = read_definition(MODEL)
TOKENIZER = Tokenizer.load(MODEL)
VOCABULARY = Vocabulary.of(DEFINITION, size=520, end_ids=TOKENIZER.special.end_ids)
CONTROL_IDS = {token["id"] for token in DEFINITION["added_tokens"]}


def answer(schema: Any, seed: int) -> str:
    """What a model writes that chooses at random."""
    choose = random.Random(seed)
    matcher = Grammar.compile(schema, VOCABULARY).start()
    tokens: list[int] = []
    while True:
        tokens += matcher.take_forced(1000)
        if matcher.finished:
            return TOKENIZER.decode(tokens)
        token = choose.choice(matcher.allowed().tolist())
        if token in VOCABULARY.end_ids:
            return TOKENIZER.decode(tokens)
        matcher.accept(token)
        tokens.append(token)


@pytest.mark.parametrize(
    "text", ["<|im_end|>", "x <|im_end|> y", "<image>", "<|im_start|><|im_start|>", "<|im_<|im_end|>"]
)
def test_a_control_text_is_forced_as_ordinary_tokens(text: str) -> None:
    for schema, expected in [
        ({"const": text}, text),
        ({"enum": [text]}, text),
        ({"anyOf": [{"const": {text: [text]}}]}, {text: [text]}),
        (
            {"type": "object", "properties": {text: {"const": 1}}, "required": [text], "additionalProperties": False},
            {text: 1},
        ),
    ]:
        assert json.loads(answer(schema, 0)) == expected
        assert not CONTROL_IDS & set(VOCABULARY.encode(text.encode()))


@pytest.mark.parametrize("seed", range(8))
def test_a_control_text_behind_a_choice_is_text_too(seed: int) -> None:
    schema = {
        "type": "object",
        "properties": {
            "a": {"type": "boolean"},
            "b": {"type": "string", "maxLength": 3},
            "stop_token": {"const": "x <|im_end|> y"},
            "pattern": {"type": "string", "pattern": "^(<image>|<global-img>)$"},
        },
        "required": ["stop_token", "pattern"],
        "additionalProperties": False,
    }
    found = json.loads(answer(schema, seed))
    assert found["stop_token"] == "x <|im_end|> y"
    assert found["pattern"] in ("<image>", "<global-img>")


def test_no_mask_allows_a_control_token_but_the_end() -> None:
    matcher = Grammar.compile({"type": "string"}, VOCABULARY).start()
    for token in (*VOCABULARY.encode(b'"<'), *VOCABULARY.encode(b"|im_end|>")):
        assert not CONTROL_IDS & set(matcher.allowed().tolist())
        matcher.accept(token)
    matcher.accept(VOCABULARY.encode(b'"')[0])
    assert set(matcher.allowed().tolist()) == set(VOCABULARY.end_ids)


def test_ids_and_bytes_are_those_of_the_definition() -> None:
    plain = Vocabulary(llguidance.LLTokenizer(json.dumps(DEFINITION), n_vocab=520, eos_token=[2]))
    assert VOCABULARY.size == plain.size == 520
    assert VOCABULARY.end_ids == tuple(TOKENIZER.special.end_ids)
    assert VOCABULARY.token_bytes == plain.token_bytes
    text = b"Ordinary text, \xc3\xa4\xe2\x82\xac 12"
    assert VOCABULARY.encode(text) == plain.encode(text)


def test_control_tokens_beside_the_vocabulary_keep_their_ids() -> None:
    """Most tokenizers list them as added tokens only."""
    vocabulary = {text: i for text, i in DEFINITION["model"]["vocab"].items() if i < 500}
    texts = ["<t0>", "<t1>", "[t2]", "[t3]"]
    first = DEFINITION["added_tokens"][0]
    added = [{**first, "id": 500 + i, "content": text, "special": i in (0, 2)} for i, text in enumerate(texts)]
    control = {token["content"] for token in DEFINITION["added_tokens"]}
    vocabulary = {(f"\u0120{i}{i}" if text in control else text): i for text, i in vocabulary.items()}
    merges = [pair for pair in DEFINITION["model"]["merges"] if "".join(pair) in vocabulary]
    model = {**DEFINITION["model"], "vocab": vocabulary, "merges": merges}
    found = Vocabulary.of({**DEFINITION, "model": model, "added_tokens": added}, end_ids=[500])
    assert found.size == 504
    # The last is no control token: it stands for text and may be written.
    assert found.token_bytes[500:] == [b"", b"", b"", b"[t3]"]
    assert not {500, 501, 502} & set(found.encode(b"<t0><t1>[t2]"))
    assert found.encode(b"[t3]") == [503]


def test_such_a_schema_is_admitted() -> None:
    with contextlib.closing(Checkers()) as checkers:
        compiled = compile_schema('{"const": "<|im_end|>"}', VOCABULARY, checkers)
    assert compiled.grammar is not None
    assert compiled.completion is not None
    assert TOKENIZER.decode(compiled.completion) == '"<|im_end|>"'
