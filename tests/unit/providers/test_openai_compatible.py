"""What is said to OpenAI-compatible servers, and to OpenAI's own models."""

from __future__ import annotations

from typing import Any

import pytest

from adaptive_engine.errors import InvalidRequest
from adaptive_engine.providers import registry
from adaptive_engine.providers.base import JsonSchema, Profile, ProviderRequest
from adaptive_engine.providers.openai import profile_of
from adaptive_engine.providers.openai_compatible import OpenAICompatible
from adaptive_engine.types import ExternalModel

MESSAGES = [{"role": "user", "content": "?"}]
FULL: dict[str, Any] = {
    "temperature": 0.5,
    "top_p": 0.9,
    "max_tokens": 9,
    "stop": ("a", "b"),
    "seed": 1,
    "logprobs": 3,
    "format": JsonSchema("n", {"type": "object"}, "A number.", strict=True),
}


def test_everything_is_said() -> None:
    call = OpenAICompatible().call(ProviderRequest("m", MESSAGES, True, **FULL), Profile(), "key")
    assert call.body == {
        "model": "m",
        "messages": MESSAGES,
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0.5,
        "top_p": 0.9,
        "max_tokens": 9,
        "stop": ["a", "b"],
        "seed": 1,
        "logprobs": True,
        "top_logprobs": 3,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "n", "schema": {"type": "object"}, "description": "A number.", "strict": True},
        },
    }
    assert call.headers["authorization"] == "Bearer key"
    assert call.notices == ()


def test_what_is_not_given_is_not_said() -> None:
    call = OpenAICompatible().call(ProviderRequest("m", MESSAGES, False), Profile(), None)
    assert call.body == {"model": "m", "messages": MESSAGES}
    assert "authorization" not in call.headers


def test_what_a_model_does_not_take_is_left_out_and_named() -> None:
    profile = Profile(temperature=False, seed=False, logprobs=False, stop=1, stream_usage=False)
    call = OpenAICompatible().call(ProviderRequest("m", MESSAGES, True, **FULL), profile, None)
    assert call.body.keys() == {"model", "messages", "stream", "max_tokens", "stop", "response_format"}
    assert call.body["stop"] == ["a"]
    assert {notice.param for notice in call.notices} == {"temperature", "top_p", "seed", "logprobs", "stop"}


def test_extra_parameters_win() -> None:
    request = ProviderRequest("m", MESSAGES, False, temperature=1.0, extra={"temperature": 0.1, "top_k": 5})
    body = OpenAICompatible().call(request, Profile(), None).body
    assert (body["temperature"], body["top_k"]) == (0.1, 5)


@pytest.mark.parametrize(
    ("model", "structured", "temperature", "images"),
    [
        ("gpt-4o", "json_schema", True, True),
        ("gpt-4o-mini", "json_schema", True, True),
        ("gpt-4o-2024-05-13", "json_object", True, True),
        ("gpt-4.1", "json_schema", True, True),
        ("gpt-4-0613", "json_object", True, False),
        ("gpt-3.5-turbo", "json_object", True, False),
        ("o3", "json_schema", False, True),
        ("o3-mini", "json_schema", False, False),
        ("gpt-5", "json_schema", False, True),
        ("gpt-5-chat-latest", "json_schema", True, True),
    ],
)
def test_models_of_openai(model: str, structured: str, temperature: bool, images: bool) -> None:
    profile = profile_of(model)
    assert (profile.structured, profile.temperature, profile.images) == (structured, temperature, images)
    assert profile.max_tokens_field == "max_completion_tokens"


def test_what_is_known_better_wins() -> None:
    external = ExternalModel("gpt-4o", profile={"structured": "none", "stop": 2})
    profile = registry.profile("openai", external)
    assert (profile.structured, profile.stop, profile.max_tokens_field) == ("none", 2, "max_completion_tokens")
    for wrong in ({"structured": "some"}, {"stop": True}, {"unknown": 1}):
        with pytest.raises(InvalidRequest):
            registry.profile("openai", ExternalModel("m", profile=wrong))


@pytest.mark.parametrize(
    ("body", "message", "code"),
    [
        (b'{"error": {"message": "Too long.", "code": "context_length_exceeded"}}', "Too long.", True),
        # As vLLM says it.
        (
            b'{"error": {"message": "This model\'s maximum context length is 64 tokens. However, you requested 70.", '
            b'"type": "BadRequestError", "param": null, "code": 400}}',
            "This model's maximum context length is 64 tokens. However, you requested 70.",
            True,
        ),
        (b'{"error": {"message": "No.", "type": "invalid_request_error"}}', "No.", False),
        (b'{"error": "just text"}', "just text", False),
        (b"<html>", "", False),
        (b'{"error": null}', "", False),
        (b"[]", "", False),
    ],
)
def test_refusals(body: bytes, message: str, code: bool) -> None:
    refusal = OpenAICompatible().refusal(body)
    assert (refusal.message, refusal.context_exceeded) == (message, code)
