"""How requests are said in each vendor's words, and what of them is left out."""

from __future__ import annotations

from typing import Any

import pytest

from adaptive_engine.errors import InvalidRequest
from adaptive_engine.providers import anthropic, google, registry
from adaptive_engine.providers.addresses import AddressPolicy
from adaptive_engine.providers.base import Call, JsonSchema, ProviderRequest
from adaptive_engine.providers.http import Timeouts
from adaptive_engine.types import ExternalModel

IMAGE: dict[str, Any] = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0="}}
MESSAGES: list[dict[str, Any]] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "What is this?"}, IMAGE]},
    {"role": "assistant", "content": "A cat."},
    {"role": "system", "content": "Now be long.", "name": "boss"},
    {"role": "user", "content": "And now?"},
]
SCHEMA = {
    "type": "object",
    "properties": {"n": {"type": "integer", "exclusiveMinimum": 0}},
    "required": ["n"],
    "additionalProperties": False,
}


def call(provider: str, model: str, profile: dict[str, Any] | None = None, **given: Any) -> Call:
    external = ExternalModel(model, "https://example.org/base", profile=profile or {})
    made = registry.build(provider, external, "the-key", AddressPolicy(), Timeouts())
    given = {"messages": [{"role": "user", "content": "?"}], "stream": False, **given}
    return made.call(ProviderRequest(model, **given))


def left_out(of: Call) -> list[str]:
    return [notice.param for notice in of.notices]


def test_messages_for_claude() -> None:
    said = call("anthropic", "claude-opus-4-6", messages=MESSAGES, stream=True)
    assert said.path == "/messages"
    assert said.headers["x-api-key"] == "the-key"
    assert said.headers["anthropic-version"] == "2023-06-01"
    source = {"type": "base64", "media_type": "image/png", "data": "iVBORw0="}
    assert said.body == {
        "model": "claude-opus-4-6",
        "max_tokens": 32_000,
        "system": "Be brief.\n\nNow be long.",
        "messages": [
            {
                "role": "user",
                "content": [{"type": "text", "text": "What is this?"}, {"type": "image", "source": source}],
            },
            {"role": "assistant", "content": "A cat."},
            {"role": "user", "content": "And now?"},
        ],
        "stream": True,
    }
    assert left_out(said) == ["messages[3].name", "messages[3]"]


def test_messages_for_gemini() -> None:
    said = call("google", "gemini-3.5-flash", messages=MESSAGES, stream=True)
    assert said.path == "/models/gemini-3.5-flash:streamGenerateContent?alt=sse"
    assert said.headers["x-goog-api-key"] == "the-key"
    image = {"inlineData": {"mimeType": "image/png", "data": "iVBORw0="}}
    assert said.body == {
        "contents": [
            {"role": "user", "parts": [{"text": "What is this?"}, image]},
            {"role": "model", "parts": [{"text": "A cat."}]},
            {"role": "user", "parts": [{"text": "And now?"}]},
        ],
        "systemInstruction": {"parts": [{"text": "Be brief."}, {"text": "Now be long."}]},
    }
    assert left_out(said) == ["messages[3].name", "messages[3]"]


SAMPLING: dict[str, Any] = {
    "max_tokens": 9,
    "temperature": 0.5,
    "top_p": 0.9,
    "seed": 7,
    "logprobs": 2,
    "stop": ("a", "b", "\n"),
}


def test_parameters_for_claude() -> None:
    said = call("anthropic", "claude-sonnet-4-5", **SAMPLING)
    wanted = {"max_tokens": 9, "temperature": 0.5, "stop_sequences": ["a", "b"]}
    assert {name: value for name, value in said.body.items() if name not in ("model", "messages")} == wanted
    assert left_out(said) == ["top_p", "stop", "seed", "logprobs"]
    hot = call("anthropic", "claude-sonnet-4-5", temperature=1.5)
    assert (hot.body["temperature"], left_out(hot)) == (1.0, ["temperature"])
    newer = call("anthropic", "claude-opus-4-7", temperature=0.5, top_p=0.5)
    assert "temperature" not in newer.body
    assert left_out(newer) == ["temperature", "top_p"]


