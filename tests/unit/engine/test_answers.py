"""Answers that come back as text get the tokens they had. Ids below 10 are control tokens in the tables made here."""

from __future__ import annotations

import random

import pytest

from adaptive_engine.engine.answers import AnswerMemory
from adaptive_engine.engine.detokenizer import TextStream
from adaptive_engine.engine.prompt import PlacedImage
from adaptive_engine.engine.tokenizer import Tokenizer
from adaptive_engine.registry import ModelDirectory
from adaptive_engine.types import Image

END = 2
BEFORE = [1, 20, 21]
"""A control token and what the template writes behind it."""
TABLE = [b""] * 10 + [bytes([65 + n]) for n in range(26)] + [b"AB", b"BC", b"\xf0\x9f", b"\x98\x80", b"A\xf0", b" A"]
A, B, C, AB, BC, HALF, REST, A_HALF, SPACE_A = 10, 11, 12, 36, 37, 38, 39, 40, 41


def memory(max_tokens: int = 1000, **options: bool) -> AnswerMemory:
    return AnswerMemory(TABLE, max_tokens, **options)


def characters(answer: list[int]) -> int:
    text = TextStream()
    for token in answer:
        text.push(TABLE[token])
    return text.length


def remembered(answer: list[int], shown: int | None = None) -> AnswerMemory:
    of = memory()
    of.remember(b"s", BEFORE, answer, characters(answer) if shown is None else shown)
    return of


def test_the_tokens_that_were_generated_are_restored() -> None:
    following = [END, 1, 30, END, *BEFORE]
    of = remembered([A, BC, END])
    assert of.restore(b"s", [*BEFORE, AB, C, *following]) == [*BEFORE, A, BC, *following]


@pytest.mark.parametrize(
    "prompt",
    [
        [*BEFORE, AB, C, C, END],
        [*BEFORE, AB, END],
        [*BEFORE, AB, C],
        [1, 20, 22, AB, C, END],
        [1, END, *BEFORE, AB, C, END],
        [3, 20, 21, AB, C, END],
    ],
    ids=["longer", "shorter", "not ended", "another speaker", "another history", "another control token"],
)
def test_only_the_same_text_at_the_same_place_is(prompt: list[int]) -> None:
    assert remembered([A, BC, END]).restore(b"s", prompt) == prompt


def test_what_was_said_about_another_picture_is_not() -> None:
    """Control token 3 stands for a picture."""
    history = [1, 3, END, *BEFORE]
    red, blue = ([PlacedImage(Image.of(1, 1, colour), 1, 2)] for colour in (b"\xff\0\0", b"\0\0\xff"))
    of = memory()
    of.remember(b"s", history, [A, BC], 3, red)
    prompt = [*history, AB, C, END]
    assert of.restore(b"s", prompt, red) == [*history, A, BC, END]
    assert of.restore(b"s", prompt, blue) == prompt
    assert of.restore(b"s", prompt) == prompt
    before = [PlacedImage(red[0].image, 5, 6)]
    later = [*BEFORE, AB, C, END, 3]
    of.remember(b"s", BEFORE, [A, BC], 3)
    assert of.restore(b"s", later, before) == [*BEFORE, A, BC, END, 3]


def test_nobody_else_gets_them() -> None:
    prompt = [*BEFORE, AB, C, END]
    assert remembered([A, BC, END]).restore(b"other", prompt) == prompt


def test_all_answers_of_a_conversation_are_restored() -> None:
    of = memory()
    history = BEFORE
    for answer in ([A, BC], [A, B, C], [A, B, C]):
        of.remember(b"s", history, [*answer, END], 3)
        history = [*history, *answer, END, *BEFORE]
    canonical = [*BEFORE, *([AB, C, END, *BEFORE] * 3)]
    assert of.restore(b"s", canonical) == history


def test_equal_texts_with_other_tokens_in_other_conversations_do_not_mix() -> None:
    of = memory()
    for question, answer in ((30, [A, BC]), (31, [A, B, C])):
        of.remember(b"s", [1, question, END, *BEFORE], answer, 3)
    for question, answer in ((30, [A, BC]), (31, [A, B, C])):
        prompt = [1, question, END, *BEFORE, AB, C, END]
        assert of.restore(b"s", prompt) == [1, question, END, *BEFORE, *answer, END]


