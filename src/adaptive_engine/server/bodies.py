"""JSON bodies: what the API description says of them, and reading them."""

from __future__ import annotations

import codecs
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from adaptive_engine.errors import InvalidRequest, UnsupportedMediaType
from adaptive_engine.server.errors import raise_invalid_request
from adaptive_engine.server.headers import header
from adaptive_engine.server.openapi import schema_of

Body = TypeVar("Body", bound=BaseModel)

MAX_VALUES = 101_000
"""Members of objects and items of lists in one body. Each that is wrong costs a microsecond."""
MAX_MEMBERS = 50_000
"""Those of objects alone, which cost more."""
_PIECE = 1 << 16


def body_of(model: type[BaseModel], *, required: bool = True) -> dict[str, Any]:
    """The `openapi_extra` of a route that reads its body with `read_body`."""
    content = {"application/json": {"schema": schema_of(model)}}
    return {"requestBody": {"required": True, "content": content} if required else {"content": content}}


async def read_body(request: Request, model: type[Body], *, required: bool = True) -> Body:
    """The body, validated; where it need not be there, none is an empty object.

    Raises UnsupportedMediaType, and InvalidRequest naming the field.
    """
    raw = await read_raw(request)
    return parse(model, raw if raw or required else b"{}")


async def read_raw(request: Request) -> bytes:
    """The body as it came. Raises UnsupportedMediaType."""
    _require_json(request)
    # `Request.body` would keep it until the answer has ended, and images take tens of megabytes.
    return b"".join([chunk async for chunk in request.stream()])


def parse(model: type[Body], raw: bytes) -> Body:
    """Validate a JSON body. Raises InvalidRequest naming the field.

    Depth, lone surrogates and broken JSON are refused by the parser itself, in one pass over the bytes.
    """
    if _has_many_commas(raw):
        _require_countable(raw)
    try:
        return model.model_validate_json(raw.removeprefix(codecs.BOM_UTF8))
    except ValidationError as exc:
        raise_invalid_request(exc)


def _has_many_commas(raw: bytes) -> bool:
    """In strings too. Piece by piece, to end early."""
    found = 0
    for start in range(0, len(raw), _PIECE):
        found += raw.count(b",", start, start + _PIECE)
        if found > MAX_MEMBERS:
            return True
    return False


def _require_countable(raw: bytes) -> None:
    """Raises InvalidRequest for more than MAX_VALUES commas or MAX_MEMBERS colons outside of strings."""
    unescaped = raw.replace(b"\\\\", b"").replace(b'\\"', b"")
    values, members, inside = 0, 0, False
    for start in range(0, len(unescaped), _PIECE):
        parts = unescaped[start : start + _PIECE].split(b'"')
        outside = b"".join(parts[inside::2])
        values += outside.count(b",")
        members += outside.count(b":")
        if values > MAX_VALUES:
            raise InvalidRequest(f"The body has more than {MAX_VALUES} values. Send less at once.")
        if members > MAX_MEMBERS:
            raise InvalidRequest(f"The body has more than {MAX_MEMBERS} members of objects. Send less at once.")
        inside ^= len(parts) % 2 == 0


def _require_json(request: Request) -> None:
    """A form-encoded body is what curl sends when the header is forgotten."""
    kind = header(request.scope, b"content-type", "application/json").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        raise UnsupportedMediaType(f"Send JSON with 'Content-Type: application/json', not '{kind[:100]}'.")
    encoding = header(request.scope, b"content-encoding", "identity").strip().lower()
    if encoding != "identity":
        raise UnsupportedMediaType(f"Send the body as it is, without 'Content-Encoding: {encoding[:100]}'.")
