"""A cursor comes from a client: whatever it says, the listing goes on there or refuses it."""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from adaptive_engine.errors import InvalidRequest
from adaptive_engine.server.times import from_ms
from adaptive_engine.store import Database, interactions, projects
from adaptive_engine.store.filters import And, InteractionFilter
from adaptive_engine.store.pages import NEWEST, Order, PageRequest, list_page
from adaptive_engine.types import Interaction, Project, uuid7

ORDERS: list[Order] = [NEWEST, (("created_at", "ASC"),), (("prompt_tokens", "ASC"), ("completed_at", "DESC"))]
_IDS = st.uuids()


def encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode()


_PLACES = st.tuples(st.integers(-(2**63), 2**63 - 1), _IDS).map(
    lambda place: encoded(place[0].to_bytes(8, "big", signed=True) + place[1].bytes)
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**64), 2**64) | st.text(max_size=3) | _IDS.map(str),
    lambda inner: st.lists(inner, max_size=3),
)
_SORTED = st.tuples(
    st.sampled_from([json.loads(json.dumps(order)) for order in ORDERS]) | _JSON,
    st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), max_size=3) | _JSON,
    _IDS.map(str) | _JSON,
).map(lambda parts: encoded(json.dumps(parts).encode()))
CURSORS = st.text(max_size=40) | st.binary(max_size=40).map(encoded) | _PLACES | _SORTED


@pytest.fixture
def wanted(database: Database) -> InteractionFilter:
    project = Project(uuid7(), "support", "Support", "", 1)
    with database.write() as connection:
        projects.create(connection, project)
        rows = [
            Interaction(uuid7(), project.id, uuid7(), [], "complete", "OFFLINE", created_at)
            for created_at in (1, 10**12, 10**12, 253_402_300_799_999)
        ]
        interactions.insert(connection, rows)
    return InteractionFilter(project.id, And(()))


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.sampled_from(ORDERS), after=st.none() | CURSORS, before=st.none() | CURSORS, backward=st.booleans())
@example(ORDERS[0], encoded(b"\x7f" + b"\xff" * 7 + UUID(int=0).bytes), None, True)
@example(ORDERS[0], encoded(b"\x80" + b"\x00" * 7 + UUID(int=2**128 - 1).bytes), None, False)
@example(ORDERS[1], "\ud800", "\x00", False)
def test_any_text_is_a_place_or_refused(
    database: Database, wanted: InteractionFilter, order: Order, after: Any, before: Any, backward: bool
) -> None:
    page = PageRequest(2, order, after, before, backward)
    with database.read() as connection, suppress(InvalidRequest):
        found = list_page(connection, wanted, page)
        assert len(found.items) <= 2
        from_ms(found.searched_to)
        # What it gives out is taken back.
        for cursor in (found.start_cursor, found.end_cursor):
            list_page(connection, wanted, PageRequest(2, order, cursor))