def test_what_a_stop_string_cut_off_is_not_restored() -> None:
    assert remembered([A, B, C], shown=2).restore(b"s", [*BEFORE, AB, END]) == [*BEFORE, A, B, END]
    inside_a_token = [*BEFORE, AB, END]
    assert remembered([A, BC], shown=2).restore(b"s", inside_a_token) == inside_a_token


def test_an_unfinished_character_is_not_restored() -> None:
    assert remembered([A, B, HALF]).restore(b"s", [*BEFORE, AB, END]) == [*BEFORE, A, B, END]
    assert remembered([HALF, REST]).restore(b"s", [*BEFORE, HALF, REST, END]) == [*BEFORE, HALF, REST, END]
    inside_a_token = [*BEFORE, A, END]
    assert remembered([A_HALF], shown=1).restore(b"s", inside_a_token) == inside_a_token


def test_bytes_that_are_no_character_are_restored_from_what_was_shown() -> None:
    shown = AnswerMemory([*TABLE, "\ufffd".encode()], 1000)
    shown.remember(b"s", BEFORE, [REST, AB, END], 4)
    assert shown.restore(b"s", [*BEFORE, 42, 42, AB, END]) == [*BEFORE, REST, AB, END]


def test_control_tokens_inside_an_answer_are_not_restored() -> None:
    prompt = [*BEFORE, AB, C, END]
    assert remembered([A, END, BC]).restore(b"s", prompt) == prompt


def test_nothing_shown_is_nothing_remembered() -> None:
    for answer in ([], [END], [HALF]):
        assert remembered(answer).restore(b"s", [*BEFORE, END]) == [*BEFORE, END]


def test_a_first_space_that_is_not_shown() -> None:
    """SentencePiece: the text begins with "A", its token with a space, and the tokeniser puts one in front too."""
    of = memory(drop_first_space=True)
    of.remember(b"s", [1], [SPACE_A, BC, END], 3)
    assert of.restore(b"s", [1, SPACE_A, B, C, END]) == [1, SPACE_A, BC, END]


def test_the_oldest_are_forgotten_and_use_keeps_young() -> None:
    of = memory(max_tokens=12)
    prompts = [[1, 20 + n, AB, END] for n in range(3)]
    expected = [[1, 20 + n, A, B, END] for n in range(3)]
    for n in range(3):
        of.remember(b"s", [1, 20 + n], [A, B], 2)
    assert of.restore(b"s", prompts[0]) == expected[0]
    of.remember(b"s", [1, 30], [A, B, C, C], 4)
    assert [of.restore(b"s", prompt) for prompt in prompts] == [expected[0], prompts[1], expected[2]]
    of.remember(b"s", [1, 30], [A] * 20, 20)
    assert of.restore(b"s", prompts[0]) == expected[0]
    assert memory(0).restore(b"s", prompts[0]) == prompts[0]


def test_random_tokens_of_the_real_model_are_restored(default_model_dir: ModelDirectory) -> None:
    """Most of them are nothing the tokeniser would write, many are no characters."""
    tokenizer = Tokenizer.load(default_model_dir.path)
    words = [i for i, text in enumerate(tokenizer.token_bytes) if text]
    rng = random.Random(7)
    of = AnswerMemory(tokenizer.token_bytes, 10_000)
    prompt = tokenizer.encode("<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n")
    others = 0
    for _ in range(200):
        answer = rng.choices(words, k=20)
        text = TextStream()
        shown = "".join(text.push(tokenizer.token_bytes[token]) for token in answer)
        of.remember(b"s", prompt, answer, text.length)
        end = tokenizer.encode("<|im_end|>\n<|im_start|>user\nGo on<|im_end|>\n<|im_start|>assistant\n")
        back = prompt + tokenizer.encode(shown) + end
        if not text.unfinished:
            assert of.restore(b"s", back) == [*prompt, *answer, *end]
            others += back != [*prompt, *answer, *end]
    assert others > 100
