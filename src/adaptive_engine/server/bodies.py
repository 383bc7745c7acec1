"""JSON bodies: what the API description says of them, and reading them."""

from __future__ import annotations

import codecs
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel

from adaptive_engine.errors import UnsupportedMediaType
from adaptive_engine.server.errors import as_invalid_request
from adaptive_engine.server.headers import header

Body = TypeVar("Body", bound=BaseModel)


def body_of(model: type[BaseModel], *, required: bool = True) -> dict[str, Any]:
    """The `openapi_extra` of a route that reads its body with `read_body`."""
    content = {"application/json": {"schema": model.model_json_schema()}}
    return {"requestBody": {"required": True, "content": content} if required else {"content": content}}


async def read_body(request: Request, model: type[Body], *, required: bool = True) -> Body:
    """The body, validated; where it need not be there, none is an empty object.

    Raises UnsupportedMediaType, and InvalidRequest naming the field.
    """
    _require_json(request)
    # `Request.body` would keep it until the answer has ended, and images take tens of megabytes.
    raw = b"".join([chunk async for chunk in request.stream()])
    return parse(model, raw if raw or required else b"{}")


def parse(model: type[Body], raw: bytes) -> Body:
    """Validate a JSON body. Raises InvalidRequest naming the field.

    Depth, lone surrogates and broken JSON are refused by the parser itself, in one pass over the bytes.
    """
    with as_invalid_request():
        return model.model_validate_json(raw.removeprefix(codecs.BOM_UTF8))


def _require_json(request: Request) -> None:
    """A form-encoded body is what curl sends when the header is forgotten."""
    kind = header(request.scope, b"content-type", "application/json").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        raise UnsupportedMediaType(f"Send JSON with 'Content-Type: application/json', not '{kind[:100]}'.")
    encoding = header(request.scope, b"content-encoding", "identity").strip().lower()
    if encoding != "identity":
        raise UnsupportedMediaType(f"Send the body as it is, without 'Content-Encoding: {encoding[:100]}'.")
