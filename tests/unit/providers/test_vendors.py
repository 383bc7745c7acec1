"""Each vendor's dialect over a connection: the contract, and what its server says in its own way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from adaptive_engine.errors import AdaptiveError, UpstreamBusy, UpstreamFailed
from adaptive_engine.providers import registry
from adaptive_engine.providers.addresses import AddressPolicy
from adaptive_engine.providers.base import JsonSchema, Provider
from adaptive_engine.providers.http import Timeouts
from adaptive_engine.types import Delta, ExternalModel, Usage
from faultserver import Connection, FaultServer
from unit.providers.contract import ProviderContract, Subject, asking, collect, text
from vendorservers import (
    TEXT,
    AnthropicServer,
    AzureServer,
    GeminiServer,
    anthropic_events,
    anthropic_stream,
    gemini_chunk,
)

BOTH = pytest.mark.parametrize("stream", [True, False], ids=["stream", "json"])


def provider_of(name: str, server: FaultServer, model: str, key: str = "sk-secret", **profile: Any) -> Provider:
    external = ExternalModel(model, server.url, profile=profile)
    return registry.build(name, external, key, AddressPolicy(), Timeouts())


@pytest.fixture
async def anthropic() -> AsyncIterator[AnthropicServer]:
    async with AnthropicServer() as server:
        yield server


@pytest.fixture
async def gemini() -> AsyncIterator[GeminiServer]:
    async with GeminiServer() as server:
        yield server


@pytest.fixture
async def azure() -> AsyncIterator[AzureServer]:
    async with AzureServer() as server:
        yield server


class TestAnthropic(ProviderContract):
    @pytest.fixture
    def subject(self, anthropic: AnthropicServer) -> Subject:
        return Subject(provider_of("anthropic", anthropic, "claude-x"), "claude-x")


class TestGemini(ProviderContract):
    @pytest.fixture
    def subject(self, gemini: GeminiServer) -> Subject:
        return Subject(provider_of("google", gemini, "gemini-x"), "gemini-x")


class TestAzure(ProviderContract):
    @pytest.fixture
    def subject(self, azure: AzureServer) -> Subject:
        return Subject(provider_of("azure", azure, "my model"), "my model")


class TestAzureWithDate(ProviderContract):
    @pytest.fixture
    def subject(self, azure: AzureServer) -> Subject:
        provider = provider_of("azure", azure, "my model", api_version="2024-10-21")
        return Subject(provider, "my model")


@BOTH
async def test_usage_has_the_cache_and_the_thoughts_in_it(
    anthropic: AnthropicServer, gemini: GeminiServer, stream: bool
) -> None:
    for name, server in (("anthropic", anthropic), ("google", gemini)):
        subject = Subject(provider_of(name, server, "m"), "m")
        deltas = await collect(subject, asking(subject, stream=stream))
        assert text(deltas) == TEXT
        assert deltas[-1].usage == (Usage(11, 5, 3) if name == "anthropic" else Usage(11, 7, 4))


@BOTH
async def test_the_input_of_the_forced_tool_is_the_answer(anthropic: AnthropicServer, stream: bool) -> None:
    subject = Subject(provider_of("anthropic_compatible", anthropic, "m"), "m")
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    deltas = await collect(subject, asking(subject, stream=stream, format=JsonSchema("city", schema)))
    assert text(deltas).replace(" ", "") == '{"city":"Berlin"}'
    assert deltas[-1].finish_reason == "stop"
    sent = anthropic.requests[-1].body
    assert sent["tool_choice"] == {"type": "tool", "name": "city"}
    assert sent["tools"][0]["input_schema"] == schema


@BOTH
@pytest.mark.parametrize("name", ["anthropic", "google"])
async def test_a_refused_key_is_no_fault_of_the_client(
    anthropic: AnthropicServer, gemini: GeminiServer, name: str, stream: bool
) -> None:
    subject = Subject(provider_of(name, anthropic if name == "anthropic" else gemini, "m", "revoked"), "m")
    with pytest.raises(UpstreamFailed) as caught:
        await collect(subject, asking(subject, stream=stream))
    assert (caught.value.status, caught.value.code) == (502, "upstream_auth_failed")


@BOTH
async def test_a_filtered_prompt_names_what_was_found(azure: AzureServer, stream: bool) -> None:
    subject = Subject(provider_of("azure", azure, "my model"), "my model")
    with pytest.raises(AdaptiveError, match="violence") as caught:
        await collect(subject, asking(subject, "something violent", stream=stream))
    assert (caught.value.status, caught.value.code, caught.value.param) == (400, "content_filter", "messages")


async def read(server: FaultServer, name: str, behaviour: Any) -> list[Delta]:
    """What becomes of one scripted stream."""
    server.behaviours["m"] = server.behaviours[""] = [behaviour]
    subject = Subject(provider_of(name, server, "m"), "m")
    return await collect(subject, asking(subject))


async def test_claude_thinks_first(anthropic: AnthropicServer) -> None:
    pieces = [
        {"type": "thinking_delta", "thinking": "Let me see."},
        {"type": "signature_delta", "signature": "EqQB"},
        {"type": "text_delta", "text": "Yes."},
    ]
    deltas = await read(anthropic, "anthropic", lambda c: anthropic_stream(c, *anthropic_events(*pieces)))
    assert "".join(delta.reasoning for delta in deltas) == "Let me see."
    assert text(deltas) == "Yes."


@BOTH
async def test_what_claude_looks_up_is_not_what_it_says(anthropic: AnthropicServer, stream: bool) -> None:
    """Tools of the vendor's own, which extra parameters ask for: only the input of ours is an answer."""
    search = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}
    begin, _, *rest = anthropic_events({"type": "text_delta", "text": "Yes."})
    events = [
        begin,
        {"type": "content_block_start", "index": 0, "content_block": search},
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "input_json_delta", "partial_json": '{"query": "42"}'},
        },
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
        *rest,
    ]
    whole = {
        "content": [{**search, "input": {"query": "42"}}, {"type": "text", "text": "Yes."}],
        "stop_reason": "end_turn",
    }
    anthropic.behaviours["m"] = [lambda c: anthropic_stream(c, *events) if stream else c.json(whole)]
    subject = Subject(provider_of("anthropic", anthropic, "m"), "m")
    assert text(await collect(subject, asking(subject, stream=stream))) == "Yes."


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("refusal", "content_filter"),
        ("something_new", "stop"),
    ],
)
async def test_why_claude_stops(anthropic: AnthropicServer, reason: str, expected: str) -> None:
    events = anthropic_events({"type": "text_delta", "text": "a"}, reason=reason)
    deltas = await read(anthropic, "anthropic", lambda c: anthropic_stream(c, *events))
    assert deltas[-1].finish_reason == expected


