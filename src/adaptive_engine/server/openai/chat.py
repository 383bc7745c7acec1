"""POST /api/v1/chat/completions."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterable
from typing import Any

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from adaptive_engine.engine import Delta, TokenLogprob
from adaptive_engine.errors import AdaptiveError
from adaptive_engine.server.bodies import body_of, read_body
from adaptive_engine.server.connections import STOPPING_ERROR, ClientLeft, until_disconnect
from adaptive_engine.server.context import PrincipalDep, ServicesDep
from adaptive_engine.server.errors import error_response
from adaptive_engine.server.sse import DONE, EventStream, event
from adaptive_engine.server.usage import usage_body
from adaptive_engine.services.completion import Choice, Completion
from adaptive_engine.types import Notice, uuid7
from adaptive_engine.wire.chat import ChatChunk, ChatRequest, ChatResponse
from adaptive_engine.wire.errors import ErrorBody

router = APIRouter()

Deltas = AsyncIterator[tuple[Choice, Delta]]

_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"model": ChatResponse, "content": {"text/event-stream": {"schema": ChatChunk.model_json_schema()}}},
    "4XX": {"model": ErrorBody},
    "5XX": {"model": ErrorBody},
}


@router.post("/chat/completions", openapi_extra=body_of(ChatRequest), responses=_RESPONSES)
async def create_chat_completion(request: Request, services: ServicesDep, principal: PrincipalDep) -> Response:
    """Answer a conversation: one JSON object, or server-sent events with `stream`."""
    body = await read_body(request, ChatRequest)
    try:
        completion = await services.completions.start(principal, body, f"chatcmpl-{uuid7().hex}")
    except asyncio.CancelledError:
        # The server stops while a schema is compiled.
        return error_response(STOPPING_ERROR)
    # For the log: it is what interactions keep as their request id.
    request.state.completion = completion.id
    headers = _headers(completion)
    deltas = completion.deltas()
    try:
        if not body.stream:
            await until_disconnect(request.receive, _drain(deltas))
        elif completion.prepared.first_token_limit is not None:
            # A limit that is not met is a status, so no header may be sent before the first token.
            deltas = await until_disconnect(request.receive, _begun(deltas))
    except ClientLeft:
        await completion.cancel()
        return Response(status_code=499)
    except asyncio.CancelledError:
        # The server stops without waiting any longer.
        await completion.cancel()
        return error_response(STOPPING_ERROR)
    if body.stream:
        include_usage = bool(body.stream_options and body.stream_options.include_usage)
        return EventStream(
            _frames(completion, deltas, include_usage),
            completion.cancel,
            headers=headers,
            ping_seconds=services.settings.server.ping_seconds,
            send_timeout=services.settings.server.send_timeout_seconds,
        )
    return Response(orjson.dumps(_body(completion)), 200, headers, "application/json")


async def _drain(deltas: Deltas) -> None:
    async for _ in deltas:
        pass


async def _begun(deltas: Deltas) -> Deltas:
    """The same deltas, once the first of them is there. Raises what comes instead of it."""
    first = await anext(deltas)

    async def all_of_them() -> Deltas:
        yield first
        async for item in deltas:
            yield item

    return all_of_them()


def _headers(completion: Completion) -> dict[str, str]:
    deployment = completion.prepared.deployment
    headers = {"x-adaptive-model": f"{deployment.project.key}/{deployment.model.key}"}
    if completion.prepared.ab_test is not None:
        test = completion.prepared.ab_test
        # Headers are ASCII; keys need not be.
        headers["x-adaptive-ab-campaign"] = test.key if test.key.isascii() else str(test.id)
    if completion.prepared.warnings:
        named = ", ".join(f"{w.code}: {w.param}" for w in completion.prepared.warnings)
        # The parameters' names are the client's: a line break among them would end the header.
        headers["x-adaptive-warning"] = re.sub(r"[^ -~]", "?", named)[:1000].rstrip()
    return headers


def _body(completion: Completion) -> dict[str, Any]:
    model = completion.prepared.deployment.model.key
    body = {
        "id": completion.id,
        "object": "chat.completion",
        "created": completion.created,
        "model": model,
        "system_fingerprint": completion.prepared.fingerprint,
        "session_id": str(completion.prepared.session_id),
        "choices": [
            {
                "index": choice.index,
                "message": {"id": choice.message_id, "role": "assistant", "content": choice.text},
                "finish_reason": choice.row.finish_reason,
                "completion_id": str(choice.row.id),
                "model": model,
                **_verdict(choice),
                **({"logprobs": _logprobs(choice.logprobs)} if completion.prepared.params.logprobs is not None else {}),
            }
            for choice in completion.choices
        ],
        "usage": usage_body(completion.usage),
    }
    warnings = [*completion.prepared.warnings, *(notice for choice in completion.choices for notice in choice.notices)]
    if warnings:
        body["warnings"] = [notice.as_dict() for notice in warnings]
    return body


def _logprobs(tokens: Iterable[TokenLogprob]) -> dict[str, Any]:
    return {
        "content": [
            {
                **_logprob(token.token, token.logprob),
                "top_logprobs": [_logprob(text, logprob) for text, logprob in token.top],
            }
            for token in tokens
        ]
    }


def _logprob(text: bytes, logprob: float) -> dict[str, Any]:
    return {"token": text.decode("utf-8", "replace"), "logprob": logprob, "bytes": list(text)}


def _verdict(choice: Choice) -> dict[str, bool]:
    return {} if choice.schema_valid is None else {"schema_valid": choice.schema_valid}


class _Framer:
    """Builds the chunks of one completion. What is the same in all of them is serialised once."""

    def __init__(self, completion: Completion) -> None:
        self._completion = completion
        model = completion.prepared.deployment.model.key
        head = orjson.dumps(
            {
                "id": completion.id,
                "object": "chat.completion.chunk",
                "created": completion.created,
                "model": model,
                "system_fingerprint": completion.prepared.fingerprint,
                "session_id": str(completion.prepared.session_id),
            }
        )
        self._head = b"data: " + head[:-1]
        self._choices = [self._choice_head(choice, model) for choice in completion.choices]

    def _choice_head(self, choice: Choice, model: str) -> bytes:
        fields = {"index": choice.index, "completion_id": str(choice.row.id), "model": model}
        delta = {"id": choice.message_id, "role": "assistant"}
        return b'%b,"choices":[%b,"delta":%b,"content":' % (
            self._head,
            orjson.dumps(fields)[:-1],
            orjson.dumps(delta)[:-1],
        )

    def text(self, choice: Choice, delta: Delta) -> bytes:
        head, content = self._choices[choice.index], orjson.dumps(delta.text)
        if delta.finish_reason is None and not delta.logprobs:
            return b'%b%b},"finish_reason":null}],"usage":null}\n\n' % (head, content)
        more: dict[str, Any] = {"logprobs": _logprobs(delta.logprobs)} if delta.logprobs else {}
        if delta.finish_reason is not None:
            more |= _verdict(choice)
        end = orjson.dumps({"finish_reason": delta.finish_reason, **more})[1:-1]
        return b'%b%b},%b}],"usage":null%b}\n\n' % (
            head,
            content,
            end,
            _warnings(choice.notices if delta.finish_reason else ()),
        )

    def first(self, choice: Choice) -> bytes:
        """The chunk that names the role, before any text; it carries the warnings."""
        tail = _warnings(self._completion.prepared.warnings)
        return b'%b""},"finish_reason":null}],"usage":null%b}\n\n' % (self._choices[choice.index], tail)

    def usage(self) -> bytes:
        return b'%b,"choices":[],"usage":%b}\n\n' % (self._head, orjson.dumps(usage_body(self._completion.usage)))


def _warnings(notices: Iterable[Notice]) -> bytes:
    """The `warnings` of a chunk with its comma, or nothing."""
    warnings = [notice.as_dict() for notice in notices]
    return b',"warnings":' + orjson.dumps(warnings) if warnings else b""


async def _frames(completion: Completion, deltas: Deltas, include_usage: bool) -> AsyncIterator[bytes]:
    """Every frame of the stream. `[DONE]` promises that the answer is complete and stored."""
    framer = _Framer(completion)
    for choice in completion.choices:
        yield framer.first(choice)
    try:
        async for choice, delta in deltas:
            yield framer.text(choice, delta)
    except AdaptiveError as exc:
        yield event(orjson.dumps(exc.body()))
        return
    if include_usage:
        yield framer.usage()
    yield DONE
