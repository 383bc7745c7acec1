"""OpenAI's chat completions, as vLLM, llama-server, Ollama, LM Studio, NIM, Groq and many others speak it.

Source: https://platform.openai.com/docs/api-reference/chat. Servers differ in what they leave out, so nothing is
required of an answer but its text and finish reason.
"""

from __future__ import annotations

from typing import Any

import orjson

from adaptive_engine.errors import UpstreamFailed
from adaptive_engine.providers.base import Call, JsonSchema, Profile, ProviderRequest, Refusal
from adaptive_engine.providers.translation import left_out, stop_sequences, string, tokens
from adaptive_engine.types import Delta, FinishReason, Notice, TokenLogprob, Usage

_FINISH: dict[str, FinishReason] = {"length": "length", "content_filter": "content_filter"}
_DONE = b"[DONE]"


class OpenAICompatible:
    """The dialect."""

    def call(self, request: ProviderRequest, profile: Profile, api_key: str | None) -> Call:
        body: dict[str, Any] = {"model": request.model, "messages": request.messages}
        notices: list[Notice] = []
        if request.stream:
            body["stream"] = True
            if profile.stream_usage:
                body["stream_options"] = {"include_usage": True}
        if request.max_tokens is not None:
            body[profile.max_tokens_field] = request.max_tokens
        for name, value in (("temperature", request.temperature), ("top_p", request.top_p)):
            if value is not None and profile.temperature:
                body[name] = value
            elif value is not None:
                notices.append(left_out(name))
        stop, too_many = stop_sequences(request.stop, profile.stop)
        notices += too_many
        if stop:
            body["stop"] = stop
        if request.seed is not None:
            if profile.seed:
                body["seed"] = request.seed
            else:
                notices.append(left_out("seed"))
        if request.logprobs is not None:
            if profile.logprobs:
                body |= {"logprobs": True, "top_logprobs": request.logprobs}
            else:
                notices.append(left_out("logprobs"))
        if isinstance(request.format, JsonSchema):
            envelope, lost = _envelope(request.format, profile)
            notices += lost
            body["response_format"] = {"type": "json_schema", "json_schema": envelope}
        elif request.format is not None:
            body["response_format"] = {"type": request.format}
        headers = {"content-type": "application/json", "accept": "text/event-stream" if request.stream else "*/*"}
        if api_key:
            headers["authorization"] = f"Bearer {api_key}"
        return Call("/chat/completions", headers, {**body, **request.extra}, request.stream, tuple(notices))

    def answer(self, body: bytes) -> Delta:
        answer = orjson.loads(body)
        _raise_error(answer)
        choice = answer["choices"][0]
        message = choice["message"]
        return Delta(
            _text(message),
            _finish_reason(choice["finish_reason"]),
            _usage(answer.get("usage")),
            logprobs=_logprobs(choice.get("logprobs")),
            reasoning=_reasoning(message),
        )

    def reader(self, profile: Profile) -> OpenAIStream:
        return OpenAIStream(profile)

    def refusal(self, body: bytes) -> Refusal:
        try:
            error = orjson.loads(body)["error"]
            if isinstance(error, str):
                return Refusal(error)
            code = str(error.get("code") or error.get("type") or "")
            message = str(error.get("message") or "")
        except (ValueError, KeyError, TypeError, AttributeError):
            return Refusal()
        # vLLM has no code for it.
        exceeded = "context_length" in code or "exceed_context_size" in code or "maximum context length" in message
        return Refusal(message, code, exceeded)


class OpenAIStream:
    """Reads one stream."""

    def __init__(self, profile: Profile) -> None:
        self._end_mark = profile.end_mark
        self._finish: FinishReason | None = None
        self._usage: Usage | None = None

    def read(self, data: bytes) -> Delta | None:
        if data == _DONE:
            if self._finish is None:
                raise UpstreamFailed("The provider ended its answer without a reason.", code="upstream_incomplete")
            return Delta("", self._finish, self._usage)
        chunk = orjson.loads(data)
        choices = chunk.get("choices")
        if (usage := chunk.get("usage")) is not None:
            self._usage = _usage(usage)
        if not choices:
            _raise_error(chunk)
            return None
        choice = choices[0]
        delta = choice.get("delta") or {}
        if (reason := choice.get("finish_reason")) is not None:
            self._finish = _finish_reason(reason)
        text = _text(delta)
        reasoning = _reasoning(delta)
        logprobs = _logprobs(choice.get("logprobs"))
        if not text and not reasoning and not logprobs:
            return None
        return Delta(text, logprobs=logprobs, reasoning=reasoning)

    def finish(self) -> Delta | None:
        if self._end_mark or self._finish is None:
            return None
        return Delta("", self._finish, self._usage)


def _envelope(wanted: JsonSchema, profile: Profile) -> tuple[dict[str, Any], tuple[Notice, ...]]:
    """Servers that take any schema enforce it in any case; OpenAI does so where it is told to be strict."""
    envelope: dict[str, Any] = {"name": wanted.name, "schema": wanted.schema}
    if wanted.description is not None:
        envelope["description"] = wanted.description
    if profile.schemas == "any":
        return {**envelope, **({"strict": True} if wanted.strict else {})}, ()
    reduction = wanted.reduced(profile.schemas)
    return {**envelope, "schema": reduction.schema, "strict": reduction.enforced}, reduction.notices


def _finish_reason(reason: Any) -> FinishReason:
    """Servers have words of their own for an end that the model chose."""
    if not isinstance(reason, str) or not reason:
        raise ValueError("no finish reason")
    return _FINISH.get(reason, "stop")


def _text(message: dict[str, Any]) -> str:
    return string(message.get("content") or "")


def _reasoning(message: dict[str, Any]) -> str:
    """Two names for the same are in use."""
    text = message.get("reasoning_content") or message.get("reasoning") or ""
    return text if isinstance(text, str) else ""


def _usage(usage: Any) -> Usage | None:
    if usage is None:
        return None
    details = usage.get("prompt_tokens_details") or {}
    return Usage(
        tokens(usage.get("prompt_tokens")),
        tokens(usage.get("completion_tokens")),
        tokens(details.get("cached_tokens")),
    )


def _logprobs(logprobs: Any) -> tuple[TokenLogprob, ...]:
    if not logprobs:
        return ()
    return tuple(
        TokenLogprob(
            _bytes(token),
            float(token["logprob"]),
            tuple((_bytes(other), float(other["logprob"])) for other in token.get("top_logprobs") or ()),
        )
        for token in logprobs.get("content") or ()
    )


def _bytes(token: dict[str, Any]) -> bytes:
    raw = token.get("bytes")
    # A number would be made into so many zeros.
    return bytes(list(raw)) if raw else str(token["token"]).encode()


def _raise_error(answer: Any) -> None:
    """An error under a status of 200."""
    if not isinstance(answer, dict):
        raise TypeError("no object")
    error = answer.get("error")
    if error:
        message = error.get("message") if isinstance(error, dict) else error
        raise UpstreamFailed(f"The provider answered with an error: {message}", again=True)
