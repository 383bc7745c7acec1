"""The child processes: what costs too much costs them their life, and nobody else anything."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from adaptive_engine.grammar.checker import CheckerBusy, Checkers, CheckLimits
from adaptive_engine.grammar.schema.report import SchemaRefused


@pytest.fixture(scope="module")
def checkers() -> Iterator[Checkers]:
    made = Checkers(CheckLimits(checkers=1))
    yield made
    made.close()


def check(checkers: Checkers, schema: Any) -> Any:
    return checkers.check(json.dumps(schema))


def test_a_schema_comes_back_ready_to_compile(checkers: Checkers) -> None:
    checked = check(checkers, {"type": "string", "format": "phone", "x-guidance": {"lenient": True}})
    assert checked.unexpressed is None
    assert checked.normalised.schema["type"] == "string"
    assert "x-guidance" not in checked.normalised.schema
    assert [(note.kind, note.pointer) for note in checked.normalised.notes] == [("unenforced", "/format")]


def test_a_refusal_keeps_its_pointer(checkers: Checkers) -> None:
    with pytest.raises(SchemaRefused) as refused:
        check(checkers, {"properties": {"a/b": {"type": "text"}}})
    assert (refused.value.code, refused.value.pointer) == ("invalid_schema", "/properties/a~1b/type")


@pytest.mark.parametrize("limits", [CheckLimits(cpu_seconds=0.05, checkers=1), CheckLimits(memory_bytes=1, checkers=1)])
def test_a_check_that_costs_too_much_is_a_refusal_and_the_next_one_works(limits: CheckLimits) -> None:
    small = Checkers(limits)
    heavy = {"enum": [f"value number {n}" for n in range(9000)]}
    try:
        with pytest.raises((SchemaRefused, RuntimeError)):
            check(small, heavy)
        if limits.memory_bytes > 1:
            assert check(small, {"type": "null"}).unexpressed is None
    finally:
        small.close()


def test_no_time_is_no_verdict() -> None:
    starved = Checkers(CheckLimits(wall_seconds=0.0, checkers=1))
    try:
        with pytest.raises(CheckerBusy):
            check(starved, {})
    finally:
        starved.close()


def test_a_killed_child_is_replaced(checkers: Checkers) -> None:
    check(checkers, {})
    child = checkers._idle.get()
    assert child is not None
    child._process.kill()
    child._process.wait()
    checkers._idle.put(child)
    with pytest.raises(Exception):  # noqa: B017 - whatever it is, it must not stay that way
        check(checkers, {})
    assert check(checkers, {}).unexpressed is None
