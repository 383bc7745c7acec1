"""The scalars of the schema, in and out."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from ariadne import ScalarType
from graphql import GraphQLError
from pydantic import TypeAdapter, ValidationError

from adaptive_engine.server.times import to_ms

_DATETIME = TypeAdapter(datetime)

uuid = ScalarType("UUID", serializer=str)
# Epoch milliseconds, past the 32 bits of GraphQL's Int.
timestamp = ScalarType("Timestamp", serializer=int)
# As text: one generation of clients reads a string here and the other a number, from a string too.
big_int = ScalarType("BigInt", serializer=str)
date_time_input = ScalarType("DateTimeInput")


@uuid.value_parser
def _parse_uuid(value: Any) -> UUID:
    try:
        return UUID(value)
    except (ValueError, AttributeError, TypeError) as error:
        raise GraphQLError(f"{value!r:.80} is not a UUID.") from error


@date_time_input.value_parser
def _parse_date_time(value: Any) -> int:
    """Epoch ms from epoch ms or RFC 3339, in which a time without a zone is UTC."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    try:
        return to_ms(_DATETIME.validate_python(value, strict=False))
    except (ValidationError, OverflowError) as error:
        raise GraphQLError(f"{value!r:.80} is neither a time as in RFC 3339 nor epoch milliseconds.") from error


SCALARS = (uuid, timestamp, big_int, date_time_input)
