"""What every provider has to do. A module of tests inherits from a contract and gives it a `subject`.

`ProviderContract` is for all of them, `ModelContract` and `SchemaContract` for those whose upstream is more than a
script.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

import pytest

from adaptive_engine.providers.base import JsonSchema, Provider, ProviderRequest
from adaptive_engine.types import Delta

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "inhabitants": {"type": "integer"}},
    "required": ["city", "inhabitants"],
    "additionalProperties": False,
}


@dataclass
class Subject:
    """A provider under test, and what its upstream calls its model."""

    provider: Provider
    model: str
    tells_usage: bool = True


async def collect(subject: Subject, request: ProviderRequest) -> list[Delta]:
    deadline = asyncio.get_running_loop().time() + 60
    return [delta async for delta in subject.provider.generate(subject.provider.call(request), deadline)]


def text(deltas: list[Delta]) -> str:
    return "".join(delta.text for delta in deltas)


def asking(subject: Subject, content: Any = "Say one two three four five.", **more: Any) -> ProviderRequest:
    more = {"stream": True, "max_tokens": 40, "temperature": 0.0, **more}
    return ProviderRequest(subject.model, [{"role": "user", "content": content}], **more)


@pytest.mark.parametrize("stream", [True, False])
class ProviderContract:
    """Needs a fixture `subject`."""

    async def test_answers_with_text_reason_and_usage(self, subject: Subject, stream: bool) -> None:
        deltas = await collect(subject, asking(subject, stream=stream))
        assert text(deltas).strip()
        assert [delta.finish_reason for delta in deltas[:-1]] == [None] * (len(deltas) - 1)
        assert deltas[-1].finish_reason in ("stop", "length")
        if subject.tells_usage:
            usage = deltas[-1].usage
            assert usage is not None
            assert usage.prompt_tokens > 0
            assert usage.completion_tokens > 0

    async def test_takes_a_whole_conversation(self, subject: Subject, stream: bool) -> None:
        messages = [
            {"role": "system", "content": "You are brief."},
            {"role": "user", "content": "Hello!"},
            {"role": "assistant", "content": "Hello."},
            {"role": "user", "content": [{"type": "text", "text": "What did I say first?"}]},
        ]
        request = ProviderRequest(subject.model, messages, stream, max_tokens=8, temperature=0.0, seed=7, top_p=0.9)
        assert (await collect(subject, request))[-1].finish_reason is not None

    async def test_can_be_left_at_any_time(self, subject: Subject, stream: bool) -> None:
        provider = subject.provider
        deltas = provider.generate(
            provider.call(asking(subject, stream=stream)), asyncio.get_running_loop().time() + 60
        )
        await anext(deltas)
        await deltas.aclose()
        assert text(await collect(subject, asking(subject, stream=stream))).strip()


class ModelContract(ProviderContract):
    """The upstream counts tokens and looks for stop sequences."""

    async def test_ends_at_the_limit_of_tokens(self, subject: Subject, stream: bool) -> None:
        deltas = await collect(subject, asking(subject, max_tokens=2, stream=stream))
        assert deltas[-1].finish_reason == "length"

    async def test_ends_before_a_stop_sequence(self, subject: Subject, stream: bool) -> None:
        free = text(await collect(subject, asking(subject, stream=stream)))
        stop = free[len(free) // 2 : len(free) // 2 + 2]
        deltas = await collect(subject, asking(subject, stream=stream, stop=(stop,)))
        assert stop not in text(deltas)
        assert deltas[-1].finish_reason == "stop"


class SchemaContract(ModelContract):
    """The upstream follows schemas too."""

    async def test_follows_a_schema(self, subject: Subject, stream: bool) -> None:
        wanted = JsonSchema("city", SCHEMA)
        deltas = await collect(
            subject, asking(subject, "Name a city as JSON.", stream=stream, format=wanted, max_tokens=100)
        )
        assert set(json.loads(text(deltas))) == {"city", "inhabitants"}
