"""Failures inside a GraphQL reply. The status is 200 all the same: the vendor's clients read no other body."""

from __future__ import annotations

import re
from typing import Any

from graphql import GraphQLError
from pydantic import ValidationError

from adaptive_engine.errors import AdaptiveError
from adaptive_engine.server.errors import invalid_request
from adaptive_engine.telemetry.structured import structlog

log = structlog.get_logger(__name__)

# Where graphql-core repeats a value that it refuses, whole: it may be the API key of a provider.
_REPEATED = (
    (re.compile(r"[,;.]?\s+[Ff]ound: .*", re.DOTALL), "."),
    (re.compile(r"(cannot represent [^:]*): .*?( Did you mean [^?]*\?)?$", re.DOTALL), r"\1.\2"),
    (re.compile(r", found (String|BlockString) .*", re.DOTALL), r", found a \1."),
)


def as_json(error: GraphQLError) -> dict[str, Any]:
    """`{"message", "locations", "path", "extensions": {"code", "param", "status"}}`; a defect of ours is logged."""
    formatted: dict[str, Any] = dict(error.formatted)
    cause = error.original_error
    # A scalar or an enum of ours refuses a value with an error that graphql-core wraps once more.
    while isinstance(cause, GraphQLError) and cause.original_error is not None:
        cause = cause.original_error
    if isinstance(cause, ValidationError):
        cause = invalid_request(cause.errors(include_url=False, include_context=False))
    if isinstance(cause, AdaptiveError):
        formatted["message"] = cause.message
        formatted["extensions"] = {"code": cause.code, "param": cause.param, "status": cause.status}
    elif cause is not None and not isinstance(cause, GraphQLError):
        log.error("unhandled error in a GraphQL resolver", path=error.path, exc_info=cause)
        formatted["message"] = "An unexpected error occurred; the server's log has the details under this request id."
        formatted["extensions"] = {"code": "internal_error", "param": None, "status": 500}
    else:
        for pattern, shorter in _REPEATED:
            formatted["message"] = pattern.sub(shorter, formatted["message"])
    return formatted
