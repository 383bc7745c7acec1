"""One error shape for everything: OpenAI's, with our status map (see errors.py)."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence as Seq
from contextlib import contextmanager
from functools import cache
from re import Pattern
from typing import Any, NoReturn

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import compile_path
from starlette.types import Send

from adaptive_engine.errors import AdaptiveError, InternalError, InvalidRequest, MethodNotAllowed, NotFound
from adaptive_engine.telemetry.structured import structlog
from adaptive_engine.wire.interactions import KEY_PATTERN
from adaptive_engine.wire.roles import ACCESS_KEY_PATTERN
from adaptive_engine.wire.users import EMAIL_PATTERN

log = structlog.get_logger(__name__)

_MAX_MESSAGE = 2_000
_MAX_SHOWN_PATH = 200
_MOST_NAMED = 10_000
"""Problems that pydantic is asked to list, at microseconds each."""
_PATTERNS = {
    KEY_PATTERN: "a key is one line of visible text, without slashes at its ends or two in a row",
    ACCESS_KEY_PATTERN: "use 1 to 128 letters, digits, '.', '_' and '-', and begin with a letter or a digit",
    EMAIL_PATTERN: "this is no e-mail address",
}
"""What people are told instead of a regular expression."""
_NO_PART = 'a part is an object whose "type" is "text" or "image_url"'
_PARTS = {"union_tag_not_found": _NO_PART, "union_tag_invalid": _NO_PART}
"""Parts of messages are the only union that says by a field which of its branches is meant."""
_BOOLEAN = "true or false"
_TYPES = {
    "string_type": "a string",
    "list_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
    "int_type": "an integer",
    "float_type": "a number",
    "bool_type": _BOOLEAN,
    "uuid_type": "a UUID",
}
"""What the branches of a union take, by the problem of a value of another type."""
_BRANCHES = {"str", "int", "float", "bool", "uuid", "ImageUrl", "ComparedText", "constrained-str"}


def error_response(error: AdaptiveError) -> Response:
    return Response(orjson.dumps(error.body()), error.status, error.headers, "application/json")


def failure_response(error: Exception, path: str) -> Response:
    """For whatever a route raises. What nobody expected is logged."""
    if not isinstance(error, AdaptiveError):
        log.error("unhandled error", path=path, exc_info=error)
        error = InternalError("An unexpected error occurred; the server's log has the details under this request id.")
    return error_response(error)


async def send_error(send: Send, error: AdaptiveError) -> None:
    """For middleware, which answers before there is a request object."""
    response = error_response(error)
    await send({"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers})
    await send({"type": "http.response.body", "body": response.body})


@contextmanager
def as_invalid_request() -> Iterator[None]:
    """What a model refuses inside becomes InvalidRequest that names the field."""
    try:
        yield
    except ValidationError as exc:
        raise_invalid_request(exc)


def raise_invalid_request(refusal: ValidationError) -> NoReturn:
    """What `as_invalid_request` does, without a block around what hardly ever is refused."""
    if refusal.error_count() > _MOST_NAMED:
        raise InvalidRequest(
            f"The body has {refusal.error_count()} problems, too many to name one. Send a part of it to see which."
        ) from None
    raise invalid_request(refusal.errors(include_url=False, include_context=False, include_input=False)) from refusal


def invalid_request(problems: Seq[Any]) -> InvalidRequest:
    """The first problem in words, with the path of its field; the number of the others."""
    told, others = _most_telling(problems)
    first = told[0]
    param = _path(first["loc"])
    if first["type"] == "json_invalid":
        return InvalidRequest(f"The body is not valid JSON: {first['msg'].removeprefix('Invalid JSON: ')}.")
    message = _PARTS.get(first["type"]) or first["msg"].removeprefix("Value error, ")
    if first["type"] == "missing":
        message = "this field is required"
    if first["type"] == "string_pattern_mismatch":
        message = next((words for pattern, words in _PATTERNS.items() if f"'{pattern}'" in message), message)
    if len(told) > 1:
        message = f"Input should be {_alternatives(told)}"
    more = f" ({others} more problem{'s' * (others > 1)})" if others else ""
    where = f"{param}: " if param else ""
    return InvalidRequest(f"{where}{message}{more}."[:_MAX_MESSAGE], param=param or None)


def _most_telling(problems: Seq[Any], behind: int = 0) -> tuple[Seq[Any], int]:
    """The first problem, and how many others there are. A union has one for each of its branches: of these, those of
    the branch that the client meant, which got deepest; all of them, where none takes a value of this type.
    """
    place = problems[0]["loc"]
    union = _union(place, behind)
    if union is None:
        return problems[:1], len(problems) - 1
    branches = [p for p in problems if p["loc"][:union] == place[:union]]
    elsewhere = {p["loc"][: _union(p["loc"], behind)] for p in problems if p["loc"][:union] != place[:union]}
    deepest = max(branches, key=lambda p: len(p["loc"]))["loc"]
    if len(deepest) > union + 1:
        meant = [p for p in branches if p["loc"][: union + 1] == deepest[: union + 1]]
        told, others = _most_telling(meant, union + 1)
        return told, others + len(elsewhere)
    of_its_type = [p for p in branches if p["type"] != "literal_error" and not p["type"].endswith("_type")]
    return of_its_type[:1] or branches, len(elsewhere)


def _union(location: Seq[str | int], behind: int) -> int | None:
    """Where in a location, from this place on, the name of a union's branch stands."""
    for at in range(max(behind, 1), len(location)):
        part = location[at]
        if isinstance(part, str) and _names_a_type(part, location[at - 1]):
            return at
    return None


