"""Answers in the words of OpenTelemetry's conventions for generative AI, which are still in development.

https://github.com/open-telemetry/semantic-conventions-genai
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from collections.abc import Sequence as Seq
from typing import Any

from adaptive_engine.telemetry.answered import Answered
from adaptive_engine.types import Usage

OURS = "adaptive_engine"
"""Who answers requests to this server, whomever it asks for it."""

_PROVIDERS = {"azure": "azure.ai.openai", "google": "gcp.gemini"}
_PARAMETERS = {
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "max_tokens": "gen_ai.request.max_tokens",
    "seed": "gen_ai.request.seed",
    "stop": "gen_ai.request.stop_sequences",
}


def attributes(completion: str | None, answered: Seq[Answered]) -> dict[str, Any]:
    """Of the span of one chat completion; some of its choices have ended, at least one."""
    first = answered[0].row
    found: dict[str, Any] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": OURS,
        "gen_ai.request.model": answered[0].model,
        "gen_ai.response.model": answered[0].model,
        "gen_ai.conversation.id": str(first.session_id),
        "gen_ai.output.type": "text" if answered[0].structured is None else "json",
        "gen_ai.response.finish_reasons": [answer.row.finish_reason or answer.row.state for answer in answered],
        "gen_ai.usage.input_tokens": first.usage.prompt_tokens,
        "gen_ai.usage.output_tokens": sum(answer.row.usage.completion_tokens for answer in answered),
        "gen_ai.usage.cache_read.input_tokens": first.usage.cached_tokens,
    }
    if completion is not None:
        found["gen_ai.response.id"] = completion
    if len(answered) > 1:
        found["gen_ai.request.choice.count"] = len(answered)
    for name, attribute in _PARAMETERS.items():
        if (value := first.parameters.get(name)) is not None:
            found[attribute] = list(value) if isinstance(value, list | tuple) else value
    if (moment := answered[0].first_token()) is not None:
        found["gen_ai.response.time_to_first_chunk"] = moment - answered[0].arrived
    if (error := _error(answered)) is not None:
        found["error.type"] = error
    return found


def content(answered: Seq[Answered]) -> dict[str, str]:
    """Prompts and answers, for who asked for them."""
    given = [
        {"role": message["role"], "parts": list(map(_part, _parts(message.get("content"))))}
        for message in answered[0].row.messages
    ]
    said = [
        {
            "role": "assistant",
            "parts": [{"type": "text", "content": answer.row.completion}],
            "finish_reason": answer.row.finish_reason or answer.row.state,
        }
        for answer in answered
    ]
    return {"gen_ai.input.messages": json.dumps(given), "gen_ai.output.messages": json.dumps(said)}


def metric_attributes(answer: Answered) -> dict[str, str]:
    """Those by which durations are told apart."""
    found = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": OURS,
        "gen_ai.request.model": answer.model,
        "gen_ai.response.model": answer.model,
    }
    error = _error([answer])
    return found if error is None else {**found, "error.type": error}


def call_attributes(model: str, vendor: str, address: tuple[str, int] | None) -> dict[str, str | int]:
    """Of one request to a provider, and those by which their durations are told apart."""
    found: dict[str, str | int] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": _PROVIDERS.get(vendor, vendor),
        "gen_ai.request.model": model,
    }
    if address is not None:
        found["server.address"], found["server.port"] = address
    return found


def usage_attributes(usage: Usage) -> dict[str, int]:
    return {
        "gen_ai.usage.input_tokens": usage.prompt_tokens,
        "gen_ai.usage.output_tokens": usage.completion_tokens,
        "gen_ai.usage.cache_read.input_tokens": usage.cached_tokens,
    }


def _error(answered: Seq[Answered]) -> str | None:
    for answer in answered:
        if answer.row.state == "cancelled":
            return "cancelled"
        if answer.row.error is not None:
            return str(answer.row.error.get("code"))
    return None


def _parts(content: Any) -> Seq[Any]:
    return content if isinstance(content, list) else [{"type": "text", "text": content}]


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    if part.get("type") == "text":
        return {"type": "text", "content": part.get("text")}
    return {"type": "uri", "modality": "image", "uri": part.get("image_url", {}).get("url")}
