"""Anthropic's Messages API, as Claude and some servers of open models speak it.

Source: https://platform.claude.com/docs/en/api/messages, .../build-with-claude/streaming and
.../build-with-claude/structured-outputs. A schema goes into `output_config.format` where the model has that; elsewhere
into the input of a tool that the model has to call, which guides it and promises nothing.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from adaptive_engine.errors import AdaptiveError, UpstreamBusy, UpstreamFailed
from adaptive_engine.providers.base import Call, JsonSchema, Profile, ProviderRequest, Refusal
from adaptive_engine.providers.translation import (
    details,
    image_of,
    left_out,
    merged,
    stop_sequences,
    string,
    text_of,
    tokens,
)
from adaptive_engine.types import Delta, FinishReason, Notice, Usage

ENDPOINT = "https://api.anthropic.com/v1"

_VERSION = "2023-06-01"
# `output_config.format` came with Claude 4.5, and sampling parameters went with Opus 4.7 and the fifth generation.
_BEFORE_SCHEMAS = re.compile(r"claude-(instant|[23]|(opus|sonnet)-4(-[01])?(-\d{8}|@|$))")
_WITHOUT_SAMPLING = re.compile(r"claude-(opus-4-([7-9]|\d\d)(?!\d)|[a-z]+-([5-9]|\d\d)(?!\d))")
_SHORT_ANSWERS = re.compile(r"claude-(instant|2|3-(?![57]))")
_HOTTEST = 1.0
_FINISH: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "content_filter",
}


def profile_of(model: str) -> Profile:
    """By the model's name."""
    return Profile(
        schemas="any" if _BEFORE_SCHEMAS.match(model) else "anthropic",
        seed=False,
        logprobs=False,
        temperature=_WITHOUT_SAMPLING.match(model) is None,
        images=True,
        max_tokens=4096 if _SHORT_ANSWERS.match(model) else 8192 if "-3-5-" in model else 32_000,
        api_version=_VERSION,
    )


def compatible_profile(_: str) -> Profile:
    """Of a server that is not Anthropic's."""
    return Profile(seed=False, logprobs=False, max_tokens=4096, api_version=_VERSION)


class Anthropic:
    """The dialect."""

    def call(self, request: ProviderRequest, profile: Profile, api_key: str | None) -> Call:
        limit = request.max_tokens or profile.max_tokens
        body: dict[str, Any] = {"model": request.model, "max_tokens": limit}
        system, body["messages"], notices = _messages(request.messages)
        if system:
            body["system"] = system
        if request.stream:
            body["stream"] = True
        for said, more in (_sampling(request, profile), _stop(request, profile), _format(request, profile)):
            body |= said
            notices += more
        if request.seed is not None:
            notices.append(left_out("seed"))
        if request.logprobs is not None:
            notices.append(left_out("logprobs"))
        headers = {"content-type": "application/json", "anthropic-version": profile.api_version}
        if api_key:
            headers["x-api-key"] = api_key
        return Call("/messages", headers, merged(body, request.extra), request.stream, tuple(notices))

    def answer(self, body: bytes) -> Delta:
        answer = orjson.loads(body)
        if answer.get("type") == "error":
            raise _error(answer)
        text, thought, called = "", "", []
        for block in answer["content"]:
            match block["type"]:
                case "text":
                    text += block["text"]
                case "thinking":
                    thought += block["thinking"]
                case "tool_use":
                    called.append(orjson.dumps(block["input"]).decode())
        reason = _finish_reason(answer["stop_reason"])
        return Delta("".join(called) or text, reason, _usage(answer.get("usage")), reasoning=thought)

    def reader(self, profile: Profile) -> AnthropicStream:
        del profile
        return AnthropicStream()

    def refusal(self, body: bytes) -> Refusal:
        try:
            error = orjson.loads(body)["error"]
            message, kind = str(error.get("message") or ""), str(error.get("type") or "")
        except (ValueError, KeyError, TypeError, AttributeError):
            return Refusal()
        exceeded = "prompt is too long" in message or "context limit" in message or "exceed_context_size" in kind
        return Refusal(message, kind, context_exceeded=exceeded)


class AnthropicStream:
    """Reads one stream."""

    def __init__(self) -> None:
        self._finish: FinishReason | None = None
        self._usage: dict[str, Any] = {}
        self._input_is_answer = False
        """Whether the tool that has it is ours: those of the vendor have some, too."""

    def read(self, data: bytes) -> Delta | None:
        event = orjson.loads(data)
        match event["type"]:
            case "content_block_delta":
                return _piece(event["delta"], self._input_is_answer)
            case "content_block_start":
                self._input_is_answer = event["content_block"].get("type") == "tool_use"
                text = event["content_block"].get("text")
                return Delta(string(text)) if text else None
            case "message_start":
                self._usage = event["message"].get("usage") or {}
            case "message_delta":
                if (reason := event["delta"].get("stop_reason")) is not None:
                    self._finish = _finish_reason(reason)
                # What it counts is the whole answer so far, and not all servers repeat the prompt's numbers.
                counted = event.get("usage") or {}
                self._usage = {**self._usage, **{name: n for name, n in counted.items() if n is not None}}
            case "message_stop":
                if self._finish is None:
                    raise UpstreamFailed("The provider ended its answer without a reason.", code="upstream_incomplete")
                return Delta("", self._finish, _usage(self._usage))
            case "error":
                raise _error(event)
        # Pings, ends of blocks, and what may be added later.
        return None

    def finish(self) -> Delta | None:
        return None


