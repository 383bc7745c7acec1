"""Google's Gemini API.

Source: https://ai.google.dev/api/generate-content and https://ai.google.dev/gemini-api/docs/structured-output. A stream
has no mark of its end: it is over when the connection says so and a finish reason has come.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

import orjson

from adaptive_engine.errors import UpstreamFailed
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
from adaptive_engine.types import Delta, FinishReason, Notice, TokenLogprob, Usage

ENDPOINT = "https://generativelanguage.googleapis.com/v1beta"

_FILTERED = ("SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY")
_FINISH: dict[str, FinishReason] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    **dict.fromkeys(_FILTERED, "content_filter"),
}
_OPEN_MODEL = re.compile(r"(models/)?gemma")


def profile_of(model: str) -> Profile:
    """By the model's name."""
    return Profile(
        structured="none" if _OPEN_MODEL.match(model) else "json_schema",
        schemas="gemini",
        logprobs=False,
        stop=5,
        images=True,
    )


class Gemini:
    """The dialect."""

    def call(self, request: ProviderRequest, profile: Profile, api_key: str | None) -> Call:
        body, notices = _messages(request.messages)
        config: dict[str, Any] = {}
        sampling = (("temperature", "temperature", request.temperature), ("top_p", "topP", request.top_p))
        for field, name, number in sampling:
            if number is not None and profile.temperature:
                config[name] = number
            elif number is not None:
                notices.append(left_out(field))
        if request.max_tokens is not None:
            config["maxOutputTokens"] = request.max_tokens
        if request.seed is not None and profile.seed:
            config["seed"] = request.seed
        elif request.seed is not None:
            notices.append(left_out("seed"))
        stop, too_many = stop_sequences(request.stop, profile.stop)
        notices += too_many
        if stop:
            config["stopSequences"] = stop
        if request.logprobs is not None and profile.logprobs:
            config |= {"responseLogprobs": True, **({"logprobs": request.logprobs} if request.logprobs else {})}
        elif request.logprobs is not None:
            notices.append(left_out("logprobs"))
        if request.format is not None:
            config["responseMimeType"] = "application/json"
        if isinstance(request.format, JsonSchema):
            config["responseJsonSchema"], lost = _schema(request.format, profile)
            notices += lost
        if config:
            body["generationConfig"] = config
        headers = {"content-type": "application/json"}
        if api_key:
            headers["x-goog-api-key"] = api_key
        path = _path(request.model, "streamGenerateContent?alt=sse" if request.stream else "generateContent")
        extra = dict(request.extra)
        if isinstance(given := extra.get("generationConfig"), dict):
            extra["generationConfig"] = merged(config, given)
        return Call(path, headers, merged(body, extra), request.stream, tuple(notices))

    def answer(self, body: bytes) -> Delta:
        delta, reason = _piece(orjson.loads(body))
        if reason is None:
            raise ValueError("no finish reason")
        return Delta(delta.text, reason, delta.usage, logprobs=delta.logprobs, reasoning=delta.reasoning)

    def reader(self, profile: Profile) -> GeminiStream:
        del profile
        return GeminiStream()

    def refusal(self, body: bytes) -> Refusal:
        try:
            answer = orjson.loads(body)
            # Streams begin with a list where they fail at once.
            error = (answer[0] if isinstance(answer, list) else answer)["error"]
            message, code = str(error.get("message") or ""), str(error.get("status") or "")
        except (ValueError, KeyError, TypeError, IndexError, AttributeError):
            return Refusal()
        return Refusal(
            message,
            code,
            context_exceeded="exceeds the maximum number of tokens" in message,
            key_refused="API_KEY_INVALID" in body.decode(errors="replace"),
        )


class GeminiStream:
    """Reads one stream."""

    def __init__(self) -> None:
        self._finish: FinishReason | None = None
        self._usage: Usage | None = None

    def read(self, data: bytes) -> Delta | None:
        delta, reason = _piece(orjson.loads(data))
        # Each chunk counts the whole answer so far, and some models give a reason with each.
        self._finish = reason or self._finish
        self._usage = delta.usage or self._usage
        if not delta.text and not delta.reasoning and not delta.logprobs:
            return None
        return Delta(delta.text, logprobs=delta.logprobs, reasoning=delta.reasoning)

    def finish(self) -> Delta | None:
        return None if self._finish is None else Delta("", self._finish, self._usage)