def _alternatives(problems: Seq[Any]) -> str:
    """What the branches of a union take."""
    words = [_TYPES.get(p["type"]) or p["msg"].removeprefix("Input should be ") for p in problems]
    if "a number" in words and "an integer" in words:
        words.remove("an integer")
    # "a number, true or false"
    words.sort(key=lambda each: each == _BOOLEAN)
    last = words.pop()
    return f"{', '.join(words)}{', ' if last == _BOOLEAN else ' or '}{last}"


def _path(location: Seq[str | int]) -> str:
    """`('messages', 0, 'content', 'list[...]', 1, 'text', 'text')` as `messages[0].content[1].text`."""
    path = ""
    previous: str | int | None = None
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        elif not _names_a_type(part, previous):
            path += f".{part}" if path else part
        previous = part
    return path[:200]


def _names_a_type(part: str, previous: str | int | None) -> bool:
    """Union branches appear in pydantic's location as type names or discriminator tags."""
    is_tag = isinstance(previous, int) and part in {"text", "image_url"}
    return "[" in part or is_tag or part in _BRANCHES


def install(app: FastAPI) -> None:
    """Map every exception that can reach the outside."""

    @cache
    def routes() -> list[tuple[Pattern[str], set[str]]]:
        """When they are needed, all of them are there."""
        contexts = iter_route_contexts(app.routes)
        return [(compile_path(each.path)[0], set(each.methods or ())) for each in contexts if each.path is not None]

    def methods_at(path: str) -> list[str]:
        """Of all routes of that path, of which the framework only names the first's."""
        return sorted({method for pattern, methods in routes() if pattern.fullmatch(path) for method in methods})

    @app.exception_handler(AdaptiveError)
    async def adaptive(_: Request, exc: AdaptiveError) -> Response:
        return error_response(exc)

    @app.exception_handler(RequestValidationError)
    async def validation(_: Request, exc: RequestValidationError) -> Response:
        problems = [{**p, "loc": p["loc"][1:]} for p in exc.errors()]
        return error_response(invalid_request(problems))

    @app.exception_handler(HTTPException)
    async def framework(request: Request, exc: HTTPException) -> Response:
        path = request.scope["path"]
        where = f"{request.method} {path[:_MAX_SHOWN_PATH]}{'…' * (len(path) > _MAX_SHOWN_PATH)}"
        error: AdaptiveError
        if exc.status_code == 404:
            error = NotFound(f"There is no {where}. The API is described at /openapi.json.", code="route_not_found")
        elif exc.status_code == 405:
            error = MethodNotAllowed(f"{where} is not supported.", headers={"Allow": ", ".join(methods_at(path))})
        elif exc.status_code < 500:
            error = InvalidRequest(str(exc.detail))
        else:
            error = InternalError(str(exc.detail))
        return error_response(error)

    @app.exception_handler(Exception)
    async def unexpected(request: Request, exc: Exception) -> Response:
        return failure_response(exc, request.url.path)
