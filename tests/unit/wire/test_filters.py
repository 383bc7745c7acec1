"""Filters as clients write them: anything is a selection that the store can answer, or is refused with its field."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from adaptive_engine.errors import InvalidRequest, NotFound
from adaptive_engine.server.times import from_ms
from adaptive_engine.services import interactions
from adaptive_engine.store import Database
from adaptive_engine.store.filters import EVERYTHING, And, Between, HasText, InteractionFilter, Not, Or, holds
from adaptive_engine.store.pages import PageRequest, count, list_page
from adaptive_engine.types import Project
from adaptive_engine.wire.filters import FilterExpression, Selection, epoch_ms
from stores import open_store
from unit.services.platform import fill, score, store_answer


@given(
    value=st.text(max_size=40)
    | st.integers()
    | st.integers(-(10**17), 10**17).map(str)
    | st.floats()
    | st.booleans()
    | st.none()
    | st.datetimes(
        timezones=st.sampled_from([None, UTC, timezone(timedelta(hours=14)), timezone(timedelta(hours=-12))])
    ).map(datetime.isoformat)
)
def test_a_time_can_be_shown_or_is_refused(value: Any) -> None:
    with suppress(ValueError):
        assert from_ms(epoch_ms(value)).year > 0


@pytest.mark.parametrize("value", ["2026", "20260131", "-2026", 1_769_860_800, "1769860800"])
def test_what_is_no_time_in_milliseconds_is_not_taken_for_one(value: Any) -> None:
    with pytest.raises(ValueError, match="epoch milliseconds"):
        epoch_ms(value)


@pytest.mark.parametrize("value", [1_769_860_800_000, "1769860800000", "2026-01-31T12:00:00Z", "2026-01-31T12:00"])
def test_one_moment_can_be_said_in_several_ways(value: Any) -> None:
    assert epoch_ms(value) == 1_769_860_800_000


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> tuple[Database, Project]:
    database = open_store(tmp_path_factory.mktemp("filters") / "store.db")
    project = fill(database)
    for text in ("\x00", "100% _\\", "größe"):
        row = store_answer(database, project, "a", completion=text, labels={text: text, "a": ""}, user=text)
        score(database, row, 1)
    return database, project


_NAMES = st.sampled_from(["a", "helpful", "cost", "\x00", "%", "größe", "'; --", "\ud800", "x" * 600]) | st.text(
    max_size=5
)
_MATCH = st.dictionaries(st.sampled_from(["eq", "in", "neq"]), _NAMES | st.lists(_NAMES, max_size=3), max_size=2)
_NUMBER = st.integers(-(2**70), 2**70) | st.floats()
_BOUNDS = st.dictionaries(st.sampled_from(["gt", "gte", "eq", "neq", "lt", "lte"]), _NUMBER, max_size=2)
_SCORES = st.fixed_dictionaries(
    {"metric": _NAMES}, optional={"value": _BOUNDS, "reasons": st.lists(_NAMES, max_size=2)}
)
_TEXT = st.dictionaries(st.sampled_from(["eq", "contains"]), _NAMES, max_size=2)
_TIMES = st.dictionaries(
    st.sampled_from(["from", "to"]), st.integers(-(10**15), 10**15) | st.sampled_from(["2026", "x"]), max_size=2
)
_LEAF: dict[str, st.SearchStrategy[Any]] = {
    "model": _MATCH,
    "timerange": _TIMES,
    "label": st.fixed_dictionaries({"key": _NAMES}, optional={"value": _MATCH}),
    "scores": _SCORES,
    "comparisons": st.fixed_dictionaries({"metric": _NAMES}),
    "source": st.lists(st.sampled_from(["LIVE", "OFFLINE", "X"]), max_size=2),
    "state": st.sampled_from(["complete", "error", "x"]),
    "prompt_hash": _MATCH,
    "session_id": st.uuids().map(str) | _NAMES,
    "completion_id": st.uuids().map(str) | _NAMES,
    "user": _MATCH,
    "created_by": _MATCH,
    "completion": _TEXT,
    "prompt": _TEXT,
    "ab_test": _MATCH,
    "finish_reason": _MATCH,
    "has_warnings": st.booleans() | st.none(),
}
_CONDITION = st.sampled_from(sorted(_LEAF)).flatmap(lambda name: _LEAF[name].map(lambda value: {name: value}))
FILTERS = st.recursive(
    _CONDITION,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda parts: {"and": parts})
        | st.lists(inner, max_size=3).map(lambda parts: {"or": parts})
        | inner.map(lambda part: {"not": part})
    ),
    max_leaves=6,
)


def test_every_condition_is_tried() -> None:
    names = {field.alias or name for name, field in FilterExpression.model_fields.items()}
    assert names == _LEAF.keys() | {"and", "or", "not"}


@settings(max_examples=120)
@given(expression=FILTERS)
def test_any_filter_is_answered_or_refused(place: tuple[Database, Project], expression: dict[str, Any]) -> None:
    database, project = place
    with suppress(ValidationError, InvalidRequest, NotFound), database.read() as connection:
        wanted = Selection.model_validate({"project": project.key, "filter": expression})
        chosen = interactions.select(connection, project, wanted)
        found = list_page(connection, chosen, PageRequest(10))
        assert count(connection, chosen).value == len(found.items)
        if (all_or_none := holds(chosen.where)) is not None:
            everything = count(connection, InteractionFilter(project.id)).value
            assert everything
            assert len(found.items) == (everything if all_or_none else 0)


def test_what_holds_for_every_row_or_none_is_known_by_its_form() -> None:
    nothing, some = Or(), HasText("completion", "a", whole=True)
    for each in (EVERYTHING, Between(None, None), Not(nothing), Or((some, EVERYTHING))):
        assert holds(each) is True
    for each in (nothing, Not(EVERYTHING), And((some, nothing)), Or((nothing,))):
        assert holds(each) is False
    for each in (some, Not(some), And((EVERYTHING, some)), Or((nothing, some))):
        assert holds(each) is None


@pytest.mark.parametrize(
    "unset",
    [
        {"timerange": {"from": None, "to": None}},
        {"filter": {"timerange": {"from": None}}},
        {"filter": {"user": {"eq": None}}},
        {"filter": {"label": {"key": "env", "value": {"eq": None}}}},
        {"filter": {"scores": {"metric": "helpful", "value": {"gte": None}}}},
        {"filter": {"not": {"completion": {"contains": None}}}},
    ],
)
def test_a_condition_of_nothing_but_null_is_refused(unset: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="give at least one of"):
        Selection.model_validate({"project": "default", **unset})
    # Beside a value null is what is not given.
    assert Selection.model_validate({"project": "default", "filter": {"user": {"eq": "ann", "neq": None}}}).filter


@pytest.mark.parametrize("levels", [9, 50, 90])
def test_a_deep_filter_is_refused(place: tuple[Database, Project], levels: int) -> None:
    database, project = place
    expression: dict[str, Any] = {"has_warnings": True}
    for _ in range(levels):
        expression = {"not": expression}
    wanted = Selection.model_validate({"project": project.key, "filter": expression})
    with database.read() as connection, pytest.raises(InvalidRequest, match="nested at most 8 deep"):
        interactions.select(connection, project, wanted)