@pytest.mark.parametrize(
    ("kind", "error", "code"),
    [
        ("overloaded_error", UpstreamBusy, "upstream_overloaded"),
        ("rate_limit_error", UpstreamBusy, "upstream_rate_limited"),
        ("api_error", UpstreamFailed, "upstream_error"),
    ],
)
async def test_claude_fails_in_mid_stream(
    anthropic: AnthropicServer, kind: str, error: type[AdaptiveError], code: str
) -> None:
    failure = {"type": "error", "error": {"type": kind, "message": "Overloaded"}}
    events = [*anthropic_events({"type": "text_delta", "text": "a"})[:4], failure]
    with pytest.raises(error) as caught:
        await read(anthropic, "anthropic", lambda c: anthropic_stream(c, *events))
    assert caught.value.code == code


@pytest.mark.parametrize("kept", [4, 5, 6])
async def test_a_stream_of_claude_that_was_cut_off(anthropic: AnthropicServer, kept: int) -> None:
    events = anthropic_events({"type": "text_delta", "text": "a"})[:kept]
    with pytest.raises(UpstreamFailed) as caught:
        await read(anthropic, "anthropic", lambda c: anthropic_stream(c, *events))
    assert caught.value.code == "upstream_incomplete"


async def gemini_stream(connection: Connection, *chunks: dict[str, Any], ends: bool = True) -> None:
    await connection.begin_stream()
    for chunk in chunks:
        await connection.event(chunk)
    if ends:
        await connection.end()
    else:
        connection.writer.close()


@pytest.mark.parametrize(
    ("reason", "expected"),
    [("MAX_TOKENS", "length"), ("SAFETY", "content_filter"), ("PROHIBITED_CONTENT", "content_filter")],
)
async def test_why_gemini_stops(gemini: GeminiServer, reason: str, expected: str) -> None:
    chunks = [gemini_chunk({"text": "Hm.", "thought": True}), gemini_chunk({"text": "a"}, reason=reason, tokens=3)]
    deltas = await read(gemini, "google", lambda c: gemini_stream(c, *chunks))
    assert (text(deltas), deltas[-1].finish_reason) == ("a", expected)
    assert "".join(delta.reasoning for delta in deltas) == "Hm."