def _piece(delta: dict[str, Any], input_is_answer: bool) -> Delta | None:
    match delta["type"]:
        case "text_delta":
            return Delta(string(delta["text"]))
        case "input_json_delta":
            return Delta(string(delta["partial_json"])) if delta["partial_json"] and input_is_answer else None
        case "thinking_delta":
            return Delta("", reasoning=string(delta["thinking"]))
    return None


def _messages(given: list[dict[str, Any]]) -> tuple[str, list[dict[str, Any]], list[Notice]]:
    """The system prompt, which stands apart, and the rest."""
    system: list[str] = []
    messages: list[dict[str, Any]] = []
    notices = details(given)
    for at, message in enumerate(given):
        if "name" in message:
            notices.append(left_out(f"messages[{at}].name"))
        if message["role"] != "system":
            messages.append({"role": message["role"], "content": _content(message["content"])})
            continue
        if messages:
            text = "The model takes system messages only before all others, and gets this one there."
            notices.append(Notice("not_applied", text, f"messages[{at}]"))
        system.append(text_of(message["content"], f"messages[{at}].content"))
    return "\n\n".join(system), messages, notices


def _content(content: Any) -> Any:
    if isinstance(content, str):
        return content
    return [{"type": "text", "text": part["text"]} if part["type"] == "text" else _image(part) for part in content]


def _image(part: dict[str, Any]) -> dict[str, Any]:
    media_type, data = image_of(part)
    return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}}


def _sampling(request: ProviderRequest, profile: Profile) -> tuple[dict[str, Any], list[Notice]]:
    """One of temperature and top_p: newer models refuse both together."""
    given = {"temperature": request.temperature, "top_p": request.top_p}
    said = {name: value for name, value in given.items() if value is not None}
    if not profile.temperature:
        return {}, [left_out(name) for name in said]
    notices = []
    if len(said) == 2:
        del said["top_p"]
        notices.append(
            Notice("not_applied", "The model takes temperature or top_p, and gets the temperature.", "top_p")
        )
    if said.get("temperature", 0.0) > _HOTTEST:
        said["temperature"] = _HOTTEST
        notices.append(
            Notice("not_applied", "The model takes a temperature of 1 at most, and gets that.", "temperature")
        )
    return said, notices


def _stop(request: ProviderRequest, profile: Profile) -> tuple[dict[str, Any], list[Notice]]:
    visible = tuple(sequence for sequence in request.stop if sequence.strip())
    stop, notices = stop_sequences(visible, profile.stop)
    if len(visible) < len(request.stop):
        notices.append(Notice("not_applied", "The model takes no stop sequences of white space.", "stop"))
    return ({"stop_sequences": stop} if stop else {}), notices


def _format(request: ProviderRequest, profile: Profile) -> tuple[dict[str, Any], list[Notice]]:
    wanted = request.format
    if wanted is None:
        return {}, []
    if not isinstance(wanted, JsonSchema):
        return _tool("answer", None, {"type": "object"}), []
    notices: list[Notice] = []
    if profile.schemas != "any":
        reduction = wanted.reduced(profile.schemas)
        notices += reduction.notices
        if reduction.enforced:
            return {"output_config": {"format": {"type": "json_schema", "schema": reduction.schema}}}, notices
    else:
        text = "The schema guides the model, but the provider does not enforce it: the finished answer is checked."
        notices.append(Notice("schema_not_enforced", text, "response_format"))
    schema = wanted.schema
    if not isinstance(schema, dict) or schema.get("type") != "object":
        text = "The model can be guided to objects only, and is not told this schema."
        return {}, [*notices, Notice("schema_not_enforced", text, "response_format.json_schema.schema")]
    return _tool(wanted.name, wanted.description, schema), notices


def _tool(name: str, description: str | None, schema: dict[str, Any]) -> dict[str, Any]:
    """What the model has to call; the input of the call is the answer."""
    tool = {"name": name, "description": description or "Gives the answer.", "input_schema": schema}
    return {"tools": [tool], "tool_choice": {"type": "tool", "name": name}}


def _finish_reason(reason: Any) -> FinishReason:
    if not isinstance(reason, str) or not reason:
        raise ValueError("no stop reason")
    return _FINISH.get(reason, "stop")


def _usage(usage: dict[str, Any] | None) -> Usage | None:
    """What was read from the vendor's cache, or written there, is not among its input tokens."""
    if not usage:
        return None
    fresh, cached, written, answer = (
        tokens(usage.get(name))
        for name in ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens")
    )
    return Usage(fresh + cached + written, answer, cached)


def _error(event: dict[str, Any]) -> AdaptiveError:
    """An error under a status of 200."""
    error = event["error"]
    message = f"The provider answered with an error: {error.get('message')}"
    match error.get("type"):
        case "overloaded_error":
            return UpstreamBusy(message)
        case "rate_limit_error":
            return UpstreamBusy(message, code="upstream_rate_limited")
    return UpstreamFailed(message, again=True)
