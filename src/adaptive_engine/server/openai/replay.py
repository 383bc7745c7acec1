"""Answers that were given before, to requests that carry an Idempotency-Key.

Prompts and answers are with their interactions only, where they can be deleted: what is kept of an answer lacks them.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import orjson
from starlette.responses import Response

from adaptive_engine.errors import Conflict
from adaptive_engine.server.lifespan import Services
from adaptive_engine.server.sse import DONE, HEADERS, event
from adaptive_engine.services.idempotency import Answer
from adaptive_engine.store import interactions

_TEXTS = ("content", "reasoning_content", "reasoning")


def without_texts(body: dict[str, Any]) -> str | None:
    """What is kept of a whole answer; None where all of it is text: tokens with their probabilities are."""
    if any("logprobs" in choice for choice in body["choices"]):
        return None
    choices = []
    for choice in body["choices"]:
        kept = {name: value for name, value in choice["message"].items() if name not in _TEXTS}
        choices.append({**choice, "message": kept})
    return orjson.dumps({**body, "choices": choices}).decode()


async def replayed(services: Services, answer: Answer, *, stream: bool, include_usage: bool) -> Response:
    """The same answer, at once. Raises Conflict when it was deleted."""
    body = orjson.loads(answer.content)
    if answer.stored:
        body = await _with_texts(services, body)
    if stream:
        return Response(_frames(body, include_usage), 200, HEADERS)
    return Response(orjson.dumps(body), 200, media_type="application/json")


async def _with_texts(services: Services, body: dict[str, Any]) -> dict[str, Any]:
    ids = [UUID(choice["completion_id"]) for choice in body["choices"]]
    found = await services.read(interactions.load, ids)
    if len(found) < len(ids):
        raise Conflict(
            "This request was answered already, and its interaction was deleted. Send another Idempotency-Key.",
            code="idempotency_answer_deleted",
            param="Idempotency-Key",
        )
    for choice, stored in zip(body["choices"], found, strict=True):
        row = stored.interaction
        choice["message"]["content"] = row.completion
        if row.reasoning:
            choice["message"] |= {"reasoning_content": row.reasoning, "reasoning": row.reasoning}
    return dict(body)


def _frames(body: dict[str, Any], include_usage: bool) -> bytes:
    """The chunks of an answer that is there in full: two for each choice."""
    head = {name: body[name] for name in ("id", "object", "created", "model", "system_fingerprint", "session_id")}
    head["object"] = "chat.completion.chunk"
    first, last = [], []
    for choice in body["choices"]:
        message = choice["message"]
        own = {name: choice[name] for name in ("index", "completion_id", "model")}
        role = {"id": message["id"], "role": message["role"]}
        end = {name: value for name, value in choice.items() if name not in (*own, "message")}
        first.append({**own, "delta": {**role, "content": ""}, "finish_reason": None})
        last.append({**own, "delta": message, **end})
    warnings = {"warnings": body["warnings"]} if "warnings" in body else {}
    chunks = [{**head, "choices": [choice], "usage": None, **warnings} for choice in first]
    chunks += [{**head, "choices": [choice], "usage": None} for choice in last]
    if include_usage:
        chunks.append({**head, "choices": [], "usage": body["usage"]})
    return b"".join(event(orjson.dumps(chunk)) for chunk in chunks) + DONE
