"""The scalars of the schema, in and out."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from ariadne import ScalarType
from graphql import GraphQLError

from adaptive_engine.wire.filters import epoch_ms

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
    """Epoch ms."""
    try:
        return epoch_ms(value)
    except ValueError as error:
        raise GraphQLError(f"{value!r:.80}: {error}.") from error


SCALARS = (uuid, timestamp, big_int, date_time_input)