def _path(model: str, method: str) -> str:
    """`models/` is where models are, unless the name says otherwise (`tunedModels/...`)."""
    return f"/{quote(model if '/' in model else f'models/{model}')}:{method}"


def _messages(given: list[dict[str, Any]]) -> tuple[dict[str, Any], list[Notice]]:
    """`contents`, and the system prompt, which stands apart."""
    system: list[dict[str, Any]] = []
    contents: list[dict[str, Any]] = []
    notices = details(given)
    for at, message in enumerate(given):
        if "name" in message:
            notices.append(left_out(f"messages[{at}].name"))
        if message["role"] != "system":
            role = "model" if message["role"] == "assistant" else "user"
            contents.append({"role": role, "parts": _parts(message["content"])})
            continue
        if contents:
            text = "The model takes system messages only before all others, and gets this one there."
            notices.append(Notice("not_applied", text, f"messages[{at}]"))
        system.append({"text": text_of(message["content"], f"messages[{at}].content")})
    body: dict[str, Any] = {"contents": contents}
    return ({**body, "systemInstruction": {"parts": system}} if system else body), notices


def _parts(content: Any) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [{"text": content}]
    return [{"text": part["text"]} if part["type"] == "text" else _image(part) for part in content]


def _image(part: dict[str, Any]) -> dict[str, Any]:
    media_type, data = image_of(part)
    return {"inlineData": {"mimeType": media_type, "data": data}}


def _schema(wanted: JsonSchema, profile: Profile) -> tuple[Any, tuple[Notice, ...]]:
    if profile.schemas == "any":
        return wanted.schema, ()
    reduction = wanted.reduced(profile.schemas)
    return reduction.schema, reduction.notices


def _piece(answer: Any) -> tuple[Delta, FinishReason | None]:
    """Of a whole answer, or what a chunk adds to it."""
    if error := answer.get("error"):
        raise UpstreamFailed(f"The provider answered with an error: {error.get('message')}", again=True)
    usage = _usage(answer.get("usageMetadata"))
    candidates = answer.get("candidates")
    if not candidates:
        blocked = (answer.get("promptFeedback") or {}).get("blockReason")
        if not blocked and usage is None:
            raise ValueError("no candidates")
        return Delta("", usage=usage), "content_filter" if blocked else None
    candidate = candidates[0]
    text, thought = "", ""
    for part in (candidate.get("content") or {}).get("parts") or ():
        piece = string(part.get("text") or "")
        if part.get("thought"):
            thought += piece
        else:
            text += piece
    delta = Delta(text, usage=usage, logprobs=_logprobs(candidate.get("logprobsResult")), reasoning=thought)
    return delta, _finish_reason(candidate.get("finishReason"))


def _finish_reason(reason: Any) -> FinishReason | None:
    if reason is None or reason == "FINISH_REASON_UNSPECIFIED":
        return None
    if reason not in _FINISH:
        raise UpstreamFailed(f"The provider ended its answer because of {reason}.", again=True)
    return _FINISH[reason]


def _usage(usage: Any) -> Usage | None:
    """Thinking is billed as the answer is."""
    if not usage:
        return None
    answer = tokens(usage.get("candidatesTokenCount")) + tokens(usage.get("thoughtsTokenCount"))
    return Usage(tokens(usage.get("promptTokenCount")), answer, tokens(usage.get("cachedContentTokenCount")))


def _logprobs(result: Any) -> tuple[TokenLogprob, ...]:
    if not result:
        return ()
    chosen = result.get("chosenCandidates") or ()
    others = result.get("topCandidates") or [{}] * len(chosen)
    return tuple(
        TokenLogprob(*_likely(token), tuple(_likely(each) for each in other.get("candidates") or ()))
        for token, other in zip(chosen, others, strict=True)
    )


def _likely(candidate: dict[str, Any]) -> tuple[bytes, float]:
    return str(candidate["token"]).encode(), float(candidate["logProbability"])
