"""A provider without a network, for tests and for trying things out. It says what it is told to, and costs nothing.

Register it with `adaptive models add-external echo --provider fake --model echo`. Without more it repeats the last
message of the user, word by word, or makes the smallest thing that matches simple schemas. Extra parameters say
otherwise:

    answer        str    what it says instead
    reasoning     str    what it says to have thought before
    delay_ms      float  before each delta
    finish_reason str    `stop`, `length` or `content_filter`
    error         str    a message: it fails with upstream_error instead of answering
    error_after   int    with `error`: so many deltas come before

A token is a word.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from typing import Any

import orjson

from adaptive_engine.errors import UpstreamFailed
from adaptive_engine.providers.base import Call, JsonSchema, Profile, ProviderRequest
from adaptive_engine.types import Delta, FinishReason, TokenLogprob, Usage


class FakeProvider:
    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.address = None

    def call(self, request: ProviderRequest) -> Call:
        asked = " ".join(_text(message["content"]) for message in request.messages)
        answer = request.extra.get("answer")
        if answer is None and isinstance(request.format, JsonSchema):
            answer = orjson.dumps(smallest(request.format.schema)).decode()
        elif answer is None:
            answer = "{}" if request.format == "json_object" else _last_of_user(request.messages)
        body = {**request.extra, "answer": answer, "asked": len(asked.split())}
        body |= {"max_tokens": request.max_tokens, "stop": request.stop, "logprobs": request.logprobs}
        return Call("", {}, body, request.stream)

    async def generate(self, call: Call, deadline: float) -> AsyncGenerator[Delta]:
        del deadline
        body, sent = call.body, 0
        text: str = body["answer"]
        for stop in body["stop"]:
            text = text.partition(stop)[0]
        words = re.findall(r"\s*\S+", text)
        limit = body["max_tokens"]
        finish: FinishReason = "length" if limit is not None and len(words) > limit else "stop"
        words = words[:limit]
        for word in [*words, None]:
            await asyncio.sleep(float(body.get("delay_ms", 0)) / 1000)
            if "error" in body and sent >= int(body.get("error_after", 0)):
                raise UpstreamFailed(f"The provider failed: {body['error']}", again=True)
            if word is not None:
                reasoning = body.get("reasoning", "") if sent == 0 else ""
                logprobs = () if body["logprobs"] is None else (TokenLogprob(word.encode(), 0.0),)
                yield Delta(word, logprobs=logprobs, reasoning=reasoning)
                sent += 1
        yield Delta("", body.get("finish_reason", finish), Usage(body["asked"], len(words)))

    def close(self) -> None:
        pass


def smallest(schema: Any) -> Any:
    """Something that matches a schema, if that is a simple one."""
    if not isinstance(schema, dict):
        return None
    if "const" in schema:
        return schema["const"]
    for word in ("enum", "anyOf", "oneOf"):
        if schema.get(word):
            return schema[word][0] if word == "enum" else smallest(schema[word][0])
    kind = schema.get("type", "object" if "properties" in schema else "null")
    match kind[0] if isinstance(kind, list) else kind:
        case "object":
            known = schema.get("properties", {})
            return {name: smallest(known.get(name, {})) for name in schema.get("required", ())}
        case "array":
            return [smallest(schema.get("items", {}))] * schema.get("minItems", 0)
        case "string":
            return "x" * schema.get("minLength", 0)
        case "integer" | "number":
            return schema.get("minimum", 0)
        case "boolean":
            return False
    return None


def _text(content: Any) -> str:
    return content if isinstance(content, str) else " ".join(part.get("text", "") for part in content)


def _last_of_user(messages: list[dict[str, Any]]) -> str:
    return next((_text(message["content"]) for message in reversed(messages) if message["role"] == "user"), "")