def test_parameters_for_gemini() -> None:
    said = call("google", "gemini-3.5-flash", **{**SAMPLING, "stop": tuple("abcdef")})
    assert said.body["generationConfig"] == {
        "maxOutputTokens": 9,
        "temperature": 0.5,
        "topP": 0.9,
        "seed": 7,
        "stopSequences": list("abcde"),
    }
    assert left_out(said) == ["stop", "logprobs"]
    asked = call("google", "gemini-3.5-flash", {"logprobs": True}, logprobs=2).body["generationConfig"]
    assert asked == {"responseLogprobs": True, "logprobs": 2}


def test_schemas_in_each_vendors_field() -> None:
    wanted = {"format": JsonSchema("n", SCHEMA, "A number.")}
    without = {**SCHEMA, "properties": {"n": {"type": "integer"}}}
    lost = ["response_format.json_schema.schema#/properties/n/exclusiveMinimum"]
    claude = call("anthropic", "claude-opus-4-6", **wanted)
    assert claude.body["output_config"] == {"format": {"type": "json_schema", "schema": without}}
    gemini = call("google", "gemini-3.5-flash", **wanted)
    assert gemini.body["generationConfig"] == {"responseMimeType": "application/json", "responseJsonSchema": without}
    assert left_out(claude) == left_out(gemini) == lost
    for provider in ("openai", "azure"):
        gpt = call(provider, "gpt-5", **wanted)
        envelope = {"name": "n", "schema": SCHEMA, "description": "A number.", "strict": True}
        assert gpt.body["response_format"] == {"type": "json_schema", "json_schema": envelope}
        assert left_out(gpt) == []
    other = call("openai_compatible", "llama", **wanted)
    envelope = {"name": "n", "schema": SCHEMA, "description": "A number."}
    assert other.body["response_format"] == {"type": "json_schema", "json_schema": envelope}


def test_what_openai_cannot_enforce_still_guides() -> None:
    loose = {"type": "object", "properties": {"n": {"type": "integer"}}}
    said = call("openai", "gpt-5", format=JsonSchema("n", loose))
    assert said.body["response_format"]["json_schema"] == {"name": "n", "schema": loose, "strict": False}
    assert left_out(said) == ["response_format.json_schema.schema#/properties/n"]


def test_schemas_for_models_of_claude_without_such_a_field() -> None:
    older = call("anthropic", "claude-sonnet-4-20250514", format=JsonSchema("n", SCHEMA, "A number."))
    tool = {"name": "n", "description": "A number.", "input_schema": SCHEMA}
    assert older.body["tools"] == [tool]
    assert older.body["tool_choice"] == {"type": "tool", "name": "n"}
    assert "output_config" not in older.body
    assert left_out(older) == ["response_format"]
    free = {"type": "object", "additionalProperties": {"type": "string"}}
    newer = call("anthropic", "claude-opus-4-6", format=JsonSchema("n", free))
    assert newer.body["tools"][0]["input_schema"] == free
    assert left_out(newer) == ["response_format.json_schema.schema#/additionalProperties"]
    untold = call("anthropic", "claude-sonnet-4-0", format=JsonSchema("n", {"type": "array"}))
    assert "tools" not in untold.body
    assert left_out(untold) == ["response_format", "response_format.json_schema.schema"]


def test_any_json_object() -> None:
    claude = call("anthropic", "claude-opus-4-6", format="json_object")
    assert claude.body["tools"][0]["input_schema"] == {"type": "object"}
    gemini = call("google", "gemini-3.5-flash", format="json_object")
    assert gemini.body["generationConfig"] == {"responseMimeType": "application/json"}


def test_extra_parameters_win_and_cost_no_neighbours() -> None:
    wanted = {"format": JsonSchema("n", SCHEMA), "max_tokens": 9}
    claude = call("anthropic", "claude-opus-4-6", **wanted, extra={"output_config": {"effort": "low"}, "max_tokens": 5})
    assert claude.body["output_config"].keys() == {"format", "effort"}
    assert claude.body["max_tokens"] == 5
    config = {"thinkingConfig": {"includeThoughts": True}, "maxOutputTokens": 5}
    gemini = call("google", "gemini-3.5-flash", **wanted, extra={"generationConfig": config}).body["generationConfig"]
    assert gemini["thinkingConfig"] == {"includeThoughts": True}
    assert gemini["maxOutputTokens"] == 5
    assert "responseJsonSchema" in gemini