async def test_gemini_blocks_a_prompt(gemini: GeminiServer) -> None:
    blocked = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 4}}
    assert await read(gemini, "google", lambda c: gemini_stream(c, blocked)) == [
        Delta("", "content_filter", Usage(4, 0, 0))
    ]
    assert await read(gemini, "google", lambda c: c.json(blocked)) == [Delta("", "content_filter", Usage(4, 0, 0))]


async def test_a_reason_with_each_chunk_ends_nothing(gemini: GeminiServer) -> None:
    chunks = [gemini_chunk({"text": word}, reason="STOP", tokens=3) for word in ("a", "b")]
    deltas = await read(gemini, "google", lambda c: gemini_stream(c, *chunks))
    assert (text(deltas), deltas[-1].finish_reason) == ("ab", "stop")


@pytest.mark.parametrize(("reason", "ends"), [(None, True), ("STOP", False)])
async def test_a_stream_of_gemini_that_was_cut_off(gemini: GeminiServer, reason: str | None, ends: bool) -> None:
    chunk = gemini_chunk({"text": "a"}, reason=reason)
    with pytest.raises(UpstreamFailed) as caught:
        await read(gemini, "google", lambda c: gemini_stream(c, chunk, ends=ends))
    assert caught.value.code == "upstream_incomplete"


@pytest.mark.parametrize("body", [None, [], 7, {}, {"candidates": [{"content": {"parts": [{"text": 7}]}}]}, b"{"])
@pytest.mark.parametrize("name", ["anthropic", "google"])
async def test_garbage_is_the_vendors_fault(
    anthropic: AnthropicServer, gemini: GeminiServer, name: str, body: Any
) -> None:
    server = anthropic if name == "anthropic" else gemini
    for behaviour in (lambda c: c.json(body), lambda c: gemini_stream(c, body)):
        with pytest.raises(UpstreamFailed) as caught:
            await asyncio.wait_for(read(server, name, behaviour), 2)
        assert caught.value.code == "upstream_bad_response"


@pytest.mark.parametrize(
    "piece",
    [
        {"type": "text_delta", "text": 7},
        {"type": "thinking_delta", "thinking": ["a"]},
        {"type": "input_json_delta", "partial_json": {"a": 1}},
    ],
)
async def test_what_is_no_text_is_garbage_too(anthropic: AnthropicServer, piece: dict[str, Any]) -> None:
    with pytest.raises(UpstreamFailed) as caught:
        await read(anthropic, "anthropic", lambda c: anthropic_stream(c, *anthropic_events(piece)))
    assert caught.value.code == "upstream_bad_response"


@pytest.mark.parametrize("count", [-1, 1e29, 2**31])
@pytest.mark.parametrize("name", ["openai_compatible", "anthropic", "google"])
async def test_counts_that_nobody_can_store_are_garbage(upstream: FaultServer, name: str, count: float) -> None:
    bodies: dict[str, dict[str, Any]] = {
        "openai_compatible": {
            "choices": [{"message": {"content": "a"}, "finish_reason": "stop"}],
            "usage": {"completion_tokens": count},
        },
        "anthropic": {
            "content": [{"type": "text", "text": "a"}],
            "stop_reason": "end_turn",
            "usage": {"output_tokens": count},
        },
        "google": {
            "candidates": [{"content": {"parts": [{"text": "a"}]}, "finishReason": "STOP"}],
            "usageMetadata": {"candidatesTokenCount": count},
        },
    }
    with pytest.raises(UpstreamFailed) as caught:
        await read(upstream, name, lambda c: c.json(bodies[name]))
    assert caught.value.code == "upstream_bad_response"


@pytest.mark.parametrize("raw", [5, {"a": 1}, [256], "ab"])
async def test_bytes_of_a_token_are_a_list_of_them(upstream: FaultServer, raw: Any) -> None:
    """A number would be so many zeros, in memory of ours."""
    token = {"token": "a", "logprob": -1.0, "bytes": raw}
    choice = {"message": {"content": "a"}, "logprobs": {"content": [token]}, "finish_reason": "stop"}
    with pytest.raises(UpstreamFailed) as caught:
        await read(upstream, "openai_compatible", lambda c: c.json({"choices": [choice]}))
    assert caught.value.code == "upstream_bad_response"
