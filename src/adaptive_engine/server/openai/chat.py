"""POST /api/v1/chat/completions."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterable
from functools import partial
from math import inf
from typing import Any
from uuid import UUID

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from adaptive_engine.server.bodies import body_of, parse, read_raw
from adaptive_engine.server.body_limit import require_small_text
from adaptive_engine.server.connections import STOPPING_ERROR, ClientLeft, although_cancelled, until_disconnect
from adaptive_engine.server.context import PrincipalDep, ServicesDep
from adaptive_engine.server.errors import error_response
from adaptive_engine.server.idempotency import enter, is_idempotent
from adaptive_engine.server.openai.replay import replayed, without_texts
from adaptive_engine.server.openapi import schema_of
from adaptive_engine.server.sse import DONE, EventStream
from adaptive_engine.server.usage import usage_body
from adaptive_engine.services.completion import Choice, Completion, Once
from adaptive_engine.services.idempotency import Answer
from adaptive_engine.types import Delta, Notice, TokenLogprob, hex7
from adaptive_engine.wire.chat import ChatChunk, ChatRequest, ChatResponse
from adaptive_engine.wire.errors import ErrorBody

router = APIRouter()

Deltas = AsyncIterator[tuple[Choice, Delta]]

_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"model": ChatResponse, "content": {"text/event-stream": {"schema": schema_of(ChatChunk)}}},
    "4XX": {"model": ErrorBody},
    "5XX": {"model": ErrorBody},
}


@router.post("/chat/completions", openapi_extra=body_of(ChatRequest), responses=_RESPONSES)
async def create_chat_completion(request: Request, services: ServicesDep, principal: PrincipalDep) -> Response:
    """Answer a conversation: one JSON object, or server-sent events with `stream`."""
    raw = await read_raw(request)
    body = parse(ChatRequest, raw)
    require_small_text(request, body.messages, services.settings)
    stream, include_usage = body.stream, bool(body.stream_options and body.stream_options.include_usage)
    kept = None
    if is_idempotent(request):
        # Who may not ask any more is told nothing of what was answered.
        services.routing.project(principal, body.model.partition("/")[0], param="model", needs="completion:create")
        entered = await enter(request, services, principal, raw)
        if isinstance(entered, Answer):
            return await replayed(services, entered, stream=bool(stream), include_usage=include_usage)
        kept = Once(entered, _answer)
    del raw
    try:
        completion = await services.completions.start(principal, body, f"chatcmpl-{hex7()}", once=kept)
    except asyncio.CancelledError:
        # The server stops while a schema is compiled.
        return error_response(STOPPING_ERROR)
    except Exception:
        if kept is not None:
            kept.claim.release()
        raise
    # Images take tens of megabytes as text, and generating takes a while.
    del body
    # For the log: it is what interactions keep as their request id.
    request.state.completion = completion.id
    request.state.answered = completion.answered
    deltas, prepared = completion.deltas(), completion.prepared
    if stream:
        ping_seconds = services.settings.server.ping_seconds
        # What goes wrong before the first token is a status, so no header may be sent before it; but a connection on
        # which nothing comes is cut by those in between, where no limit of the client's ends the wait.
        patience = inf if prepared.first_token_limited else ping_seconds
        waits = prepared.first_token_limited or completion.unsettled
        return EventStream(
            _frames(completion, deltas, include_usage, waits=waits),
            completion.cancel,
            headers=partial(_headers, completion, request),
            ping_seconds=ping_seconds,
            send_timeout=services.settings.server.send_timeout_seconds,
            patience=patience if waits else 0,
        )
    try:
        await until_disconnect(request.scope, request.receive, _drain(deltas))
    except ClientLeft:
        await completion.cancel()
        return Response(status_code=499)
    except asyncio.CancelledError:
        # The server stops without waiting any longer.
        await although_cancelled(completion.cancel())
        return error_response(STOPPING_ERROR)
    return Response(orjson.dumps(_body(completion)), 200, _headers(completion, request), "application/json")


async def _drain(deltas: Deltas) -> None:
    async for _ in deltas:
        pass


def _headers(completion: Completion, request: Request) -> dict[str, str]:
    deployment = completion.prepared.deployment
    model = deployment.model
    headers = {
        "x-adaptive-model": f"{deployment.project.key}/{_in_header(model.key, model.id)}",
        **completion.limit_headers(),
    }
    if (waited := completion.waited) is not None:
        ours = time.perf_counter() - request.state.arrived - waited
        headers["x-adaptive-overhead-ms"] = f"{1000 * ours:.2f}"
    if completion.prepared.ab_test is not None:
        test = completion.prepared.ab_test
        headers["x-adaptive-ab-campaign"] = _in_header(test.key, test.id)
    if completion.prepared.warnings:
        named = ", ".join(f"{w.code}: {w.param}" for w in completion.prepared.warnings)
        # The parameters' names are the client's: a line break among them would end the header.
        headers["x-adaptive-warning"] = re.sub(r"[^ -~]", "?", named)[:1000].rstrip()
    return headers


def _answer(completion: Completion) -> tuple[str, str | None]:
    body = _body(completion)
    return orjson.dumps(body).decode(), without_texts(body)


def _in_header(key: str, id_: UUID) -> str:
    """Headers are ASCII; keys need not be."""
    return key if key.isascii() else str(id_)


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
                "message": {
                    "id": choice.message_id,
                    "role": "assistant",
                    "content": choice.text,
                    **_reasoning("".join(choice.reasoning)),
                },
                "finish_reason": choice.row.finish_reason,
                "completion_id": str(choice.row.id),
                "model": model,
                **_verdict(choice),
                **({"logprobs": _logprobs(choice.logprobs)} if completion.prepared.logprobs else {}),
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


def _reasoning(text: str) -> dict[str, str]:
    """Under both names that clients look for."""
    return {"reasoning_content": text, "reasoning": text} if text else {}


def _verdict(choice: Choice) -> dict[str, bool]:
    return {} if choice.schema_valid is None else {"schema_valid": choice.schema_valid}


class _Framer:
    """Builds the chunks of one completion. What is the same in all of them is serialised once."""

    def __init__(self, completion: Completion) -> None:
        self._completion = completion
        self.prepared = completion.prepared
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
        if delta.reasoning:
            content += b"," + orjson.dumps(_reasoning(delta.reasoning))[1:-1]
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

    def roles(self) -> bytes:
        """The chunks that name the role of each choice, before any text; they carry the warnings."""
        tail = _warnings(self.prepared.warnings)
        return b"".join([b'%b""},"finish_reason":null}],"usage":null%b}\n\n' % (head, tail) for head in self._choices])

    def usage(self) -> bytes:
        return b'%b,"choices":[],"usage":%b}\n\n' % (self._head, orjson.dumps(usage_body(self._completion.usage)))


def _warnings(notices: Iterable[Notice]) -> bytes:
    """The `warnings` of a chunk with its comma, or nothing."""
    warnings = [notice.as_dict() for notice in notices]
    return b',"warnings":' + orjson.dumps(warnings) if warnings else b""


async def _frames(completion: Completion, deltas: Deltas, include_usage: bool, *, waits: bool) -> AsyncIterator[bytes]:
    """Every frame of the stream, none before the first delta if it `waits` for that. `[DONE]` promises that the answer
    is complete and stored.
    """
    framer, last = _Framer(completion), b""
    if not waits:
        yield framer.roles()
    async for choice, delta in deltas:
        if completion.prepared is not framer.prepared:
            # A fallback answers. When the stream had begun, its chunks name it, the header cannot.
            framer = _Framer(completion)
        frame = framer.text(choice, delta)
        if waits:
            frame, waits = framer.roles() + frame, False
        if delta.finish_reason is not None and completion.ended:
            last = frame
        else:
            yield frame
    yield b"".join((last, framer.usage() if include_usage else b"", DONE))
