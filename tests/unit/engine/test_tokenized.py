"""Texts of which only the end is tokenised have the tokens of the whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adaptive_engine.engine.tokenized import TokenizedTexts
from adaptive_engine.engine.tokenizer import SpecialTokens, Tokenizer, read_definition
from adaptive_engine.registry import ModelDirectory
from adaptive_engine.registry.gguf import read_gguf
from adaptive_engine.registry.tokenizer import build_tokenizer
from unit.registry.gguf_builder import sentencepiece_vocabulary, write_gguf

SPECIAL = SpecialTokens("<s>", "</s>", frozenset({2}))


@pytest.fixture(scope="module")
def tokenizers(
    default_model_dir: ModelDirectory, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, Any]]:
    """Definitions of tokenizers."""
    path = write_gguf(tmp_path_factory.mktemp("gguf") / "model.gguf", sentencepiece_vocabulary())
    return {
        "bytes": read_definition(default_model_dir.path),
        "sentencepiece": json.loads(build_tokenizer(read_gguf(path)).to_str()),
    }


class Counted(Tokenizer):
    """Notes what it tokenises."""

    def __init__(self, definition: dict[str, Any]) -> None:
        super().__init__(definition, SPECIAL)
        self.texts: list[str] = []

    def encode(self, text: str) -> list[int]:
        self.texts.append(text)
        return super().encode(text)


CHAT = "<|im_start|>user\nHello, {} trees<|im_end|>\n<|im_start|>assistant\n"


def chat(tokenizers: dict[str, dict[str, Any]], max_tokens: int = 1000) -> tuple[Counted, TokenizedTexts]:
    tokenizer = Counted(tokenizers["bytes"])
    return tokenizer, TokenizedTexts(tokenizer, max_tokens)


def test_of_a_chat_that_grows_the_new_turns_are_tokenised(tokenizers: dict[str, dict[str, Any]]) -> None:
    tokenizer, texts = chat(tokenizers)
    text = CHAT.format(1)
    first = texts.encode(b"me", text)
    longer = text + "Hi!<|im_end|>\n" + CHAT.format(2)
    tokens = texts.encode(b"me", longer)
    assert tokenizer.texts == [text, "<|im_start|>assistant\nHi!<|im_end|>\n" + CHAT.format(2)]
    assert first == tokenizer.encode(text)
    assert tokens == tokenizer.encode(longer)


def test_of_another_owner_nothing_is_taken(tokenizers: dict[str, dict[str, Any]]) -> None:
    tokenizer, texts = chat(tokenizers)
    text = CHAT.format(1)
    assert texts.encode(b"me", text) == texts.encode(b"you", text)
    assert tokenizer.texts == [text, text]


def test_the_least_recently_used_texts_are_forgotten(tokenizers: dict[str, dict[str, Any]]) -> None:
    length = len(Tokenizer(tokenizers["bytes"], SPECIAL).encode(CHAT.format(1)))
    tokenizer, texts = chat(tokenizers, 2 * length)
    for number in (1, 2, 1, 3, 1, 2):
        texts.encode(b"me", CHAT.format(number))
    whole = [text for text in tokenizer.texts if "Hello" in text]
    assert whole == [CHAT.format(number) for number in (1, 2, 3, 2)]


def look_back(definition: dict[str, Any], flag: str) -> dict[str, Any]:
    return {**definition, "added_tokens": [{**token, flag: True} for token in definition["added_tokens"]]}


@pytest.mark.parametrize("flag", ["lstrip", "single_word"])
def test_where_control_tokens_look_back_everything_is_tokenised(
    tokenizers: dict[str, dict[str, Any]], flag: str
) -> None:
    tokenizer = Counted(look_back(tokenizers["bytes"], flag))
    texts = TokenizedTexts(tokenizer, 1000)
    text = CHAT.format(1)
    assert texts.encode(b"", text) == texts.encode(b"", text)
    assert tokenizer.texts == [text, text]


PIECES = [
    "<|im_start|>",
    "<|im_end|>",
    "<s>",
    "</s>",
    "<|im_",
    "end|>",
    " ",
    "  ",
    "\n",
    "hello",
    "hell",
    "é",
    "🙂",
    "12",
]


@pytest.mark.parametrize("name", ["bytes", "sentencepiece"])
@pytest.mark.parametrize("flag", [None, "rstrip"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(parts=st.lists(st.sampled_from(PIECES), max_size=30), cuts=st.lists(st.integers(0, 30), max_size=5))
def test_tokens_are_those_of_the_whole(
    counted: Callable[[str, str | None], Tokenizer], name: str, flag: str | None, parts: list[str], cuts: list[int]
) -> None:
    tokenizer = counted(name, flag)
    texts = TokenizedTexts(tokenizer, 200)
    for cut in [*cuts, len(parts), len(parts)]:
        text = "".join(parts[:cut])
        assert texts.encode(b"", text) == tokenizer.encode(text)


@pytest.fixture(scope="module")
def counted(tokenizers: dict[str, dict[str, Any]]) -> Callable[[str, str | None], Tokenizer]:
    """Tokenizers by their name and by a flag of their control tokens, each made once."""
    made: dict[tuple[str, str | None], Tokenizer] = {}

    def make(name: str, flag: str | None) -> Tokenizer:
        if (name, flag) not in made:
            definition = tokenizers[name] if flag is None else look_back(tokenizers[name], flag)
            made[name, flag] = Tokenizer(definition, SPECIAL)
        return made[name, flag]

    return make
