"""What is asked of a subject, and what is noted of it. One call is one subject's turn in one round."""

from __future__ import annotations

import asyncio
import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

from client import Answer
from subjects import Messages, Question, Subject

from adaptive_engine.types import ChatMessage

Values = dict[str, Any]
# Each is one token of the model.
WORDS = """
    the of and to in is that for it as was with be by on not he his but at are this have from or had an they which
    one you were all her she there would their we him been has when who will no more if out so up said what its about
    than into them can only other time new some could these two may first then do any like my now over such our man
    me even most made after also well before must through years where much your way down should because long each
    just state those people too how little good world make very year still see own work men day get here old life
    both between being under never know same last another while us off might great go come since against right came
    take used few house use place during high without again home around small found part school every
"""
# The template's own tokens: its default system message and the marks around the question.
TEMPLATE_TOKENS = 30
# More than one, because the first tokens may be half a character.
FEW = 4
STREAMS = 8
TEMPERATURE = 0.7
BEFORE = 16
"""Tokens that each stream has before the long prompt comes."""


@dataclass(frozen=True)
class Sizes:
    """How much is asked. Lengths are in tokens."""

    concurrency: tuple[int, ...] = (1, 4, 8, 16, 32)
    answer: int = 128
    prompts: tuple[int, ...] = (512, 1500, 4000)
    turns: int = 6
    long_prompt: int = 4000
    stream_answer: int = 256
    """Of the streams that run while the long prompt comes."""


QUICK = Sizes(concurrency=(1, 8), answer=32, prompts=(512,), turns=3, long_prompt=1500, stream_answer=128)


def words(rng: random.Random, count: int) -> str:
    """Text of `count` tokens that nobody has seen before."""
    return " ".join(rng.choices(WORDS.split(), k=count))


def user(text: str) -> Messages:
    return [ChatMessage("user", text)]


def story(number: int) -> Messages:
    return user(f"Write a long story about number {number} and the sea.")


async def decode(subject: Subject, rng: random.Random, concurrency: int, tokens: int, temperature: float = 0) -> Values:
    number = rng.randrange(10**6)
    questions = [Question(story(number + i), tokens, temperature) for i in range(concurrency)]
    answers = await asyncio.gather(*map(subject.chat, questions))
    count = sum(answer.completion_tokens for answer in answers)
    if count != concurrency * tokens:
        raise RuntimeError(f"{concurrency * tokens} tokens were asked for and {count} came")
    seconds = max(answer.ended for answer in answers) - min(answer.started for answer in answers)
    return {"tokens_per_second": count / seconds}


async def sampled(subject: Subject, rng: random.Random, concurrency: int, tokens: int) -> Values:
    return await decode(subject, rng, concurrency, tokens, TEMPERATURE)


async def ttft(subject: Subject, rng: random.Random, prompt_tokens: int) -> Values:
    """A prompt that nobody has seen, to the first token, with nothing beside it."""
    answer = await subject.chat(Question(user(words(rng, prompt_tokens - TEMPLATE_TOKENS)), FEW))
    return {"ttft_ms": 1000 * answer.ttft, "prompt_tokens": answer.prompt_tokens}


async def session(subject: Subject, rng: random.Random, turns: int) -> Values:
    """A chat whose history grows: the time to the first token of each turn, and of a new prompt of that length."""
    messages = [ChatMessage("system", words(rng, 300))]
    name = str(rng.random())
    answers: list[Answer] = []
    for _ in range(turns):
        messages += user(words(rng, 100))
        answers.append(await subject.chat(Question(messages, 64, session=name)))
        messages += [ChatMessage("assistant", answers[-1].text)]
    later = answers[1:]
    cold = [await ttft(subject, rng, answer.prompt_tokens) for answer in later]
    return {
        "turns_ms": [1000 * answer.ttft for answer in answers],
        "cold_ms": [values["ttft_ms"] for values in cold],
        "prompt_tokens": [answer.prompt_tokens for answer in answers],
        "later_ms": statistics.median(1000 * answer.ttft for answer in later),
        "of_cold": statistics.median(
            1000 * warm.ttft / fresh["ttft_ms"] for warm, fresh in zip(later, cold, strict=True)
        ),
    }


async def mixed(subject: Subject, rng: random.Random, prompt_tokens: int, tokens: int) -> Values:
    """Streams run when a long prompt comes: the gaps it tears into them, and how long it waits itself."""
    number = rng.randrange(10**6)
    newcomer = user(words(rng, prompt_tokens - TEMPLATE_TOKENS))
    arrived = [0] * STREAMS
    all_run = asyncio.Event()

    def arrival(place: int) -> None:
        arrived[place] += 1
        if min(arrived) >= BEFORE:
            all_run.set()

    async def stream(place: int) -> Answer:
        try:
            return await subject.chat(Question(story(number + place), tokens), partial(arrival, place))
        finally:
            # Nobody waits for a stream that has ended.
            all_run.set()

    async with asyncio.TaskGroup() as group:
        streams = [group.create_task(stream(i)) for i in range(STREAMS)]
        await all_run.wait()
        late = await subject.chat(Question(newcomer, FEW))
    return gaps([running.result().arrivals for running in streams], late.started, late.started + late.ttft)


def gaps(streams: Sequence[Sequence[float]], came: float, answered: float) -> Values:
    """Of the times at which text of each stream came, and those between which a newcomer waited for its first token.

    Raises RuntimeError when the streams had nothing to wait for.
    """
    steps = [(a, b) for arrivals in streams for a, b in pairwise(arrivals)]
    before = [b - a for a, b in steps if b <= came]
    during = [b - a for a, b in steps if b > came and a < answered]
    if not before or not during:
        raise RuntimeError("the streams did not run while the long prompt was computed: make them longer")
    normal, worst = statistics.median(before), max(during)
    return {
        "normal_step_ms": 1000 * normal,
        "worst_gap_ms": 1000 * worst,
        "worst_gap_steps": worst / normal,
        "newcomer_ttft_ms": 1000 * (answered - came),
    }