def test_where_azure_has_its_deployments() -> None:
    newest = call("azure", "my gpt/4")
    assert (newest.path, newest.body["model"]) == ("/openai/v1/chat/completions", "my gpt/4")
    dated = call("azure", "my gpt/4", {"api_version": "2024-10-21"})
    assert dated.path == "/openai/deployments/my%20gpt%2F4/chat/completions?api-version=2024-10-21"
    for said in (newest, dated):
        assert said.headers["api-key"] == "the-key"
        assert "authorization" not in said.headers


def test_names_of_models_stay_in_their_place() -> None:
    assert call("google", "tunedModels/mine").path == "/tunedModels/mine:generateContent"
    assert call("google", "x?alt=y#z").path == "/models/x%3Falt%3Dy%23z:generateContent"


@pytest.mark.parametrize(
    ("model", "schemas", "temperature", "max_tokens"),
    [
        ("claude-3-opus-20240229", "any", True, 4096),
        ("claude-3-5-haiku-20241022", "any", True, 8192),
        ("claude-3-7-sonnet-20250219", "any", True, 32_000),
        ("claude-opus-4-1-20250805", "any", True, 32_000),
        ("claude-sonnet-4-5-20250929", "anthropic", True, 32_000),
        ("claude-haiku-4-5", "anthropic", True, 32_000),
        ("claude-opus-4-7", "anthropic", False, 32_000),
        ("claude-sonnet-5", "anthropic", False, 32_000),
    ],
)
def test_generations_of_claude(model: str, schemas: str, temperature: bool, max_tokens: int) -> None:
    profile = anthropic.profile_of(model)
    assert (profile.schemas, profile.temperature, profile.max_tokens) == (schemas, temperature, max_tokens)


def test_open_models_at_google_take_no_schemas() -> None:
    assert google.profile_of("gemma-3-27b-it").structured == "none"
    assert google.profile_of("gemini-2.5-pro").structured == "json_schema"


def test_too_long_prompts_are_told_from_other_refusals() -> None:
    claude = anthropic.Anthropic().refusal(
        b'{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 9 tokens > 8"}}'
    )
    gemini = google.Gemini().refusal(
        b'[{"error":{"code":400,"status":"INVALID_ARGUMENT",'
        b'"message":"The input token count (9) exceeds the maximum number of tokens allowed (8)."}}]'
    )
    assert claude.context_exceeded
    assert gemini.context_exceeded
    for body in (b"", b"[]", b"{}", b'{"error": 7}', b"\xff"):
        assert anthropic.Anthropic().refusal(body).message == google.Gemini().refusal(body).message == ""


@pytest.mark.parametrize("provider", ["anthropic", "google"])
def test_system_messages_have_no_images(provider: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        call(provider, "m", messages=[{"role": "system", "content": [{"type": "text", "text": "See:"}, IMAGE]}])
    assert (caught.value.code, caught.value.param) == ("modality_unsupported", "messages[0].content[1]")


@pytest.mark.parametrize("provider", ["anthropic", "google"])
@pytest.mark.parametrize(("detail", "lost"), [("low", ["messages[].content[].image_url.detail"]), ("auto", [])])
def test_they_have_no_levels_of_detail(provider: str, detail: str, lost: list[str]) -> None:
    image = {**IMAGE, "image_url": {**IMAGE["image_url"], "detail": detail}}
    assert left_out(call(provider, "m", messages=[{"role": "user", "content": [image]}])) == lost


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("schemas", "openapi", "any, openai, anthropic, gemini"),
        ("api_version", "v1\r\nx: y", "letters"),
        ("stop", -1, "negative"),
    ],
)
def test_profiles_have_sensible_values_only(name: str, value: Any, says: str) -> None:
    with pytest.raises(InvalidRequest, match=says) as caught:
        registry.profile("anthropic", ExternalModel("m", profile={name: value}))
    assert caught.value.param == f"profile.{name}"
