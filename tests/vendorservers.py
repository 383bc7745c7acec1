"""Servers that speak as vendors do, written from their public references as of 2026, because none can be had here.

`AnthropicServer` from https://platform.claude.com/docs/en/api/messages and .../build-with-claude/streaming,
`GeminiServer` from https://ai.google.dev/api/generate-content, `AzureServer` from
https://learn.microsoft.com/azure/ai-foundry/openai/reference and .../openai/concepts/content-filter. What they answer
has every field that the references show and our side does not read, so that those are known to do no harm.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from faultserver import WORDS, Connection, FaultServer

TEXT = "".join(WORDS)


async def anthropic_stream(connection: Connection, *events: dict[str, Any]) -> None:
    await connection.begin_stream()
    for event in events:
        await connection.piece(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())
    await connection.end()


def anthropic_events(*pieces: dict[str, Any], reason: str = "end_turn") -> list[dict[str, Any]]:
    """A whole stream, of one block."""
    usage = {"input_tokens": 7, "cache_creation_input_tokens": 1, "cache_read_input_tokens": 3, "output_tokens": 1}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "content": [], "model": "m", "stop_reason": None}
    block: dict[str, Any] = {"type": "text", "text": ""}
    if pieces[0]["type"] == "input_json_delta":
        block = {"type": "tool_use", "id": "toolu_1", "name": "answer", "input": {}}
    return [
        {"type": "message_start", "message": {**message, "stop_sequence": None, "usage": usage}},
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "ping"},
        *({"type": "content_block_delta", "index": 0, "delta": piece} for piece in pieces),
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": reason, "stop_sequence": None},
            "usage": {"output_tokens": 5, "cache_read_input_tokens": None},
        },
        {"type": "message_stop"},
    ]


@dataclass
class AnthropicServer(FaultServer):
    """Says `TEXT`, and into the tool what its schema looks like."""

    async def respond(self, connection: Connection) -> None:
        body = connection.request.body
        assert connection.request.path == "/v1/messages"
        assert connection.request.headers["anthropic-version"] == "2023-06-01"
        assert body["max_tokens"] > 0
        if connection.request.headers.get("x-api-key") == "revoked":
            error = {"type": "authentication_error", "message": "invalid x-api-key"}
            return await connection.json({"type": "error", "error": error, "request_id": "req_1"}, 401)
        called = bool(body.get("tool_choice"))
        if body.get("stream"):
            text = [{"type": "text_delta", "text": word} for word in WORDS]
            tool = [{"type": "input_json_delta", "partial_json": piece} for piece in ("", '{"city": ', '"Berlin"}')]
            events = anthropic_events(*(tool if called else text), reason="tool_use" if called else "end_turn")
            return await anthropic_stream(connection, *events)
        block = {"type": "text", "text": TEXT, "citations": None}
        if called:
            block = {"type": "tool_use", "id": "toolu_1", "name": "city", "input": {"city": "Berlin"}}
        usage = {"input_tokens": 7, "cache_creation_input_tokens": 1, "cache_read_input_tokens": 3, "output_tokens": 5}
        reason = "tool_use" if called else "end_turn"
        message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_sequence": None}
        return await connection.json({**message, "content": [block], "stop_reason": reason, "usage": usage})


def gemini_chunk(*parts: dict[str, Any], reason: str | None = None, tokens: int = 0) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": list(parts), "role": "model"}, "index": 0, "safetyRatings": []}
    if reason:
        candidate["finishReason"] = reason
    usage = {"promptTokenCount": 11, "cachedContentTokenCount": 4, "totalTokenCount": 11 + tokens}
    if tokens:
        usage |= {"candidatesTokenCount": tokens - 2, "thoughtsTokenCount": 2}
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "gemini", "responseId": "r"}


@dataclass
class GeminiServer(FaultServer):
    """Says `TEXT`. The model and the method are in the path."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1beta"

    async def respond(self, connection: Connection) -> None:
        request = connection.request
        model, _, method = unquote(request.path).removeprefix("/v1beta/models/").partition(":")
        request.body["model"] = model
        assert {content["role"] for content in request.body["contents"]} <= {"user", "model"}
        if request.headers.get("x-goog-api-key") == "revoked":
            details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]
            error = {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT", "details": details}
            return await connection.json({"error": error}, 400)
        if method == "generateContent":
            return await connection.json(gemini_chunk({"text": TEXT}, reason="STOP", tokens=7))
        assert method == "streamGenerateContent?alt=sse"
        await connection.begin_stream()
        for word in WORDS[:-1]:
            await connection.event(gemini_chunk({"text": word}))
        await connection.event(gemini_chunk({"text": WORDS[-1]}, reason="STOP", tokens=7))
        return await connection.end()


@dataclass
class AzureServer(FaultServer):
    """Says `TEXT`, with what its content filter thinks about it."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def respond(self, connection: Connection) -> None:
        request = connection.request
        dated = request.path == "/openai/deployments/my%20model/chat/completions?api-version=2024-10-21"
        assert dated or request.path == "/openai/v1/chat/completions"
        assert "authorization" not in request.headers
        if "something violent" in json.dumps(request.body["messages"]):
            return await connection.json(_FILTERED_PROMPT, 400)
        safe = {"hate": {"filtered": False, "severity": "safe"}}
        prompt = [{"prompt_index": 0, "content_filter_results": safe}]
        usage = {"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16}
        if not request.body.get("stream"):
            message = {"role": "assistant", "content": TEXT, "refusal": None}
            choice = {"index": 0, "message": message, "finish_reason": "stop", "content_filter_results": safe}
            return await connection.json({"choices": [choice], "usage": usage, "prompt_filter_results": prompt})
        await connection.begin_stream()
        await connection.event({"choices": [], "prompt_filter_results": prompt})
        for word in WORDS:
            choice = {"index": 0, "delta": {"content": word}, "finish_reason": None, "content_filter_results": safe}
            await connection.event({"choices": [choice], "usage": None})
        # What its asynchronous filter says of text that was sent before has no delta.
        offsets = {"check_offset": 0, "start_offset": 0, "end_offset": 20}
        await connection.event({"choices": [{"index": 0, "finish_reason": None, "content_filter_offsets": offsets}]})
        await connection.event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        await connection.event({"choices": [], "usage": usage})
        await connection.event(b"[DONE]")
        return await connection.end()


_FILTERED_PROMPT = {
    "error": {
        "message": "The response was filtered due to the prompt triggering the content management policy.",
        "type": None,
        "param": "prompt",
        "code": "content_filter",
        "status": 400,
        "innererror": {
            "code": "ResponsibleAIPolicyViolation",
            "content_filter_result": {
                "hate": {"filtered": False, "severity": "safe"},
                "violence": {"filtered": True, "severity": "medium"},
            },
        },
    }
}
