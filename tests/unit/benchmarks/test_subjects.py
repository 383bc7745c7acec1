from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from scenarios import decode, ttft
from subjects import Bare, GenAI, Subject

from adaptive_engine.engine import Engine
from adaptive_engine.registry import ModelDirectory


@pytest.fixture(scope="module", params=["bare", "genai"])
def subject(
    request: pytest.FixtureRequest, shallow_model_dir: ModelDirectory, shallow_openvino_dir: ModelDirectory
) -> Iterator[Subject]:
    if request.param == "bare":
        engine = Engine.load(shallow_model_dir.path)
        yield Bare(engine)
        engine.close()
    else:
        genai = GenAI(shallow_openvino_dir.path, threads=1)
        yield genai
        genai.close()


async def test_prompts_are_as_long_as_they_should_be(subject: Subject) -> None:
    values = await ttft(subject, random.Random(1), 100)
    assert values["prompt_tokens"] == 100
    assert values["ttft_ms"] > 0


async def test_all_tokens_that_were_asked_for_are_counted(subject: Subject) -> None:
    # It raises when others come.
    assert (await decode(subject, random.Random(2), concurrency=3, tokens=5))["tokens_per_second"] > 0
