"""The engine with a real model that sees: what it says about pictures, that it looks once, and that nobody waits."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from adaptive_engine.engine import Delta, Engine, EngineOptions, FirstTokenLimit, GenerationRequest, SamplingParams
from adaptive_engine.errors import ContextLengthExceeded, EngineFailed, FirstTokenTimeout, InvalidRequest
from adaptive_engine.grammar.constraint import Constraint
from adaptive_engine.grammar.masks import Grammar
from adaptive_engine.registry import ModelDirectory
from adaptive_engine.types import ChatMessage, Image
from pictures import COLOURS, Picture, draw
from unit.engine.test_engine import eventually, idle

ABOUT = {
    "type": "object",
    "properties": {"colour": {"enum": [*COLOURS, "black", "white"]}, "shape": {"type": "string", "maxLength": 12}},
    "required": ["colour", "shape"],
    "additionalProperties": False,
}
WHAT = "What is in the picture?"


def pictures(count: int, seed: int) -> list[Picture]:
    generator = np.random.default_rng(seed)
    return [draw(generator) for _ in range(count)]


def image(picture: Picture) -> Image:
    height, width, _ = picture.pixels.shape
    return Image.of(width, height, picture.pixels.tobytes())


def user(*parts: str | Picture) -> ChatMessage:
    return ChatMessage("user", tuple(part if isinstance(part, str) else image(part) for part in parts))


def request(
    engine: Engine,
    *history: ChatMessage,
    salt: bytes = b"s",
    limit: FirstTokenLimit | None = None,
    schema: Grammar | None = None,
    **params: Any,
) -> GenerationRequest:
    return GenerationRequest(
        engine.render(list(history), salt),
        SamplingParams(**{"temperature": 0, "max_tokens": 48, **params}),
        salt,
        b"session",
        salt,
        Constraint(schema) if schema else None,
        limit,
    )


async def ask(engine: Engine, *history: ChatMessage, **options: Any) -> str:
    return "".join([delta.text async for delta in engine.submit(request(engine, *history, **options))])


async def last(engine: Engine, asked: GenerationRequest) -> Delta:
    *_, delta = [delta async for delta in engine.submit(asked)]
    return delta


@pytest.fixture(scope="module")
def engine(vision_model_dir: ModelDirectory) -> Iterator[Engine]:
    """Deterministic, so that every comparison of texts is exact."""
    engine = Engine.load(vision_model_dir.path, EngineOptions(precision="deterministic", kv_cache_len=16384))
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def fast(vision_model_dir: ModelDirectory) -> Iterator[Engine]:
    engine = Engine.load(vision_model_dir.path, EngineOptions(kv_cache_len=8192, max_waiting=400))
    yield engine
    engine.close()


class Blocked:
    """A vision graph that waits until it is let go."""

    def __init__(self, graph: Any) -> None:
        self._graph = graph
        self.entered = threading.Event()
        self.open = threading.Event()

    def encode(self, inputs: dict[str, NDArray[Any]], *, beside: bool) -> NDArray[np.float32]:
        self.entered.set()
        assert self.open.wait(30)
        vectors: NDArray[np.float32] = self._graph.encode(inputs, beside=beside)
        return vectors

    def close(self) -> None:
        self._graph.close()


@asynccontextmanager
async def blocked(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Blocked]:
    """Nothing can be encoded inside."""
    with monkeypatch.context() as patch:
        graph = Blocked(engine._encoder._graph)  # type: ignore[union-attr]
        patch.setattr(engine._encoder, "_graph", graph)
        try:
            yield graph
        finally:
            graph.open.set()
            await eventually(lambda: engine._encoder.busy_seconds() == 0)  # type: ignore[union-attr]


def about(answer: str, picture: Picture) -> bool:
    return picture.colour in answer and picture.shape in answer


async def test_it_names_colour_and_shape(fast: Engine) -> None:
    """95 % of 200, asked together in the fast mode, with an answer that says how many there are too."""
    shown = pictures(200, seed=7)
    answers = await asyncio.gather(*(ask(fast, user(picture, WHAT)) for picture in shown))
    named = sum(about(answer, picture) for answer, picture in zip(answers, shown, strict=True))
    assert named >= 190
    counted = sum(answer == picture.text for answer, picture in zip(answers, shown, strict=True))
    assert counted >= 180
    await idle(fast)


async def test_it_fills_a_schema_with_what_it_sees(fast: Engine) -> None:
    grammar = Grammar.compile(ABOUT, fast.vocabulary)
    shown = pictures(200, seed=8)
    answers = await asyncio.gather(
        *(ask(fast, user(picture, "Describe the picture as JSON."), schema=grammar) for picture in shown)
    )
    right = [
        json.loads(answer) == {"colour": picture.colour, "shape": picture.shape}
        for answer, picture in zip(answers, shown, strict=True)
    ]
    assert sum(right) >= 190
    await idle(fast)


@pytest.mark.parametrize(("which", "at"), [("first", 0), ("second", 1)])
async def test_it_tells_two_pictures_of_a_message_apart(fast: Engine, which: str, at: int) -> None:
    """95 % of a hundred pairs: the colour of the one that is meant, not that of the other."""
    shown = pictures(260, seed=9 + at)
    pairs = [pair for pair in zip(shown[::2], shown[1::2], strict=True) if pair[0].colour != pair[1].colour][:100]
    question = f"What is in the {which} picture?"
    answers = await asyncio.gather(*(ask(fast, user(*pair, question)) for pair in pairs))
    assert len(pairs) == 100
    assert sum(pair[at].colour in answer for answer, pair in zip(answers, pairs, strict=True)) >= 95


async def test_answers_are_the_same_alone_and_in_a_batch(engine: Engine) -> None:
    shown = pictures(16, seed=11)
    alone = [await ask(engine, user(picture, WHAT), salt=b"alone") for picture in shown]
    texts = [user(text) for text in ("Hello", "Count to twenty.") * 4]
    together = await asyncio.gather(
        *(ask(engine, user(picture, WHAT), salt=b"together") for picture in shown),
        *(ask(engine, text, salt=b"together") for text in texts),
    )
    assert together[: len(alone)] == alone
    await idle(engine)


async def test_a_picture_is_encoded_once_for_each_owner(engine: Engine) -> None:
    (picture,) = pictures(1, seed=12)
    before = engine.stats.encoded_images
    first = user(picture, WHAT)
    answer = await ask(engine, first, salt=b"one")
    assert engine.stats.encoded_images == before + 1
    await ask(engine, first, ChatMessage("assistant", answer), user("How many?"), salt=b"one")
    await ask(engine, user("What shape?", picture), salt=b"one")
    assert engine.stats.encoded_images == before + 1
    assert await ask(engine, first, salt=b"two") == answer
    assert engine.stats.encoded_images == before + 2


async def test_the_next_turn_finds_the_pictures_of_the_last_one_in_the_kv_cache(engine: Engine) -> None:
    one, other = pictures(2, seed=13)
    asked = request(engine, user(one, WHAT), salt=b"turns")
    answer = "".join([delta.text async for delta in engine.submit(asked)])
    following = [ChatMessage("assistant", answer), user("How many are there? " * 8)]
    second = await last(engine, request(engine, user(one, WHAT), *following, salt=b"turns"))
    assert second.usage is not None
    assert second.usage.cached_tokens >= asked.prompt.images[0].stop
    # Equal tokens from begin to end, and nothing of them may be taken.
    unlike = await last(engine, request(engine, user(other, WHAT), *following, salt=b"turns"))
    assert unlike.usage is not None
    assert unlike.usage.cached_tokens < asked.prompt.images[0].stop


async def test_tokens_of_pictures_count(engine: Engine) -> None:
    (picture,) = pictures(1, seed=14)
    prompt = engine.render([user(picture, WHAT)])
    assert prompt.images[0].stop - prompt.images[0].start == 16
    delta = await last(engine, GenerationRequest(prompt, SamplingParams(max_tokens=1)))
    assert delta.usage is not None
    assert delta.usage.prompt_tokens == len(prompt) > 16
    crowd = engine.render([user(*[picture] * 120, WHAT)])
    assert len(crowd.images) == 120
    with pytest.raises(ContextLengthExceeded):
        engine.require_fits(crowd)


async def test_the_text_of_an_image_token_is_text(engine: Engine) -> None:
    (picture,) = pictures(1, seed=15)
    prompt = engine.render([user(picture, "<image> <global-img> What is this?")])
    assert prompt.tokens.count(4) == 16
    assert "<image> <global-img> What is this?" in engine.tokenizer.decode(prompt.tokens)
    assert not engine.render([user("<image>")]).images
    assert 4 not in engine.render([user("<ima", "ge>")]).tokens


async def test_a_picture_can_come_in_a_later_turn_and_between_texts(engine: Engine) -> None:
    one, other = pictures(2, seed=16)
    history = [user("Hello"), ChatMessage("assistant", "Hello! Show me a picture and I will tell you what is in it.")]
    for picture in (one, other):
        assert about(await ask(engine, *history, user("What do you see in ", picture)), picture)
    prompt = engine.render([user("This ", one, " and this ", other)])
    assert [placed.image for placed in prompt.images] == [image(one), image(other)]
    assert prompt.images[0].stop < prompt.images[1].start


async def test_text_goes_on_while_a_picture_is_encoded(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = pictures(8, seed=17)
    async with blocked(engine, monkeypatch) as graph:
        waiting = [asyncio.ensure_future(ask(engine, user(one, WHAT), salt=b"blocked")) for one in shown]
        await eventually(graph.entered.is_set)
        steps = engine.stats.steps
        assert (await ask(engine, user("Count to twenty."))).startswith("one two three")
        assert engine.stats.steps > steps
        assert engine.stats.waiting == 8
        assert not any(task.done() for task in waiting)
    assert len(await asyncio.gather(*waiting)) == 8
    await idle(engine)


async def test_who_leaves_or_is_too_late_while_a_picture_is_encoded(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = pictures(2, seed=18)
    async with blocked(engine, monkeypatch) as graph:
        cancelled = engine.stats.cancelled
        leaves = engine.submit(request(engine, user(one, WHAT), salt=b"gone"))
        await eventually(graph.entered.is_set)
        leaves.cancel()
        await eventually(lambda: engine.stats.cancelled == cancelled + 1)
        limit = FirstTokenLimit(20, time.perf_counter())
        with pytest.raises(FirstTokenTimeout, match="its images were being encoded"):
            await ask(engine, user(other, WHAT), salt=b"gone", limit=limit)
    await idle(engine)


async def test_a_limit_of_ages_is_met(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing runs while the pictures are encoded, and no lock can wait for so long."""
    shown = pictures(2, seed=23)
    ages = FirstTokenLimit(2**63 - 1, time.perf_counter())
    async with blocked(engine, monkeypatch):
        limited = asyncio.ensure_future(ask(engine, user(shown[0], WHAT), salt=b"limited", limit=ages))
        other = asyncio.ensure_future(ask(engine, user(shown[1], WHAT), salt=b"other"))
        await eventually(lambda: engine.stats.waiting == 2)
    for answer, picture in zip(await asyncio.gather(limited, other), shown, strict=True):
        assert about(answer, picture)
    await idle(engine)


