"""The child processes: what costs too much costs them their life, and nobody else anything."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from adaptive_engine.grammar.checker import CheckerBusy, Checkers, CheckLimits
from adaptive_engine.grammar.schema.report import SchemaRefused


@pytest.fixture(scope="module")
def checkers() -> Iterator[Checkers]:
    made = Checkers(CheckLimits(processes=1))
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


HEAVY = {"enum": [f"value number {n}" for n in range(9000)]}


def test_too_much_time_is_a_refusal_and_the_next_one_works() -> None:
    hasty = Checkers(CheckLimits(cpu_seconds=0.01, processes=1))
    try:
        with pytest.raises(SchemaRefused, match=r"more than 0\.01 s"):
            check(hasty, HEAVY)
        assert check(hasty, {"type": "null"}).unexpressed is None
    finally:
        hasty.close()


def test_too_much_memory_is_a_refusal_and_the_next_one_works(monkeypatch: pytest.MonkeyPatch) -> None:
    small = Checkers(CheckLimits(processes=1))
    monkeypatch.setattr(small._pool, "_command", [sys.executable, "-c", "import os; input(); os.abort()"])
    try:
        with pytest.raises(SchemaRefused, match="1024 MiB"):
            check(small, HEAVY)
        monkeypatch.undo()
        assert check(small, {"type": "null"}).unexpressed is None
    finally:
        small.close()


def test_a_child_that_has_grown_is_replaced() -> None:
    small = Checkers(CheckLimits(memory_bytes=140 << 20, processes=1))
    try:
        for _ in range(2):
            assert check(small, HEAVY).unexpressed is None
            assert small._pool._idle.queue == [None]
    finally:
        small.close()


def test_no_time_is_no_verdict() -> None:
    starved = Checkers(CheckLimits(wall_seconds=0.0, processes=1))
    try:
        with pytest.raises(CheckerBusy):
            check(starved, {})
    finally:
        starved.close()


def test_a_child_that_was_killed_while_idle_is_replaced(checkers: Checkers) -> None:
    check(checkers, {})
    child = checkers._pool._idle.queue[-1]
    assert child is not None
    child._process.kill()
    child._process.wait()
    assert check(checkers, {}).unexpressed is None


def test_a_child_that_is_killed_at_work_is_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    killed = Checkers(CheckLimits(processes=1))
    monkeypatch.setattr(killed._pool, "_command", [sys.executable, "-c", "import os; input(); os.kill(os.getpid(), 9)"])
    try:
        with pytest.raises(CheckerBusy):
            check(killed, {})
    finally:
        killed.close()


def test_what_leads_the_compiler_too_deep_is_a_refusal(checkers: Checkers) -> None:
    chain = {
        f"d{n}": {"type": "array", "prefixItems": [{"$ref": f"#/$defs/d{n + 1}"}], "minItems": 1, "maxItems": 1}
        for n in range(1500)
    }
    with pytest.raises(SchemaRefused) as refused:
        check(checkers, {"$ref": "#/$defs/d0", "$defs": {**chain, "d1500": {"type": "null"}}})
    assert refused.value.code == "schema_too_complex"
    assert check(checkers, {}).unexpressed is None


def inside(schema: Any) -> Any:
    return {"type": "object", "properties": {"a": {"type": "null"}, "b": schema}, "required": ["b"]}


@pytest.mark.parametrize(
    ("schema", "pointer", "keywords"),
    [
        ({"type": "string", "pattern": "^a$", "minLength": 3}, "", "'pattern' and 'minLength' together"),
        ({"type": "string", "format": "uuid", "maxLength": 5}, "", "'format' and 'maxLength' together"),
        (
            {"type": "integer", "multipleOf": 7, "minimum": 1, "maximum": 6},
            "",
            "'multipleOf', 'minimum' and 'maximum' together",
        ),
        (
            {"type": "array", "items": {"enum": [1, 2]}, "minItems": 3, "uniqueItems": True},
            "",
            "'items', 'minItems' and 'uniqueItems' together",
        ),
        ({"allOf": [{"type": "string", "pattern": "^a$"}, {"pattern": "^b$"}]}, "/allOf", "satisfies 'allOf'."),
    ],
)
def test_keywords_that_contradict_each_other_are_named_at_their_place(
    checkers: Checkers, schema: Any, pointer: str, keywords: str
) -> None:
    for whole, at in [(schema, pointer), (inside(schema), f"/properties/b{pointer}")]:
        with pytest.raises(SchemaRefused) as refused:
            check(checkers, whole)
        assert (refused.value.code, refused.value.pointer) == ("unsatisfiable_schema", at)
        assert keywords in refused.value.reason


def test_more_forced_items_than_the_engine_holds_are_refused_at_their_place(checkers: Checkers) -> None:
    array = {"type": "array", "items": {"const": 1}, "minItems": 9000}
    for whole, at in [(array, ""), (inside(array), "/properties/b")]:
        with pytest.raises(SchemaRefused) as refused:
            check(checkers, whole)
        assert (refused.value.code, refused.value.pointer) == ("schema_too_complex", at)
        assert "because of 'items' and 'minItems'" in refused.value.reason


def test_a_child_that_reads_nothing_holds_up_nobody_for_long() -> None:
    stuck = Checkers(CheckLimits(wall_seconds=0.5, processes=1))
    try:
        with contextlib.suppress(CheckerBusy):
            check(stuck, {})
        child = stuck._pool._start()
        stuck._pool._idle.get()
        stuck._pool._idle.put(child)
        child._process.send_signal(signal.SIGSTOP)
        with pytest.raises(CheckerBusy):
            check(stuck, {"description": "x" * 200_000})
    finally:
        stuck.close()