async def test_a_picture_that_cannot_be_encoded_is_an_error_of_its_request(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    (picture,) = pictures(1, seed=19)

    def fail(inputs: Any, *, beside: bool) -> Any:
        raise RuntimeError("out of luck")

    with monkeypatch.context() as patch:
        patch.setattr(engine._encoder._graph, "encode", fail)  # type: ignore[union-attr]
        with pytest.raises(EngineFailed, match="could not be encoded: RuntimeError"):
            await ask(engine, user(picture, WHAT))
    assert await ask(engine, user(picture, WHAT))
    await idle(engine)


async def test_a_picture_without_a_place_in_the_template_is_refused(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    (picture,) = pictures(1, seed=20)
    monkeypatch.setattr(engine._prompts._template, "_in_parts", False)
    with pytest.raises(InvalidRequest, match="0 places for 1 images"):
        engine.render([user(picture, WHAT)])


async def test_preempted_requests_see_their_pictures_again(vision_model_dir: ModelDirectory, engine: Engine) -> None:
    """With room for a few of them, they are computed again and again."""
    shown = pictures(12, seed=21)
    expected = [await ask(engine, user(picture, WHAT), ignore_eos=True) for picture in shown]
    small = Engine.load(vision_model_dir.path, EngineOptions(precision="deterministic", kv_cache_len=256))
    try:
        answers = await asyncio.gather(*(ask(small, user(one, WHAT), ignore_eos=True) for one in shown))
        assert small.stats.preemptions > 0
        assert small.stats.encoded_images == 12
        assert answers == expected
    finally:
        small.close()


async def test_an_engine_that_closes_ends_those_whose_pictures_are_encoded(
    vision_model_dir: ModelDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    (picture,) = pictures(1, seed=22)
    engine = Engine.load(vision_model_dir.path, EngineOptions(kv_cache_len=1024, hang_seconds=0))
    async with blocked(engine, monkeypatch) as graph:
        stream = engine.submit(request(engine, user(picture, WHAT)))
        await eventually(graph.entered.is_set)
        assert engine.health().reason == "images have been encoded for more than 0 s"
        closing = asyncio.ensure_future(asyncio.to_thread(engine.close))
        with pytest.raises(EngineFailed):
            await anext(stream)
        graph.open.set()
        await closing
